"""`ser-ctl metrics --prometheus` of a real daemon, and the dashboard that shows it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ser_daemon.cli.demo import bundled_recording
from ser_daemon.views.prometheus import HISTOGRAMS, METRICS, NAMES, NOT_EXPORTED, absent_text, prometheus_text
from ser_model import read_audio
from support.commands import run
from support.daemon import Daemon

ROOT = Path(__file__).resolve().parents[3]
DASHBOARD = ROOT / "docs/grafana-dashboard.json"

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")

STATUS = {"version": "0.1.0", "model": 'a"b\\c\n', "protocol": 1, "state": "listening", "muted": False}


@pytest.fixture(scope="module")
def heard() -> Iterator[Daemon]:
    """A daemon that has heard two utterances, and goes on listening."""
    samples = read_audio(bundled_recording())[: 16_000 * 12]
    with Daemon("--mic", "stdin", "--rate", "16000", feed=True) as daemon:
        client = daemon.subscribe()
        daemon.write(np.concatenate([samples, np.zeros(32_000, np.int16)]))
        for _ in range(2):
            client.until("voice-stopped")
        yield daemon


@pytest.fixture(scope="module")
def text(heard) -> str:
    done = run("ser-ctl", "--socket", str(heard.socket), "metrics", "--prometheus")
    assert (done.code, done.err) == (0, "")
    return done.out


def series(text: str) -> dict[str, float]:
    """Values by name with labels."""
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


@needs_promtool
def test_promtool_finds_no_fault(text):
    for metrics in (text, absent_text(), prometheus_text({}, STATUS)):
        done = subprocess.run(
            ["promtool", "check", "metrics"], input=metrics, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_series_has_help_and_type_and_counters_end_in_total(text):
    helped = set(re.findall(r"^# HELP (\S+) \S", text, re.MULTILINE))
    kinds = dict(re.findall(r"^# TYPE (\S+) (\w+)$", text, re.MULTILINE))
    assert helped == set(kinds)
    for name, kind in kinds.items():
        assert name.startswith("ser_daemon_")
        assert name.endswith("_total") == (kind == "counter"), name
    names = {name.partition("{")[0] for name in series(text)}
    assert names == NAMES
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in names} == helped


def test_every_number_that_the_daemon_answers_is_exported_or_left_out_on_purpose(heard):
    answer = heard.controller().request("metrics", histograms=True)["data"]
    assert set(answer.pop("histograms")) == set(HISTOGRAMS)
    assert set(answer) == {*METRICS, *NOT_EXPORTED}
    assert "histograms" not in heard.controller().request("metrics")["data"]
    assert heard.controller().request("metrics", histograms=1)["data"]["code"] == "bad-request"


def test_histograms_count_the_results_that_were_published(text):
    found = series(text)
    finals = found["ser_daemon_finals_total"]
    assert finals >= 2
    for name, count in (
        ("final_confidence", finals),
        ("final_latency_seconds", finals),
        ("update_latency_seconds", found["ser_daemon_partial_results_total"]),
    ):
        buckets = [value for key, value in found.items() if key.startswith(f"ser_daemon_{name}_bucket")]
        assert buckets == sorted(buckets)
        assert buckets[-1] == found[f"ser_daemon_{name}_count"] == count
        assert found[f'ser_daemon_{name}_bucket{{le="+Inf"}}'] == count
    assert 0 < found["ser_daemon_final_confidence_sum"] < finals
    assert found['ser_daemon_state{state="listening"}'] == 1
    assert found["ser_daemon_audio_seconds_total"] == pytest.approx(14, abs=0.2)


def test_a_file_is_written_in_one_step_for_all_to_read(heard, tmp_path):
    path = tmp_path / "ser-daemon.prom"
    for _ in range(2):
        done = run("ser-ctl", "--socket", str(heard.socket), "metrics", "--prometheus", "--output", str(path))
        assert (done.code, done.out, done.err) == (0, "", "")
        assert series(path.read_text())["ser_daemon_up"] == 1
        assert path.stat().st_mode & 0o777 == 0o644
        assert list(tmp_path.iterdir()) == [path]


def test_the_file_says_that_the_daemon_is_down(tmp_path):
    path = tmp_path / "ser-daemon.prom"
    path.write_text("ser_daemon_up 1\n")
    done = run("ser-ctl", "--socket", str(tmp_path / "s"), "metrics", "--prometheus", "--output", str(path))
    done.assert_error("ser-ctl", "No daemon is running")
    assert series(path.read_text()) == {"ser_daemon_up": 0}


def test_a_file_that_cannot_be_written_is_one_sentence(heard, tmp_path):
    socket = ["--socket", str(heard.socket)]
    for path in (tmp_path / "none" / "x.prom", tmp_path):
        done = run("ser-ctl", *socket, "metrics", "--prometheus", "--output", str(path))
        done.assert_error("ser-ctl", str(path), "can't be written")
    run("ser-ctl", *socket, "metrics", "--output", "x").assert_error("ser-ctl", "add --prometheus")


def test_values_of_labels_are_escaped():
    assert r'model="a\"b\\c\\n"' in prometheus_text({}, STATUS)


@pytest.mark.parametrize("metrics", [{"finals": "many"}, {"histograms": {"final_confidence": {}}}, {"histograms": 7}])
def test_an_answer_of_another_program_is_no_metric(metrics):
    with pytest.raises((TypeError, ValueError, LookupError)):
        prometheus_text(metrics, STATUS)


def queries() -> list[str]:
    dashboard = json.loads(DASHBOARD.read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]


def test_every_query_of_the_dashboard_names_series_that_exist():
    assert len(queries()) > 8
    for query in queries():
        names = re.findall(r"\bser_daemon_\w+", query)
        assert names, query
        assert set(names) <= NAMES, query


@needs_promtool
def test_promtool_reads_every_query_of_the_dashboard(tmp_path):
    rules = [
        {"record": f"x:{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, query in enumerate(queries())
    ]
    path = tmp_path / "rules.json"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
