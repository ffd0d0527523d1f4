"""A minute of speech heard by daemons under strace(1), and every system call that matters of it."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from support.daemon import WAIT, Daemon, Message, Subscriber, wait_for
from support.pulse import PulseAudio, missing
from support.torture.measure import Listener

SECONDS = 60

# The question mark: some of these exist on some processors only.
SOCKETS = ("socket", "socketpair")
OPENING = ("?open", "openat", "?openat2")
CHANGING = (
    *("?creat", "truncate", "?mkdir", "mkdirat", "?mknod", "mknodat", "?link", "linkat", "?symlink", "symlinkat"),
    *("?rename", "?renameat", "?renameat2", "?unlink", "unlinkat", "?rmdir"),
    *("?chmod", "fchmodat", "?chown", "fchownat"),
)
UNTRACEABLE = ("?io_uring_setup",)
"""With it, files could be opened without a system call that is seen here."""

STRACE = [
    # Grandchild, so that signals reach the daemon; only the listed calls stop it, so that it keeps its pace.
    *("strace", "-D", "-f", "-y", "--seccomp-bpf"),
    *("-e", "signal=none", "-e", "trace=" + ",".join((*SOCKETS, *OPENING, *CHANGING, *UNTRACEABLE))),
]


@dataclass(frozen=True, slots=True)
class Trace:
    """What a daemon did and what it heard."""

    calls: list[str]
    folder: Path
    """With its sockets, its state and its log."""
    events: list[Message]

    def families(self) -> set[str]:
        """Address families of the sockets that were made."""
        found = (re.match(r"\d+ +socket(?:pair)?\((\w+)", call) for call in self.calls)
        return {match[1] for match in found if match}

    def written(self) -> set[str]:
        """Absolute names of what was changed or opened for writing, successfully or not."""
        names = set()
        for call in self.calls:
            match = re.match(r"\d+ +(\w+)\((.*)", call)
            if match is None or match[1] in SOCKETS or not is_change(match[1], match[2]):
                continue
            for folder, name in re.findall(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"([^"]*)"', match[2]):
                names.add(str(Path(folder or "/relative") / name))
        return names

    def foreign(self, *allowed: str) -> set[str]:
        """What of that is neither the daemon's own nor allowed."""
        own = re.escape(str(self.folder)) + "/.*"
        return {name for name in self.written() if not any(re.fullmatch(each, name) for each in (own, *allowed))}


def is_change(call: str, arguments: str) -> bool:
    """Whether a call changes the file system or may write to a file."""
    if call.startswith("open"):
        return re.search(r"\bO_(WRONLY|RDWR|CREAT|TRUNC|TMPFILE)\b", arguments) is not None
    return True


def why_not() -> str | None:
    """Why nothing can be traced here; None if it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    probe = subprocess.run(
        [*STRACE, "-o", "/dev/null", "true"], capture_output=True, text=True, timeout=20, check=False
    )
    return f"strace is not permitted: {probe.stderr.strip()}" if probe.returncode else None


class TracedDaemon:
    """A daemon under strace and its subscriber."""

    def __init__(self, log: Path, stack: ExitStack, device: str, environment: dict[str, str] | None = None) -> None:
        self.log = log
        program = [*STRACE, "-o", str(log), sys.executable, "-m", "ser_daemon.cli.daemon"]
        daemon = Daemon("--mic", device, "--realtime", program=program, environment=environment)
        self.daemon = stack.enter_context(daemon)
        # It reads by itself, since a minute goes by until somebody asks.
        self.client = stack.enter_context(closing(Listener(daemon)))

    def end(self) -> Trace:
        """Wait for the daemon's end and for strace's last line."""
        events = self.client.all(SECONDS + WAIT)
        assert self.daemon.wait() == 0, self.daemon.stderr
        last = f"{self.daemon.process.pid} +++ exited with 0 +++"
        wait_for(lambda: last in re.sub(" +", " ", self.log.read_text()))
        return Trace(self.log.read_text().splitlines(), self.daemon.folder, events)


class Minute:
    """A daemon that reads a file, and, where there can be one, a daemon with a microphone, both at the same time."""

    def __init__(self, speech: Path, logs: Path, stack: ExitStack) -> None:
        """Begin; it goes on by itself.

        Args:
            speech: a minute of it.
            logs: a folder.
            stack: ends everything, at the latest.
        """
        self._stack = stack
        self._microphone: TracedDaemon | None = None
        if missing() is None:
            pulse = stack.enter_context(PulseAudio())
            self._microphone = TracedDaemon(logs / "microphone", stack, "default", pulse.environment)
            self._control = self._microphone.daemon.controller()
            wait_for(lambda: self._control.request("status")["data"]["state"] == "listening")
            self._player = pulse.play(speech)
        self._file = TracedDaemon(logs / "file", stack, f"file:{speech}")

    def end(self) -> dict[str, Trace]:
        """Wait until it is over: what was traced with the `file`, and with the `microphone`, if there was one."""
        found = {"file": self._file.end()}
        if self._microphone is not None:
            assert self._player.wait(SECONDS) == 0
            mute_and_unmute(self._control)
            self._microphone.daemon.signal(signal.SIGTERM)
            found["microphone"] = self._microphone.end()
        self._stack.close()
        return found


def mute_and_unmute(control: Subscriber) -> None:
    """Let the daemon write what it remembers."""
    for verb in ("mute", "unmute"):
        assert control.request(verb)["type"] == "done"
