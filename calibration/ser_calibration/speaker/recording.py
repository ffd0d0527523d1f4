"""Hear somebody talk into a microphone, and show how it goes."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ser_calibration.microphone.recording import Tell, alarm, level, meter
from ser_calibration.microphone.recording_session import RecordingSession
from ser_daemon.config.audio import AudioConfig
from ser_daemon.diagnostics.host_probes import Machine, mute_advice
from ser_daemon.sources import make_source
from ser_model.errors import SerError
from ser_model.types import SAMPLE_RATE, Samples

LONGEST_SECONDS = 240.0
"""Longest wait for enough speech."""

ZEROS_SECONDS = 15.0
"""A microphone that has given nothing else for so long since the beginning is muted."""

QUIET_SECONDS = 60.0
"""Nobody who has not spoken for so long will go on."""

_HINT_SECONDS = 8.0

_PAUSE_SECONDS = 2.0
"""Noise suppression makes zeros of pauses: only longer ones are worth a word."""


def listen(config: AudioConfig, tell: Tell) -> Iterator[Samples]:
    """What the microphone gives, piece by piece: int16 at 16 kHz.

    Raises:
        SerError: it can't be opened, or is none, or gives nothing, or nothing but zeros.
    """
    source = make_source(config)
    if not source.live:
        raise SerError(f"{source.name} is no microphone: learn from recordings with --from instead.")
    with RecordingSession(source) as capture:
        tell(f"Microphone: {source.name}", False)
        tell("Talk as you usually do until this ends, one to two minutes, with short pauses:", False)
        tell("tell what you did today, or read something aloud. No sound is kept.", False)
        zeros = 0
        sound = False
        while True:
            samples = capture.read().samples
            sound = sound or bool(samples.any())
            zeros += 0 if sound else len(samples)
            if zeros >= ZEROS_SECONDS * SAMPLE_RATE:
                raise SerError(f"{source.name} gives nothing but zeros; {mute_advice(Machine(os.environ))}.")
            yield samples


class Progress:
    """Shows what is heard, and says when it is enough."""

    def __init__(self, tell: Tell, enough_seconds: float) -> None:
        """Begin.

        Args:
            tell: shows a line.
            enough_seconds: of voiced speech.
        """
        self._tell = tell
        self._enough = enough_seconds
        self._heard = 0.0
        self._voiced = 0.0
        self._spoke = 0.0
        self._zeros = 0.0

    def push(self, samples: Samples, voiced: int) -> bool:
        """Take the next samples, int16 at 16 kHz, and how many were voiced so far; return whether to end."""
        self._heard += len(samples) / SAMPLE_RATE
        if voiced > self._voiced:
            self._voiced, self._spoke = voiced, self._heard
        quiet = self._heard - self._spoke
        self._zeros = 0.0 if samples.any() else self._zeros + len(samples) / SAMPLE_RATE
        hint = "" if 0.0 < self._zeros < _PAUSE_SECONDS else alarm(samples)
        if quiet >= _HINT_SECONDS:
            hint = hint or "  speak up, or come nearer"
        seconds = voiced / SAMPLE_RATE
        self._tell(f"{meter(level(samples))}  {seconds:2.0f} of {self._enough:.0f} s spoken{hint}", True)
        return seconds >= self._enough or quiet >= QUIET_SECONDS or self._heard >= LONGEST_SECONDS
