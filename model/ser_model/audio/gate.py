"""The gate: cuts utterances out of a stream of samples, and lets nothing else through."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from ser_model.audio.levels import SILENCE_DBFS, DetectorGain, LoudExtent, NoiseFloor, SpeechLevel, dbfs, is_clipped
from ser_model.audio.vad import VoiceDetector, make_detector
from ser_model.config import GateConfig
from ser_model.types import (
    SAMPLE_RATE,
    Block,
    GateEvent,
    Samples,
    SpeechAudio,
    SpeechEnded,
    SpeechStarted,
)

_KEEP_RATIO = 0.6
"""Speech that has begun goes on down to this share of the threshold: word ends are softer than beginnings."""

_BRIDGE_FRAMES = 3
"""Unvoiced frames that may lie between the first voiced ones (stops, as in "kids") before they are a new try."""


def to_samples(ms: int) -> int:
    """Milliseconds to samples at 16 kHz."""
    return ms * SAMPLE_RATE // 1000


_WARM_UP_FRAMES = 64
"""Quiet frames that a detector hears late, when a sound ends a silence. In silence itself it is not run: what is not
above the noise floor is not speech, and the detector is most of the gate's cost. Two seconds: with a quarter of
that, Silero takes every chord of soft music for the beginning of speech."""

_REACH = 6400
"""Samples by which the loud part of an utterance may extend beyond its voiced frames: detectors lag, and
miss unvoiced consonants at the edges."""


class Gate:
    """Decides frame by frame, on the sample clock, so that the size of the blocks has no influence.

    A frame is voiced when the detector says so *and* it is louder than the noise floor by a margin. An utterance
    opens after `min_speech_ms` of voiced frames, reaches back by the pre-roll, and ends after `hangover_ms`
    without a voiced frame.
    """

    def __init__(self, config: GateConfig | None = None, detector: VoiceDetector | None = None) -> None:
        self.config = config = config or GateConfig()
        self._detector = detector or make_detector(config)
        self._frame = self._detector.frame_samples
        seconds = self._frame / SAMPLE_RATE
        self._floor = NoiseFloor(seconds, config.noise_floor_dbfs)
        self._gain = DetectorGain(seconds, config.gain_db)
        self._pre_roll = to_samples(config.pre_roll_ms)
        self._hangover = to_samples(config.hangover_ms)
        self._min_voiced = to_samples(config.min_speech_ms)
        self._max_samples = to_samples(config.max_utterance_ms)
        self.level_dbfs = SILENCE_DBFS
        """Level of the last frame."""
        self._count = 0
        self._position: int | None = None
        self._rest: Samples
        self._restart(0)

    @property
    def speaking(self) -> bool:
        """Whether an utterance is open."""
        return self._open

    @property
    def noise_floor_dbfs(self) -> float:
        """Lowest level of the last seconds."""
        return self._floor.dbfs

    @property
    def gain_db(self) -> float:
        """Gain of the copy that the detector hears."""
        return self._gain.db

    def push(self, block: Block) -> list[GateEvent]:
        """Take the next samples; return what follows from every frame that they complete.

        A block that doesn't begin where the last one ended closes the open utterance (cause `gap`).
        """
        events: list[GateEvent] = []
        if self._position is None or block.start != self._position:
            events += self.finish("gap")
            self._restart(block.start)
        self._position = block.end
        samples = np.concatenate((self._rest, block.samples))
        whole = len(samples) - len(samples) % self._frame
        for at in range(0, whole, self._frame):
            self._step(samples[at : at + self._frame], events)
        self._rest = samples[whole:]
        return events

    def finish(self, cause: str = "closed") -> list[GateEvent]:
        """End the open utterance, if any, with the samples it has; the next block may start anywhere."""
        events: list[GateEvent] = []
        if self._open:
            if len(self._rest):
                events.append(self._audio(self._rest, self._end))
            self._close(cause, events)
        self._position = None
        return events

    def _restart(self, start: int) -> None:
        """Begin at a position with nothing heard; the noise floor and the gain stay, the room is the same."""
        self._detector.reset()
        self._rest = np.zeros(0, dtype=np.int16)
        self._skipped: deque[npt.NDArray[np.float32]] = deque(maxlen=_WARM_UP_FRAMES)
        self._end = start
        self._open = False
        self._voiced = 0
        self._ring: deque[Samples] = deque()
        self._ring_samples = 0
        self._onset: int | None = None
        self._last_voiced = start
        self._new_extent()
        self._speech = SpeechLevel()

    def _step(self, frame: Samples, events: list[GateEvent]) -> None:
        """Judge one frame and move between closed and open."""
        voiced = self._is_voiced(frame)
        start, self._end = self._end, self._end + len(frame)
        if voiced:
            self._last_voiced = self._end
            self._voiced += len(frame)
        self._speech.push(frame, self.level_dbfs, voiced)
        if self._open:
            if start - self._last_voiced < _REACH:
                self._extent.push(frame, start, self._quiet_dbfs)
            events.append(self._audio(frame, start))
            self._maybe_close(events)
        else:
            self._ring.append(frame)
            self._ring_samples += len(frame)
            self._maybe_open(voiced, start, events)

    def _is_voiced(self, frame: Samples) -> bool:
        samples = frame.astype(np.float32) / 32768.0
        self.level_dbfs = dbfs(samples)
        self._floor.push(self.level_dbfs)
        factor = self._gain.push(self.level_dbfs, self._floor.dbfs)
        heard = samples * np.float32(factor)
        np.minimum(heard, 1.0, out=heard)
        np.maximum(heard, -1.0, out=heard)
        begun = self._open or self._onset is not None
        loud = self.level_dbfs > self._quiet_dbfs
        if not loud and not begun:
            self._skipped.append(heard)
            return False
        self._catch_up()
        threshold = self.config.threshold * (_KEEP_RATIO if begun else 1.0)
        return self._detector.probability(heard) >= threshold and loud

    def _catch_up(self) -> None:
        """Show the detector what it was spared: all of it, or after a longer silence the last of it alone."""
        if len(self._skipped) == self._skipped.maxlen:
            self._detector.reset()
        for frame in self._skipped:
            self._detector.probability(frame)
        self._skipped.clear()

    def _maybe_open(self, voiced: bool, start: int, events: list[GateEvent]) -> None:
        if voiced and self._onset is None:
            self._onset = start
        elif self._end - self._last_voiced > _BRIDGE_FRAMES * self._frame:
            self._onset, self._voiced = None, 0
            self._speech = SpeechLevel()
        if self._onset is not None and self._voiced >= self._min_voiced:
            self._open_at(self._onset, events)
        else:
            self._trim_ring()

    def _open_at(self, onset: int, events: list[GateEvent]) -> None:
        """Open with what the ring holds: the loud moment at or near `onset`, and the pre-roll before it."""
        held = np.concatenate(self._ring)
        begin = self._end - len(held)
        self._ring.clear()
        self._ring_samples = 0
        self._new_extent()
        near = max(onset - _REACH, begin)
        self._extent.push(held[near - begin :], near, self._quiet_dbfs)
        onset = onset if self._extent.first is None else self._extent.first
        self._begin(onset, events)
        self._first = max(onset - self._pre_roll, begin)
        self._speech.clipping = is_clipped(held[self._first - begin :])
        events.append(self._audio(held[self._first - begin :], self._first))

    def _begin(self, onset: int, events: list[GateEvent]) -> None:
        self._open = True
        self._count += 1
        self._first = onset
        events.append(SpeechStarted(self._count, onset))

    def _audio(self, samples: Samples, start: int) -> SpeechAudio:
        snr_db = self._speech.snr_db(self._floor.dbfs)
        return SpeechAudio(self._count, samples, start, self._voiced, snr_db, self._speech.clipping)

    def _new_extent(self) -> None:
        self._extent = LoudExtent(self._frame // 4)

    @property
    def _quiet_dbfs(self) -> float:
        return self._floor.dbfs + self.config.noise_margin_db

    def _maybe_close(self, events: list[GateEvent]) -> None:
        if self._end - self._last_voiced >= self._hangover:
            self._close("silence", events)
        elif self._end - self._first >= self._max_samples:
            goes_on = self._end - self._last_voiced <= _BRIDGE_FRAMES * self._frame
            self._close("max-length", events)
            if goes_on:
                self._new_extent()
                self._begin(self._end, events)

    def _close(self, cause: str, events: list[GateEvent]) -> None:
        offset = self._end if cause == "max-length" else self._extent.last
        snr_db = self._speech.snr_db(self._floor.dbfs)
        end = max(offset, self._first)
        events.append(SpeechEnded(self._count, end, self._voiced, cause, snr_db, self._speech.clipping))
        self._open, self._onset, self._voiced = False, None, 0
        self._speech = SpeechLevel()

    def _trim_ring(self) -> None:
        """Keep what an onset in this frame, or the pending one, would reach back to."""
        oldest = (self._end if self._onset is None else self._onset) - _REACH - self._pre_roll
        while self._end - self._ring_samples + len(self._ring[0]) <= oldest:
            self._ring_samples -= len(self._ring.popleft())
