"""The JSON file that `ser-calibrate cross-corpus` writes into the folder of a run, and that export reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, TypedDict

from ser_model.training.files import read_json, write_json

CROSS_CORPUS_FILE: Final = "calibration.json"


class FittedOnStrangers(TypedDict):
    """Values for the exported model, from corpora that networks never heard."""

    logit_bias: list[float]
    """Added to the logits, by class; export adds it to the last layer."""
    temperature: float
    short_temperature: float
    unknown_below: float
    activation: dict[str, float]
    """Fields of `ser_model.scoring.activation.ActivationParameters`."""
    class_mean_logits: list[list[float]]


class CrossCorpusFile(TypedDict):
    """`calibration.json`, written by `ser-calibrate cross-corpus`."""

    seeds: list[int]
    fitted: FittedOnStrangers
    abroad: list[dict[str, Any]]
    """Metrics of each corpus, left out of training and fit."""
    home: list[dict[str, Any]] | None
    """Metrics of speakers held out, whose corpora the networks heard; `None`: not trained."""
    adaptation: list[dict[str, Any]]
    """For each scenario the gain by corpus, in points."""
    noise: dict[str, Any] | None
    """With `unlike_speech`, and `sha256` of the final network that it belongs to; `None`: not measured."""


def write_cross_corpus(folder: Path, content: CrossCorpusFile) -> None:
    """Write `calibration.json` into the folder of a run."""
    write_json(folder / CROSS_CORPUS_FILE, content)


def read_cross_corpus(folder: Path) -> CrossCorpusFile | None:
    """Read `calibration.json`; `None` if it is missing. The content is not checked.

    Raises:
        SerError: The file is not JSON.
    """
    content: CrossCorpusFile | None = read_json(folder / CROSS_CORPUS_FILE)
    return content
