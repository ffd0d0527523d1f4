"""The shipped models are loaded only if they are the files that were shipped."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ser_model
from ser_model.errors import SerError
from ser_model.network.checksums import read_shipped_file

WEIGHTS = Path(ser_model.__file__).parent / "weights"
MODELS = sorted(path.name for path in WEIGHTS.glob("*.onnx"))

LOAD = """
import sys
from pathlib import Path
from ser_model.audio.vad import SileroDetector
from ser_model.errors import SerError
from ser_model.network.estimator import Model
try:
    Model.load()
    Model.load(Path("open"))
    SileroDetector()
except SerError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """The weights of a copy of the package."""
    source = WEIGHTS.parent
    shutil.copytree(source, tmp_path / "ser_model", ignore=shutil.ignore_patterns("__pycache__", "training"))
    return tmp_path / "ser_model/weights"


def load(weights: Path) -> str:
    """Load the shipped models of the copy; return what stderr says."""
    command = [sys.executable, "-c", LOAD]
    environ = {"PYTHONPATH": str(weights.parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environ)
    assert "Traceback" not in done.stderr
    return done.stderr.strip()


def test_every_shipped_model_has_a_sum() -> None:
    assert len(MODELS) == 5
    for name in MODELS:
        assert read_shipped_file(WEIGHTS / name) == (WEIGHTS / name).read_bytes()


def test_the_models_as_shipped_load(weights: Path) -> None:
    assert load(weights) == ""


@pytest.mark.parametrize("name", MODELS)
def test_a_shipped_model_with_one_other_bit_is_refused(weights: Path, name: str) -> None:
    content = bytearray((weights / name).read_bytes())
    # In the weights, where ONNX Runtime notices nothing.
    content[len(content) // 2] ^= 1
    (weights / name).write_bytes(content)
    said = load(weights)
    assert f"{name}: its sum is not the one in " in said
    assert "it was changed or damaged; install ser-daemon again" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"\xff\n", "not text"),
        (b"", "has no line for"),
        (b"0" * 64 + b"  other.onnx\n", "has no"),
    ],
)
def test_a_sum_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None, reason: str) -> None:
    (tmp_path / "net.window.onnx").write_bytes(b"model")
    if content is not None:
        (tmp_path / "net.sha256").write_bytes(content)
    with pytest.raises(SerError, match=reason):
        read_shipped_file(tmp_path / "net.window.onnx")
