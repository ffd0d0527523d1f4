"""Reads the graph of an ONNX file without the `onnx` package, and refuses what `ser-model export` never writes.

Refused are functions, subgraphs, sparse and external tensors, and whatever else is not in the tables below.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Final, NamedTuple

from ser_model.network.protobuf import BYTES, FIXED32, VARINT, Field, Schema, read_message

FLOAT: Final = 1
INT64: Final = 7
_ITEM_SIZES: Final = {FLOAT: 4, INT64: 8}
"""Bytes of a number, by `TensorProto.DataType`."""

MOST_NODES: Final = 128
"""The exporter writes 52 at most."""

# Fields of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
_MODEL: Final[Schema] = {
    1: Field("ir_version", VARINT),
    2: Field("producer_name", BYTES),
    3: Field("producer_version", BYTES),
    4: Field("domain", BYTES),
    5: Field("model_version", VARINT),
    6: Field("doc_string", BYTES),
    7: Field("graph", BYTES),
    8: Field("opset_import", BYTES, 8),
    14: Field("metadata_props", BYTES, 64),
}
_OPSET: Final[Schema] = {1: Field("domain", BYTES), 2: Field("version", VARINT)}
_PROPERTY: Final[Schema] = {1: Field("key", BYTES), 2: Field("value", BYTES)}
_GRAPH: Final[Schema] = {
    1: Field("node", BYTES, MOST_NODES),
    2: Field("name", BYTES),
    5: Field("initializer", BYTES, 32),
    10: Field("doc_string", BYTES),
    11: Field("input", BYTES, 16),
    12: Field("output", BYTES, 16),
}
_NODE: Final[Schema] = {
    1: Field("input", BYTES, 8),
    2: Field("output", BYTES, 4),
    3: Field("name", BYTES),
    4: Field("op_type", BYTES),
    5: Field("attribute", BYTES, 4),
    6: Field("doc_string", BYTES),
    7: Field("domain", BYTES),
}
_ATTRIBUTE: Final[Schema] = {
    1: Field("name", BYTES),
    2: Field("f", FIXED32),
    3: Field("i", VARINT),
    5: Field("t", BYTES),
    8: Field("ints", VARINT, 8),
    13: Field("doc_string", BYTES),
    20: Field("type", VARINT),
}
_ATTRIBUTE_VALUES: Final = {1: "f", 2: "i", 4: "t", 7: "ints"}
"""Field of the value, by the type of the attribute."""
_TENSOR: Final[Schema] = {
    1: Field("dims", VARINT, 4),
    2: Field("data_type", VARINT),
    8: Field("name", BYTES),
    9: Field("raw_data", BYTES),
    12: Field("doc_string", BYTES),
}
_VALUE: Final[Schema] = {1: Field("name", BYTES), 2: Field("type", BYTES), 3: Field("doc_string", BYTES)}
_TYPE: Final[Schema] = {1: Field("tensor_type", BYTES)}
_TENSOR_TYPE: Final[Schema] = {1: Field("elem_type", VARINT), 2: Field("shape", BYTES)}
_SHAPE: Final[Schema] = {1: Field("dim", BYTES, 8)}
_DIMENSION: Final[Schema] = {1: Field("dim_value", VARINT), 2: Field("dim_param", BYTES)}


@dataclass(frozen=True, slots=True)
class Tensor:
    """Numbers that the file holds; their size in bytes is that of their shape."""

    name: str
    shape: tuple[int, ...]
    data_type: int
    """`FLOAT` or `INT64`."""
    data: bytes
    """Little-endian."""

    def integers(self) -> tuple[int, ...]:
        """Return the numbers of an INT64 tensor."""
        return struct.unpack(f"<{len(self.data) // 8}q", self.data)


Attribute = int | float | tuple[int, ...] | Tensor


class Node(NamedTuple):
    """One operator of the graph."""

    operator: str
    domain: str
    """Empty for ONNX' own operators."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]


class OnnxGraph(NamedTuple):
    """The graph of a model. The nodes are in the order in which they run."""

    nodes: tuple[Node, ...]
    initializers: Mapping[str, Tensor]
    inputs: Mapping[str, tuple[int | None, ...]]
    """Shapes by name; `None` stands for any size. All are float32."""
    outputs: tuple[str, ...]

    @property
    def numbers(self) -> int:
        """Numbers in the initializers: the weights and the constants of the normalisation."""
        return sum(prod(tensor.shape) for tensor in self.initializers.values())


class OnnxFile(NamedTuple):
    """A serialised model, with its graph still to be read."""

    opsets: Mapping[str, int]
    """Operator set versions by domain. The domain of ONNX' own operators is the empty string."""
    properties: Mapping[str, str]
    """The metadata."""
    graph: bytes

    def read_graph(self) -> OnnxGraph:
        """Read the graph.

        Raises:
            ValueError: it is damaged, or holds something that the exporter never writes.
        """
        graph = read_message(self.graph, "the graph", _GRAPH)
        tensors = [_tensor(part) for part in graph.payloads.get("initializer", ())]
        inputs = [_value(part) for part in graph.payloads.get("input", ())]
        outputs = [_value(part) for part in graph.payloads.get("output", ())]
        read = OnnxGraph(
            nodes=tuple(_node(part) for part in graph.payloads.get("node", ())),
            initializers={tensor.name: tensor for tensor in tensors},
            inputs=dict(inputs),
            outputs=tuple(name for name, _ in outputs),
        )
        unique = len(read.initializers), len(read.inputs), len(set(read.outputs))
        if unique != (len(tensors), len(inputs), len(outputs)):
            raise ValueError("two tensors have the same name")
        return read


def read_onnx(content: bytes) -> OnnxFile:
    """Read the outer part of a serialised model.

    Raises:
        ValueError: the content is truncated, not ONNX, or holds something that the exporter never writes.
    """
    model = read_message(content, "the model", _MODEL)
    if "graph" not in model.payloads or "ir_version" not in model.integers:
        raise ValueError("it holds no graph")
    opsets: dict[str, int] = {}
    properties: dict[str, str] = {}
    for part in model.payloads.get("opset_import", ()):
        entry = read_message(part, "an operator set", _OPSET)
        opsets[entry.text("domain")] = entry.integer("version")
    for part in model.payloads.get("metadata_props", ()):
        entry = read_message(part, "a property", _PROPERTY)
        if entry.text("key") in properties:
            raise ValueError("a property occurs twice")
        properties[entry.text("key")] = entry.text("value")
    return OnnxFile(opsets, properties, model.payload("graph"))


def _node(part: bytes) -> Node:
    message = read_message(part, "a node", _NODE)
    attributes: dict[str, Attribute] = {}
    for attribute in message.payloads.get("attribute", ()):
        try:
            name, value = _attribute(attribute)
        except ValueError as error:
            raise ValueError(f"operator {message.text('op_type')[:40]!r}: {error}") from error
        if name in attributes:
            raise ValueError("an attribute occurs twice")
        attributes[name] = value
    return Node(
        operator=message.text("op_type"),
        domain=message.text("domain"),
        inputs=message.texts("input"),
        outputs=message.texts("output"),
        attributes=attributes,
    )


def _attribute(part: bytes) -> tuple[str, Attribute]:
    """Name and value. A subgraph has a field that the schema lacks."""
    message = read_message(part, "an attribute", _ATTRIBUTE)
    # `AttributeProto.AttributeType`. Only the value of that type is there.
    kind = message.integer("type")
    others = {*message.integers, *message.payloads} - {"name", "type", "doc_string"}
    if not others <= {_ATTRIBUTE_VALUES.get(kind)}:
        raise ValueError("an attribute has an unexpected type")
    value: Attribute
    match kind:
        case 1:
            (value,) = struct.unpack("<f", message.payload("f", bytes(4)))
        case 2:
            value = message.integer("i")
        case 4:
            value = _tensor(message.payload("t"))
        case 7:
            value = tuple(message.integers.get("ints", ()))
        case _:
            raise ValueError("an attribute has an unexpected type")
    return message.text("name"), value


def _tensor(part: bytes) -> Tensor:
    message = read_message(part, "a tensor", _TENSOR)
    shape, data_type = tuple(message.integers.get("dims", ())), message.integer("data_type")
    data = message.payload("raw_data")
    if data_type not in _ITEM_SIZES or not all(0 < size <= len(data) for size in shape):
        raise ValueError("a tensor has an unexpected type or shape")
    if len(data) != prod(shape) * _ITEM_SIZES[data_type]:
        raise ValueError("a tensor has not as many numbers as its shape says")
    return Tensor(message.text("name"), shape, data_type, data)


def _value(part: bytes) -> tuple[str, tuple[int | None, ...]]:
    """Name and shape of an input or output."""
    message = read_message(part, "an input or output", _VALUE)
    outer = read_message(message.payload("type"), "a type", _TYPE)
    tensor = read_message(outer.payload("tensor_type"), "a type", _TENSOR_TYPE)
    if tensor.integer("elem_type") != FLOAT:
        raise ValueError("an input or output is not of float32")
    shape: list[int | None] = []
    for entry in read_message(tensor.payload("shape"), "a shape", _SHAPE).payloads.get("dim", ()):
        shape.append(read_message(entry, "a dimension", _DIMENSION).integers.get("dim_value", [None])[0])
    return message.text("name"), tuple(shape)
