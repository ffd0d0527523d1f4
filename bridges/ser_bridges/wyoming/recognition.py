"""One stream of audio: from its bytes to the events that a client gets. Runs on a worker thread; opens no socket."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, replace

from ser_daemon.pipeline.wire_events import event_from_result
from ser_daemon.sources.wyoming_audio import WyomingDecoder
from ser_daemon.wire.events import Event
from ser_model.config import DecisionConfig, GateConfig
from ser_model.network.estimator import Model
from ser_model.recognizer import Recognizer
from ser_model.types import EmotionResult, Result, Samples

_ARRIVALS = 64
"""Blocks whose arrival is kept: ten seconds, which is longer than any hangover."""


@dataclass(frozen=True, slots=True)
class RecognitionSettings:
    """What all streams share."""

    model: Model
    gate: GateConfig
    decision: DecisionConfig

    def recognizer(self) -> Recognizer:
        """Return a recognizer of its own for one stream. It does not adapt: strangers share the service."""
        return Recognizer(self.model, self.gate, self.decision)


class Recognition:
    """Recognises the audio between `audio-start` and `audio-stop`.

    The events are those of a daemon that reads the same samples from a file: positions count from the first sample.

    Args:
        settings: see there.
        decoder: for the format of the audio.
        earlier: utterances of the connection before this audio, so that each has a name of its own.
        begun: Unix time in seconds of the first sample.
    """

    def __init__(self, settings: RecognitionSettings, decoder: WyomingDecoder, earlier: int, begun: float) -> None:
        self._settings = settings
        self._recognizer: Recognizer | None = None
        """Made with the first audio: it takes a millisecond, which a start without audio must not cost."""
        self._decoder = decoder
        self._earlier = earlier
        self._begun = begun
        self._position = 0
        self._arrivals: deque[tuple[int, float]] = deque(maxlen=_ARRIVALS)
        """(position after the last sample, arrival) of the latest blocks."""
        self.utterances = earlier
        """Number of the latest utterance."""

    def push(self, audio: bytes, arrival: float) -> list[Event]:
        """Process the next bytes.

        Args:
            audio: in pieces of any size.
            arrival: time of the last byte, `time.monotonic`.
        """
        return self._recognise(self._decoder.push(audio), arrival)

    def pause(self) -> list[Event]:
        """End the open utterance, if any, with the audio that it has; audio may follow."""
        return [] if self._recognizer is None else self._events(self._recognizer.finish())

    def finish(self) -> list[Event]:
        """Process what the resampler holds back, and end the open utterance. No audio may follow."""
        return self._recognise(self._decoder.flush(), time.monotonic()) + self.pause()

    def _recognise(self, samples: Samples, arrival: float) -> list[Event]:
        if self._recognizer is None:
            if not len(samples):
                return []
            self._recognizer = self._settings.recognizer()
        self._position += len(samples)
        self._arrivals.append((self._position, arrival))
        return self._events(self._recognizer.push(samples))

    def _events(self, results: list[Result]) -> list[Event]:
        events = []
        for result in results:
            self.utterances = self._earlier + result.utterance
            named = replace(result, utterance=self.utterances) if self._earlier else result
            events.append(event_from_result(named, origin=self._begun, latency_ms=self._latency(result) * 1000))
        return events

    def _latency(self, result: Result) -> float:
        """Seconds since the last sample that the result depends on came."""
        used = result.end if isinstance(result, EmotionResult) else result.timestamp
        arrival = next((arrival for end, arrival in self._arrivals if end >= used), None)
        return 0.0 if arrival is None else time.monotonic() - arrival


def block_bytes(decoder: WyomingDecoder, milliseconds: int) -> int:
    """Return the size of so much audio in bytes."""
    return max(1, decoder.format.rate * milliseconds // 1000) * decoder.format.frame_bytes
