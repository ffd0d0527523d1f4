"""Classifies frames as voiced or unvoiced: a voice activity detector behind a level threshold."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from ser_model.audio.levels import SILENCE_DBFS, DetectorGain, NoiseFloor, dbfs
from ser_model.audio.vad import VoiceDetector
from ser_model.config import GateConfig
from ser_model.types import SAMPLE_RATE, Samples

_KEEP_RATIO = 0.6
"""Factor of the threshold while speech continues: words end more softly than they begin."""

_WARM_UP_FRAMES = 64
"""Quiet frames that the detector gets late, when a sound ends a silence.

The detector does not run in silence: a frame below the noise floor's margin is unvoiced anyway, and the detector is
most of the gate's cost. 64 frames are two seconds. With a quarter of that, Silero takes every chord of soft music for
the beginning of speech.
"""


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
        self._detector = detector
        self._threshold = config.threshold
        self._margin_db = config.noise_margin_db
        seconds = detector.frame_samples / SAMPLE_RATE
        self._floor = NoiseFloor(seconds, config.noise_floor_dbfs)
        self._gain = DetectorGain(seconds, config.gain_db)
        # WebRTC's detector takes too many sounds for speech to decide alone.
        learns = config.noise_floor_dbfs is None and config.engine == "silero"
        self._pause = 0 if learns else _PAUSE_FRAMES
        """Frames of the present pause; not counted any more once the floor is known."""
        self._beginning: deque[npt.NDArray[np.float32]] = deque(maxlen=_WARM_UP_FRAMES)
        """The last frames while the floor is not known."""
        self._skipped = deque(_quiet_room(detector.frame_samples), maxlen=_WARM_UP_FRAMES)
        self.level_dbfs = SILENCE_DBFS
        """Level of the last frame."""

    @property
    def frame_samples(self) -> int:
        """Length of a frame."""
        return self._detector.frame_samples

    @property
    def noise_floor_dbfs(self) -> float:
        """Lowest level of the last seconds."""
        return self._floor.dbfs

    @property
    def quiet_dbfs(self) -> float:
        """Level up to which a frame is unvoiced."""
        return self._floor.dbfs + self._margin_db if self.floor_known else SILENCE_DBFS

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
        self._detector.reset()
        self._skipped.clear()
        self._skipped.extend(_quiet_room(self.frame_samples))

    def is_voiced(self, frame: Samples, *, in_speech: bool) -> bool:
        """Classify the next frame.

        Args:
            frame: shape (frame_samples,).
            in_speech: whether a voiced frame came shortly before; the threshold is lower then.
        """
        samples = frame.astype(np.float32) / 32768.0
        self.level_dbfs = dbfs(samples)
        self._floor.push(self.level_dbfs)
        amplified = samples * np.float32(self._gain.push(self.level_dbfs, self._floor.dbfs))
        np.minimum(amplified, 1.0, out=amplified)
        np.maximum(amplified, -1.0, out=amplified)
        loud = self.level_dbfs > self.quiet_dbfs
        if not loud and not in_speech:
            if self.floor_known:
                self._skipped.append(amplified)
            else:
                self._look_for_pause(amplified, speech=False, in_speech=in_speech)
            return False
        self._catch_up()
        threshold = self._threshold * (_KEEP_RATIO if in_speech and self.floor_known else 1.0)
        speech = self._detector.probability(amplified) >= threshold
        if not self.floor_known:
            self._look_for_pause(amplified, speech=speech, in_speech=in_speech)
        return speech and loud

    def _look_for_pause(self, amplified: npt.NDArray[np.float32], *, speech: bool, in_speech: bool) -> None:
        self._pause = 0 if speech else self._pause + 1
        self._beginning.append(amplified)
        if self.floor_known:
            if not in_speech:
                # The stream began with noise. Go on as if only this had been heard, without a quiet room before it.
                self._detector.reset()
                self._skipped.clear()
                self._skipped.extend(self._beginning)
            self._beginning.clear()

    def _catch_up(self) -> None:
        """Run the detector on the skipped frames. After a longer silence only the last of them are left."""
        if len(self._skipped) == self._skipped.maxlen:
            self._detector.reset()
        for frame in self._skipped:
            self._detector.probability(frame)
        self._skipped.clear()


def _quiet_room(frame_samples: int) -> list[npt.NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((_ROOM_FRAMES, frame_samples), dtype=np.float32)
    return list(noise * np.float32(10 ** (_ROOM_DBFS / 20)))
