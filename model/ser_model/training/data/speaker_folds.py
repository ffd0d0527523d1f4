"""Division of the speakers of a corpus into folds with similar shares of each class and sex."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from ser_model.errors import SerError
from ser_model.labels import LABELS
from ser_model.training.data.labelled_corpus import LabelledCorpus

Folds = tuple[frozenset[str], ...]
"""For each fold its speakers; every speaker is in exactly one."""


def divide_speakers(corpus: LabelledCorpus, count: int = 5, seed: int = 0, *, alone: bool = True) -> Folds:
    """Divide the speakers into folds, or return the folds that the corpus itself names.

    The speakers with most recordings are placed first, each into the fold where the shares of the classes and sexes
    become least uneven. Speakers with equally many come in an order that depends on `seed`.

    Args:
        corpus: the recordings.
        count: number of folds.
        seed: seed of the order.
        alone: whether a training uses this corpus alone, so that every fold needs speakers, and every training all
            classes. Otherwise a corpus of one speaker will do: its other folds are empty.

    Raises:
        SerError: There are fewer speakers than folds, or only the speakers of one fold speak a class, so that the
            training for that fold would lack it.
    """
    speakers = corpus.speakers
    if corpus.recordings[0].fold is not None:
        folds = _given_folds(corpus)
        if len(folds) < 2 and alone:
            raise SerError(f"{corpus.root}: its index names one fold only; expected at least two")
    elif len(speakers) < count and alone:
        raise SerError(f"{corpus.root}: has {len(speakers)} speakers, expected at least one for each of {count} folds")
    else:
        folds = _balanced_folds(corpus, count, seed)
    if alone:
        _check_classes(corpus, folds)
    return folds


def _given_folds(corpus: LabelledCorpus) -> Folds:
    members: dict[int, set[str]] = defaultdict(set)
    for one in corpus.recordings:
        if one.fold is not None:
            members[one.fold].add(one.speaker)
    return tuple(frozenset(members[fold]) for fold in sorted(members))


def _balanced_folds(corpus: LabelledCorpus, count: int, seed: int) -> Folds:
    profiles: dict[str, Counter[str]] = defaultdict(Counter)
    for one in corpus.recordings:
        # Both sums count: that of each class, and that of all recordings of a sex.
        profiles[one.speaker].update([f"class {one.emotion}", f"sex {one.sex}"])
    total = sum(profiles.values(), Counter[str]())
    names = sorted(total)
    shares = {
        speaker: np.array([profile[name] / total[name] for name in names]) for speaker, profile in profiles.items()
    }
    order = [corpus.speakers[at] for at in np.random.default_rng(seed).permutation(len(corpus.speakers))]
    order.sort(key=lambda speaker: -profiles[speaker].total())
    sums = np.zeros((count, len(names)))
    members: list[set[str]] = [set() for _ in range(count)]
    for speaker in order:
        share = shares[speaker]
        growth = np.square(sums + share).sum(axis=1) - np.square(sums).sum(axis=1)
        # The least crowded of equally good folds, so that no fold stays empty.
        fold = min(range(count), key=lambda at: (round(float(growth[at]), 9), len(members[at]), at))
        sums[fold] += share
        members[fold].add(speaker)
    return tuple(frozenset(one) for one in members)


def _check_classes(corpus: LabelledCorpus, folds: Folds) -> None:
    for emotion in np.flatnonzero(corpus.expressible):
        speakers = {one.speaker for one in corpus.recordings if one.emotion == emotion}
        for number, members in enumerate(folds, start=1):
            if speakers <= members:
                raise SerError(
                    f"{corpus.root}: only speakers of fold {number} are {LABELS[emotion]}, so the training for that "
                    "fold has an empty class; leave the class out, or add speakers"
                )
