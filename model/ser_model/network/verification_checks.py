"""The checks of a model that need its sessions. Each is a generator of one sentence for every failure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from ser_model.features.features import SIZE, compute_features
from ser_model.network.estimator import Stream, start_state
from ser_model.network.graph_check import STATE
from ser_model.network.metadata import ModelMetadata
from ser_model.network.onnx_session import new_session
from ser_model.types import SAMPLE_RATE, Estimate, Frames

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
class StartedGraph:
    """A graph with its session."""

    path: Path
    content: bytes
    metadata: ModelMetadata
    session: InferenceSession


def check_finite(graph: StartedGraph) -> Iterator[str]:
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


def check_deterministic(graph: StartedGraph) -> Iterator[str]:
    """The same frames give the same bits in any session, and other items of a batch have no influence."""
    frames = _random_frames(graph.metadata, 94, np.random.default_rng(2))
    first, again = _run(graph, frames), _run(graph, frames)
    other = _run(graph, frames, new_session(graph.content))
    if any(not np.array_equal(first[name], one[name]) for name in first for one in (again, other)):
        yield f"{graph.path}: gives different answers to the same frames; export the model again"
    batch = _run(graph, np.stack((frames[::-1], frames)))
    if not _close(batch["logits"][1], first["logits"][0]):
        yield f"{graph.path}: answers differently in a batch of two; export the model again"


def check_agreement(window: StartedGraph, stream: StartedGraph) -> Iterator[str]:
    """The stream graph on pieces, also empty ones, gives what the window graph gives on the whole."""
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


def _run(
    graph: StartedGraph, frames: Frames, session: InferenceSession | None = None
) -> dict[str, npt.NDArray[np.float32]]:
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
