"""The values of a run's calibration that `ser-model export` writes into the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ser_model.errors import SerError
from ser_model.scoring.logit_bias import ClassMeanLogits, class_mean_logits_from
from ser_model.scoring.ood import OodParameters
from ser_model.training.calibration_files import (
    ADAPTATION_FILE,
    CONFIDENCE_FILE,
    UNKNOWN_FILE,
    read_adaptation,
    read_confidence,
    read_unknown,
)


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
    return tuple(tuple(round(value, 4) for value in row) for row in rows)
