"""A reload with a model that was made to do harm is answered at once, and the old configuration stays in force."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from support.daemon import Daemon
from support.hostile_models import DESCRIPTIONS, FILES, GRAPHS
from support.models import copy_shipped

HOSTILE = {name: FILES[name] for name in ("FIFO", "/dev/zero", "sparse file")} | {
    "endless loop": GRAPHS["endless loop"],
    "2 GiB of zeros": GRAPHS["2 GiB of zeros"],
    "text as mean": DESCRIPTIONS['0: mean = "x"'],
}


def test_a_reload_refuses_hostile_models_at_once(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the train extra is not installed")
    settings = tmp_path / "settings.yaml"
    settings.write_text("gate: {hangover_ms: 700}\n")
    with Daemon("--mic", "stdin", "--rate", "16000", "--config", str(settings), feed=True) as daemon:
        control = daemon.controller()
        for number, (change, words) in enumerate(HOSTILE.values()):
            folder = tmp_path / str(number)
            folder.mkdir()
            pair = copy_shipped(folder)
            change(pair.window)
            settings.write_text(f"gate: {{hangover_ms: 900}}\nmodel: {{path: {pair.window}}}\n")
            begun = time.monotonic()
            answer = control.request("reload")
            assert time.monotonic() - begun < 2.0
            assert answer["type"] == "error"
            assert words in answer["data"]["text"]
            assert "old configuration stays in force" in answer["data"]["text"]
            assert len(answer["data"]["text"].splitlines()) == 1
        assert control.request("status")["data"]["state"] == "listening"
        pair = copy_shipped(tmp_path)
        settings.write_text(f"gate: {{hangover_ms: 700}}\nmodel: {{path: {pair.window}}}\n")
        answer = control.request("reload")
        assert answer["type"] == "done"
        assert "model.path" in answer["data"]["text"]
        # What was refused was not taken.
        assert "hangover" not in answer["data"]["text"]
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert "Traceback" not in daemon.stderr
