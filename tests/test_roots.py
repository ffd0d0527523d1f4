"""What `make check-wheels`, `make test-arm64` and `make test-debian13` decide, without an index and without a root."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]

SCORES = {"neutral": 0.25, "angry": 0.75}


@pytest.fixture
def release() -> Iterator[ModuleType]:
    """Imports a script of the folder, which holds no package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "release"))
        yield importlib


def run(script: str, *arguments: str, under: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*under, sys.executable, "-B", str(ROOT / "release" / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "Traceback" not in done.stderr
    return done


def answer(**changes: Any) -> dict[str, Any]:
    final = {"label": "angry", "reason": None, "scores": SCORES, "start": 100, "end": 900}
    return {"status": 0, "stderr": "", "finals": [{**final, **changes}]}


def test_equal_answers_have_no_fault(release: ModuleType) -> None:
    same_answers = release.import_module("same_answers")
    near = answer(scores={"neutral": 0.251, "angry": 0.749})
    result = same_answers.compare({"a": answer(), "b": answer()}, {"a": answer(), "b": near})
    assert (result.finals, result.faults) == (2, [])
    assert result.largest == pytest.approx(0.001)


@pytest.mark.parametrize(
    ("other", "fault"),
    [
        (answer(scores={"neutral": 0.2511, "angry": 0.75}), "a: neutral 0.25 here, 0.2511 there"),
        (answer(scores={"angry": 0.75}), "a: neutral 0.25 here, None there"),
        (answer(label="unknown"), "a: label angry here, unknown there"),
        (answer(reason="too-short"), "a: reason None here, too-short there"),
        (answer(end=932), "a: end 900 here, 932 there"),
        ({**answer(), "stderr": "a warning\n"}, "a: it wrote: a warning"),
        ({"status": 1, "stderr": "it fails\n", "finals": []}, "a: exit status 0 here, 1 there: it fails"),
        ({**answer(), "finals": []}, "a: 1 results here, 0 there"),
        (None, "a: exit status 0 here, None there: "),
    ],
)
def test_each_difference_is_named(release: ModuleType, other: dict[str, Any] | None, fault: str) -> None:
    found = {} if other is None else {"a": other}
    assert fault in release.import_module("same_answers").compare({"a": answer()}, found).faults


def test_recordings_are_chosen_from_all_actors_or_cut_from_the_bundled_ones(
    release: ModuleType, tmp_path: Path
) -> None:
    same_answers = release.import_module("same_answers")
    pieces = same_answers.choose_recordings(tmp_path / "none", tmp_path / "pieces", 50)
    assert len({path.name for path in pieces}) == 50
    for actor in range(1, 25):
        (tmp_path / f"ravdess/Actor_{actor:02}").mkdir(parents=True)
        for number in range(60):
            (tmp_path / f"ravdess/Actor_{actor:02}/{number:02}-{actor:02}.flac").touch()
    chosen = same_answers.choose_recordings(tmp_path, tmp_path / "pieces", 50)
    assert len({path.name for path in chosen}) == 50
    assert len({path.parent for path in chosen}) == 24


def test_the_daemons_answers_for_a_recording_are_collected(release: ModuleType, tmp_path: Path) -> None:
    daemon = tmp_path / "ser-daemon"
    daemon.write_text(
        f'#!/bin/sh\nPYTHONPATH={":".join(sys.path)} exec {sys.executable} -m ser_daemon.cli.daemon "$@"\n'
    )
    daemon.chmod(0o755)
    collect = release.import_module("collect_finals").finals
    got = collect(str(daemon), ROOT / "tests/data/synthetic-speech.flac")
    assert (got["status"], got["stderr"]) == (0, "")
    assert len(got["finals"]) >= 6
    for final in got["finals"]:
        assert sum(final["scores"].values()) == pytest.approx(1, abs=1e-3)
    failed = collect(str(daemon), tmp_path / "missing.wav")
    assert failed["status"] == 2
    assert "missing.wav" in failed["stderr"]


def test_a_root_that_cannot_be_tried_here_is_skipped_with_a_reason() -> None:
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    done = run("try_root.py", "arm64", under=nobody if os.geteuid() == 0 else ())
    assert done.returncode == 0
    assert done.stderr.startswith("try-root: arm64 cannot be tried here: ")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["mips"], "invalid choice: 'mips'"),
        (["arm64", "--recordings", "0"], "--recordings: expected 1 or more, got 0"),
        ([], "the following arguments are required: kind"),
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str], reason: str) -> None:
    done = run("try_root.py", *arguments)
    assert done.returncode == 2
    assert reason in done.stderr


def test_a_lock_file_without_wheels_is_told_apart_from_a_missing_index(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    one = (str(lock), "--machine", "aarch64", "--python", "3.13")
    done = run("check_wheels.py", *one)
    assert (done.returncode, done.stderr) == (2, f"check-wheels: {lock}: No such file or directory\n")
    lock.write_text("ser-daemon-that-nobody-made==7.0\n")
    offline = ("env", "PIP_NO_INDEX=1", "PIP_CONFIG_FILE=/dev/null", "PIP_FIND_LINKS=")
    done = run("check_wheels.py", *one, under=offline)
    assert done.returncode == 1
    assert done.stdout == "64-bit ARM          Python 3.13  0 of 1, none for ser-daemon-that-nobody-made\n"
    unreachable = ("env", "PIP_INDEX_URL=http://127.0.0.1:9/", "PIP_CONFIG_FILE=/dev/null", "PIP_RETRIES=1")
    done = run("check_wheels.py", *one, under=unreachable)
    assert (done.returncode, done.stderr) == (
        3,
        "check-wheels: nothing was checked, as no package index can be reached\n",
    )
