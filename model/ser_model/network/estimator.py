"""Runs the network on rolling windows, or on an utterance as it arrives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from ser_model.errors import SerError
from ser_model.labels import LABELS
from ser_model.network.checksums import WEIGHTS, read_shipped_file
from ser_model.network.graph_check import STATE, input_shapes
from ser_model.network.metadata import ModelMetadata
from ser_model.network.model_files import MODES, ModelFiles
from ser_model.network.model_graph import ModelGraph, check_model_file, check_pair, read_model_file
from ser_model.network.onnx_session import new_session
from ser_model.types import Estimate, Frames

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

DEFAULT_MODEL: Final = "reslstm-sa-h64"
"""Name of the model in the package's folder `weights`."""

SHIPPED: Final = {Path("open"): "reslstm-sa-h64-open"}
"""Other models in that folder, by the word that stands for their path. `open` may be used for any purpose."""

Array = npt.NDArray[np.float32]


class Model:
    """Both graphs of one network.

    It holds no state of an utterance, so any number of streams can share it.
    """

    def __init__(self, window: InferenceSession, stream: InferenceSession, metadata: ModelMetadata) -> None:
        self._window = window
        self._stream = stream
        self.metadata = metadata

    @classmethod
    def load(cls, path: Path | None = None) -> Model:
        """Load the shipped network, or the one at `path`.

        Args:
            path: either file of a pair NAME.window.onnx and NAME.stream.onnx, or NAME without the endings; or a word
                in `SHIPPED`. `None`: the default model.

        Raises:
            SerError: a file is missing, unreadable, damaged, or not made for this program.

        Examples:
            >>> Model.load().name
            'reslstm-sa-h64'
        """
        if path is not None and path not in SHIPPED:
            return cls._start(ModelFiles.named(path), read_model_file)
        name = DEFAULT_MODEL if path is None else SHIPPED[path]
        return cls._start(ModelFiles.named(WEIGHTS / name), read_shipped_file)

    @classmethod
    def _start(cls, pair: ModelFiles, read: Callable[[Path], bytes]) -> Model:
        """Read, check and start both graphs. Each file is read once; what was checked is what runs."""
        window, stream = (check_model_file(file, read(file), mode) for file, mode in zip(pair, MODES, strict=True))
        check_pair(window, stream)
        model = cls(_session(window), _session(stream), window.metadata)
        model._check_graphs(window.path)
        return model

    @property
    def name(self) -> str:
        """Name with the variant, such as `reslstm-sa-h64`."""
        return self.metadata.name

    @property
    def labels(self) -> tuple[str, ...]:
        """The eight labels, in the order of the logits."""
        return self.metadata.labels

    def window(self, frames: Frames) -> Estimate:
        """Run the network on frames of shape (time, 46), time at least 1, from the start state."""
        logits, embedding = self._window.run(("logits", "embedding"), {"frames": frames[None]})
        return Estimate(logits[0], embedding[0])

    def stream(self) -> Stream:
        """Start an utterance."""
        return Stream(self._stream, self.metadata.hidden)

    def _check_graphs(self, path: Path) -> None:
        """Run both graphs once: a graph that loads may fail to run, or may be another network."""
        frames = np.tile(np.array(self.metadata.mean, dtype=np.float32), (5, 1))
        stream = self.stream()
        try:
            whole, running = self.window(frames), stream.push(frames)
        # ONNX Runtime raises a dozen unrelated classes; each means that the file cannot be used.
        except Exception as error:
            reason = (str(error).splitlines() or ["no reason given"])[0][:200]
            raise SerError(f"{path}: its graph can't be run ({reason}); export the model again") from error
        if not all(np.isfinite(part).all() for part in (*whole, *running)):
            raise SerError(f"{path}: its graph answers with numbers that are not finite; export the model again")
        if whole.logits.shape != (len(LABELS),) or not np.allclose(whole.logits, running.logits, atol=1e-3):
            raise SerError(f"{path}: its window and stream graphs disagree; export them again")


class Stream:
    """The network's state in one utterance. The cost of a frame does not grow with the length of the utterance."""

    def __init__(self, session: InferenceSession, hidden: int) -> None:
        self._session = session
        self._outputs = ("logits", "embedding", *(f"next_{name}" for name in STATE))
        self._state = start_state(hidden)

    def push(self, frames: Frames) -> Estimate:
        """Process the next frames, shape (n, 46), n may be 0; return the estimate for all frames so far."""
        logits, embedding, *state = self._session.run(self._outputs, {"frames": frames[None], **self._state})
        self._state = dict(zip(STATE, state, strict=True))
        return Estimate(logits[0], embedding[0])


def start_state(hidden: int, batch: int = 1) -> dict[str, Array]:
    """State inputs of the stream graph at the start of an utterance.

    Args:
        hidden: cells of the second LSTM.
        batch: utterances processed side by side.
    """
    shapes = input_shapes("stream", hidden)
    state = {
        name: np.zeros([batch if size is None else size for size in shapes[name]], dtype=np.float32) for name in STATE
    }
    # Stands for minus infinity, which the graph's arithmetic would turn into NaN.
    state["attention_max"][:] = -1e30
    return state


def _session(graph: ModelGraph) -> InferenceSession:
    try:
        return new_session(graph.content)
    # As in `_check_graphs`.
    except Exception as error:
        raise SerError(f"{graph.path}: is damaged; copy or export it again") from error
