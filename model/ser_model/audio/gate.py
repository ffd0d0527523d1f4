"""The gate: cuts a stream of samples into utterances, and passes nothing else on."""

from __future__ import annotations

from collections import deque

import numpy as np

from ser_model.audio.frame_classifier import FrameClassifier
from ser_model.audio.levels import LoudExtent, SpeechLevel, is_clipped
from ser_model.audio.vad import VoiceDetector, make_detector
from ser_model.config import GateConfig
from ser_model.types import (
    Block,
    EndCause,
    GateEvent,
    Samples,
    SpeechAudio,
    SpeechEnded,
    SpeechStarted,
    to_samples,
)

_BRIDGE_FRAMES = 3
"""Unvoiced frames allowed between the first voiced ones (stops, as in "kids") before the onset is discarded."""

_UNSURE_VOICED = 4096
"""Voiced samples that open an utterance as long as the noise floor is not known.

Detectors take noise that begins at full level for speech during up to 0.2 s.
"""

_BATCH_FRAMES = 16
"""Frames that a detector may run on at once. A read of 160 ms has five."""

_REACH = 6400
"""Samples by which the loud part may extend beyond the voiced frames: detectors lag, and miss unvoiced consonants."""


class Gate:
    """Segments the stream frame by frame. The size of the blocks has no influence.

    An utterance opens after `min_speech_ms` of voiced frames, begins with the pre-roll, and ends after `hangover_ms`
    without a voiced frame. See `FrameClassifier` for what is voiced.

    Examples:
        >>> gate = Gate()
        >>> silence = np.zeros(16_000, dtype=np.int16)
        >>> gate.push(Block(silence, start=0)) + gate.finish()
        []
    """

    def __init__(self, config: GateConfig | None = None, detector: VoiceDetector | None = None) -> None:
        config = config or GateConfig()
        self._classifier = FrameClassifier(config, detector or make_detector(config))
        self._frame = self._classifier.frame_samples
        self._pre_roll = to_samples(config.pre_roll_ms)
        self._hangover = to_samples(config.hangover_ms)
        self._min_voiced = to_samples(config.min_speech_ms)
        self._max_samples = to_samples(config.max_utterance_ms)
        self._count = 0
        self._position: int | None = None
        self._rest: Samples
        self._restart(0)

    @property
    def speaking(self) -> bool:
        """Whether an utterance is open."""
        return self._utterance is not None and self._utterance.is_open

    @property
    def level_dbfs(self) -> float:
        """Level of the last frame."""
        return self._classifier.level_dbfs

    @property
    def noise_floor_dbfs(self) -> float:
        """Lowest level of the last seconds."""
        return self._classifier.noise_floor_dbfs

    @property
    def gain_db(self) -> float:
        """Gain of the detector's copy."""
        return self._classifier.gain_db

    def push(self, block: Block) -> list[GateEvent]:
        """Process the next samples; return the events of the frames that they complete.

        A block that does not begin where the last one ended closes the open utterance (cause `gap`).
        """
        events: list[GateEvent] = []
        if self._position is None or block.start != self._position:
            events += self.finish("gap")
            self._restart(block.start)
        self._position = block.end
        # A copy in any case: the caller may use its buffer again, and the gate keeps the last seconds.
        samples = np.concatenate((self._rest, block.samples)) if len(self._rest) else block.samples.copy()
        whole = len(samples) - len(samples) % self._frame
        frames = samples[:whole].reshape(-1, self._frame)
        for at, frame in enumerate(frames):
            if at % _BATCH_FRAMES == 0:
                self._classifier.prepare(frames[at : at + _BATCH_FRAMES])
            self._process(frame, events)
        self._rest = samples[whole:]
        return events

    def finish(self, cause: EndCause = "closed") -> list[GateEvent]:
        """Close the open utterance, if any, with the samples that it has. The next block may start anywhere."""
        events: list[GateEvent] = []
        if self._utterance is not None and self._utterance.is_open:
            if len(self._rest):
                events.append(self._audio(self._utterance, self._rest, self._end))
            self._close(self._utterance, cause, events)
        self._position = None
        return events

    def _restart(self, start: int) -> None:
        """Begin at a position, without an utterance."""
        self._classifier.reset()
        self._rest = np.zeros(0, dtype=np.int16)
        self._end = start
        self._recent = _Recent()
        self._utterance: _Utterance | None = None

    def _process(self, frame: Samples, events: list[GateEvent]) -> None:
        """Classify one frame, then open, continue or close the utterance."""
        voiced = self._classifier.is_voiced(in_speech=self._utterance is not None)
        start, self._end = self._end, self._end + len(frame)
        if voiced and self._utterance is None:
            self._utterance = _Utterance(start, self._frame)
        if self._utterance is not None:
            self._utterance.push(frame, self._end, self._classifier.level_dbfs, voiced)
        if self._utterance is None or not self._utterance.is_open:
            self._recent.push(frame)
            self._maybe_open(events)
        else:
            if start - self._utterance.last_voiced < _REACH:
                self._utterance.extent.push(frame, start, self._classifier.quiet_dbfs)
            events.append(self._audio(self._utterance, frame, start))
            self._maybe_close(self._utterance, events)

    @property
    def _voiced_needed(self) -> int:
        """Voiced samples that open an utterance."""
        known = self._classifier.floor_known
        return self._min_voiced if known else max(self._min_voiced, _UNSURE_VOICED)

    def _maybe_open(self, events: list[GateEvent]) -> None:
        utterance = self._utterance
        if utterance is not None and self._has_paused(utterance):
            self._utterance = utterance = None
        if utterance is not None and utterance.voiced >= self._voiced_needed:
            self._open(utterance, events)
        else:
            # A later onset reaches back from the next frame, a present one from where it is.
            onset = self._end if utterance is None else utterance.onset
            self._recent.trim(self._end, onset - _REACH - self._pre_roll)

    def _open(self, utterance: _Utterance, events: list[GateEvent]) -> None:
        """Move the onset to the first loud sample near it, and pass on the recent audio from the pre-roll on."""
        audio = self._recent.take()
        begin = self._end - len(audio)
        near = max(utterance.onset - _REACH, begin)
        utterance.extent.push(audio[near - begin :], near, self._classifier.quiet_dbfs)
        first_loud = utterance.extent.first
        self._start(utterance, utterance.onset if first_loud is None else first_loud, events)
        utterance.first = max(utterance.onset - self._pre_roll, begin)
        audio = audio[utterance.first - begin :]
        utterance.level.clipping = is_clipped(audio)
        events.append(self._audio(utterance, audio, utterance.first))

    def _start(self, utterance: _Utterance, onset: int, events: list[GateEvent]) -> None:
        self._count += 1
        utterance.number = self._count
        utterance.first = utterance.onset = onset
        events.append(SpeechStarted(self._count, onset))

    def _audio(self, utterance: _Utterance, samples: Samples, start: int) -> SpeechAudio:
        snr_db = utterance.level.snr_db(self.noise_floor_dbfs)
        return SpeechAudio(utterance.number, samples, start, utterance.voiced, snr_db, utterance.level.clipping)

    def _has_paused(self, utterance: _Utterance) -> bool:
        return self._end - utterance.last_voiced > _BRIDGE_FRAMES * self._frame

    def _maybe_close(self, utterance: _Utterance, events: list[GateEvent]) -> None:
        if self._end - utterance.last_voiced >= self._hangover:
            self._close(utterance, "silence", events)
        elif self._end - utterance.first >= self._max_samples:
            self._close(utterance, "max-length", events)
            if not self._has_paused(utterance):
                self._utterance = _Utterance(self._end, self._frame)
                self._utterance.last_voiced = utterance.last_voiced
                self._start(self._utterance, self._end, events)

    def _close(self, utterance: _Utterance, cause: EndCause, events: list[GateEvent]) -> None:
        offset = max(self._end if cause == "max-length" else utterance.extent.last, utterance.first)
        snr_db = utterance.level.snr_db(self.noise_floor_dbfs)
        number, voiced, clipping = utterance.number, utterance.voiced, utterance.level.clipping
        events.append(SpeechEnded(number, offset, voiced, cause, snr_db, clipping))
        self._utterance = None


class _Utterance:
    """An utterance from its first voiced frame on; open once it has a number."""

    def __init__(self, onset: int, frame_samples: int) -> None:
        self.number = 0
        self.onset = onset
        self.first = onset
        """Position of the first sample passed on."""
        self.last_voiced = onset
        """Position after the last voiced frame."""
        self.voiced = 0
        """Samples in voiced frames."""
        self.level = SpeechLevel()
        self.extent = LoudExtent(frame_samples // 4)

    @property
    def is_open(self) -> bool:
        return self.number > 0

    def push(self, frame: Samples, end: int, level_dbfs: float, voiced: bool) -> None:
        """Count a frame that ends at position `end`."""
        if voiced:
            self.last_voiced = end
            self.voiced += len(frame)
        self.level.push(frame, level_dbfs, voiced)


class _Recent:
    """The frames before an utterance opens, for its onset and its pre-roll."""

    def __init__(self) -> None:
        self._frames: deque[Samples] = deque()
        self._samples = 0

    def push(self, frame: Samples) -> None:
        self._frames.append(frame)
        self._samples += len(frame)

    def trim(self, end: int, oldest: int) -> None:
        """Drop the frames that lie before position `oldest`, where the newest one ends at `end`."""
        while end - self._samples + len(self._frames[0]) <= oldest:
            self._samples -= len(self._frames.popleft())

    def take(self) -> Samples:
        """Return all samples and clear."""
        samples = np.concatenate(self._frames)
        self._frames.clear()
        self._samples = 0
        return samples
