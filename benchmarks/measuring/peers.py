"""Other programs that hear speech, each as a function that takes the reads of the daemon.

None of them does the same as the daemon. They show what its parts cost elsewhere: Silero and WebRTC find speech,
openSMILE computes features, and wav2vec2-base is the network under most published emotion recognisers.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from measuring.signals import RATE, Samples

WINDOW = 3 * RATE
UPDATE = RATE // 2
"""The daemon's: what a partial answer covers, and the time between two of them."""

EXTRA = "bench"
"""The extra of the project that installs the peers."""

Push = Callable[[Samples], object]


@dataclass(frozen=True)
class Peer:
    """A program to measure beside the daemon."""

    name: str
    what: str
    make: Callable[[], Push]
    """Loads the program; returns the function that takes a read."""
    needs: tuple[str, ...] = ()
    """Modules that must be installed."""

    @property
    def lacks(self) -> list[str]:
        """The modules that are not installed."""
        return [name for name in self.needs if importlib.util.find_spec(name) is None]


def _nothing() -> Push:
    return lambda samples: None


def _webrtc() -> Push:
    import webrtcvad

    detector, size = webrtcvad.Vad(2), RATE // 50
    return _framewise(lambda frame: detector.is_speech(frame.tobytes(), RATE), size)


def _silero() -> Push:
    import torch
    from silero_vad import load_silero_vad

    torch.set_num_threads(1)
    model = load_silero_vad(onnx=True)
    return _framewise(lambda frame: model(torch.from_numpy(frame.astype(np.float32) / 32768), RATE), 512)


def _opensmile() -> Push:
    import opensmile

    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    return _windowed(lambda window: smile.process_signal(window, RATE))


def _wav2vec2() -> Push:
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    torch.set_num_threads(1)
    # The default configuration is wav2vec2-base; its cost does not depend on the weights.
    model = Wav2Vec2Model(Wav2Vec2Config()).eval()

    def run(window: npt.NDArray[np.float32]) -> None:
        with torch.inference_mode():
            model(torch.from_numpy(window)[None])

    return _windowed(run)


def _framewise(detect: Callable[[Samples], object], size: int) -> Push:
    """Call a detector for each frame; the rest of a read waits for the next one."""
    rest = np.zeros(0, np.int16)

    def push(samples: Samples) -> None:
        nonlocal rest
        rest = np.concatenate((rest, samples))
        while len(rest) >= size:
            detect(rest[:size])
            rest = rest[size:]

    return push


def _windowed(answer: Callable[[npt.NDArray[np.float32]], object]) -> Push:
    """Answer for the last three seconds, twice a second, as the daemon does."""
    window: npt.NDArray[np.float32] = np.zeros(WINDOW, np.float32)
    due = UPDATE

    def push(samples: Samples) -> None:
        nonlocal window, due
        window = np.concatenate((window, samples / np.float32(32768)))[-WINDOW:]
        due -= len(samples)
        if due <= 0:
            due += UPDATE
            answer(window)

    return push


PEERS = (
    Peer("empty loop", "the same reads, and nothing else", _nothing),
    Peer("WebRTC VAD", "a detector of speech, frames of 20 ms", _webrtc, ("webrtcvad",)),
    Peer("Silero VAD", "a detector of speech, its own package with ONNX", _silero, ("silero_vad", "torch")),
    Peer("openSMILE", "eGeMAPSv02 functionals of 3 s, twice a second", _opensmile, ("opensmile",)),
    Peer("wav2vec2-base", "3 s, twice a second, random weights", _wav2vec2, ("transformers", "torch")),
)
