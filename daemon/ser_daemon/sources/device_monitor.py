"""Detect cheaply that a missing microphone may be back, so that it is opened before the next regular attempt.

Restarting PortAudio probes all sound cards and JACK. That costs tens of milliseconds of processor time: too much for
two polls a second over a week. A poll of this module costs less than one millisecond.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path
from typing import Any

from ser_daemon.sources.alsa_config import LIBRARY

# Constants of alsa/pcm.h.
_CAPTURE, _NONBLOCK, _S16_LE, _INTERLEAVED = 1, 1, 2, 3

_RATE, _RESAMPLE, _LATENCY_US = 16_000, 1, 200_000


class DeviceMonitor:
    """Compares the sound devices with those at the previous poll.

    The kernel lists sound cards, but not the devices of a sound server. For these, the monitor opens and closes the
    ALSA device of the given name, which leads to the sound server.
    """

    def __init__(self) -> None:
        self._cards: tuple[str, ...] = ()
        self._opens = False
        self._asound: Any = None

    def poll(self, device: str) -> bool:
        """Return whether a device has appeared since the previous poll.

        Args:
            device: Name of the missing microphone, as PortAudio lists it.
        """
        cards, opens = _list_cards(), self._can_open(device)
        arrived = cards != self._cards or (opens and not self._opens)
        self._cards, self._opens = cards, opens
        return arrived

    def _can_open(self, device: str) -> bool:
        """Whether ALSA opens the device for capture. The device is closed at once, and the call does not block."""
        try:
            if self._asound is None:
                self._asound = ctypes.CDLL(LIBRARY)
            pcm = ctypes.c_void_p()
            if self._asound.snd_pcm_open(ctypes.byref(pcm), device.encode(), _CAPTURE, _NONBLOCK):
                return False
        except OSError:
            return False
        try:
            # A sound server's device also opens without a microphone. Only setting the parameters fails then.
            failed = self._asound.snd_pcm_set_params(pcm, _S16_LE, _INTERLEAVED, 1, _RATE, _RESAMPLE, _LATENCY_US)
        finally:
            self._asound.snd_pcm_close(pcm)
        return not failed


def _list_cards() -> tuple[str, ...]:
    """Return the sound cards and device files that the kernel lists."""
    names: list[str] = []
    with contextlib.suppress(OSError):
        names += sorted(os.listdir("/dev/snd"))
    with contextlib.suppress(OSError):
        names.append(Path("/proc/asound/cards").read_text())
    return tuple(names)
