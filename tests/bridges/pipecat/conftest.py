"""Recordings for a pipeline."""

from __future__ import annotations

from pathlib import Path

import pytest

from ser_model import read_audio
from ser_model.types import Samples
from support.demo import write_demo_recordings


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Samples]:
    folder: Path = tmp_path_factory.mktemp("demo")
    return [read_audio(str(path)) for path, _ in write_demo_recordings(folder)]
