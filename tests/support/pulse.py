"""The virtual microphones of `ser_calibration.rig.virtual_sound`, for tests."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ser_calibration.rig import virtual_sound
from ser_calibration.rig.virtual_sound import unavailable_reason

__all__ = ["PulseAudio", "unavailable_reason", "virtual_microphone"]


class PulseAudio(virtual_sound.PulseAudio):
    """A sound server with a null sink `mic`, whose monitor is the default microphone."""

    def __init__(self) -> None:
        super().__init__()
        self._modules: dict[str, str] = {}

    def __enter__(self) -> PulseAudio:
        super().__enter__()
        try:
            self.load_sink("mic")
            self.set_default("mic")
        except BaseException:
            self.close()
            raise
        return self

    def stop(self) -> None:
        """End the server with all its sinks, as in a crash; `start` starts it again."""
        self._modules.clear()
        super().stop()

    def load_sink(self, name: str, rate: int = 48_000, channels: int = 2) -> str:
        """Plug in another virtual microphone."""
        self._modules[name] = super().load_sink(name, rate, channels)
        return self._modules[name]

    def unload_sink(self, name: str) -> None:
        """Unplug a virtual microphone."""
        self.pactl("unload-module", self._modules.pop(name))

    def set_default(self, name: str) -> None:
        """Make the sink `name` the one that `default` captures from."""
        self.pactl("set-default-source", f"{name}.monitor")

    def capture_streams(self) -> int:
        """Return how many programs capture now."""
        return len(self.pactl("list", "short", "source-outputs").splitlines())

    def wait_for_capture(self, streams: int = 1, seconds: float = 15.0) -> None:
        """Wait until `streams` programs capture; 0 waits until the microphone is free."""
        deadline = time.monotonic() + seconds
        while self.capture_streams() != streams:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.capture_streams()} programs capture after {seconds} s, not {streams}")
            time.sleep(0.05)

    def play(self, path: Path, sink: str = "mic", latency_ms: int = 50) -> subprocess.Popen[bytes]:
        """Start to play a file into a virtual microphone; wait for the process to end."""
        return super().play(path, sink, latency_ms)


@contextlib.contextmanager
def virtual_microphone() -> Iterator[PulseAudio]:
    """Run a `PulseAudio`; skip the test if this machine cannot run one.

    For use in a fixture: `with virtual_microphone() as pulse: yield pulse`.
    """
    reason = unavailable_reason()
    if reason is not None:
        pytest.skip(f"no virtual microphone: {reason}")
    with PulseAudio() as pulse:
        yield pulse
