"""Classifies frames as voiced or unvoiced: a voice activity detector behind a level threshold."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from ser_model.audio.late_detector import WARM_UP_FRAMES, LateDetector, Scaled
from ser_model.audio.levels import SILENCE_DBFS, DetectorGain, NoiseFloor, dbfs
from ser_model.audio.vad import Frames, VoiceDetector
from ser_model.config import GateConfig
from ser_model.types import SAMPLE_RATE

_KEEP_RATIO = 0.6
"""Factor of the threshold while speech continues: words end more softly than they begin."""

_FULL_SCALE = 32768.0

_ROOM_FRAMES = 32
_ROOM_DBFS = -60.0
"""Length and level of the quiet room that the detector hears before a stream.

Without it Silero misses sentences that begin at full level in the first frame.
"""

_PAUSE_FRAMES = 10
"""Frames without speech, one after the other, after which the noise floor is known: 0.3 s."""


class FrameClassifier:
    """Finds voiced frames: the detector reports speech *and* the frame is louder than the noise floor by a margin.

    A stream can begin in the middle of a sentence. Then its lowest level is that of speech, so the floor is not known
    before the first pause, and until then the detector decides alone.
    """

    def __init__(self, config: GateConfig, detector: VoiceDetector) -> None:
        self._detector = LateDetector(detector)
        self._threshold = config.threshold
        self._margin_db = config.noise_margin_db
        self.frame_samples = detector.frame_samples
        """Length of a frame."""
        seconds = detector.frame_samples / SAMPLE_RATE
        self._floor = NoiseFloor(seconds, config.noise_floor_dbfs)
        self._gain = DetectorGain(seconds, config.gain_db)
        # WebRTC's detector takes too many sounds for speech to decide alone.
        learns = config.noise_floor_dbfs is None and config.engine == "silero"
        self._pause = 0 if learns else _PAUSE_FRAMES
        """Frames of the present pause; not counted any more once the floor is known."""
        self._beginning: deque[Scaled] = deque(maxlen=WARM_UP_FRAMES)
        """The last frames while the floor is not known."""
        self._frames: Frames = np.zeros((0, detector.frame_samples), dtype=np.float32)
        """The frames that came last, in steps of 16 bits."""
        self._factors: list[float] = []
        """What the detector's copy of each is multiplied by."""
        self._levels: list[tuple[float, float]] = []
        """The level of each, and the noise floor with it."""
        self._next = 0
        """Index of the next of them."""
        self.level_dbfs = SILENCE_DBFS
        """Level of the last frame."""
        self.noise_floor_dbfs = self._floor.dbfs
        """Lowest level of the last seconds."""
        self.reset()

    @property
    def quiet_dbfs(self) -> float:
        """Level up to which a frame is unvoiced."""
        return self.noise_floor_dbfs + self._margin_db if self.floor_known else SILENCE_DBFS

    @property
    def floor_known(self) -> bool:
        """Whether there was a pause, so that the lowest level is that of noise."""
        return self._pause >= _PAUSE_FRAMES

    @property
    def gain_db(self) -> float:
        """Gain of the detector's copy."""
        return self._gain.db

    def reset(self) -> None:
        """Clear the detector after a gap. The noise floor and the gain stay, as the room is the same."""
        self._detector.restart(_quiet_room(self.frame_samples))

    def prepare(self, frames: npt.NDArray[np.int16]) -> None:
        """Take the frames that `is_voiced` classifies next, shape (n, frame_samples). All before must be classified."""
        self._frames = frames.astype(np.float32)
        self._levels.clear()
        self._factors.clear()
        for frame in self._frames:
            level = dbfs(frame, _FULL_SCALE)
            self._floor.push(level)
            self._levels.append((level, self._floor.dbfs))
            self._factors.append(self._gain.push(level, self._floor.dbfs) / _FULL_SCALE)
        self._next = 0

    def is_voiced(self, *, in_speech: bool) -> bool:
        """Classify the next of the prepared frames.

        Args:
            in_speech: whether a voiced frame came shortly before; the threshold is lower then.
        """
        at, self._next = self._next, self._next + 1
        self.level_dbfs, self.noise_floor_dbfs = self._levels[at]
        loud = self.level_dbfs > self.quiet_dbfs
        if not loud and not in_speech:
            if self.floor_known:
                self._detector.skip(self._frames[at], self._factors[at])
            else:
                self._look_for_pause(at, speech=False, in_speech=in_speech)
            return False
        threshold = self._threshold * (_KEEP_RATIO if in_speech and self.floor_known else 1.0)
        end = self._end(at)
        speech = self._detector.probability(self._frames[at:end], self._factors[at:end]) >= threshold
        if not self.floor_known:
            self._look_for_pause(at, speech=speech, in_speech=in_speech)
        return speech and loud

    def _end(self, at: int) -> int:
        """End of the frames from this one on that the detector will get in any case."""
        end = len(self._levels)
        if self.floor_known:
            return end
        # Digital silence is passed over then, so the detector may not run on it before it is needed.
        return next((index for index in range(at + 1, end) if self._levels[index][0] <= SILENCE_DBFS), end)

    def _look_for_pause(self, at: int, *, speech: bool, in_speech: bool) -> None:
        self._pause = 0 if speech else self._pause + 1
        self._beginning.append((self._frames[at], self._factors[at]))
        if self.floor_known:
            if not in_speech:
                # The stream began with noise. Go on as if only this had been heard, without a quiet room before it.
                self._detector.restart(self._beginning)
            self._beginning.clear()


def _quiet_room(frame_samples: int) -> list[Scaled]:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((_ROOM_FRAMES, frame_samples), dtype=np.float32)
    return [(frame, 10 ** (_ROOM_DBFS / 20)) for frame in noise]
