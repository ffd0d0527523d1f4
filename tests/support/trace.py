"""Run daemons under strace(1) for a minute of speech, and collect the relevant system calls."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from support import pulse as virtual_sound
from support.daemon import WAIT, Daemon, Message, Subscriber, wait_for
from support.torture.measure import TimedSubscriber

SECONDS = 60

# The question mark: some of these calls exist on some architectures only.
SOCKETS = ("socket", "socketpair")
OPENING = ("?open", "openat", "?openat2")
CHANGING = (
    *("?creat", "truncate", "?mkdir", "mkdirat", "?mknod", "mknodat", "?link", "linkat", "?symlink", "symlinkat"),
    *("?rename", "?renameat", "?renameat2", "?unlink", "unlinkat", "?rmdir"),
    *("?chmod", "fchmodat", "?chown", "fchownat"),
)
UNTRACEABLE = ("?io_uring_setup",)
"""Opens files without a system call that strace shows."""

STRACE = [
    # `-D`: strace is a grandchild, so signals reach the daemon. `--seccomp-bpf`: other calls are not slowed down.
    *("strace", "-D", "-f", "-y", "--seccomp-bpf"),
    *("-e", "signal=none", "-e", "trace=" + ",".join((*SOCKETS, *OPENING, *CHANGING, *UNTRACEABLE))),
]


@dataclass(frozen=True, slots=True)
class Trace:
    """The system calls and the events of a daemon."""

    calls: list[str]
    folder: Path
    """Folder of the daemon's sockets, state and log."""
    events: list[Message]

    def socket_families(self) -> set[str]:
        """Return the address families of all sockets that were created."""
        found = (re.match(r"\d+ +socket(?:pair)?\((\w+)", call) for call in self.calls)
        return {match[1] for match in found if match}

    def written_paths(self) -> set[str]:
        """Return the absolute paths that were changed or opened for writing, with or without success."""
        names = set()
        for call in self.calls:
            match = re.match(r"\d+ +(\w+)\((.*)", call)
            if match is None or match[1] in SOCKETS or not is_change(match[1], match[2]):
                continue
            for folder, name in re.findall(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"([^"]*)"', match[2]):
                names.add(str(Path(folder or "/relative") / name))
        return names

    def unexpected_writes(self, *allowed: str) -> set[str]:
        """Return the written paths that are neither in the daemon's folder nor match `allowed`."""
        own = re.escape(str(self.folder)) + "/.*"
        return {name for name in self.written_paths() if not any(re.fullmatch(each, name) for each in (own, *allowed))}


def is_change(call: str, arguments: str) -> bool:
    """Whether a call changes the file system or may write to a file."""
    if call.startswith("open"):
        return re.search(r"\bO_(WRONLY|RDWR|CREAT|TRUNC|TMPFILE)\b", arguments) is not None
    return True


def unavailable_reason() -> str | None:
    """Return why strace cannot be used here, or `None`."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    probe = subprocess.run(
        [*STRACE, "-o", "/dev/null", "true"], capture_output=True, text=True, timeout=20, check=False
    )
    return f"strace is not permitted: {probe.stderr.strip()}" if probe.returncode else None


class TracedDaemon:
    """A daemon under strace, and its subscriber."""

    def __init__(self, log: Path, stack: ExitStack, device: str, environment: dict[str, str] | None = None) -> None:
        self.log = log
        program = [*STRACE, "-o", str(log), sys.executable, "-m", "ser_daemon.cli.daemon"]
        daemon = Daemon("--mic", device, "--realtime", program=program, environment=environment)
        self.daemon = stack.enter_context(daemon)
        # Reads in a thread, because its lines are used only after a minute.
        self.client = stack.enter_context(closing(TimedSubscriber(daemon)))

    def end(self) -> Trace:
        """Wait for the end of the daemon and the last line of strace."""
        events = self.client.all(SECONDS + WAIT)
        assert self.daemon.wait() == 0, self.daemon.stderr
        last = f"{self.daemon.process.pid} +++ exited with 0 +++"
        wait_for(lambda: last in re.sub(" +", " ", self.log.read_text()))
        return Trace(self.log.read_text().splitlines(), self.daemon.folder, events)


class TracedMinute:
    """A daemon with a file and, where possible, one with a microphone, which run at the same time."""

    def __init__(self, speech: Path, logs: Path, stack: ExitStack) -> None:
        """Start the daemons.

        Args:
            speech: An audio file of one minute.
            logs: Folder of the traces.
            stack: Ends all processes on exit.
        """
        self._stack = stack
        self._microphone: TracedDaemon | None = None
        if virtual_sound.unavailable_reason() is None:
            pulse = stack.enter_context(virtual_sound.PulseAudio())
            self._microphone = TracedDaemon(logs / "microphone", stack, "default", pulse.environment)
            self._control = self._microphone.daemon.controller()
            wait_for(lambda: self._control.request("status")["data"]["state"] == "listening")
            self._player = pulse.play(speech)
        self._file = TracedDaemon(logs / "file", stack, f"file:{speech}")

    def end(self) -> dict[str, Trace]:
        """Wait for the end; return the traces `file` and, if there was a microphone, `microphone`."""
        found = {"file": self._file.end()}
        if self._microphone is not None:
            assert self._player.wait(SECONDS) == 0
            mute_and_unmute(self._control)
            self._microphone.daemon.signal(signal.SIGTERM)
            found["microphone"] = self._microphone.end()
        self._stack.close()
        return found


def mute_and_unmute(control: Subscriber) -> None:
    """Make the daemon write its state."""
    for verb in ("mute", "unmute"):
        assert control.request(verb)["type"] == "done"
