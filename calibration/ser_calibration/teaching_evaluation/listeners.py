"""What networks hear of speakers who are held out from them, with everything that teaching needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from rich.progress import track

from ser_calibration.cross_corpus.answers import Evidence
from ser_calibration.cross_corpus.fitting import StrangerCalibration, fit
from ser_calibration.evaluation.adaptation import unexported_metadata
from ser_calibration.evaluation.ood import fit_scorer
from ser_model.adaptation.taught_head import TaughtExample, TaughtHead, TeachingStrength, fit_head
from ser_model.errors import SerError
from ser_model.features.features import SIZE
from ser_model.labels import LABELS
from ser_model.network.metadata import ModelMetadata
from ser_model.scoring.activation import ActivationParameters
from ser_model.scoring.logit_bias import fit_class_mean_logits
from ser_model.training.corpora.corpora_run import CorporaRun
from ser_model.training.corpora.held_out import HeldOut, corpus_networks, divide_all, fold_networks, load_network
from ser_model.training.corpora.recording_pool import RecordingPool
from ser_model.training.cross_corpus_file import CROSS_CORPUS_FILE, read_cross_corpus
from ser_model.training.folds.predictions import Predictions, predict_recordings
from ser_model.training.networks.architecture import ResLstmSa
from ser_model.training.networks.inference import infer
from ser_model.training.scores import Classes, Logits
from ser_model.types import Frames

_KNOWN: Final = 3_000
"""Recordings, drawn at random, that the whitening of a network is fitted on, as in `cross_corpus.noise`."""

Changed = Mapping[str, Mapping[int, Frames]]
"""By the name of a condition, the frames of some recordings in it, by their index in the pool."""


@dataclass(frozen=True, eq=False)
class Heard:
    """Answers of a network for some utterances; `owner` is their row in the `Listener`."""

    owner: Classes
    logits: Logits
    embeddings: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Listener:
    """The answers of one network for the speakers of one corpus whom it never heard."""

    group: str
    """Name of the corpus; with `, heard` where the network heard its other speakers."""
    seed: int
    pool: RecordingPool
    own: Predictions
    """For whole utterances, with the biases of `calibration`."""
    calibration: StrangerCalibration
    """Bias and temperature are fitted without the corpus, where the network never heard it. The thresholds are the
    model's."""
    whitening: tuple[tuple[float, ...], ...]
    metadata: ModelMetadata
    versions: Heard
    """For the augmented versions of the same recordings."""
    changed: Mapping[str, Heard] = field(default_factory=dict)
    """For some of the recordings in an acoustic condition, by its name."""
    strength: TeachingStrength = field(default_factory=TeachingStrength)

    def with_strength(self, strength: TeachingStrength) -> Listener:
        """Return the same answers for other settings of the head."""
        return replace(self, strength=strength)

    @cached_property
    def truth(self) -> Classes:
        """Class of each utterance, shape (n,)."""
        return self.pool.emotions[self.own.owner]

    @cached_property
    def speakers(self) -> npt.NDArray[np.str_]:
        """Speaker of each utterance, shape (n,)."""
        return self.pool.speakers[self.own.owner]

    @cached_property
    def names(self) -> list[str]:
        """Name of each recording."""
        every = [one.name for corpus in self.pool.corpora for one in corpus.recordings]
        return [every[at] for at in self.own.owner.tolist()]

    @property
    def spoken(self) -> Heard:
        """The utterances as they were recorded."""
        return Heard(np.arange(len(self.truth)), self.own.logits, self.own.embeddings)

    def teach(self, rows: Classes, labels: Classes) -> TaughtHead | None:
        """Fit a head as `ser-calibrate teach` does, to utterances as they were recorded.

        Args:
            rows: of the examples.
            labels: their labels, as the speaker gives them.
        """
        pairs = zip(rows.tolist(), labels.tolist(), strict=True)
        return self.fit([example(self.spoken, row, label) for row, label in pairs])

    def fit(self, examples: Sequence[TaughtExample]) -> TaughtHead | None:
        """Fit a head to examples as the daemon does."""
        return fit_head(examples, self.calibration.temperature.long, self.strength, whitening=self.whitening)


def example(heard: Heard, row: int, label: int, wrong: int | None = None) -> TaughtExample:
    """Return an utterance with its label; `wrong` is the answer that the speaker corrects, where there was one."""
    logits, embedding = (values[row].astype(np.float64) for values in (heard.logits, heard.embeddings))
    return TaughtExample(LABELS[label], logits, embedding, "" if wrong is None else LABELS[wrong])


@dataclass(frozen=True, eq=False)
class _Network:
    """A network, and what its model file would hold."""

    seed: int
    network: ResLstmSa
    whitening: tuple[tuple[float, ...], ...]


def apply_head(head: TaughtHead | None, heard: Heard, rows: Classes) -> Logits:
    """Return the taught logits of some utterances, shape (n, 8)."""
    if head is None:
        return heard.logits[rows]
    return np.stack([head.apply(heard.logits[row], heard.embeddings[row]) for row in rows.tolist()])


def hear(run: CorporaRun, pool: RecordingPool, seeds: Sequence[int], changed: Changed) -> Iterator[Listener]:
    """Let the networks of some seeds answer for who is held out from them: whole corpora, then folds of speakers.

    Args:
        run: the run.
        pool: its recordings.
        seeds: whose networks answer; folds only where they are trained.
        changed: frames in acoustic conditions.

    Raises:
        SerError: a network is not trained, or the file of `ser-calibrate cross-corpus` is damaged.
    """
    thresholds = _read_thresholds(run)
    names = [corpus.name for corpus in pool.corpora]
    jobs = corpus_networks(seeds, pool.corpora)
    abroad = [_predict(run, pool, one) for one in track(jobs, "who never heard a corpus")]
    whole = Predictions.join([predictions for _, predictions in abroad])
    measured = run.targets.only_measured
    for one, (network, own) in zip(jobs, abroad, strict=True):
        at = names.index(str(one.corpus))
        if np.any(pool.emotions[own.owner] >= 0):
            fitted = replace(fit([Evidence.of(pool, whole, (*measured, names[at]))]), **thresholds)
            others = whole.where(pool.corpus[whole.owner] != at)
            heard = _Network(one.seed, network, _whitening(run, pool, one, network))
            yield _listener(pool, heard, names[at], own, fitted, others, changed)
    everything = replace(fit([Evidence.of(pool, whole, measured)]), **thresholds)
    for one in fold_networks(seeds):
        if not (run.output / f"{one.name}.pt").exists():
            continue
        network, own = _predict(run, pool, one)
        heard = _Network(one.seed, network, _whitening(run, pool, one, network))
        for at in np.unique(pool.corpus[own.owner[pool.emotions[own.owner] >= 0]]).tolist():
            mine = own.where(pool.corpus[own.owner] == at)
            yield _listener(pool, heard, f"{names[at]}, heard", mine, everything, whole, {})


def _read_thresholds(run: CorporaRun) -> dict[str, Any]:
    """Those of the model, where `ser-calibrate cross-corpus` has chosen them: one number each, on all corpora."""
    content = read_cross_corpus(run.output)
    if content is None:
        return {}
    try:
        fitted = content["fitted"]
        activation = ActivationParameters.from_mapping(fitted["activation"])
        return {"unknown_below": float(fitted["unknown_below"]), "activation": activation}
    except (KeyError, TypeError, ValueError) as error:
        raise SerError(
            f"{run.output / CROSS_CORPUS_FILE}: is damaged ({error!r}); run `ser-calibrate cross-corpus` again"
        ) from error


def _predict(run: CorporaRun, pool: RecordingPool, one: HeldOut) -> tuple[ResLstmSa, Predictions]:
    network = load_network(run.output, one, run.config.variant)
    index = np.flatnonzero(one.rows(pool, divide_all(pool.corpora)))
    return network, predict_recordings(network, pool, index)


def _listener(
    pool: RecordingPool,
    heard: _Network,
    group: str,
    predictions: Predictions,
    fitted: StrangerCalibration,
    others: Predictions,
    changed: Changed,
) -> Listener:
    own = predictions.where(pool.emotions[predictions.owner] >= 0).shifted(fitted.bias)
    means = fit_class_mean_logits(others.shifted(fitted.bias).logits)
    table = tuple(map(tuple, means.tolist()))
    rows = {index: row for row, index in enumerate(own.owner.tolist())}
    spoken = [(row, frames) for index, row in rows.items() for frames in pool.frames[index][1:]]
    parts = {
        name: [(rows[index], frames) for index, frames in frames_of.items() if index in rows]
        for name, frames_of in changed.items()
    }
    return Listener(
        group,
        heard.seed,
        pool,
        own,
        fitted,
        heard.whitening,
        unexported_metadata(table, (0.0,) * SIZE, (1.0,) * SIZE),
        _infer(heard.network, spoken, fitted.bias),
        {name: _infer(heard.network, part, fitted.bias) for name, part in parts.items() if part},
    )


def _infer(network: ResLstmSa, spoken: Sequence[tuple[int, Frames]], bias: npt.NDArray[np.float64]) -> Heard:
    logits, embeddings = infer(network, [frames for _, frames in spoken])
    owner = np.array([row for row, _ in spoken], dtype=np.int64)
    return Heard(owner, (logits + bias).astype(np.float32), embeddings)


def _whitening(run: CorporaRun, pool: RecordingPool, one: HeldOut, network: ResLstmSa) -> tuple[tuple[float, ...], ...]:
    """Whitening by speech that the network learned from, as the model file holds it."""
    learned = pool.learned(run.targets) & ~one.rows(pool, divide_all(pool.corpora))
    some = np.sort(np.random.default_rng(0).permutation(np.flatnonzero(learned))[:_KNOWN])
    known = predict_recordings(network, pool, some)
    return fit_scorer("mahalanobis", known, np.maximum(pool.emotions, 0), 0.0, 0.0).parameters.whitening
