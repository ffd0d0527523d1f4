"""The programs in `examples/` run: against a real daemon, or a recording that is served as one."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from ser_daemon.cli.demo import bundled_recording
from ser_model import read_audio
from support.commands import environment, program
from support.daemon import Daemon, wait_for
from support.talk import FINALS, TALK

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
LONGEST = 40

ANSWERS = ["u-6 unknown 0.2231", "u-7 angry 0.6452", "u-8 unknown 0.2744"]
"""What an example prints of the recording that comes with the examples."""


def needs(*tools: str) -> pytest.MarkDecorator:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{' and '.join(missing)} is not installed")


def python(name: str) -> list[str]:
    return [sys.executable, str(EXAMPLES / name)]


def example(*command: object, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run an example to its end."""
    places = os.pathsep.join(str(ROOT / name) for name in ("model", "daemon", "calibration"))
    return subprocess.run(
        list(map(str, command)),
        env=environment(PYTHONPATH=places),
        input=stdin or "",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def served(path: Path, *arguments: str) -> Iterator[Path]:
    """A socket on which the recording is played to the first client."""
    command = [*program("ser-watch"), "--replay", str(TALK), "--serve", str(path), *arguments]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert "It begins" in process.stderr.readline()
            yield path
        finally:
            process.kill()


@pytest.fixture
def socket(tmp_path: Path) -> Iterator[Path]:
    """A socket on which the recording is played without waiting."""
    with served(tmp_path / "s", "--fast") as path:
        yield path


@pytest.mark.parametrize("path", sorted(EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_examples_are_short_and_documented(path: Path) -> None:
    assert len(path.read_text().splitlines()) < LONGEST
    assert f"examples/{path.name}" in (ROOT / "docs/recipes.md").read_text()


def test_the_synchronous_client_prints_every_answer(socket: Path) -> None:
    done = example(*python("python_sync.py"), socket)
    assert done.stdout.splitlines() == ANSWERS
    assert (done.returncode, done.stderr) == (1, "The daemon closed the connection.\n")


@pytest.mark.parametrize("name", ["python_sync.py", "python_async.py"])
def test_both_clients_read_a_real_daemon(name: str) -> None:
    with Daemon("--mic", "stdin", "--rate", "16000", feed=True) as daemon, ThreadPoolExecutor() as pool:
        control = daemon.controller()
        running = pool.submit(example, *python(name), daemon.socket)
        wait_for(lambda: control.request("metrics")["data"]["subscribers"] == 1)
        daemon.write(read_audio(bundled_recording())[: 16_000 * 20])
        daemon.end_of_input()
        done = running.result()
        assert daemon.wait() == 0
    assert done.stderr == "The daemon closed the connection.\n"
    assert len({line.split()[0] for line in done.stdout.splitlines()}) >= 4, "an utterance takes about 4 s"


@pytest.mark.slow
def test_the_asynchronous_client_asks_while_it_listens(tmp_path: Path) -> None:
    with served(tmp_path / "s") as path:
        done = example(*python("python_async.py"), path)
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines if "begins" in line] == [[f"u-{n}", "begins,"] for n in (6, 7, 8)]
    assert [line.split()[2] for line in lines if " final " in line] == FINALS
    assert done.stderr == "The daemon closed the connection.\n"


@needs("bash", "socat", "jq")
def test_socat_and_jq_print_every_answer_and_end(socket: Path) -> None:
    done = example(EXAMPLES / "bash_jq.sh", socket)
    assert (done.returncode, done.stderr, done.stdout.splitlines()) == (0, "", ANSWERS)


@needs("node")
def test_node_prints_every_answer_and_ends_by_itself(socket: Path) -> None:
    done = example("node", EXAMPLES / "node_client.mjs", socket)
    assert (done.returncode, done.stderr, done.stdout.splitlines()) == (0, "", ANSWERS)


@needs("node")
def test_node_says_that_no_daemon_is_there_and_ends(tmp_path: Path) -> None:
    done = example("node", EXAMPLES / "node_client.mjs", tmp_path / "none")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"No events from {tmp_path / 'none'}: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["python_sync.py", "python_async.py", "lights.py"])
def test_without_a_daemon_an_example_is_one_sentence(name: str, tmp_path: Path) -> None:
    done = example(*python(name), tmp_path / "none")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert "No daemon is running" in done.stderr


def test_files_are_labelled_without_a_daemon(tmp_path: Path) -> None:
    done = example(*python("label_wav.py"), bundled_recording())
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert (done.returncode, done.stderr, len(rows)) == (0, "", 12)
    assert all(float(row["start"]) < float(row["end"]) for row in rows)
    assert {row["label"] == "unknown" for row in rows} == {True, False}
    failed = example(*python("label_wav.py"), tmp_path / "none.wav")
    assert (failed.returncode, len(failed.stderr.splitlines())) == (1, 1)


def test_a_prompt_has_perception_before_the_words(socket: Path) -> None:
    perceived = example(*program("ser-watch"), "--replay", TALK, "--fast", "--finals", "--format", "rcs").stdout
    done = example(*python("llm_prompt.py"), stdin=perceived)
    users = re.findall(r"<user>(.*?)\n(.*?)</user>", done.stdout)
    assert [len(user) for user in users] == [2, 2]
    assert users[0][0].startswith("[emotion angry=0.65")
    assert users[1][0].startswith("[arousal value=0.89]")


def test_answers_are_kept_once(tmp_path: Path) -> None:
    for _ in range(2):
        with served(tmp_path / "s", "--fast") as path:
            done = example(*python("sqlite_log.py"), tmp_path / "db", path)
        assert done.stderr == "The daemon closed the connection.\n"
        rows = sqlite3.connect(tmp_path / "db").execute("SELECT label FROM answers ORDER BY time").fetchall()
        assert [label for (label,) in rows] == FINALS


def test_lights_follow_arousal(socket: Path) -> None:
    done = example(*python("lights.py"), socket)
    brightness = [int(value) for value in re.findall(r"^brightness (\d+) %, \d+ K$", done.stdout, re.MULTILINE)]
    assert len(brightness) == len(done.stdout.splitlines()) > 4
    # The voice of the second and third utterance is agitated.
    assert brightness[-1] < 55
    assert max(abs(one - two) for one, two in pairwise(brightness)) < 15
