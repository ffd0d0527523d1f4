"""Voice activity detectors: the speech probabilities of frames of 16 kHz audio."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from ser_model.config import GateConfig
from ser_model.errors import SerError
from ser_model.network.checksums import WEIGHTS, read_shipped_file
from ser_model.network.onnx_session import new_session
from ser_model.types import SAMPLE_RATE

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Frames = npt.NDArray[np.float32]
"""Consecutive frames, float32 samples in ±1, shape (n, frame_samples)."""


class VoiceDetector(Protocol):
    """A detector with state; frames must come in order."""

    frame_samples: int
    """Length of a frame."""

    def probabilities(self, frames: Frames) -> list[float]:
        """Return the speech probability, 0 to 1, of each of the next frames; n is at least 1.

        How many come in one call has no influence on the probabilities.
        """
        ...

    def reset(self) -> None:
        """Clear the state, as after a gap."""
        ...


class WebRtcDetector:
    """WebRTC's Gaussian mixture detector: 0.0 or 1.0 for 30 ms."""

    frame_samples = 480

    def __init__(self, mode: int) -> None:
        import webrtcvad

        self._mode = mode
        self._new = webrtcvad.Vad
        self._vad = self._new(mode)

    def probabilities(self, frames: Frames) -> list[float]:
        """Return 1.0 for speech, else 0.0."""
        pcm = np.clip(frames * 32768.0, -32768, 32767).astype(np.int16)
        return [float(self._vad.is_speech(frame.tobytes(), SAMPLE_RATE)) for frame in pcm]

    def reset(self) -> None:
        """Create a new detector, as its noise model cannot be cleared."""
        self._vad = self._new(self._mode)


class SileroDetector:
    """Silero VAD 6 in an ONNX session, for frames of 32 ms. The MIT licence is beside the file.

    `release/silero_graph.py` wrote the graph from Silero's weights; it computes several frames in one run. It takes
    each frame after the last 64 samples of the frame before, and a state of shape (2, 1, 128) that each run returns.
    """

    frame_samples = 512
    _CONTEXT = 64

    def __init__(self) -> None:
        self._session = _silero_session()
        self._state: npt.NDArray[np.float32]
        self._context: npt.NDArray[np.float32]
        self.reset()

    def probabilities(self, frames: Frames) -> list[float]:
        """Return the speech probabilities of the frames, given all frames since the last reset."""
        inputs = np.empty((len(frames), self._CONTEXT + self.frame_samples), dtype=np.float32)
        inputs[:, self._CONTEXT :] = frames
        inputs[0, : self._CONTEXT] = self._context
        inputs[1:, : self._CONTEXT] = frames[:-1, -self._CONTEXT :]
        self._context = frames[-1, -self._CONTEXT :].copy()
        found, self._state = self._session.run(None, {"frames": inputs, "state": self._state})
        return [float(probability) for probability in found]

    def reset(self) -> None:
        """Zero the state and the context."""
        self._state = np.zeros((2, 1, 128), dtype=np.float32)
        self._context = np.zeros(self._CONTEXT, dtype=np.float32)


@cache
def _silero_session() -> InferenceSession:
    """The session of all detectors; it holds no state, and creating it takes 25 ms.

    Raises:
        SerError: the file is damaged.
    """
    return new_session(read_shipped_file(WEIGHTS / "silero_vad_16k_batch.onnx"))


def make_detector(config: GateConfig) -> VoiceDetector:
    """Create the configured detector.

    Raises:
        SerError: the engine or the WebRTC mode does not exist.
    """
    if config.engine == "silero":
        return SileroDetector()
    if config.engine == "webrtc":
        if config.webrtc_mode not in range(4):
            raise SerError(f"gate.webrtc_mode: expected 0, 1, 2 or 3, got {config.webrtc_mode}")
        return WebRtcDetector(config.webrtc_mode)
    raise SerError(f"gate.engine: expected silero or webrtc, got {config.engine!r}")
