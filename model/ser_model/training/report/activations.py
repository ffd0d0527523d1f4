"""Activations of a network of the run: of every layer for one utterance, and embeddings for many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ser_model.audio.files import read_audio
from ser_model.errors import SerError
from ser_model.features.features import compute_features
from ser_model.training.data.corpus import Recording
from ser_model.training.data.dataset import Dataset
from ser_model.training.data.segmentation import segment_clean
from ser_model.training.folds.jobs import Job
from ser_model.training.folds.run_results import RunResults
from ser_model.training.folds.trainer import evaluated_recordings
from ser_model.training.networks.architecture import ResLstmSa, count_parameters
from ser_model.training.networks.inference import infer
from ser_model.training.scores import Classes, posterior
from ser_model.types import Frames, Samples

_FOLD: Final = 0
"""Fold whose test network is inspected: embeddings of different networks cannot be compared."""

_ROUNDING: Final = 0.05
"""Largest difference between the logits of the run and repeated ones."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Activations:
    """Outputs of every layer for one utterance; each array has a row per frame."""

    features: Floats
    """Normalised features, shape (time, 46)."""
    lstm1: Floats
    """Output of the first LSTM, shape (time, 46)."""
    residual: Floats
    """Sum of that output and its input, shape (time, 46)."""
    lstm2: Floats
    """Output of the second LSTM, shape (time, hidden)."""
    attention: Floats
    """Attention weights of the frames, shape (time,); they sum to 1."""


@torch.no_grad()
def compute_activations(network: ResLstmSa, frames: Frames) -> Activations:
    """Run a network on frames of shape (time, 46), with at least one frame, and record the outputs of its layers."""
    kept: dict[str, tuple[Tensor, Tensor]] = {}

    def keep(name: str) -> Any:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
            kept[name] = (inputs[0][0], output[0][0])

        return hook

    layers = {"lstm1": network.lstm1, "norm1": network.norm1, "lstm2": network.lstm2}
    handles = [layer.register_forward_hook(keep(name)) for name, layer in layers.items()]
    try:
        outcome = network(torch.from_numpy(frames)[None])
    finally:
        for handle in handles:
            handle.remove()
    parts = (kept["lstm1"][0], kept["lstm1"][1], kept["norm1"][0], kept["lstm2"][1], outcome.attention[0])
    return Activations(*(np.asarray(part.numpy(), dtype=np.float64) for part in parts))


@dataclass(frozen=True, slots=True)
class Inspection:
    """Results of one test network for its test actors."""

    parameters: int
    fold: int
    """Counted from 0."""
    recording: Recording
    """Recording of the utterance whose activations are kept."""
    samples: Samples
    """The utterance as the gate cuts it."""
    activations: Activations
    predicted: int
    """Predicted class, an index into `LABELS`."""
    confidence: float
    """Confidence of that class at temperature 1."""
    raw: Floats
    """Mean of each utterance's normalised features, shape (utterances, 46)."""
    embeddings: Floats
    """Shape (utterances, hidden)."""
    truth: Classes
    """Classes, shape (utterances,), as `actors`."""
    actors: Classes
    notes: tuple[str, ...]
    """Remarks for the reader."""


def inspect_network(run: RunResults, dataset: Dataset) -> Inspection:
    """Run the test network of one fold and the first seed on the test actors of the fold.

    Raises:
        SerError: There is no such network, or no speech of these actors.
    """
    job = Job(run.seeds[0], _FOLD, "test")
    network = run.folder.network(job.seed, job.fold)
    index = evaluated_recordings(dataset, job).tolist()
    if not index:
        raise SerError(
            f"{run.folder.path}: the gate finds no utterance of the actors {job.evaluated_speakers} in the recordings"
        )
    frames = [dataset.frames[i][0] for i in index]
    logits, embeddings = (values.astype(np.float64) for values in infer(network, frames))
    probabilities = posterior(logits)
    truth = run.truth[index]
    at = _median_utterance(probabilities, truth)
    recording = dataset.recordings[index[at]]
    samples = segment_clean(read_audio(recording.path)).samples
    mean, std = network.mean.numpy(), network.std.numpy()
    return Inspection(
        parameters=count_parameters(network),
        fold=_FOLD,
        recording=recording,
        samples=samples,
        activations=compute_activations(network, compute_features(samples)),
        predicted=int(probabilities[at].argmax()),
        confidence=float(probabilities[at].max()),
        raw=np.array([((one - mean) / std).mean(axis=0) for one in frames], dtype=np.float64),
        embeddings=embeddings,
        truth=truth,
        actors=run.folder.actors[index],
        notes=_compare(run, job, index, logits),
    )


def _median_utterance(probabilities: Floats, truth: Classes) -> int:
    """Index of the median confidence among the utterances predicted rightly, or among all if there is none."""
    right = np.flatnonzero(probabilities.argmax(axis=1) == truth)
    chosen = right if len(right) else np.arange(len(truth))
    order = chosen[np.argsort(probabilities[chosen].max(axis=1), kind="stable")]
    return int(order[len(order) // 2])


def _compare(run: RunResults, job: Job, index: list[int], logits: Floats) -> tuple[str, ...]:
    """Return a remark if the present gate and features lead to other predictions than those of the run."""
    with np.load(run.folder.path / f"{job.name}.npz") as file:
        stored = dict(zip(file["index"].tolist(), file["logits"], strict=True))
    same = list(stored) == index and bool(np.all(np.abs(np.array([stored[i] for i in index]) - logits) < _ROUNDING))
    if same:
        return ()
    return (
        "The gate or the features have changed since this run was made: the figures are the run's, the pictures of "
        "the network's inside show what it makes of the recordings today.",
    )
