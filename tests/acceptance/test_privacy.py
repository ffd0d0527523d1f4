"""Nothing leaves the machine and nothing is kept: every system call of a minute of speech, from exec to exit.

strace(1) follows all threads and children of two daemons that hear the same minute, one from a file in real time and
one through a sound server, and lists every socket they make and every name in the file system that they write to,
create, rename, remove or try to.
"""

from __future__ import annotations

import pytest

from support.pulse import missing
from support.trace import SECONDS, Trace

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
