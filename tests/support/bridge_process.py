"""A bridge as a process, with its log in a file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from support.daemon import wait_for


class BridgeProcess:
    """A bridge.

    Args:
        module: of its command line.
        folder: for the log.
        arguments: of the command line.
        environment: variables in addition to those of this process.
    """

    def __init__(
        self, module: str, folder: Path, *arguments: object, environment: Mapping[str, str] | None = None
    ) -> None:
        self._log = folder / "bridge.log"
        command = [sys.executable, "-m", module, *map(str, arguments)]
        environ = os.environ | (environment or {})
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def wait_for_log(self, *words: str) -> None:
        wait_for(lambda: all(word in self.log for word in words) or self.process.poll() is not None)
        assert [word for word in words if word not in self.log] == [], self.log

    def wait(self) -> int:
        return self.process.wait(30)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
