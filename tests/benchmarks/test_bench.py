"""The measurements run on real daemons and give the figures that the documentation names."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

import pytest
import soundfile
from bench import DAEMON, EMPTY, Row
from measuring.peers import PEERS
from measuring.picture import picture
from measuring.process import cpu_seconds
from measuring.runs import block_due_ms, run_daemon, run_peer
from measuring.signals import RATE, sentences

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "speech.wav"
    soundfile.write(path, sentences(20), RATE)
    return path


def test_a_daemon_is_measured_with_its_delays_and_its_memory(sound: Path) -> None:
    run = run_daemon(sound, 4)
    assert 0 < run.cpu_percent < 100
    assert 20 < run.pss_mb <= run.rss_mb < 200
    assert len(run.block_delays) >= 2
    assert len(run.final_delays) >= 1
    assert all(0 < delay < 5000 for delay in run.block_delays)
    assert run.lost == 0


def test_an_empty_loop_costs_less_than_the_daemon_and_reads_the_same(sound: Path) -> None:
    run = run_peer(EMPTY, sound, 1)
    assert 0 < run.cpu_percent < 100
    assert 5 < run.pss_mb < 100


def test_a_process_clock_shows_the_time_that_the_process_has_used() -> None:
    own = sum(os.times()[:2])
    assert cpu_seconds(os.getpid()) == pytest.approx(own, abs=0.1)


@pytest.mark.parametrize(("end", "due"), [(160, 160), (160.4, 160), (161, 320), (3000, 3040), (3200, 3200)])
def test_the_block_of_a_sample_is_due_at_its_end(end: float, due: float) -> None:
    assert block_due_ms(end) == due


def test_a_row_says_whether_its_target_is_met() -> None:
    assert str(Row("memory", 61, "MB", 60)).endswith("61.00 MB  target 60: MISSED")
    assert str(Row("memory", 60, "MB", 60)).endswith("60.00 MB  target 60: met")
    assert str(Row("speed", 9, "times", 10, more_is_better=True)).endswith("target 10: MISSED")
    assert str(Row("memory", 61, "MB")).endswith("61.00 MB")


def test_the_picture_is_an_image_of_its_own_with_a_bar_for_each_program_and_sound() -> None:
    names = [DAEMON, *(peer.name for peer in PEERS)]
    costs = {name: 0.1 * 3**number for number, name in enumerate(names)}
    root = xml.etree.ElementTree.fromstring(picture(costs, costs))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    bars = [item for item in root if item.get("fill-opacity") == "0.55"]
    assert len(bars) == 2 * len(names)
    assert {item.text for item in root} >= set(names)


def test_subscribers_lose_nothing_and_each_gets_every_event() -> None:
    out = script("subscribers.py", "--subscribers", "1", "40", "--seconds", "3")
    one, many = ([cell.strip() for cell in line.strip("| ").split("|")] for line in out.splitlines()[-2:])
    assert (one[0], many[0]) == ("1", "40")
    assert (one[-1], many[-1]) == ("0", "0")
    # An event may fall to one side of the measured time for one and to the other for others.
    assert float(many[2]) == pytest.approx(40 * float(one[2]), rel=0.6)


@pytest.mark.slow
def test_a_daemon_with_a_tenth_of_a_core_and_96_mb_loses_nothing() -> None:
    if os.geteuid() != 0:
        pytest.skip("a control group needs root")
    out = script("small_machine.py", "--seconds", "4")
    assert out.count("0 samples, events or reads lost") == 2


@pytest.mark.slow
def test_the_stages_are_timed_in_speech_and_in_silence() -> None:
    *stages, whole = script("stages.py", "--seconds", "2").splitlines()[1:]
    assert len(stages) > 15
    assert any(line.startswith("inference   features ") for line in stages)
    # Microseconds a read.
    speech, silence = (int(whole.split()[at]) for at in (1, 4))
    assert 0 < silence < speech


@pytest.mark.slow
def test_recordings_are_read_and_the_cost_of_an_update_is_measured() -> None:
    hours, _, _, *costs = script("offline.py").splitlines()
    assert float(hours.partition(" ")[0]) > 0
    assert len(costs) == 4
    assert all(line.endswith(" µs") for line in costs)


def script(name: str, *arguments: str) -> str:
    """Run a measurement; return what it prints."""
    command = [sys.executable, str(BENCHMARKS / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if "no control group can be made" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
