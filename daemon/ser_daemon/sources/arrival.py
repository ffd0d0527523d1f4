"""Notices cheaply that a microphone may have come back, so that nobody has to wait for the next attempt.

Starting PortAudio anew asks every sound card and JACK, which takes tens of milliseconds of processor time: too much
for twice a second while a microphone is away for a week. This takes less than one.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path
from typing import Any

_LIBRARY = "libasound.so.2"

# Constants of alsa/pcm.h.
_CAPTURE, _NONBLOCK, _S16_LE, _INTERLEAVED = 1, 1, 2, 3

_RATE, _RESAMPLE, _LATENCY_US = 16_000, 1, 200_000


class Arrivals:
    """Compares what there is now with what there was at the last look.

    The kernel's list of sound cards shows what is plugged in. What comes and goes in a sound server it does not
    show; so ALSA's device of that name, behind which the server sits, is opened and closed again.
    """

    def __init__(self) -> None:
        self._cards: tuple[str, ...] = ()
        self._opens = False
        self._asound: Any = None

    def look(self, device: str) -> bool:
        """Tell whether something has arrived since the last look.

        Args:
            device: the name of the microphone that is missed, as PortAudio lists it.
        """
        cards, opens = _cards(), self._try(device)
        arrived = cards != self._cards or (opens and not self._opens)
        self._cards, self._opens = cards, opens
        return arrived

    def _try(self, device: str) -> bool:
        """Whether ALSA gives the device's stream; not for long, and never waiting for another program."""
        try:
            if self._asound is None:
                self._asound = ctypes.CDLL(_LIBRARY)
            pcm = ctypes.c_void_p()
            if self._asound.snd_pcm_open(ctypes.byref(pcm), device.encode(), _CAPTURE, _NONBLOCK):
                return False
        except OSError:
            return False
        try:
            # A sound server's device opens without a server's microphone; only the stream shows what is there.
            failed = self._asound.snd_pcm_set_params(pcm, _S16_LE, _INTERLEAVED, 1, _RATE, _RESAMPLE, _LATENCY_US)
        finally:
            self._asound.snd_pcm_close(pcm)
        return not failed


def _cards() -> tuple[str, ...]:
    """What the kernel lists: the cards, and the devices that this user may see."""
    names: list[str] = []
    with contextlib.suppress(OSError):
        names += sorted(os.listdir("/dev/snd"))
    with contextlib.suppress(OSError):
        names.append(Path("/proc/asound/cards").read_text())
    return tuple(names)
