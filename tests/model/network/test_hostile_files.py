"""A model file made to do harm is refused in one sentence, at once and in little memory, by daemon and check alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ser_model.network.estimator import DEFAULT_MODEL
from ser_model.network.model_files import ModelFiles, checksum_file
from support.hostile_models import DESCRIPTIONS, FILES, GRAPHS
from support.models import copy_shipped

LIMITED = '''
import contextlib, io, json, resource, sys, time
for limit, value in ((resource.RLIMIT_AS, 4 << 30), (resource.RLIMIT_CPU, 40), (resource.RLIMIT_CORE, 0)):
    resource.setrlimit(limit, (value, value))
from pathlib import Path
from ser_model.cli.main import main
from ser_model.errors import SerError
from ser_model.network.estimator import Model
from ser_model.network.onnx_session import load_onnxruntime
import numpy
load_onnxruntime()

def memory():
    """The largest resident memory of this program in MiB. That of getrusage(2) includes the process that forked."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) >> 10
'''
"""What every child begins with, so that a file that is not refused harms nobody else."""

LOAD = """
results = []
for path in map(Path, sys.argv[1:]):
    begun = time.monotonic()
    try:
        Model.load(path)
        loaded = ""
    except SerError as error:
        loaded = str(error)
    except Exception as error:
        loaded = f"Traceback: {error!r}"
    seconds = time.monotonic() - begun
    checked = io.StringIO()
    with contextlib.redirect_stderr(checked), contextlib.redirect_stdout(io.StringIO()):
        try:
            status = main(["export", "--check", str(path)])
        except Exception as error:
            status = f"Traceback: {error!r}"
    check_memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
    results.append([loaded, seconds, checked.getvalue(), status, memory() + check_memory])
print(json.dumps(results))
"""
"""Loads and checks the models that the arguments name."""

MOST_MEMORY = 400
"""Largest resident memory of a child in MiB; the libraries take a hundred, and those of the check's child too."""


def outcome(code: str, *arguments: str) -> Any:
    """Run code in a child, and return the JSON that it prints."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.fixture
def pair(tmp_path: Path) -> ModelFiles:
    return copy_shipped(tmp_path)


def assert_refused(result: Any, words: str) -> None:
    loaded, seconds, checked, status, memory = result
    assert words in loaded
    assert len(loaded) < 1000
    assert loaded.isprintable()
    # The check may find more, in the other graph.
    assert words in checked
    assert checked.isascii()
    assert all(line.startswith("ser-model: ") and len(line) < 1000 for line in checked.splitlines())
    assert status == 2
    assert seconds < 5
    assert memory < MOST_MEMORY


HOSTILE = FILES | GRAPHS


@pytest.mark.parametrize(("change", "words"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused(pair: ModelFiles, change: Any, words: str) -> None:
    change(pair.window)
    (result,) = outcome(LIMITED + LOAD, str(pair.window))
    assert_refused(result, words)


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one child says of all hostile descriptions; each is in both graphs."""
    folders = {name: tmp_path_factory.mktemp("model") for name in DESCRIPTIONS}
    for name, folder in folders.items():
        for path in copy_shipped(folder):
            DESCRIPTIONS[name][0](path)
    results = outcome(LIMITED + LOAD, *(str(folder / DEFAULT_MODEL) for folder in folders.values()))
    return dict(zip(folders, results, strict=True))


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_a_hostile_description_is_refused(described: dict[str, Any], name: str) -> None:
    assert_refused(described[name], DESCRIPTIONS[name][1])


def test_a_name_with_a_nul_character_is_refused(tmp_path: Path) -> None:
    code = LIMITED + 'try:\n    Model.load(Path("a\\0b"))\nexcept SerError as error:\n    print(json.dumps(str(error)))'
    assert "NUL" in outcome(code)


def test_the_sums_beside_a_checked_model_may_be_a_pipe(pair: ModelFiles) -> None:
    os.mkfifo(checksum_file(pair.window))
    ((loaded, _, checked, status, _),) = outcome(LIMITED + LOAD, str(pair.window))
    assert loaded == ""
    assert "can't be read; expected lines as sha256sum writes them" in checked
    assert status == 2


MUTATE = (
    LIMITED
    + """
import random
from ser_model.network.model_files import ModelFiles, checksum_file
pair = ModelFiles.named(Path(sys.argv[1]))
contents = [path.read_bytes() for path in pair]
chance = random.Random(int(sys.argv[2]))
counts, slowest = {"refused": 0, "loaded": 0}, 0.0
for _ in range(int(sys.argv[3])):
    which = chance.randrange(2)
    content = bytearray(contents[which])
    # Names, shapes and operators are in the nodes at the beginning and in the interface at the end.
    end = chance.choice((len(content), 14_000))
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        at = chance.randrange(end)
        kind = chance.randrange(4)
        if kind == 0:
            content[at] = chance.randrange(256)
        elif kind == 1:
            content[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            del content[at : at + chance.randrange(1, 40)]
        else:
            source = chance.randrange(len(content))
            content[at:at] = content[source : source + chance.randrange(1, 200)]
        end = min(end, len(content))
    pair[which].write_bytes(content)
    begun = time.monotonic()
    try:
        model = Model.load(pair.window)
        model.window(numpy.zeros((700, 46), numpy.float32))
        counts["loaded"] += 1
    except SerError as error:
        assert len(str(error)) < 1000 and str(error).isprintable(), error
        counts["refused"] += 1
    slowest = max(slowest, time.monotonic() - begun)
    pair[which].write_bytes(contents[which])
print(json.dumps([counts, slowest, memory()]))
"""
)


@pytest.mark.parametrize("seed", range(2))
def test_a_mutated_file_is_refused_or_works(pair: ModelFiles, seed: int) -> None:
    counts, slowest, memory = outcome(MUTATE, str(pair.window), str(seed), "150")
    assert counts["refused"] > 50
    assert slowest < 5
    assert memory < MOST_MEMORY


CHECK = (
    LIMITED
    + """
from ser_model.network.metadata import ModelMetadata
from ser_model.network.model_graph import ModelGraph
from ser_model.network.onnx_file import read_onnx
from ser_model.network.verification_child import run_checks
path = Path(sys.argv[1])
content = path.read_bytes()
metadata = ModelMetadata.from_properties(read_onnx(content).properties, path, None)
print(json.dumps([result.failures for result in run_checks([ModelGraph(path, content, metadata)], seconds=5)]))
"""
)
"""Runs what nothing has checked before."""


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("endless loop", "a check took more than 5 s"), ("2 GiB of zeros", "more than 512 MiB of memory")],
)
def test_the_check_runs_a_graph_within_limits(pair: ModelFiles, name: str, sentence: str) -> None:
    GRAPHS[name][0](pair.window)
    failures = [failure for result in outcome(CHECK, str(pair.window)) for failure in result]
    assert len(failures) == 1
    assert sentence in failures[0]


def test_the_modules_of_the_current_folder_play_no_part_in_a_check(tmp_path: Path, pair: ModelFiles) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit")
    code = LIMITED + f"import os; os.chdir({str(tmp_path)!r})\n" + LOAD
    ((loaded, _, checked, status, _),) = outcome(code, str(pair.window))
    assert (loaded, checked, status) == ("", "", 0)
