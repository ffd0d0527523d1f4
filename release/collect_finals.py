"""Print the final results of `ser-daemon` for recordings, a line of JSON for each recording.

    python collect_finals.py COMMAND FILE ...

Each recording is played by a daemon of its own. The subscriber is connected before the daemon starts, on a socket that
the daemon inherits as from systemd (sd_listen_fds(3)). Standard library only, as it also runs in roots.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

LIMIT = 600
"""Longest time in seconds for one recording, with the start of the daemon under emulation."""

_KEYS = ("label", "reason", "confidence", "scores", "start", "end")
_ACTIVATE = 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3<&"$FD"'


def finals(command: str, recording: Path) -> dict[str, Any]:
    """Return what a daemon answers and writes to stderr."""
    events: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="ser-") as folder:
        path = Path(folder, "s")
        with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
            listener.bind(str(path))
            listener.listen()
            client.settimeout(LIMIT)
            client.connect(str(path))
            words = [command, "--mic", f"file:{recording}", "--fast", "--plain", "--socket", str(path)]
            environ = {"PATH": "/usr/bin:/bin", "HOME": folder, "LANG": "C.UTF-8", "FD": str(listener.fileno())}
            with subprocess.Popen(
                ["bash", "-c", _ACTIVATE, "bash", *words],
                env=environ,
                pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            ) as daemon:
                listener.close()
                # A daemon that fails resets the connection; its exit status and its words are in the answer.
                with contextlib.suppress(ConnectionResetError), client.makefile("rb") as lines:
                    events += map(json.loads, lines)
                written = daemon.communicate(timeout=LIMIT)[1].decode(errors="replace")
    answers = [event["data"] for event in events if event["type"] == "emotion" and event["data"]["final"]]
    kept = [{key: answer.get(key) for key in _KEYS} for answer in answers]
    return {"name": recording.name, "status": daemon.returncode, "stderr": written, "finals": kept}


if __name__ == "__main__":
    try:
        for name in sys.argv[2:]:
            print(json.dumps(finals(sys.argv[1], Path(name))), flush=True)
    except KeyboardInterrupt:
        sys.exit(130)
