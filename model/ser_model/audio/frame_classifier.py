"""Classifies frames as voiced or unvoiced: a voice activity detector behind a level threshold."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from ser_model.audio.late_detector import WARM_UP_FRAMES, LateDetector
from ser_model.audio.levels import SILENCE_DBFS, DetectorGain, NoiseFloor, dbfs
from ser_model.audio.vad import Frames, VoiceDetector
from ser_model.config import GateConfig
from ser_model.types import SAMPLE_RATE

_KEEP_RATIO = 0.6
"""Factor of the threshold while speech continues: words end more softly than they begin."""

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
        self._beginning: deque[npt.NDArray[np.float32]] = deque(maxlen=WARM_UP_FRAMES)
        """The last frames while the floor is not known."""
        self._frames: Frames = np.zeros((0, detector.frame_samples), dtype=np.float32)
        """The detector's copy of the frames that came last."""
        self._levels: list[tuple[float, float]] = []
        """Their levels, and the noise floor with each of them."""
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
        samples = frames.astype(np.float32) / 32768.0
        self._levels.clear()
        factors = np.empty((len(frames), 1), dtype=np.float32)
        for index, frame in enumerate(samples):
            level = dbfs(frame)
            self._floor.push(level)
            self._levels.append((level, self._floor.dbfs))
            factors[index] = self._gain.push(level, self._floor.dbfs)
        samples *= factors
        np.minimum(samples, 1.0, out=samples)
        self._frames = np.maximum(samples, -1.0, out=samples)
        self._next = 0

    def is_voiced(self, *, in_speech: bool) -> bool:
        """Classify the next of the prepared frames.

        Args:
            in_speech: whether a voiced frame came shortly before; the threshold is lower then.
        """
        coming = self._coming()
        frame = coming[0]
        self.level_dbfs, self.noise_floor_dbfs = self._levels[self._next]
        self._next += 1
        loud = self.level_dbfs > self.quiet_dbfs
        if not loud and not in_speech:
            if self.floor_known:
                self._detector.skip(frame)
            else:
                self._look_for_pause(frame, speech=False, in_speech=in_speech)
            return False
        threshold = self._threshold * (_KEEP_RATIO if in_speech and self.floor_known else 1.0)
        speech = self._detector.probability(coming) >= threshold
        if not self.floor_known:
            self._look_for_pause(frame, speech=speech, in_speech=in_speech)
        return speech and loud

    def _coming(self) -> Frames:
        """The next frame, and those after it that the detector will get in any case."""
        end = len(self._levels)
        if not self.floor_known:
            # Digital silence is passed over then, so the detector may not run on it before it is needed.
            later = range(self._next + 1, end)
            end = next((index for index in later if self._levels[index][0] <= SILENCE_DBFS), end)
        return self._frames[self._next : end]

    def _look_for_pause(self, amplified: npt.NDArray[np.float32], *, speech: bool, in_speech: bool) -> None:
        self._pause = 0 if speech else self._pause + 1
        self._beginning.append(amplified)
        if self.floor_known:
            if not in_speech:
                # The stream began with noise. Go on as if only this had been heard, without a quiet room before it.
                self._detector.restart(self._beginning)
            self._beginning.clear()


def _quiet_room(frame_samples: int) -> list[npt.NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((_ROOM_FRAMES, frame_samples), dtype=np.float32)
    return list(noise * np.float32(10 ** (_ROOM_DBFS / 20)))
