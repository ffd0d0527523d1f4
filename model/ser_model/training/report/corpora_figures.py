"""What was measured on a run on several corpora, read from the JSON files in its folder."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import numpy as np
import numpy.typing as npt

from ser_model.errors import SerError
from ser_model.labels import LABELS
from ser_model.training.corpora.corpora_run import is_corpus_name, reopen_run
from ser_model.training.cross_corpus_file import CROSS_CORPUS_FILE
from ser_model.training.files import read_json

_CROSS_CORPUS: Final = "cross_corpus.json"
_FOLDS: Final = "folds.json"
_ROBUSTNESS: Final = "robustness.json"

_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Speakers of one sex or age."""

    title: str
    speakers: int
    uar: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Acted:
    """Figures of the recordings of a corpus that have an emotion; means over seeds."""

    uar: float
    """Over the classes that the corpus has."""
    std: float
    """Standard deviation of `uar` over seeds."""
    chance: float
    labelled: float
    """Share of the recordings that get a label."""
    precision: float | None
    """Share of right labels; `None`: no label was given."""
    arousal: float | None
    """Share of the pairs of high and low arousal that the scores put in this order."""
    said: float | None
    """Share of the recordings for which a level of activation is said; `None`: not measured."""
    right: float | None
    """Share of right levels."""
    confusion: npt.NDArray[np.int64]
    """Recordings by emotion and answer, shape (8, 9); the last column is `missed`."""
    groups: tuple[Group, ...]

    @classmethod
    def read(cls, row: dict[str, Any]) -> Self:
        """Take the figures from what `world_metrics.measure` returned."""
        confusion = np.array(row["confusion"], dtype=np.int64)
        if confusion.shape != (len(LABELS), len(LABELS) + 1):
            raise ValueError(f"confusion has the shape {confusion.shape}")
        level = row.get("activation", {"said": None, "right": None})
        groups = (
            Group(title=str(one["title"]), speakers=int(one["speakers"]), uar=_finite(one["uar"]))
            for one in row["groups"]
        )
        return cls(
            uar=_finite(row["uar"]),
            std=_finite(row.get("uar_std", 0)),
            chance=_finite(row["chance"]),
            labelled=_finite(row["labelled"]),
            precision=_number(row["precision"]),
            arousal=_number(row["arousal_auc"]),
            said=_number(level["said"]),
            right=_number(level["right"]),
            confusion=confusion,
            groups=tuple(groups),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordinary:
    """Answers where nobody acts."""

    utterances: int
    emotional: float
    """Share of the utterances that get a label other than neutral and calm."""

    @classmethod
    def read(cls, row: dict[str, Any]) -> Self:
        """Take the figures from what `world_metrics.measure` returned."""
        return cls(utterances=int(row["utterances"]), emotional=_finite(row["emotional"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusFigures:
    """Figures of one corpus."""

    name: str
    languages: tuple[str, ...]
    recordings: int
    speakers: int
    errors: float
    """Share of the recordings that the gate misses or splits."""
    acted: Acted | None
    ordinary: Ordinary | None

    @classmethod
    def read(cls, row: dict[str, Any]) -> Self:
        """Take the figures from what `world_metrics.measure` returned."""
        if not is_corpus_name(row["corpus"]):
            raise ValueError(f"{row['corpus']!r} is no name of a corpus")
        return cls(
            name=str(row["corpus"]),
            languages=tuple(map(str, row["languages"])),
            recordings=int(row["recordings"]),
            speakers=int(row["speakers"]),
            errors=_finite(row["missed"]) + _finite(row["split"]),
            acted=Acted.read(row) if "uar" in row else None,
            ordinary=Ordinary.read(row["ordinary"]) if "ordinary" in row else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """An acoustic condition."""

    title: str
    uar: tuple[float, ...]
    """By corpus."""
    errors: tuple[float, ...]
    """By corpus, the share of the recordings that the gate misses or splits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigures:
    """All figures of a run."""

    variant: str
    left_out: tuple[CorpusFigures, ...]
    """Each corpus, by the networks that never heard it."""
    heard: tuple[CorpusFigures, ...]
    """Each corpus, by networks that heard other speakers of it; empty: not measured."""
    seeds: int
    """Networks that answer for each corpus that is left out."""
    fitted: bool
    """Whether temperatures and thresholds are fitted; else every utterance gets a label."""
    only_measured: tuple[str, ...]
    """Names of corpora that no network of the run learned from."""
    adaptation: tuple[tuple[str, dict[str, float]], ...]
    """Scenarios, and for each the gain in points by corpus; empty: not measured."""
    noise: tuple[int, int] | None
    """Sounds of the noise that the gate takes for speech, and how many of them get a label; `None`: not measured."""
    conditions: tuple[Condition, ...]
    """The first is the reference; empty: not measured."""


def read_figures(folder: Path) -> RunFigures:
    """Read what was measured on a run.

    Args:
        folder: the folder of the run.

    Raises:
        SerError: Nothing was measured yet, or a file is damaged.
    """
    run = reopen_run(folder)
    calibration, cross_corpus, folds, robustness = (
        _File.open(folder / name) for name in (CROSS_CORPUS_FILE, _CROSS_CORPUS, _FOLDS, _ROBUSTNESS)
    )
    source = calibration if calibration.content is not None else cross_corpus
    left_out = calibration.take(partial(_corpora, key="abroad")) or cross_corpus.take(partial(_corpora, key="corpora"))
    if not left_out:
        raise SerError(
            f"{folder}: has neither {CROSS_CORPUS_FILE} nor {_CROSS_CORPUS}, so nothing is known yet about corpora "
            "that were left out; run `ser-model cross-corpus`, then `ser-calibrate cross-corpus`"
        )
    return RunFigures(
        variant=run.config.variant,
        left_out=left_out,
        heard=calibration.take(partial(_corpora, key="home")) or folds.take(partial(_corpora, key="corpora")) or (),
        seeds=source.take(_count_seeds) or 0,
        fitted=calibration.content is not None,
        only_measured=run.targets.only_measured,
        adaptation=calibration.take(_adaptation) or (),
        noise=calibration.take(_noise),
        conditions=robustness.take(_conditions) or (),
    )


@dataclass(frozen=True, slots=True)
class _File:
    """A JSON file of the run."""

    path: Path
    content: Any
    """`None`: there is no file."""

    @classmethod
    def open(cls, path: Path) -> Self:
        return cls(path, read_json(path))

    def take(self, read: Callable[[Any], _Read]) -> _Read | None:
        """Take something from the content; `None` if there is no file."""
        if self.content is None:
            return None
        try:
            return read(self.content)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
            raise SerError(f"{self.path}: is damaged ({error!r}); measure it again, or remove it") from error


def _corpora(content: dict[str, Any], key: str) -> tuple[CorpusFigures, ...]:
    return tuple(map(CorpusFigures.read, content[key] or ()))


def _count_seeds(content: dict[str, Any]) -> int:
    return len(content["seeds"] if "seeds" in content else content["corpora"][0]["seeds"])


def _adaptation(content: dict[str, Any]) -> tuple[tuple[str, dict[str, float]], ...]:
    return tuple(
        (str(row["scenario"]), {str(name): _finite(gain) for name, gain in row["gains"].items()})
        for row in content["adaptation"]
    )


def _noise(content: dict[str, Any]) -> tuple[int, int] | None:
    noise = content["noise"]
    return None if noise is None else (int(noise["sounds"]), int(noise["labelled_final"]))


def _conditions(content: dict[str, Any]) -> tuple[Condition, ...]:
    rows: Sequence[dict[str, Any]] = content["corpora"]
    return tuple(
        Condition(
            title=str(title),
            uar=tuple(_finite(row["uar"][at]) for row in rows),
            errors=tuple(_finite(row["missed_or_split"][at]) for row in rows),
        )
        for at, title in enumerate(content["conditions"])
    )


def _number(value: float | None) -> float | None:
    return None if value is None else _finite(value)


def _finite(value: float) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{number} is no measured value")
    return number
