"""What goes on inside a trained network: one utterance on its way through it, and the space it puts utterances in."""

from __future__ import annotations

from collections.abc import Sequence
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
from ser_model.training.networks.architecture import ResLstmSa, count_parameters
from ser_model.training.networks.inference import pad
from ser_model.training.scores import Classes, posterior
from ser_model.types import Frames, Samples

_FOLD: Final = 0
"""Whose test actors are looked at: the embeddings of different folds' networks cannot be compared."""

_ROUNDING: Final = 0.05
"""Largest difference between the logits of the run and today's."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trace:
    """What every layer says to one utterance; each array has a row a frame."""

    features: Floats
    """Normalised features, shape (time, 46)."""
    lstm1: Floats
    """Output of the first LSTM, shape (time, 46)."""
    residual: Floats
    """That plus its input, shape (time, 46)."""
    lstm2: Floats
    """Output of the second LSTM, shape (time, hidden)."""
    attention: Floats
    """Weights of the frames in the answer, shape (time,); they sum to 1."""


@torch.no_grad()
def trace(network: ResLstmSa, frames: Frames) -> Trace:
    """Send frames of shape (time, 46), time at least 1, through a network and keep what its layers give."""
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
    return Trace(*(np.asarray(part.numpy(), dtype=np.float64) for part in parts))


@torch.no_grad()
def embed(network: ResLstmSa, sequences: Sequence[Frames]) -> tuple[Floats, Floats]:
    """Logits (utterances, 8) and embeddings (utterances, hidden) of whole utterances, at least one."""
    outcomes = [network(*pad(sequences[at : at + 64])) for at in range(0, len(sequences), 64)]
    logits = torch.cat([outcome.logits for outcome in outcomes]).numpy()
    return logits.astype(np.float64), torch.cat([o.embedding for o in outcomes]).numpy().astype(np.float64)


@dataclass(frozen=True, slots=True)
class View:
    """What one of the run's networks makes of speakers that it has not heard."""

    parameters: int
    fold: int
    """Counted from 0."""
    recording: Recording
    """The utterance that is followed through the network."""
    samples: Samples
    """Of it, as the gate cuts it."""
    flow: Trace
    answer: int
    """Index into `LABELS`."""
    confidence: float
    """Of that answer, at temperature 1."""
    raw: Floats
    """Mean of each utterance's normalised features, shape (utterances, 46)."""
    embeddings: Floats
    """Shape (utterances, hidden)."""
    truth: Classes
    """Shape (utterances,), as `actors`."""
    actors: Classes
    notes: tuple[str, ...]
    """What a reader should know about them."""


def look(run: RunResults, dataset: Dataset) -> View:
    """Let the test network of one fold, first seed, answer for the test actors of the fold.

    Raises:
        SerError: there is no such network, or no speech for it.
    """
    job = Job(run.seeds[0], _FOLD, "test")
    network = run.folder.network(job.seed, job.fold)
    heard = dataset.utterances == 1
    index = [i for i, row in enumerate(dataset.recordings) if heard[i] and row.actor in job.evaluated_speakers]
    if not index:
        raise SerError(
            f"{run.folder.path}: the gate finds no utterance of the actors {job.evaluated_speakers} in the recordings"
        )
    frames = [dataset.frames[i][0] for i in index]
    logits, embeddings = embed(network, frames)
    probabilities = posterior(logits)
    truth = run.truth[index]
    at = _typical(probabilities, truth)
    recording = dataset.recordings[index[at]]
    samples = segment_clean(read_audio(recording.path)).samples
    mean, std = network.mean.numpy(), network.std.numpy()
    return View(
        parameters=count_parameters(network),
        fold=_FOLD,
        recording=recording,
        samples=samples,
        flow=trace(network, compute_features(samples)),
        answer=int(probabilities[at].argmax()),
        confidence=float(probabilities[at].max()),
        raw=np.array([((one - mean) / std).mean(axis=0) for one in frames], dtype=np.float64),
        embeddings=embeddings,
        truth=truth,
        actors=run.folder.actors[index],
        notes=_compare(run, job, index, logits),
    )


def _typical(probabilities: Floats, truth: Classes) -> int:
    """Of the utterances answered rightly (of all, where none is) the one with the median confidence."""
    right = np.flatnonzero(probabilities.argmax(axis=1) == truth)
    chosen = right if len(right) else np.arange(len(truth))
    order = chosen[np.argsort(probabilities[chosen].max(axis=1), kind="stable")]
    return int(order[len(order) // 2])


def _compare(run: RunResults, job: Job, index: list[int], logits: Floats) -> tuple[str, ...]:
    """A remark where today's gate and features lead to other answers than the run's."""
    with np.load(run.folder.path / f"{job.name}.npz") as file:
        then = dict(zip(file["index"].tolist(), file["logits"], strict=True))
    same = list(then) == index and bool(np.all(np.abs(np.array([then[i] for i in index]) - logits) < _ROUNDING))
    if same:
        return ()
    return (
        "The gate or the features have changed since this run was made: the figures are the run's, the pictures of "
        "the network's inside show what it makes of the recordings today.",
    )
