"""The network in ONNX Runtime: rolling windows, and a running state over a whole utterance."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ser_model.console import uninterrupted
from ser_model.errors import SerError
from ser_model.features.features import SIZE
from ser_model.labels import LABELS
from ser_model.network.metadata import MODES, ModelMetadata
from ser_model.types import Frames

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

DEFAULT_MODEL: Final = "reslstm-sa-h64"
"""Shipped inside the package as DEFAULT_MODEL.window.onnx and DEFAULT_MODEL.stream.onnx."""

STATE: Final = ("h1", "c1", "h2", "c2", "attention_max", "attention_sum", "attention_weighted")
"""Names of the stream graph's state inputs; its outputs are called the same with `next_` before them."""

Array = npt.NDArray[np.float32]


class Estimate(NamedTuple):
    """What the network says about one utterance or window."""

    logits: Array
    """Shape (8,), in the order of `LABELS`."""
    embedding: Array
    """Shape (hidden,)."""


def new_session(model: bytes) -> InferenceSession:
    """An ONNX Runtime session on one thread that never spins (a spinning pool eats whole cores)."""
    with uninterrupted():
        import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class Model:
    """Both graphs of one network; holds no state of an utterance, so that any number of streams can share it."""

    def __init__(self, window: InferenceSession, stream: InferenceSession, metadata: ModelMetadata) -> None:
        self._window = window
        self._stream = stream
        self.metadata = metadata

    @classmethod
    def load(cls, path: Path | None = None) -> Model:
        """Load the shipped network, or the one at `path`.

        Args:
            path: either file of a pair NAME.window.onnx and NAME.stream.onnx, or their common beginning.

        Raises:
            SerError: a file is missing, unreadable, damaged, or made for something else.
        """
        if path is None:
            with as_file(files("ser_model").joinpath("weights")) as folder:
                return cls.load(folder / DEFAULT_MODEL)
        stem = path.name
        if stem in ("", ".."):
            raise SerError(
                f'"{path}" names no model; expected either file of a pair NAME.window.onnx, NAME.stream.onnx'
            )
        for mode in MODES:
            stem = stem.removesuffix(f".{mode}.onnx")
        sessions, metadata = [], []
        for mode in MODES:
            file = path.with_name(f"{stem}.{mode}.onnx")
            session = _open(file)
            sessions.append(session)
            metadata.append(ModelMetadata.from_properties(session.get_modelmeta().custom_metadata_map, file, mode))
        if (metadata[0].variant, metadata[0].mean) != (metadata[1].variant, metadata[1].mean):
            raise SerError(f"{path}: its window and stream graphs come from different networks; export them again")
        model = cls(sessions[0], sessions[1], metadata[0])
        model._try_out(path)
        return model

    @property
    def name(self) -> str:
        """Such as `reslstm-sa-h64`."""
        return self.metadata.name

    @property
    def labels(self) -> tuple[str, ...]:
        """The eight labels, in the order of the logits."""
        return self.metadata.labels

    def window(self, frames: Frames) -> Estimate:
        """Judge frames of shape (time, 46), time at least 1, from nothing."""
        logits, embedding = self._window.run(("logits", "embedding"), {"frames": frames[None]})
        return Estimate(logits[0], embedding[0])

    def stream(self) -> Stream:
        """Begin an utterance."""
        return Stream(self._stream, self.metadata.hidden)

    def _try_out(self, path: Path) -> None:
        """A graph that loads may still not run, or not be a network of this kind."""
        frames = np.tile(np.array(self.metadata.mean, dtype=np.float32), (5, 1))
        stream = self.stream()
        try:
            whole, running = self.window(frames), stream.push(frames)
        # As in `_open`: whatever goes wrong in the runtime, the file is of no use.
        except Exception as error:
            reason = str(error).splitlines()[0]
            raise SerError(f"{path}: its graph can't be run ({reason}); export the model again") from error
        if whole.logits.shape != (len(LABELS),) or not np.allclose(whole.logits, running.logits, atol=1e-3):
            raise SerError(f"{path}: its window and stream graphs disagree; export them again")


class Stream:
    """The running state of one utterance; its cost per frame doesn't grow."""

    def __init__(self, session: InferenceSession, hidden: int) -> None:
        self._session = session
        self._outputs = ("logits", "embedding", *(f"next_{name}" for name in STATE))
        shapes = {"h1": (1, 1, SIZE), "c1": (1, 1, SIZE), "h2": (1, 1, hidden), "c2": (1, 1, hidden)}
        self._state: dict[str, Array] = {
            name: np.zeros(shapes.get(name, (1, hidden if name == "attention_weighted" else 1)), dtype=np.float32)
            for name in STATE
        }
        self._state["attention_max"][:] = -1e30

    def push(self, frames: Frames) -> Estimate:
        """Take the next frames, shape (n, 46), n may be 0; judge everything so far."""
        logits, embedding, *state = self._session.run(self._outputs, {"frames": frames[None], **self._state})
        self._state = dict(zip(STATE, state, strict=True))
        return Estimate(logits[0], embedding[0])


def _open(path: Path) -> InferenceSession:
    try:
        content = path.read_bytes()
    except OSError as error:
        expected = "expected a pair NAME.window.onnx and NAME.stream.onnx"
        raise SerError(f"{path}: can't read the model file ({error.strerror}); {expected}") from error
    try:
        return new_session(content)
    # ONNX Runtime raises a dozen unrelated classes for what is, to the user, one thing: not a usable file.
    except Exception as error:
        raise SerError(f"{path}: is damaged or not an ONNX model; copy or export it again") from error
