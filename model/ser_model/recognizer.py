"""The complete way from samples to results, without threads, clocks or files."""

from __future__ import annotations

import numpy as np

from ser_model.adaptation.adaptation import Adaptation
from ser_model.adaptation.speaker_offset import NO_OFFSET, SpeakerOffset
from ser_model.audio.gate import Gate
from ser_model.config import DecisionConfig, GateConfig
from ser_model.decision import Answer, Decision
from ser_model.features.features import FRAME, HOP, SIZE, Features
from ser_model.network.estimator import Model, Stream
from ser_model.types import (
    Block,
    EmotionResult,
    Estimate,
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
"""Reasons for `unknown` after which adaptation skips the utterance: it was probably not speech."""


_STREAM_FRAMES = 47
"""Frames, two seconds, that the stream gets in one run: only the final answer needs it, and each run costs the same."""


class Analyzer:
    """Turns the gate's events into results: a partial answer every `update_ms` of speech, and a final one.

    Updates fall on fixed sample counts from the start of the utterance, so the size of the pieces has no influence.
    Partial answers cover the last `window_ms`, the final one the whole utterance. The speaker offset changes between
    utterances only.
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
        self._utterance = self._new_utterance(0)

    def push(self, event: GateEvent) -> list[Result]:
        """Process the gate's next event; return the results that follow from it."""
        match event:
            case SpeechStarted():
                self._features.reset()
                self._decision.reset()
                self._utterance = self._new_utterance(event.onset)
                return [VoiceStarted(event.utterance, event.onset)]
            case SpeechAudio():
                return self._process(event)
            case SpeechEnded():
                return self._end(event)

    def _new_utterance(self, onset: int) -> _Utterance:
        offset = NO_OFFSET if self._adaptation is None else self._adaptation.offset
        return _Utterance(onset, self._model.stream(), offset, self._window)

    def _process(self, event: SpeechAudio) -> list[Result]:
        """Process the audio up to each update that falls into it, and keep the rest."""
        utterance = self._utterance
        if utterance.first is None:
            utterance.first = event.start
        results: list[Result] = []
        rest = event.samples
        while len(rest):
            piece = rest[: self._update - utterance.samples % self._update]
            rest = rest[len(piece) :]
            utterance.add_samples(piece)
            if utterance.samples % self._update == 0:
                utterance.add_frames(self._features.push(utterance.take_pending()))
                if len(utterance.recent):
                    results.append(self._partial(event))
        return results

    def _partial(self, event: SpeechAudio) -> EmotionResult:
        utterance = self._utterance
        estimate = self._model.window(utterance.recent)
        adapted = utterance.offset.apply_to_logits(utterance.offset.apply_head(estimate))
        answer = self._decision.partial(adapted, event.voiced, estimate.embedding)
        end = utterance.end
        start = max(utterance.onset, end - (FRAME + (len(utterance.recent) - 1) * HOP))
        return _emotion(event, answer, utterance, final=False, start=start, end=end, now=end)

    def _end(self, event: SpeechEnded) -> list[Result]:
        utterance = self._utterance
        utterance.add_frames(np.concatenate((self._features.push(utterance.take_pending()), self._features.flush())))
        estimate = utterance.finish()
        if estimate is None:
            answer = self._decision.final(None, event.voiced)
        else:
            logits = utterance.offset.apply_head(estimate)
            adapted = utterance.offset.apply_to_logits(logits)
            answer = self._decision.final(adapted, event.voiced, estimate.embedding)
            if self._adaptation is not None and answer.reason not in _NOT_LEARNT:
                self._adaptation.learn(utterance.frame_sum, utterance.frames, logits)
        now = max(utterance.end, event.offset)
        return [
            _emotion(event, answer, utterance, final=True, start=utterance.onset, end=event.offset, now=now),
            VoiceStopped(event.utterance, event.offset),
        ]


class _Utterance:
    """State of one utterance.

    Args:
        onset: position of the onset.
        stream: the network's state.
        offset: the speaker offset, from the first frame to the last.
        window: frames in a partial answer's window.
    """

    def __init__(self, onset: int, stream: Stream, offset: SpeakerOffset, window: int) -> None:
        self.onset = onset
        self.offset = offset
        self.first: int | None = None
        """Position of the first sample."""
        self.samples = 0
        self.frames = 0
        self.frame_sum = np.zeros(SIZE)
        """Sum of the raw frames."""
        self.recent: Frames = np.zeros((0, SIZE), dtype=np.float32)
        """The last frames, less the speaker offset."""
        self.estimate: Estimate | None = None
        """The network's estimate for the frames that the stream has had."""
        self._stream = stream
        self._unheard: list[Frames] = []
        self._window = window
        self._pending: list[Samples] = []

    @property
    def end(self) -> int:
        """Position after the last sample."""
        return (self.first or 0) + self.samples

    def add_samples(self, samples: Samples) -> None:
        """Keep samples until the next update: features of larger pieces cost far less."""
        self.samples += len(samples)
        self._pending.append(samples)

    def take_pending(self) -> Samples:
        """Return the samples since the last update."""
        samples = np.concatenate(self._pending) if self._pending else np.zeros(0, dtype=np.int16)
        self._pending.clear()
        return samples

    def add_frames(self, frames: Frames) -> None:
        """Take the next raw frames."""
        if len(frames):
            self.frame_sum += frames.sum(axis=0, dtype=np.float64)
            self.frames += len(frames)
            frames = self.offset.apply_to_frames(frames)
            self.recent = np.concatenate((self.recent, frames))[-self._window :]
            self._unheard.append(frames)
            if sum(map(len, self._unheard)) >= _STREAM_FRAMES:
                self._run()

    def finish(self) -> Estimate | None:
        """Return the network's estimate for all frames, `None` if there is none."""
        if self._unheard:
            self._run()
        return self.estimate

    def _run(self) -> None:
        self.estimate = self._stream.push(np.concatenate(self._unheard))
        self._unheard.clear()


def _emotion(
    event: SpeechAudio | SpeechEnded,
    answer: Answer,
    utterance: _Utterance,
    *,
    final: bool,
    start: int,
    end: int,
    now: int,
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
        adaptation=utterance.offset.name,
        activation=answer.activation,
        taught=utterance.offset.taught,
        estimate=utterance.estimate if final else None,
    )


class Recognizer:
    """Gate and analyzer in one: samples in, results out.

    Args:
        model: `None` loads the shipped one.
        gate: `None` uses the defaults.
        decision: `None` uses the defaults.
        adaptation: `None` disables it.

    Examples:
        >>> from importlib.resources import files
        >>> from ser_model import Recognizer, read_audio
        >>> recognizer = Recognizer()
        >>> samples = read_audio(str(files("ser_daemon").joinpath("data", "demo.flac")))
        >>> results = recognizer.push(samples) + recognizer.finish()
        >>> finals = [result for result in results if isinstance(result, EmotionResult) and result.final]
        >>> len(finals)
        12
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
        """Process the next samples: a block, or int16 samples of shape (n,) that follow the last ones."""
        if not isinstance(block, Block):
            block = Block(block, self._position)
        self._position = block.end
        return [result for event in self._gate.push(block) for result in self._analyzer.push(event)]

    def finish(self) -> list[Result]:
        """End the open utterance, if any, at the end of the audio."""
        return [result for event in self._gate.finish() for result in self._analyzer.push(event)]
