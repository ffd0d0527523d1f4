"""Record a speaker's voice from a microphone, and show the progress."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence

from ser_calibration.microphone.level_meter import level_meter, level_warning
from ser_calibration.microphone.recording_session import RecordingSession
from ser_calibration.microphone.terminal import Report
from ser_daemon.config.audio import AudioConfig
from ser_daemon.diagnostics.host_probes import Machine, mute_advice
from ser_daemon.sources import make_source
from ser_model.errors import SerError
from ser_model.types import SAMPLE_RATE, Samples

MAX_SECONDS = 240.0
"""Longest recording."""

MUTED_SECONDS = 15.0
"""A microphone with nothing but zeros for so long from the start is muted."""

MAX_PAUSE_SECONDS = 60.0
"""A pause of this length ends the recording."""

_HINT_SECONDS = 8.0

_ZEROS_SECONDS = 2.0
"""Zeros of this length are reported. Noise suppression makes shorter ones in pauses."""


INTRODUCTION = (
    "Talk as you usually do until this ends, one to two minutes, with short pauses:",
    "tell what you did today, or read something aloud. No sound is kept.",
)


def record(config: AudioConfig, report: Report, introduction: Sequence[str] = INTRODUCTION) -> Generator[Samples]:
    """Yield samples from the microphone as they arrive, int16 at 16 kHz.

    Args:
        config: which microphone, and how it is read.
        report: shows a line.
        introduction: lines for the speaker, shown as soon as the microphone is open.

    Raises:
        SerError: it can't be opened, is no microphone, or delivers nothing or nothing but zeros.
    """
    source = make_source(config)
    if not source.live:
        raise SerError(f"{source.name} is no microphone: learn from recordings with --from instead.")
    with RecordingSession(source) as session:
        report(f"Microphone: {source.name}", False)
        for line in introduction:
            report(line, False)
        zeros = 0
        has_sound = False
        while True:
            samples = session.read().samples
            has_sound = has_sound or bool(samples.any())
            zeros += 0 if has_sound else len(samples)
            if zeros >= MUTED_SECONDS * SAMPLE_RATE:
                raise SerError(f"{source.name} gives nothing but zeros; {mute_advice(Machine(os.environ))}.")
            yield samples


class SpeechProgress:
    """Shows the progress of a recording, and decides when it is complete.

    Args:
        report: shows a line.
        enough_seconds: voiced speech that completes the recording.
    """

    def __init__(self, report: Report, enough_seconds: float) -> None:
        self._report = report
        self._enough = enough_seconds
        self._elapsed = 0.0
        self._voiced = 0
        self._last_voiced = 0.0
        self._zeros = 0.0

    def push(self, samples: Samples, voiced: int) -> bool:
        """Process the next samples, int16 at 16 kHz; return whether the recording is complete.

        Args:
            samples: the next samples.
            voiced: voiced samples so far.
        """
        self._elapsed += len(samples) / SAMPLE_RATE
        if voiced > self._voiced:
            self._voiced, self._last_voiced = voiced, self._elapsed
        pause = self._elapsed - self._last_voiced
        self._zeros = 0.0 if samples.any() else self._zeros + len(samples) / SAMPLE_RATE
        hint = "" if 0.0 < self._zeros < _ZEROS_SECONDS else level_warning(samples)
        if pause >= _HINT_SECONDS:
            hint = hint or "  speak up, or come nearer"
        seconds = voiced / SAMPLE_RATE
        self._report(f"{level_meter(samples)}  {seconds:2.0f} of {self._enough:.0f} s spoken{hint}", True)
        return seconds >= self._enough or pause >= MAX_PAUSE_SECONDS or self._elapsed >= MAX_SECONDS
