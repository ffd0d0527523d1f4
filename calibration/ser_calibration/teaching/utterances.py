"""Find utterances in audio exactly as the daemon does, and keep of each what teaching needs. Audio is not kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from ser_model.adaptation.adaptation import Adaptation
from ser_model.adaptation.taught_head import TaughtExample
from ser_model.audio.gate import Gate
from ser_model.config import DecisionConfig, GateConfig
from ser_model.features.features import COLUMNS, SIZE, Features
from ser_model.network.estimator import Model
from ser_model.recognizer import Analyzer
from ser_model.scoring.logit_bias import FloatArray
from ser_model.types import (
    Block,
    EmotionResult,
    Estimate,
    Frames,
    GateEvent,
    Samples,
    SpeechAudio,
    SpeechStarted,
    VoiceStarted,
)

NO_SPEECH: Final = ("too-short", "unlike-speech")
"""Reasons for `unknown` after which an utterance is no example: it was probably not speech."""

_F0, _VOICING = COLUMNS.index("f0"), COLUMNS.index("voicing")
_VOICED: Final = 0.5
"""Voicing from which a frame has a pitch, as in `ser_model.features.prosody`."""


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """Numbers of one utterance that has ended."""

    result: EmotionResult
    """The final result, without adaptation."""
    estimate: Estimate
    """The network's own output."""
    frame_sum: FloatArray
    """Sum of the raw frames, shape (46,)."""
    frames: int
    """Number of frames."""
    octaves: float | None
    """Median pitch in octaves above 100 Hz; `None` if nothing has a pitch."""

    @property
    def is_speech(self) -> bool:
        """Whether it is long enough, and sounds like speech."""
        return self.result.reason not in NO_SPEECH

    def example(self, label: str) -> TaughtExample:
        """Return what a profile keeps of it."""
        logits, embedding = self.estimate
        return TaughtExample(label, logits.astype(np.float64), embedding.astype(np.float64))


class UtteranceFinder:
    """Gate and network on a stream of samples.

    Args:
        model: the network.
        gate: settings of the gate.
        decision: settings of the decision.
    """

    def __init__(self, model: Model, gate: GateConfig, decision: DecisionConfig) -> None:
        self._gate = Gate(gate)
        self._analyzer = Analyzer(model, decision)
        self._features = Features()
        self._sum = np.zeros(SIZE)
        self._pitches: list[FloatArray] = []
        self._frames = 0
        self._position = 0

    def push(self, samples: Samples) -> list[VoiceStarted | Utterance]:
        """Process the next samples, int16 at 16 kHz; return the onsets and the ends of utterances in them."""
        block = Block(samples, self._position)
        self._position = block.end
        return [found for event in self._gate.push(block) for found in self._process(event)]

    def finish(self) -> list[VoiceStarted | Utterance]:
        """End the open utterance, if any, at the end of the audio."""
        return [found for event in self._gate.finish() for found in self._process(event)]

    def _process(self, event: GateEvent) -> list[VoiceStarted | Utterance]:
        if isinstance(event, SpeechStarted):
            self._features.reset()
            self._sum, self._pitches, self._frames = np.zeros(SIZE), [], 0
        elif isinstance(event, SpeechAudio):
            self._add(self._features.push(event.samples))
        else:
            self._add(self._features.flush())
        found: list[VoiceStarted | Utterance] = []
        for result in self._analyzer.push(event):
            if isinstance(result, VoiceStarted):
                found.append(result)
            elif isinstance(result, EmotionResult) and result.estimate is not None:
                found.append(self._utterance(result, result.estimate))
        return found

    def _add(self, frames: Frames) -> None:
        self._sum += frames.sum(axis=0, dtype=np.float64)
        self._frames += len(frames)
        self._pitches.append(frames[frames[:, _VOICING] > _VOICED, _F0].astype(np.float64))

    def _utterance(self, result: EmotionResult, estimate: Estimate) -> Utterance:
        pitches = np.concatenate(self._pitches)
        octaves = float(np.median(pitches)) if len(pitches) else None
        return Utterance(result, estimate, self._sum, self._frames, octaves)


def learn(adaptation: Adaptation, utterances: Iterable[Utterance]) -> None:
    """Add utterances to the running statistics, as the daemon would when it hears them."""
    for one in utterances:
        if one.is_speech:
            adaptation.learn(one.frame_sum, one.frames, one.estimate.logits)
