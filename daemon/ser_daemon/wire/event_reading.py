"""Reads events as they come from the wire, which another program may have written. Needs only the standard library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from ser_daemon.wire.events import EVENT_CLASSES, Activation, Event
from ser_daemon.wire.protocol import CaptureState
from ser_model.errors import SerError


class ProtocolError(SerError):
    """A line that does not follow the protocol."""


_LARGEST = 2**53
"""Up to here every JSON parser reads an integer exactly (RFC 8259, section 6); 285 million years in ms."""

_JSON_TYPES: dict[Any, tuple[type, ...]] = {
    float: (float, int),
    Mapping: (dict,),
    Sequence: (list,),
    CaptureState: (str,),
    Activation: (dict,),
}
"""Python types that `json` returns for a field type, where they are not the field type itself."""


def from_wire(name: str, data: Mapping[str, Any]) -> Event | None:
    """Read an event; return None for a type that this version doesn't know. Unknown fields are ignored.

    Raises:
        ProtocolError: a field is missing or has another type.
    """
    cls = EVENT_CLASSES.get(name)
    if cls is None:
        return None
    event: Event = _read(cls, name, data)
    return event


def _read(cls: Any, name: str, data: Mapping[str, Any]) -> Any:
    """Read a dataclass: an event, or an object in one of its fields."""
    values: dict[str, Any] = {}
    for field, hint in _field_types(cls).items():
        value, expected = data.get(field), _json_types(hint)
        if value is None:
            continue
        if Activation in get_args(hint) and isinstance(value, dict):
            value, expected = _read(Activation, field, value), (Activation,)
        if not _is_instance(value, expected) or not _is_in_range(value):
            raise ProtocolError(
                f"The daemon sent {name!r} with {field} = {value!r:.60}; expected {expected[0].__name__}."
            )
        values[field] = CaptureState(value) if hint is CaptureState else value
    try:
        return cls(**values)
    except TypeError as error:
        raise ProtocolError(f"The daemon sent an incomplete {name!r}: {error}.") from None


@cache
def _field_types(cls: type[Any]) -> dict[str, Any]:
    """Resolve the annotations of an event's fields; done when the first such event is read."""
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in fields(cls)}


@cache
def _json_types(hint: Any) -> tuple[type, ...]:
    """Return the Python types that `json` may return for a field; None is excluded."""
    if isinstance(hint, UnionType):
        return tuple(kind for part in get_args(hint) if part is not NoneType for kind in _json_types(part))
    kind = get_origin(hint) or hint
    return _JSON_TYPES.get(kind, (kind,))


def _is_instance(value: object, kinds: tuple[type, ...]) -> bool:
    """Do what `isinstance` does, but don't take a boolean for an integer."""
    return isinstance(value, kinds) and (not isinstance(value, bool) or bool in kinds)


def _is_in_range(value: object) -> bool:
    """Whether all numbers, also those of a mapping, can be computed with: `json` reads numbers of any size, and NaN."""
    if isinstance(value, dict):
        return all(_is_instance(number, (float, int)) and _is_in_range(number) for number in value.values())
    return not isinstance(value, float | int) or abs(value) <= _LARGEST
