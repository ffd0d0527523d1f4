"""`make bench-quick`: the daemon costs no more than at the committed baseline, and a regression is named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from measuring.baseline import Baseline, Figure, differences, regressions
from measuring.instructions import Counts, unavailable

ROOT = Path(__file__).resolve().parents[2]
QUICK = ROOT / "benchmarks/quick.py"
LIMIT = 600.0
"""Seconds; it takes one minute on two idle cores."""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(QUICK), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)


@pytest.mark.slow
def test_the_daemon_costs_no_more_than_at_the_committed_baseline() -> None:
    done = run()
    if done.returncode == 3:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_figure_that_has_grown_is_named_with_both_values_and_the_command_that_renews() -> None:
    before = {"speech, capture": Figure(10, "million instructions a second"), "silence": Figure(4, "a second")}
    now = {"speech, capture": Figure(11.1, "million instructions a second"), "silence": Figure(4.4, "a second")}
    (sentence,) = regressions(now, before)
    assert sentence.startswith("speech, capture has grown by 11 %, from 10 to 11.1 million instructions a second; at")
    assert sentence.endswith('make bench-quick ARGS="--renew"')


def test_wake_ups_may_grow_more_as_a_busy_machine_adds_some() -> None:
    before = {"silence, wake-ups": Figure(8, "a second")}
    assert regressions({"silence, wake-ups": Figure(11.9, "a second")}, before) == []
    (sentence,) = regressions({"silence, wake-ups": Figure(12.1, "a second")}, before)
    assert "at most 50 % is allowed" in sentence


def test_a_figure_without_a_baseline_is_named() -> None:
    (sentence,) = regressions({"new": Figure(1, "MB")}, {})
    assert sentence == 'new has no baseline; write one: make bench-quick ARGS="--renew"'


def test_figures_of_another_environment_are_not_compared(tmp_path: Path) -> None:
    if reason := unavailable():
        pytest.skip(reason)
    path = tmp_path / "baseline.json"
    Baseline({"python": "2.7"}, {}).write(path)
    done = run("--baseline", str(path))
    assert done.returncode == 3
    assert done.stdout.startswith("Not compared: ")
    assert "the baseline has 2.7" in done.stdout


def test_what_differs_between_environments_is_said() -> None:
    assert differences({"numpy": "2", "soxr": "1"}, {"numpy": "1", "soxr": "1"}) == ["numpy is 2, the baseline has 1"]


@pytest.mark.parametrize("text", ["", "{", '{"environment": {}}', '{"environment": {}, "figures": {"a": 1}}'])
def test_a_damaged_baseline_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(text)
    with pytest.raises(SystemExit, match=r"cannot be read .* write it anew"):
        Baseline.read(path)


def test_a_baseline_is_read_as_it_was_written(tmp_path: Path) -> None:
    baseline = Baseline({"python": "3.11"}, {"silence": Figure(4.25, "a second")})
    baseline.write(tmp_path / "baseline.json")
    assert Baseline.read(tmp_path / "baseline.json") == baseline


def test_the_busiest_threads_are_the_stages_in_the_order_of_their_start() -> None:
    assert Counts(5, (1, 70, 90)).stages == {"event loop": 5, "capture": 70, "inference": 90}
    assert Counts(5, (90, 2, 70)).stages == {"event loop": 5, "capture": 90, "inference": 70}
