"""The recordings of several corpora as one set, and what is learned from each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from ser_model.labels import LABELS
from ser_model.training.data.corpus_frames import CorpusFrames
from ser_model.training.data.dataset import Counts
from ser_model.training.data.labelled_corpus import LabelledCorpus
from ser_model.training.networks.training_step import ExampleTargets
from ser_model.types import Frames

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_NEUTRAL, _CALM = LABELS.index("neutral"), LABELS.index("calm")


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetConfig:
    """What is learned from a recording."""

    votes: float = 0.0
    """Weight of the listeners' votes in the target, where there are any; the label has the rest."""
    all_classes: bool = False
    """Whether the loss is over all eight classes, also for a corpus that cannot express some of them."""
    ordinary: bool = False
    """Whether ordinary speech is learned, as neutral; otherwise it is only measured."""
    only_measured: tuple[str, ...] = ()
    """Names of corpora that no network learns from."""
    never: tuple[str, ...] = ()
    """Labels that no corpus has, and that the networks never give: they are wrong answers everywhere."""
    teachers: float = 0.0
    """Weight of the teachers' mean posterior in the target; see `ser_model.training.corpora.teachers`."""
    examples: Mapping[str, int] = field(default_factory=dict)
    """Examples of a corpus in an epoch; where it is not named, as many as it has recordings."""


@dataclass(frozen=True)
class RecordingPool:
    """All recordings of several corpora, in the order of the corpora."""

    parts: tuple[CorpusFrames, ...]

    @property
    def corpora(self) -> list[LabelledCorpus]:
        """The corpora."""
        return [part.corpus for part in self.parts]

    @cached_property
    def frames(self) -> list[list[Frames]]:
        """For each recording its versions."""
        return [versions for part in self.parts for versions in part.frames]

    @cached_property
    def corpus(self) -> Rows:
        """Index of the corpus of each recording, shape (recordings,)."""
        return np.repeat(np.arange(len(self.parts)), [len(part.frames) for part in self.parts])

    @cached_property
    def emotions(self) -> Rows:
        """Class of each recording, -1 for ordinary speech, shape (recordings,)."""
        return np.concatenate([part.corpus.emotions for part in self.parts])

    @cached_property
    def utterances(self) -> Rows:
        """Number of utterances that the gate found in each recording, shape (recordings,)."""
        return np.concatenate([part.utterances for part in self.parts])

    @cached_property
    def voiced(self) -> list[Counts]:
        """For each recording the number of voiced samples up to the end of each frame of the clean utterance."""
        return [counts for part in self.parts for counts in part.voiced]

    @cached_property
    def accepted(self) -> Mask:
        """Labels that are right for each recording, shape (recordings, 8).

        Where a corpus has only one of neutral and calm, both are right for it. So they are for ordinary speech.
        """
        return np.concatenate([_accepted(corpus) for corpus in self.corpora])

    @cached_property
    def speakers(self) -> npt.NDArray[np.str_]:
        """Speaker of each recording, shape (recordings,)."""
        return np.array([one.speaker for part in self.parts for one in part.corpus.recordings])

    def learned(self, config: TargetConfig) -> Mask:
        """Recordings that a network may learn from, shape (recordings,)."""
        measured = [at for at, corpus in enumerate(self.corpora) if corpus.name in config.only_measured]
        return np.asarray(((self.emotions >= 0) | config.ordinary) & ~np.isin(self.corpus, measured))

    def targets(self, config: TargetConfig, taught: npt.NDArray[np.float32] | None = None) -> ExampleTargets:
        """Return what is learned from each recording.

        Args:
            config: the settings.
            taught: mean posterior of the teachers, shape (recordings, 8); `None`: there are none.
        """
        parts = [
            _targets(corpus, config, None if taught is None else taught[self.corpus == at])
            for at, corpus in enumerate(self.corpora)
        ]
        probabilities, classes, weights = (torch.from_numpy(np.concatenate(one)) for one in zip(*parts, strict=True))
        return ExampleTargets(probabilities, classes, weights)

    def draws(self, rows: Rows, config: TargetConfig) -> tuple[tuple[Rows, int], ...]:
        """Divide the recordings that a network learns from by corpus, each with its examples in an epoch."""
        groups = [(corpus.name, rows[self.corpus[rows] == at]) for at, corpus in enumerate(self.corpora)]
        return tuple((own, config.examples.get(name, len(own))) for name, own in groups if len(own))


def _targets(
    corpus: LabelledCorpus, config: TargetConfig, taught: npt.NDArray[np.float32] | None
) -> tuple[npt.NDArray[np.float32], Mask, npt.NDArray[np.float32]]:
    """Probabilities, classes and weights of the recordings of a corpus."""
    emotions = np.where(corpus.emotions < 0, _NEUTRAL, corpus.emotions)
    never = np.isin(LABELS, config.never)
    classes = np.tile(corpus.expressible | never, (len(emotions), 1))
    # Ordinary speech is no emotion, but nobody said whether it is calm.
    classes[corpus.emotions < 0] = np.arange(len(LABELS)) != _CALM
    if config.all_classes:
        classes[:] = True
    probabilities = np.eye(len(LABELS), dtype=np.float32)[emotions]
    for row, one in enumerate(corpus.recordings):
        heard = one.soft_target
        if heard is not None and config.votes and (heard * classes[row]).sum() > 0:
            heard = heard * classes[row] / (heard * classes[row]).sum()
            probabilities[row] = (1 - config.votes) * probabilities[row] + config.votes * heard
    weights = _weights(emotions)
    probabilities = _balanced(probabilities, weights)
    if taught is not None:
        probabilities = _taught(probabilities, np.where(classes, taught, 0), weights, config.teachers)
    return probabilities, classes, weights


def _taught(
    probabilities: npt.NDArray[np.float32],
    posterior: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32],
    share: float,
) -> npt.NDArray[np.float32]:
    """Mix targets with the teachers' posterior over the classes of the corpus, where there is one."""
    heard = posterior.sum(axis=1) > 0
    mixed = probabilities.copy()
    if heard.any():
        posterior = posterior[heard] / posterior[heard].sum(axis=1, keepdims=True)
        mixed[heard] = (1 - share) * probabilities[heard] + share * _balanced(posterior, weights[heard])
    return mixed


def _balanced(probabilities: npt.NDArray[np.float32], weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Divide targets by the share that each label has of all, as UAR counts every label the same.

    Listeners vote for neutral where they are in doubt. Otherwise it would become the answer to all that is new.
    """
    share = (probabilities * weights[:, None]).mean(axis=0)
    balanced = probabilities / np.where(share > 0, share, 1)
    return np.asarray(balanced / balanced.sum(axis=1, keepdims=True), dtype=np.float32)


def _accepted(corpus: LabelledCorpus) -> Mask:
    accepted = np.eye(len(LABELS), dtype=np.bool_)[np.where(corpus.emotions < 0, _NEUTRAL, corpus.emotions)]
    if corpus.expressible[_NEUTRAL] and corpus.expressible[_CALM]:
        accepted[corpus.emotions < 0, _CALM] = True
    else:
        accepted[accepted[:, _NEUTRAL] | accepted[:, _CALM]] |= np.isin(np.arange(len(LABELS)), (_NEUTRAL, _CALM))
    return accepted


def _weights(emotions: Sequence[int] | Rows) -> npt.NDArray[np.float32]:
    """Weights that are inverse to the number of recordings of the same class, with the mean 1."""
    counts = np.bincount(emotions, minlength=len(LABELS))
    return (len(emotions) / np.count_nonzero(counts) / counts[emotions]).astype(np.float32)
