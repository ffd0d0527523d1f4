"""The whole way from samples to results, in one object without threads, clocks or files."""

from __future__ import annotations

import numpy as np

from ser_model.adaptation.adaptation import Adaptation
from ser_model.adaptation.speaker_offset import IDENTITY
from ser_model.audio.gate import Gate
from ser_model.config import DecisionConfig, GateConfig
from ser_model.decision import Answer, Decision
from ser_model.features.features import FRAME, HOP, SIZE, Features
from ser_model.network.estimator import Estimate, Model
from ser_model.types import (
    Block,
    EmotionResult,
    Frames,
    GateEvent,
    Result,
    Samples,
    SpeechAudio,
    SpeechEnded,
    SpeechStarted,
    VoiceStarted,
    VoiceStopped,
    to_samples,
)

_NOT_LEARNT = ("too-short", "unlike-speech")
"""Reasons for `unknown` that say as well that this was no speech to adapt to."""


class Analyzer:
    """Turns the gate's events into results: a partial answer every `update_ms` of speech, a final one at the end.

    Updates fall on fixed counts of samples since the beginning of the utterance, so that the size of the pieces
    has no influence. Partial answers judge the last `window_ms`, the final one the whole utterance. What adapts to the
    speaker moves between utterances only: each is judged by one map from its first frame to its last.
    """

    def __init__(
        self, model: Model, config: DecisionConfig | None = None, adaptation: Adaptation | None = None
    ) -> None:
        config = config or DecisionConfig()
        self._model = model
        self._adaptation = adaptation
        self._decision = Decision(config, model.metadata)
        self._features = Features()
        self._update = to_samples(config.update_ms)
        self._window = max(1, (to_samples(config.window_ms) - FRAME) // HOP + 1)
        self._begin(SpeechStarted(0, 0))

    def push(self, event: GateEvent) -> list[Result]:
        """Take the gate's next event; return the results that follow from it."""
        match event:
            case SpeechStarted():
                self._begin(event)
                return [VoiceStarted(event.utterance, event.onset)]
            case SpeechAudio():
                return self._hear(event)
            case SpeechEnded():
                return self._end(event)

    def _begin(self, event: SpeechStarted) -> None:
        self._onset = event.onset
        self._stream = self._model.stream()
        self._estimate: Estimate | None = None
        self._recent = np.zeros((0, SIZE), dtype=np.float32)
        self._map = IDENTITY if self._adaptation is None else self._adaptation.map
        self._total = np.zeros(SIZE)
        self._frames = 0
        self._waiting: list[Samples] = []
        self._features.reset()
        self._decision.reset()
        self._first: int | None = None
        self._heard = 0

    def _hear(self, event: SpeechAudio) -> list[Result]:
        """Feed the audio, stopping at every update that falls within it."""
        if self._first is None:
            self._first = event.start
        results: list[Result] = []
        rest = event.samples
        while len(rest):
            piece = rest[: self._update - self._heard % self._update]
            rest = rest[len(piece) :]
            self._heard += len(piece)
            self._waiting.append(piece)
            if self._heard % self._update == 0:
                self._take(self._features.push(self._gather()))
                if len(self._recent):
                    results.append(self._partial(event))
        return results

    def _gather(self) -> Samples:
        """What came since the last update: computing in larger pieces costs far less."""
        samples = np.concatenate(self._waiting) if self._waiting else np.zeros(0, dtype=np.int16)
        self._waiting.clear()
        return samples

    def _take(self, frames: Frames) -> None:
        if len(frames):
            self._total += frames.sum(axis=0, dtype=np.float64)
            self._frames += len(frames)
            frames = self._map.frames(frames)
            self._estimate = self._stream.push(frames)
            self._recent = np.concatenate((self._recent, frames))[-self._window :]

    def _partial(self, event: SpeechAudio) -> EmotionResult:
        estimate = self._model.window(self._recent)
        answer = self._decision.partial(self._map.judged(estimate.logits), event.voiced, estimate.embedding)
        end = (self._first or 0) + self._heard
        start = max(self._onset, end - (FRAME + (len(self._recent) - 1) * HOP))
        return _emotion(event, answer, self._map.name, final=False, start=start, end=end, now=end)

    def _end(self, event: SpeechEnded) -> list[Result]:
        self._take(np.concatenate((self._features.push(self._gather()), self._features.flush())))
        logits, embedding = (None, None) if self._estimate is None else self._estimate
        judged = None if logits is None else self._map.judged(logits)
        answer = self._decision.final(judged, event.voiced, embedding)
        if self._adaptation is not None and logits is not None and answer.reason not in _NOT_LEARNT:
            self._adaptation.learn(self._total, self._frames, logits)
        now = max((self._first or 0) + self._heard, event.offset)
        start, end = self._onset, event.offset
        return [
            _emotion(event, answer, self._map.name, final=True, start=start, end=end, now=now),
            VoiceStopped(event.utterance, event.offset),
        ]


def _emotion(
    event: SpeechAudio | SpeechEnded, answer: Answer, adaptation: str, *, final: bool, start: int, end: int, now: int
) -> EmotionResult:
    return EmotionResult(
        utterance=event.utterance,
        final=final,
        label=answer.label,
        reason=answer.reason,
        top=answer.top,
        confidence=answer.confidence,
        scores=answer.scores,
        start=start,
        end=end,
        timestamp=now,
        voiced=event.voiced,
        calibrated=answer.calibrated,
        snr_db=event.snr_db,
        clipping=event.clipping,
        adaptation=adaptation,
    )


class Recognizer:
    """Gate and analyzer in one: samples in, results out.

    Example:
        >>> from ser_model import Recognizer, read_audio
        >>> recognizer = Recognizer()
        >>> results = recognizer.push(read_audio("speech.wav")) + recognizer.finish()  # doctest: +SKIP
    """

    def __init__(
        self,
        model: Model | None = None,
        gate: GateConfig | None = None,
        decision: DecisionConfig | None = None,
        adaptation: Adaptation | None = None,
    ) -> None:
        self._gate = Gate(gate)
        self._analyzer = Analyzer(model or Model.load(), decision, adaptation)
        self._position = 0

    def push(self, block: Block | np.ndarray) -> list[Result]:
        """Take the next samples: a block, or just int16 samples of shape (n,) that follow the last ones."""
        if not isinstance(block, Block):
            block = Block(block, self._position)
        self._position = block.end
        return [result for event in self._gate.push(block) for result in self._analyzer.push(event)]

    def finish(self) -> list[Result]:
        """End the open utterance, if any: the audio is over."""
        return [result for event in self._gate.finish() for result in self._analyzer.push(event)]
