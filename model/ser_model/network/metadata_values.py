"""Reads the values of a model's metadata from JSON, each with its type and range."""

from __future__ import annotations

import json
from collections.abc import Mapping
from reprlib import Repr
from typing import Any, Final

from ser_model.scoring.activation import ActivationParameters
from ser_model.scoring.logit_bias import ClassMeanLogits, class_mean_logits_from, is_finite
from ser_model.scoring.ood import OodParameters

LARGEST: Final = 1e6
"""Largest number that a model may need: features, logits and embeddings are thousands at most."""

_LONGEST_TEXT: Final = 1000

_SHOWN: Final = Repr()
_SHOWN.maxstring = _SHOWN.maxother = _SHOWN.maxlong = 60
_SHOWN.maxlist = 8


def shown(value: object) -> str:
    """Return a value for a message: on one line, escaped, and not long."""
    return _SHOWN.repr(value)


class Values:
    """The values of a file; every method raises `ValueError` where a value is missing or is not what it should be."""

    def __init__(self, properties: Mapping[str, str]) -> None:
        self._properties = properties

    def __contains__(self, name: str) -> bool:
        return name in self._properties

    def load(self, name: str) -> Any:
        """Return a value as it is."""
        if name not in self._properties:
            raise ValueError(f"{name} is missing")
        try:
            return json.loads(self._properties[name])
        except RecursionError as error:
            raise ValueError(f"{name} is nested too deep") from error
        except ValueError as error:
            raise ValueError(f"{name} is not JSON, or has a number that is too long") from error

    def integer(self, name: str, least: int, most: int) -> int:
        """Return a whole number."""
        value = self.load(name)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"expected a whole number from {least} to {most} as {name}, found {shown(value)}")
        return value

    def number(self, name: str, least: float, most: float) -> float:
        """Return a number."""
        value = self.load(name)
        if not is_finite(value) or not least <= value <= most:
            raise ValueError(f"expected a number from {least:g} to {most:g} as {name}, found {shown(value)}")
        return float(value)

    def numbers(self, name: str, size: int) -> tuple[float, ...]:
        """Return a list of numbers."""
        value = self.load(name)
        fits = isinstance(value, list) and len(value) == size and all(map(is_finite, value))
        if not fits or max(map(abs, value)) > LARGEST:
            raise ValueError(f"expected {size} finite numbers as {name} of the features, found {shown(value)}")
        return tuple(map(float, value))

    def text(self, name: str) -> str:
        """Return a text; it may be empty."""
        value = self.load(name)
        if not isinstance(value, str) or len(value) > _LONGEST_TEXT or not value.isprintable():
            raise ValueError(f"expected a line of text as {name}, found {shown(value)}")
        return value

    def flag(self, name: str) -> bool:
        """Return a truth value."""
        value = self.load(name)
        if not isinstance(value, bool):
            raise ValueError(f"expected true or false as {name}, found {shown(value)}")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts."""
        value = self.load(name)
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise ValueError(f"expected a list of texts as {name}, found {shown(value)}")
        return tuple(value)

    def mapping(self, name: str) -> Mapping[str, Any]:
        """Return a mapping."""
        value = self.load(name)
        if not isinstance(value, dict):
            raise ValueError(f"expected a mapping as {name}, found {shown(value)}")
        return value

    def ood(self, name: str) -> OodParameters | None:
        """Return the parameters of the out-of-distribution score, if the file has them."""
        value = self.load(name) if name in self else None
        if value is None:
            return None
        try:
            return OodParameters.from_mapping(value)
        except (TypeError, AttributeError) as error:
            raise ValueError(f"{name} is not what it should be") from error

    def activation(self, name: str) -> ActivationParameters | None:
        """Return the parameters of the activation, if the file has them."""
        value = self.load(name) if name in self else None
        if value is None:
            return None
        try:
            return ActivationParameters.from_mapping(value)
        except TypeError as error:
            raise ValueError(f"{name} is not what it should be") from error

    def class_mean_logits(self, name: str) -> ClassMeanLogits | None:
        """Return the class-mean logits, if the file has them."""
        value = self.load(name) if name in self else None
        if value is None:
            return None
        rows = class_mean_logits_from(value)
        if max(abs(one) for row in rows for one in row) > LARGEST:
            raise ValueError(f"expected numbers up to {LARGEST:g} as {name}")
        return rows
