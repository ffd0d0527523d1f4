"""One user's audio on its way through the recognizer. Runs on a worker thread, one call at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ser_model.audio.files import Resampler
from ser_model.recognizer import Recognizer
from ser_model.types import EmotionResult, Result


class AudioFormat(NamedTuple):
    """How signed 16-bit samples are to be read."""

    rate: int
    """Samples per second and channel."""
    channels: int


class Stream:
    """Finals of audio whose format may change."""

    def __init__(self, make_recognizer: Callable[[], Recognizer]) -> None:
        """Prepare; the recognizer is made with the first audio."""
        self._make = make_recognizer
        self._recognizer: Recognizer | None = None
        self._resampler: Resampler | None = None
        self._format: AudioFormat | None = None

    def push(self, audio: bytes, format_: AudioFormat) -> list[EmotionResult]:
        """Process the next samples, interleaved; half a frame at the end is dropped.

        Raises:
            SerError: such audio cannot be used.
        """
        ended: list[EmotionResult] = []
        if format_ != self._format:
            ended, self._format, self._resampler = self.end(), format_, None
            self._resampler = Resampler(format_.rate, format_.channels)
        if self._resampler is None:
            # It was refused when the format was new.
            return ended
        frame = 2 * format_.channels
        values = np.frombuffer(audio[: len(audio) - len(audio) % frame], "<i2")
        if self._recognizer is None:
            self._recognizer = self._make()
        samples = self._resampler.push(values.reshape(-1, format_.channels))
        return ended + _finals(self._recognizer.push(samples))

    def end(self) -> list[EmotionResult]:
        """End the open utterance, if any, with the audio that it has."""
        return [] if self._recognizer is None else _finals(self._recognizer.finish())

    def reset(self) -> None:
        """Forget everything: another stream follows."""
        self._recognizer = self._resampler = self._format = None


def _finals(results: list[Result]) -> list[EmotionResult]:
    return [result for result in results if isinstance(result, EmotionResult) and result.final]
