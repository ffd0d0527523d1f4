"""Voice activity detectors: the speech probability of one frame of 16 kHz audio."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from ser_model.config import GateConfig
from ser_model.errors import SerError
from ser_model.network.checksums import read_shipped_file
from ser_model.network.onnx_session import new_session
from ser_model.types import SAMPLE_RATE

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


class VoiceDetector(Protocol):
    """A detector with state; frames must come in order."""

    frame_samples: int
    """Length of a frame."""

    def probability(self, frame: npt.NDArray[np.float32]) -> float:
        """Return the speech probability, 0 to 1, of float32 samples in ±1, shape (frame_samples,)."""
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

    def probability(self, frame: npt.NDArray[np.float32]) -> float:
        """Return 1.0 for speech, else 0.0."""
        pcm = np.clip(frame * 32768.0, -32768, 32767).astype(np.int16).tobytes()
        return float(self._vad.is_speech(pcm, SAMPLE_RATE))

    def reset(self) -> None:
        """Create a new detector, as its noise model cannot be cleared."""
        self._vad = self._new(self._mode)


class SileroDetector:
    """Silero VAD 6 in an ONNX session, for frames of 32 ms. The MIT licence is beside the file.

    The graph takes the last 64 samples of the previous frame before each frame, and a state of shape (2, 1, 128)
    that it returns from each call.
    """

    frame_samples = 512
    _CONTEXT = 64

    def __init__(self) -> None:
        self._session = _silero_session()
        self._rate = np.array(SAMPLE_RATE, dtype=np.int64)
        self._state: npt.NDArray[np.float32]
        self._input: npt.NDArray[np.float32]
        self.reset()

    def probability(self, frame: npt.NDArray[np.float32]) -> float:
        """Return the speech probability of the frame, given all frames since the last reset."""
        self._input[0, self._CONTEXT :] = frame
        output, self._state = self._session.run(None, {"input": self._input, "state": self._state, "sr": self._rate})
        self._input[0, : self._CONTEXT] = frame[-self._CONTEXT :]
        return float(output[0, 0])

    def reset(self) -> None:
        """Zero the state and the context."""
        self._state = np.zeros((2, 1, 128), dtype=np.float32)
        self._input = np.zeros((1, self._CONTEXT + self.frame_samples), dtype=np.float32)


@cache
def _silero_session() -> InferenceSession:
    """The session of all detectors; it holds no state, and creating it takes 25 ms.

    Raises:
        SerError: the file is damaged.
    """
    with as_file(files("ser_model").joinpath("weights")) as folder:
        return new_session(read_shipped_file(folder / "silero_vad_16k.onnx"))


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
