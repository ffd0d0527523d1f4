"""No data leaves the machine and no audio is stored, as the system calls of a minute of speech show.

strace(1) follows all threads and children of two daemons. One reads a file in real time, the other captures through a
sound server. The trace lists all sockets, and all paths that are written, created, renamed or removed, or that the
daemons try to.
"""

from __future__ import annotations

import pytest

from support.pulse import unavailable_reason
from support.trace import SECONDS, Trace

ALWAYS_ALLOWED = (
    r"/dev/null",
    # Compiled modules, which Python writes at the first start if no installer has compiled them.
    r"/.*/__pycache__(/[^/]+\.pyc(\.\d+)?)?",
)
ALLOWED_WITH_A_MICROPHONE = (
    # Sound hardware. Capture devices are opened for writing too, because the same file controls them.
    r"/dev/(snd/.*|dsp\d*|mixer\d*)",
    # PortAudio looks for a JACK server, and libjack then creates its metadata database in shared memory.
    r"/dev/shm/jack_db-\d+(/(__db\..+|metadata\.db))?",
)


def assert_a_minute_of_speech(trace: Trace) -> None:
    """Assert that there was speech; otherwise there would be no data to send or store."""
    assert sum(event["type"] == "voice-stopped" for event in trace.events) >= 6
    last = trace.events[-1]["data"]
    assert last["state"] == "stopping"
    assert last["timestamp"] >= SECONDS * 1000


@pytest.mark.slow
def test_a_minute_from_a_file_opens_no_network_and_writes_nothing(traces: dict[str, Trace]) -> None:
    trace = traces["file"]
    assert_a_minute_of_speech(trace)
    assert trace.socket_families() == {"AF_UNIX"}
    assert not any("io_uring" in call for call in trace.calls)
    assert trace.unexpected_writes(*ALWAYS_ALLOWED) == set()
    # The daemon's own sockets must appear; this shows that the trace works.
    assert {str(trace.folder / name) for name in ("ser.sock", "ser-control.sock")} <= trace.written_paths()


@pytest.mark.slow
def test_a_minute_through_the_sound_server_opens_no_network_and_keeps_nothing(traces: dict[str, Trace]) -> None:
    if "microphone" not in traces:
        pytest.skip(f"no virtual microphone: {unavailable_reason()}")
    trace = traces["microphone"]
    assert_a_minute_of_speech(trace)
    assert trace.socket_families() == {"AF_UNIX"}
    assert not any("io_uring" in call for call in trace.calls)
    assert trace.unexpected_writes(*ALWAYS_ALLOWED, *ALLOWED_WITH_A_MICROPHONE) == set()
    assert str(trace.folder / "state/ser-daemon/muted") in trace.written_paths()
