"""Nothing leaves the machine and nothing is kept: every system call of a minute of speech, from exec to exit.

strace(1) follows all threads and children of two daemons that hear the same minute, one from a file in real time and
one through a sound server, and lists every socket they make and every name in the file system that they write to,
create, rename, remove or try to.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from support.daemon import Daemon, Message, Subscriber, wait_for
from support.pulse import PulseAudio, missing

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

ALWAYS_ALLOWED = (
    r"/dev/null",
    # Python's own copies of its compiled modules, made at a first start where no installer made them.
    r"/.*/__pycache__(/[^/]+\.pyc(\.\d+)?)?",
)
ALLOWED_WITH_A_MICROPHONE = (
    # Sound hardware. A capture device is opened for writing too, since it is controlled through the same file.
    r"/dev/(snd/.*|dsp\d*|mixer\d*)",
    # PortAudio asks whether a JACK server runs; libjack then makes its database of what JACK's clients
    # say about themselves, in memory.
    r"/dev/shm/jack_db-\d+(/(__db\..+|metadata\.db))?",
)


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
        program = [*STRACE, "-o", str(log), sys.executable, "-m", "ser_daemon.main"]
        daemon = Daemon("--mic", device, "--realtime", program=program, environment=environment)
        self.daemon = stack.enter_context(daemon)
        self.client = self.daemon.subscribe()

    def end(self) -> Trace:
        """Wait for the daemon's end and for strace's last line."""
        events = self.client.rest()
        assert self.daemon.wait() == 0, self.daemon.stderr
        last = f"{self.daemon.process.pid} +++ exited with 0 +++"
        wait_for(lambda: last in re.sub(" +", " ", self.log.read_text()))
        return Trace(self.log.read_text().splitlines(), self.daemon.folder, events)


@pytest.fixture(scope="module")
def minute(speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute of speech."""
    samples, rate = soundfile.read(speech, dtype="int16")
    path: Path = tmp_path_factory.mktemp("minute") / "minute.wav"
    soundfile.write(path, np.resize(samples, SECONDS * rate), rate)
    return path


@pytest.fixture(scope="module")
def traces(minute: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Trace]]:
    """A daemon that reads a file, and, where there can be one, a daemon with a microphone, both at the same time."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    logs = tmp_path_factory.mktemp("traces")
    with ExitStack() as stack:
        with_microphone = None
        if missing() is None:
            pulse = stack.enter_context(PulseAudio())
            with_microphone = TracedDaemon(logs / "microphone", stack, "default", pulse.environment)
            control = with_microphone.daemon.controller()
            wait_for(lambda: control.request("status")["data"]["state"] == "listening")
            player = pulse.play(minute)
        found = {"file": TracedDaemon(logs / "file", stack, f"file:{minute}").end()}
        if with_microphone is not None:
            assert player.wait(SECONDS) == 0
            mute_and_unmute(control)
            with_microphone.daemon.signal(signal.SIGTERM)
            found["microphone"] = with_microphone.end()
        yield found


def mute_and_unmute(control: Subscriber) -> None:
    """Let the daemon write what it remembers."""
    for verb in ("mute", "unmute"):
        assert control.request(verb)["type"] == "done"


def assert_heard_a_minute(trace: Trace) -> None:
    """Without speech there would have been nothing to send or to keep."""
    assert sum(event["type"] == "voice-stopped" for event in trace.events) >= 6
    last = trace.events[-1]["data"]
    assert last["state"] == "stopping"
    assert last["timestamp"] >= SECONDS * 1000


@pytest.mark.slow
def test_a_minute_from_a_file_opens_no_network_and_writes_nothing(traces: dict[str, Trace]) -> None:
    trace = traces["file"]
    assert_heard_a_minute(trace)
    assert trace.families() == {"AF_UNIX"}
    assert not any("io_uring" in call for call in trace.calls)
    assert trace.foreign(*ALWAYS_ALLOWED) == set()
    # Its own sockets, which it made for everyone to see and removed, show that the trace misses nothing.
    assert {str(trace.folder / name) for name in ("ser.sock", "ser-control.sock")} <= trace.written()


@pytest.mark.slow
def test_a_minute_through_the_sound_server_opens_no_network_and_keeps_nothing(traces: dict[str, Trace]) -> None:
    if "microphone" not in traces:
        pytest.skip(f"no virtual microphone: {missing()}")
    trace = traces["microphone"]
    assert_heard_a_minute(trace)
    assert trace.families() == {"AF_UNIX"}
    assert not any("io_uring" in call for call in trace.calls)
    assert trace.foreign(*ALWAYS_ALLOWED, *ALLOWED_WITH_A_MICROPHONE) == set()
    assert str(trace.folder / "state/ser-daemon/muted") in trace.written()
