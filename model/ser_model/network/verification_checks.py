"""The checks of a model file. Each is a generator of one sentence for every failure."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from ser_model.features.features import SIZE, compute_features
from ser_model.labels import LABELS
from ser_model.network.estimator import STATE, Estimate, Stream, start_state
from ser_model.network.metadata import ModelMetadata
from ser_model.network.onnx_file import OnnxFile
from ser_model.network.onnx_session import new_session
from ser_model.types import SAMPLE_RATE, Frames

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

TOLERANCE: Final = 1e-4
"""Largest difference between window and stream, relative to the largest output where that is above 1."""

_LENGTHS: Final = (1, 2, 3, 7, 23, 46, 94, 188, 700)
"""Lengths in frames, up to half a minute: a graph may have kept the length that it was traced with."""

_OUTPUTS: Final = {
    "window": ("logits", "embedding", "attention"),
    "stream": ("logits", "embedding", *(f"next_{name}" for name in STATE)),
}


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph that loads, with its file."""

    path: Path
    content: bytes
    session: InferenceSession
    outline: OnnxFile
    metadata: ModelMetadata

    @property
    def sha256(self) -> str:
        """Digest of the file, in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()


def count_parameters(hidden: int) -> int:
    """Trainable parameters of a ResLSTM-SA with `hidden` cells in its second LSTM (arXiv 2606.03359, section 3)."""
    lstm1 = 4 * SIZE * (2 * SIZE + 2)
    lstm2 = 4 * hidden * (SIZE + hidden + 2)
    norms, query, classifier = 2 * SIZE + 2 * hidden, hidden, (hidden + 1) * len(LABELS)
    return lstm1 + lstm2 + norms + query + classifier


def check_metadata(graph: Graph) -> Iterator[str]:
    """The metadata are consistent."""
    metadata, path = graph.metadata, graph.path
    for name, values in (("mean", metadata.mean), ("std", metadata.std)):
        if len(values) != SIZE or not all(isinstance(value, float) and math.isfinite(value) for value in values):
            yield f"{path}: expected {SIZE} finite numbers as {name} of the features, found others; export it again"
    if any(isinstance(value, float) and value <= 0 for value in metadata.std):
        yield f"{path}: a standard deviation of the features is not above 0; export the model again"
    if metadata.variant != f"h{metadata.hidden}":
        yield f"{path}: is called variant {metadata.variant}, but has {metadata.hidden} cells; export the model again"
    if not metadata.training_data or not metadata.licence:
        yield f"{path}: doesn't say what it was trained on and under which licence; export the model again"


def check_interface(graph: Graph) -> Iterator[str]:
    """Operators, inputs, outputs and the number of weights are those of this network."""
    foreign = sorted(domain for domain in graph.outline.opsets if domain not in ("", "ai.onnx"))
    if foreign:
        yield f"{graph.path}: needs operators of {', '.join(foreign)}; expected none but ONNX' own"
    inputs = {node.name: node.shape for node in graph.session.get_inputs()}
    outputs = {node.name: node.shape for node in graph.session.get_outputs()}
    wanted = ("frames", *STATE) if graph.metadata.mode == "stream" else ("frames",)
    for kind, found, names in (("inputs", inputs, wanted), ("outputs", outputs, _OUTPUTS[graph.metadata.mode])):
        if set(found) != set(names):
            yield f"{graph.path}: expected the {kind} {', '.join(names)}, found {', '.join(found)}"
    shape = inputs.get("frames", [])
    if len(shape) != 3 or shape[2] != SIZE or any(isinstance(size, int) for size in shape[:2]):
        yield f"{graph.path}: expected frames of shape (any, any, {SIZE}), found {tuple(shape)}; export it again"
    # The normalisation is stored too, and exporters fold some constants.
    parameters = count_parameters(graph.metadata.hidden)
    if not parameters <= graph.outline.numbers <= parameters + 8 * (SIZE + graph.metadata.hidden):
        yield (
            f"{graph.path}: holds {graph.outline.numbers} numbers, expected the {parameters} parameters of "
            f"{graph.metadata.name} and what normalises; is it another network?"
        )


def check_finite(graph: Graph) -> Iterator[str]:
    """All outputs are finite for any input, and attention sums to 1."""
    rng = np.random.default_rng(0)
    second = SAMPLE_RATE
    sounds = {
        "digital silence": np.zeros(second, dtype=np.int16),
        "full-scale noise": rng.choice(np.array([-32768, 32767], dtype=np.int16), second),
        "a single click": np.eye(1, second, 8000, dtype=np.int16)[0] * np.int16(32767),
    }
    inputs = {name: compute_features(samples) for name, samples in sounds.items()}
    for value in (0.0, 1e30, -1e30):
        inputs[f"features of {value:g}"] = np.full((46, SIZE), value, dtype=np.float32)
    for name, frames in inputs.items():
        outputs = _run(graph, frames)
        if not all(np.isfinite(output).all() for output in outputs.values()):
            yield f"{graph.path}: answers {name} with numbers that are not finite; export the model again"
        elif "attention" in outputs and not np.allclose(outputs["attention"].sum(), 1, atol=1e-4):
            yield f"{graph.path}: its attention to {name} doesn't sum to 1; export the model again"


def check_deterministic(graph: Graph) -> Iterator[str]:
    """The same frames give the same bits in any session, and other items of a batch have no influence."""
    frames = _random_frames(graph.metadata, 94, np.random.default_rng(2))
    first, again = _run(graph, frames), _run(graph, frames)
    other = _run(graph, frames, new_session(graph.content))
    if any(not np.array_equal(first[name], one[name]) for name in first for one in (again, other)):
        yield f"{graph.path}: gives different answers to the same frames; export the model again"
    batch = _run(graph, np.stack((frames[::-1], frames)))
    if not _close(batch["logits"][1], first["logits"][0]):
        yield f"{graph.path}: answers differently in a batch of two; export the model again"


def check_agreement(window: Graph, stream: Graph) -> Iterator[str]:
    """The stream graph on pieces, also empty ones, gives what the window graph gives on the whole."""
    if (window.metadata.variant, window.metadata.mean) != (stream.metadata.variant, stream.metadata.mean):
        yield f"{window.path} and {stream.path.name} describe different networks; export them again, together"
        return
    rng = np.random.default_rng(1)
    for length in _LENGTHS:
        frames = _random_frames(window.metadata, length, rng)
        logits, embedding = window.session.run(("logits", "embedding"), {"frames": frames[None]})
        running = Stream(stream.session, stream.metadata.hidden)
        cuts = np.sort([0, *rng.integers(0, length + 1, 3), length])
        estimates: list[Estimate] = [running.push(piece) for piece in np.split(frames, cuts)]
        if not _close(estimates[-1].logits, logits[0]) or not _close(estimates[-1].embedding, embedding[0]):
            worst = float(np.abs(estimates[-1].logits - logits[0]).max())
            yield (
                f"{window.path} and {stream.path.name} disagree on {length} frames by {worst:.2g} in the logits; "
                "one of them was changed: export them again, together"
            )
            return


def _random_frames(metadata: ModelMetadata, length: int, rng: np.random.Generator) -> Frames:
    """Frames of shape (length, 46), with mean and deviation of the training data."""
    noise = rng.standard_normal((length, SIZE))
    return (np.array(metadata.mean) + np.array(metadata.std) * noise).astype(np.float32)


def _run(graph: Graph, frames: Frames, session: InferenceSession | None = None) -> dict[str, npt.NDArray[np.float32]]:
    """All outputs for frames of shape ([batch,] time, 46), from the start state."""
    frames = frames if frames.ndim == 3 else frames[None]
    inputs = {"frames": frames}
    if graph.metadata.mode == "stream":
        inputs |= start_state(graph.metadata.hidden, len(frames))
    names = _OUTPUTS[graph.metadata.mode]
    return dict(zip(names, (session or graph.session).run(names, inputs), strict=True))


def _close(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> bool:
    scale = max(1.0, float(np.abs(other).max()))
    return one.shape == other.shape and bool(np.abs(one - other).max() <= TOLERANCE * scale)
