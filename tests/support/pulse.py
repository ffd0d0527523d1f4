"""The virtual microphones of `ser_calibration.rig.virtual_sound`, for tests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from ser_calibration.rig.virtual_sound import PulseAudio, missing

__all__ = ["PulseAudio", "missing", "virtual_microphone"]


@contextlib.contextmanager
def virtual_microphone() -> Iterator[PulseAudio]:
    """Run a `PulseAudio`; skip the test if this machine cannot run one.

    For use in a fixture: `with virtual_microphone() as pulse: yield pulse`.
    """
    reason = missing()
    if reason is not None:
        pytest.skip(f"no virtual microphone: {reason}")
    with PulseAudio() as pulse:
        yield pulse
