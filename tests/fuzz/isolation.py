"""Checks examples in a child process with limits: a hostile model may take all memory, or never return."""

from __future__ import annotations

import ast
import os
import resource
import select
import signal
import subprocess
import sys
import time
from typing import Any

from fuzz.target import HERE, TARGETS, Finding, Target

ADDRESS_SPACE = 3 << 30
"""Limit of the child's address space in bytes; ONNX Runtime and NumPy alone take a third of it."""

PATIENCE = 6
"""How many times its processor time an example may last: the machine may be busy with others."""

_START_SECONDS = 120.0
_FIRST = 100
"""Descriptors below are free in the child for what systemd would pass."""


class Worker:
    """A child process that checks examples of one target; started again after it was killed."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._process: subprocess.Popen[bytes] | None = None

    def check(self, example: Any) -> Finding | None:
        """Check one example; a child that does not answer in time is killed, which is a finding too."""
        if self._process is None:
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        # Lone surrogates, which UTF-8 lacks, are written as escapes.
        self._process.stdin.write(ascii(example).encode() + b"\n")
        self._process.stdin.flush()
        line = self._line(self._target.seconds * PATIENCE + 2.0)
        if line is None:
            self.close()
            return Finding("hangs", f"no end after {self._target.seconds:g} s")
        if not line:
            status = self._process.wait()
            self.close()
            return Finding("process killed", f"exit status {status}")
        answer = ast.literal_eval(line.decode())
        return None if answer is None else Finding(*answer)

    def close(self) -> None:
        """End the child."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                pipe.close()
            self._process = None

    def _start(self) -> None:
        # The child must import what this process imports, also where it was told to use another source tree.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        environment.pop("NOTIFY_SOCKET", None)
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "isolation.py"), self._target.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=environment,
        )
        if self._line(_START_SECONDS) != b"ready\n":
            self.close()
            raise RuntimeError(f"the child process of the target {self._target.name} does not start")

    def _line(self, seconds: float) -> bytes | None:
        """Return the next line; None where none comes in time, an empty one at the end of the child."""
        assert self._process is not None
        assert self._process.stdout is not None
        out, line, deadline = self._process.stdout, b"", time.monotonic() + seconds
        while not line.endswith(b"\n"):
            if not select.select([out], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return None
            piece = os.read(out.fileno(), 65536)
            if not piece:
                return b""
            line += piece
        return line


def main(name: str) -> None:
    """Serve examples on standard input until it ends."""
    import fcntl

    from fuzz import targets
    from fuzz.engine import check_here

    assert targets
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    given = os.fdopen(fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, _FIRST), "rb")
    answers = os.fdopen(fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, _FIRST), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    os.close(null)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    target = TARGETS[name]
    answers.write(b"ready\n")
    answers.flush()
    for line in given:
        finding = check_here(target, ast.literal_eval(line.decode()))
        answers.write(ascii(None if finding is None else (finding.code, finding.text[:600])).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    sys.path[0] = str(HERE.parent)
    from fuzz import isolation

    isolation.main(sys.argv[1])
