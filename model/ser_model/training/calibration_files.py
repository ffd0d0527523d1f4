"""What `ser-calibrate` found for a run and `ser-model export` writes into the model: temperatures and the like."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ser_model.errors import SerError
from ser_model.scoring.logit_bias import ClassMeanLogits, class_mean_logits_from
from ser_model.scoring.ood import OodParameters
from ser_model.training.folds.jobs import FINAL

FITTED: Final = "confidence.json"
"""In a run's folder: temperatures and the threshold of `unknown`, by `ser-calibrate confidence`."""
UNLIKE: Final = "unknown.json"
"""In a run's folder: what is unlike speech, by `ser-calibrate unknown`."""
TYPICAL: Final = "adaptation.json"
"""In a run's folder: which logits are typical of each answer, by `ser-calibrate adaptation`."""

WINDOW_MS: Final = 2_000
"""Length of the windows that the temperatures are fitted on, beside whole utterances."""
PRECISION: Final = 0.75
"""Share of right labels, on validation actors, that the threshold of `unknown` is chosen for."""

_NUMBERS: Final = ("temperature", "short_temperature", "unknown_below")


@dataclass(frozen=True, slots=True)
class Fitted:
    """For one exported model."""

    temperature: float
    short_temperature: float
    unknown_below: float
    unlike_speech: OodParameters | None
    """None: not measured, or for another final network."""
    typical_logits: ClassMeanLogits | None
    """None: not measured."""


def read_fitted(folder: Path) -> Fitted | None:
    """What the commands left in a run's folder; None where `ser-calibrate confidence` has not been there.

    Raises:
        SerError: a file is damaged.
    """
    fitted = _read(folder / FITTED)
    if fitted is None:
        return None
    unlike = _read(folder / UNLIKE)
    try:
        values = {name: round(float(fitted["fitted"][name]), 4) for name in _NUMBERS}
        known = None
        if unlike is not None and unlike["final"] is not None and unlike["final"]["sha256"] == final_digest(folder):
            known = OodParameters.from_mapping(unlike["final"]["unlike_speech"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SerError(
            f"{folder}: its {FITTED} or {UNLIKE} is damaged ({error!r}); run `ser-calibrate` on it again"
        ) from error
    return Fitted(**values, unlike_speech=known, typical_logits=read_class_mean_logits(folder))


def read_class_mean_logits(folder: Path) -> ClassMeanLogits | None:
    """Which logits are typical of each answer, to four places; None before `ser-calibrate adaptation`.

    Raises:
        SerError: the file is damaged.
    """
    measured = _read(folder / TYPICAL)
    try:
        # Earlier files hold figures alone.
        if measured is None or "typical_logits" not in measured:
            return None
        rows = class_mean_logits_from(measured["typical_logits"])
    except (TypeError, ValueError) as error:
        raise SerError(f"{folder / TYPICAL}: is damaged ({error}); run `ser-calibrate adaptation` again") from error
    return tuple(tuple(round(value, 4) for value in row) for row in rows)


def final_digest(folder: Path) -> str | None:
    """SHA-256 of the final network's weights; None where it is not trained."""
    path = folder / f"{FINAL.name}.pt"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def _read(path: Path) -> Any:
    if not path.exists():
        return None
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise SerError(f"{path}: is damaged ({error}); run `ser-calibrate` on the run again") from error
