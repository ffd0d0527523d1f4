"""Reads the operator sets and the number of weights of an ONNX file, without the `onnx` package."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Final

# Field numbers of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
_MODEL_OPSETS: Final = 8
_MODEL_GRAPH: Final = 7
_OPSET_DOMAIN: Final = 1
_OPSET_VERSION: Final = 2
_GRAPH_INITIALIZERS: Final = 5
_TENSOR_DIMS: Final = 1

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
"""Wire types (https://protobuf.dev/programming-guides/encoding/)."""


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """Outline of a serialised model."""

    opsets: dict[str, int]
    """Operator set versions by domain. The domain of ONNX' own operators is the empty string."""
    numbers: int
    """Numbers in the initializers: the weights and the constants of the normalisation."""


def read_onnx(content: bytes) -> OnnxFile:
    """Read the outline of a serialised model.

    Raises:
        ValueError: the content is truncated or not ONNX.
    """
    opsets: dict[str, int] = {}
    numbers = 0
    for field, value in _fields(content):
        if field == _MODEL_OPSETS and isinstance(value, bytes):
            entry = dict(_fields(value))
            domain, version = entry.get(_OPSET_DOMAIN, b""), entry.get(_OPSET_VERSION, 0)
            if isinstance(domain, bytes) and isinstance(version, int):
                opsets[domain.decode()] = version
        elif field == _MODEL_GRAPH and isinstance(value, bytes):
            tensors = (part for name, part in _fields(value) if name == _GRAPH_INITIALIZERS)
            numbers += sum(prod(_dims(tensor)) for tensor in tensors if isinstance(tensor, bytes))
    return OnnxFile(opsets, numbers)


def _dims(tensor: bytes) -> Iterator[int]:
    """Dimensions of a tensor: one field each, or packed into one field."""
    for field, value in _fields(tensor):
        if field == _TENSOR_DIMS and isinstance(value, int):
            yield value
        elif field == _TENSOR_DIMS and isinstance(value, bytes):
            at = 0
            while at < len(value):
                size, at = _varint(value, at)
                yield size


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of every field of a message. A value that is not a varint is returned as bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        field, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            number, at = _varint(message, at)
            yield field, number
            continue
        if wire == _BYTES:
            size, at = _varint(message, at)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"unexpected wire type {wire}")
        if at + size > len(message):
            raise ValueError("ends in the middle of a field")
        yield field, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The variable-length integer at a position, and the position after it."""
    value = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise ValueError("ends in the middle of a number")
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
