"""A reload that hangs: it ends with a sentence, the next one works, and so does the end of the process."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from support.daemon import Daemon, wait_for

HANGING = """
import sys, threading
from pathlib import Path
from ser_daemon.cli.daemon import main
from ser_daemon.service import control, engine

control.RELOAD_SECONDS = 1.0
prepare = engine.Engine.prepare

def hang_once(self, config):
    if Path(sys.argv[1]).exists():
        Path(sys.argv[1]).unlink()
        print("hangs now", flush=True)
        threading.Event().wait()
    return prepare(self, config)

engine.Engine.prepare = hang_once
sys.exit(main(sys.argv[2:]))
"""
"""A daemon whose next reload never ends once a certain file exists."""


def test_a_reload_that_hangs_is_given_up_and_harms_neither_the_next_one_nor_the_end(tmp_path: Path) -> None:
    trigger = tmp_path / "hang"
    program = [sys.executable, "-c", HANGING, str(trigger)]
    with Daemon("--mic", "stdin", "--rate", "16000", "--service", feed=True, program=program) as daemon:
        control = daemon.controller()
        trigger.touch()
        answer = control.request("reload")
        assert answer["type"] == "error"
        assert "old configuration stays in force" in answer["data"]["text"]
        assert "within" in answer["data"]["text"]
        assert control.request("reload")["type"] == "done"
        trigger.touch()
        control.send("reload")
        wait_for(lambda: daemon.stdout.count("hangs now") == 2)
        begun = time.monotonic()
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert time.monotonic() - begun < 2.0
