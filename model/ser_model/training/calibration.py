"""The values of a run's calibration that `ser-model export` writes into the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ser_model.errors import SerError
from ser_model.labels import LABELS
from ser_model.scoring.activation import ActivationParameters
from ser_model.scoring.logit_bias import ClassMeanLogits, class_mean_logits_from, is_finite
from ser_model.scoring.ood import OodParameters
from ser_model.training.calibration_files import (
    ADAPTATION_FILE,
    CONFIDENCE_FILE,
    UNKNOWN_FILE,
    read_adaptation,
    read_confidence,
    read_unknown,
)
from ser_model.training.corpora.held_out import HeldOut
from ser_model.training.cross_corpus_file import CROSS_CORPUS_FILE, read_cross_corpus
from ser_model.training.folds.run_folder import digest


@dataclass(frozen=True, slots=True)
class Calibration:
    """Values that `ser-model export` writes into the model."""

    temperature: float
    short_temperature: float
    unknown_below: float
    ood: OodParameters | None
    """`None`: not measured, or measured for another final network."""
    class_mean_logits: ClassMeanLogits | None
    """`None`: not measured."""
    activation: ActivationParameters | None = None
    """`None`: not measured."""
    logit_bias: tuple[float, ...] = ()
    """Added to the logits of the network, by class; empty: nothing is."""


def read_cross_corpus_calibration(folder: Path) -> Calibration | None:
    """Read the values that `ser-calibrate cross-corpus` fitted, or return `None` if it did not run.

    Raises:
        SerError: The file is damaged.
    """
    content = read_cross_corpus(folder)
    if content is None:
        return None
    try:
        fitted, noise = content["fitted"], content["noise"]
        temperature, short_temperature, unknown_below = (
            round(float(value), 4)
            for value in (fitted["temperature"], fitted["short_temperature"], fitted["unknown_below"])
        )
        ood = None
        if noise is not None and noise["sha256"] == digest(folder / f"{HeldOut(0).name}.pt"):
            ood = OodParameters.from_mapping(noise["unlike_speech"])
        return Calibration(
            temperature,
            short_temperature,
            unknown_below,
            ood,
            _rounded(class_mean_logits_from(fitted["class_mean_logits"])),
            ActivationParameters.from_mapping(fitted["activation"]),
            _read_bias(fitted["logit_bias"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SerError(
            f"{folder / CROSS_CORPUS_FILE}: is damaged ({error!r}); run `ser-calibrate cross-corpus` again"
        ) from error


def _read_bias(values: list[float]) -> tuple[float, ...]:
    if len(values) != len(LABELS) or not all(is_finite(value) for value in values):
        raise ValueError(f"logit_bias: expected {len(LABELS)} numbers")
    return tuple(values)


def _rounded(rows: ClassMeanLogits) -> ClassMeanLogits:
    return tuple(tuple(round(value, 4) for value in row) for row in rows)


def read_calibration(folder: Path, final_sha256: str | None) -> Calibration | None:
    """Read the values for the model, or return `None` if `confidence.json` is missing.

    Args:
        folder: the folder of the run.
        final_sha256: digest of its final network; `None`: it is not trained.

    Raises:
        SerError: A file is damaged.
    """
    confidence = read_confidence(folder)
    if confidence is None:
        return None
    unknown = read_unknown(folder)
    try:
        fitted = confidence["fitted"]
        temperature, short_temperature, unknown_below = (
            round(float(value), 4)
            for value in (fitted["temperature"], fitted["short_temperature"], fitted["unknown_below"])
        )
        ood = None
        if unknown is not None and unknown["final"] is not None and unknown["final"]["sha256"] == final_sha256:
            ood = OodParameters.from_mapping(unknown["final"]["unlike_speech"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SerError(
            f"{folder}: its {CONFIDENCE_FILE} or {UNKNOWN_FILE} is damaged ({error!r}); run `ser-calibrate` on it again"
        ) from error
    return Calibration(temperature, short_temperature, unknown_below, ood, read_class_mean_logits(folder))


def read_class_mean_logits(folder: Path) -> ClassMeanLogits | None:
    """Read the class-mean logits, rounded to four places, or return `None` if they are not measured.

    Raises:
        SerError: The file is damaged.
    """
    adaptation = read_adaptation(folder)
    try:
        if adaptation is None or "typical_logits" not in adaptation:
            return None
        rows = class_mean_logits_from(adaptation["typical_logits"])
    except (TypeError, ValueError) as error:
        raise SerError(
            f"{folder / ADAPTATION_FILE}: is damaged ({error}); run `ser-calibrate adaptation` again"
        ) from error
    return _rounded(rows)
