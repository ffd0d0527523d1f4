"""Durations with a unit, on command lines and in the configuration: `500ms`, `5s`, `1.5min`, `2h`."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Literal

UNITS = "ms, s, min or h"
"""The units that may follow a number, for messages and help."""

_MILLISECONDS = {"ms": Decimal(1), "s": Decimal(1000), "min": Decimal(60_000), "h": Decimal(3_600_000)}

# Twelve digits are thousands of years; more could only slow down the arithmetic.
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{0,12})?|\.[0-9]{1,12}) ?(ms|s|min|h)")


def in_unit(text: str, unit: Literal["ms", "s"]) -> str:
    """Convert a duration with a unit into a plain number of `unit`, exactly.

    Args:
        text: a duration; a space may be before its unit.
        unit: what the number shall count.

    Returns:
        the number as text; any other text, such as a number without a unit, as it is

    Examples:
        >>> in_unit("1.5s", "ms"), in_unit("2min", "s"), in_unit("700", "ms")
        ('1500', '120', '700')
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        return text
    value = Decimal(match[1]) * _MILLISECONDS[match[2]] / _MILLISECONDS[unit]
    plain = format(value, "f")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def misses_unit(text: str) -> bool:
    """Whether the text is a number with a unit that is none of `UNITS`, such as `5sec`."""
    return re.fullmatch(r"[0-9.]+ ?[A-Za-zµ]+", text.strip()) is not None and in_unit(text, "ms") == text
