"""Settings as keys: the type, range and choices of each field, read from the annotations of its dataclass."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from ser_model.config import Range

Scalar = str | int | float | bool | Path | None
"""The value of a key."""

_UNBOUNDED = Range(-math.inf, math.inf)

_KIND_WORDS: dict[type, str] = {
    str: "text",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    Path: "a path",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One setting. Error messages are made from it, so they state what is checked."""

    name: str
    """Dotted in the configuration: `section.field`."""
    kind: type
    """`str`, `int`, `float`, `bool` or `Path`."""
    optional: bool = False
    """Whether null is a value."""
    default: Scalar = None
    bounds: Range = _UNBOUNDED
    """Range of a number."""
    unit: str = ""
    """Unit of a number, or the form of a text."""
    choices: tuple[str, ...] = ()
    """All texts that are accepted; empty: any."""

    @property
    def expectation(self) -> str:
        """What is accepted, in words, for messages and documentation."""
        choices = ", ".join(self.choices)
        text = f"one of {choices}" if choices else _KIND_WORDS[self.kind] + self._range()
        return f"{text}, or null" if self.optional else text

    @property
    def variable(self) -> str:
        """Name of the environment variable."""
        return "SER_" + self.name.replace(".", "_").upper()

    def _range(self) -> str:
        low, high = self.bounds.low, self.bounds.high
        text = f" from {low:g} to {high:g}" if math.isfinite(high) else ""
        return text + (f" ({self.unit})" if self.unit else "")


def keys_of(cls: type, prefix: str = "") -> dict[str, Key]:
    """Return the keys of a dataclass by name, in the order of its fields.

    A field is annotated with its type, or with a `Literal` of its choices. `Annotated` adds a `Range` to a number,
    and to a text a string that describes its form.

    Args:
        cls: The dataclass.
        prefix: What all names begin with.
    """
    hints = typing.get_type_hints(cls, include_extras=True)
    keys = (_key(prefix + field.name, hints[field.name], field.default) for field in dataclasses.fields(cls))
    return {key.name: key for key in keys}


def _key(name: str, hint: Any, default: Any) -> Key:
    union = typing.get_origin(hint) in (Union, types.UnionType)
    members = typing.get_args(hint) if union else (hint,)
    [kind] = [member for member in members if member is not types.NoneType]
    bounds, unit, choices = _UNBOUNDED, "", ()
    if typing.get_origin(kind) is Annotated:
        kind, extra = typing.get_args(kind)
        if isinstance(extra, Range):
            bounds, unit = extra, extra.unit
        else:
            unit = extra
    if typing.get_origin(kind) is Literal:
        kind, choices = str, typing.get_args(kind)
    return Key(
        name=name,
        kind=kind,
        optional=len(members) > 1,
        default=None if default is dataclasses.MISSING else default,
        bounds=bounds,
        unit=unit,
        choices=choices,
    )
