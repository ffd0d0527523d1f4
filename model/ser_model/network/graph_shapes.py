"""Shapes of a graph's tensors, operator by operator, without running it: what a run will need is known beforehand.

Only operators that `ser-model export` writes have a rule. They have the meaning of operator set 17
(https://onnx.ai/onnx/operators/).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Final, NamedTuple

from ser_model.network.onnx_file import INT64, Attribute, Node, Tensor

OPSET: Final = 17

_MOST_INTEGERS: Final = 8
"""Longest integer constant; the exporter writes them with one number."""


class Value(NamedTuple):
    """What is known of a tensor."""

    shape: tuple[int, ...]
    integers: tuple[int, ...] | None = None
    """Its content, where that follows from shapes and constants alone."""


ABSENT: Final = Value(())
"""Stands for an input that is left out."""

_Values = Sequence[Value]
_Attributes = Mapping[str, Attribute]


class _Rule(NamedTuple):
    """What an operator may look like, and what it returns."""

    infer: Callable[[_Values, _Attributes], tuple[Value, ...]]
    inputs: tuple[int, int]
    """Smallest and largest number."""
    attributes: frozenset[str] = frozenset()


def of_tensor(tensor: Tensor) -> Value:
    """Value of a tensor that the file holds."""
    short = tensor.data_type == INT64 and prod(tensor.shape) <= _MOST_INTEGERS
    return Value(tensor.shape, tensor.integers() if short else None)


def output_values(node: Node, inputs: _Values) -> tuple[Value, ...]:
    """Return what is known of the outputs of a node.

    Raises:
        ValueError: there is no rule for the operator, or it does not fit its inputs and attributes.
    """
    rule = _RULES[node.operator]
    least, most = rule.inputs
    if not set(node.attributes) <= rule.attributes or not least <= len(inputs) <= most:
        raise ValueError("unexpected inputs or attributes")
    try:
        return rule.infer(inputs, node.attributes)
    except (TypeError, LookupError) as error:
        raise ValueError("its inputs don't fit") from error


def _expect(fits: bool) -> None:
    if not fits:
        raise ValueError("its inputs don't fit")


def _integer(attributes: _Attributes, name: str, default: int | None = None) -> int:
    value = attributes.get(name, default)
    if not isinstance(value, int):
        raise ValueError(f"its {name} is no integer")
    return value


def _known(value: Value) -> tuple[int, ...]:
    if value.integers is None:
        raise ValueError("a shape or axis in it depends on computed numbers")
    return value.integers


def _axes(value: Value, rank: int) -> list[int]:
    axes = sorted(axis + rank if axis < 0 else axis for axis in _known(value))
    _expect(len(set(axes)) == len(axes) > 0 and axes[0] >= 0 and axes[-1] < rank)
    return axes


def _broadcast(inputs: _Values, attributes: _Attributes) -> tuple[Value, ...]:
    """Multidirectional broadcasting, as in NumPy; the numbers are computed."""
    rank = max(len(value.shape) for value in inputs)
    shape = []
    for sizes in zip(*((1,) * (rank - len(value.shape)) + value.shape for value in inputs), strict=True):
        larger = {size for size in sizes if size != 1}
        _expect(len(larger) <= 1)
        shape.append(larger.pop() if larger else 1)
    return (Value(tuple(shape)),)


def _same(inputs: _Values, attributes: _Attributes) -> tuple[Value, ...]:
    return (Value(inputs[0].shape),)


def _clip(inputs: _Values, attributes: _Attributes) -> tuple[Value, ...]:
    _expect(all(limit.shape == () for limit in inputs[1:]))
    return (Value(inputs[0].shape),)


def _softmax(inputs: _Values, attributes: _Attributes) -> tuple[Value, ...]:
    rank = len(inputs[0].shape)
    _expect(-rank <= _integer(attributes, "axis", -1) < rank)
    return (Value(inputs[0].shape),)


def _constant(inputs: _Values, attributes: _Attributes) -> tuple[Value, ...]:
    tensor = attributes["value"]
    if not isinstance(tensor, Tensor) or prod(tensor.shape) > _MOST_INTEGERS:
        raise ValueError("it is no short constant")
    return (of_tensor(tensor),)


def _constant_of_shape(inputs: _Values, attributes: _Attributes) -> tuple[Value, ...]:
    fill = attributes.get("value")
    _expect(fill is None or (isinstance(fill, Tensor) and prod(fill.shape) == 1))
    shape = _known(inputs[0])
    _expect(all(size >= 0 for size in shape))
    return (Value(shape),)


def _shape(inputs: _Values, attributes: _Attributes) -> tuple[Value, ...]:
    return (Value((len(inputs[0].shape),), inputs[0].shape),)


def _gather(inputs: _Values, attributes: _Attributes) -> tuple[Value, ...]:
    """One size out of a shape."""
    data, index = inputs
    _expect(len(data.shape) == 1 and index.shape == () and _integer(attributes, "axis", 0) == 0)
    return (Value((), (_known(data)[_known(index)[0]],)),)


def _unsqueeze(inputs: _Values, attributes: _Attributes) -> tuple[Value, ...]:
    data, added = inputs
    shape = list(data.shape)
    for axis in _axes(added, len(shape) + len(_known(added))):
        shape.insert(axis, 1)
    return (Value(tuple(shape), data.integers),)


def _squeeze(inputs: _Values, attributes: _Attributes) -> tuple[Value, ...]:
    data, removed = inputs
    axes = _axes(removed, len(data.shape))
    _expect(all(data.shape[axis] == 1 for axis in axes))
    return (Value(tuple(size for axis, size in enumerate(data.shape) if axis not in axes), data.integers),)


def _concat(inputs: _Values, attributes: _Attributes) -> tuple[Value, ...]:
    shape = inputs[0].shape
    axis = _integer(attributes, "axis")
    _expect(0 <= axis < len(shape))
    _expect(len({value.shape[:axis] + value.shape[axis + 1 :] for value in inputs}) == 1)
    joined = (*shape[:axis], sum(value.shape[axis] for value in inputs), *shape[axis + 1 :])
    known = len(shape) == 1 and all(value.integers is not None for value in inputs)
    return (Value(joined, tuple(one for value in inputs for one in _known(value)) if known else None),)


def _transpose(inputs: _Values, attributes: _Attributes) -> tuple[Value, ...]:
    order = attributes["perm"]
    if not isinstance(order, tuple) or sorted(order) != list(range(len(inputs[0].shape))):
        raise ValueError("its inputs don't fit")
    return (Value(tuple(inputs[0].shape[axis] for axis in order)),)


def _reduce(shape: tuple[int, ...], axes: list[int], attributes: _Attributes) -> tuple[Value, ...]:
    kept = _integer(attributes, "keepdims", 1)
    sizes = [(axis, 1 if axis in axes else size) for axis, size in enumerate(shape)]
    return (Value(tuple(size for axis, size in sizes if kept or axis not in axes)),)


def _reduce_sum(inputs: _Values, attributes: _Attributes) -> tuple[Value, ...]:
    return _reduce(inputs[0].shape, _axes(inputs[1], len(inputs[0].shape)), attributes)


def _reduce_max(inputs: _Values, attributes: _Attributes) -> tuple[Value, ...]:
    axes = attributes["axes"]
    rank = len(inputs[0].shape)
    return _reduce(inputs[0].shape, _axes(Value((), axes if isinstance(axes, tuple) else None), rank), attributes)


def _lstm(inputs: _Values, attributes: _Attributes) -> tuple[Value, ...]:
    """One direction, with a bias and a start state, without lengths and peepholes."""
    frames, weights, recurrent, bias, lengths, hidden, cell = inputs
    cells = _integer(attributes, "hidden_size")
    time, batch, size = frames.shape
    _expect(lengths is ABSENT and weights.shape == (1, 4 * cells, size) and recurrent.shape == (1, 4 * cells, cells))
    _expect(bias.shape == (1, 8 * cells) and hidden.shape == cell.shape == (1, batch, cells))
    return Value((time, 1, batch, cells)), Value(hidden.shape), Value(cell.shape)


def _batch_norm(inputs: _Values, attributes: _Attributes) -> tuple[Value, ...]:
    _expect(_integer(attributes, "training_mode", 0) == 0)
    _expect(all(value.shape == (inputs[0].shape[1],) for value in inputs[1:]))
    return (Value(inputs[0].shape),)


def _gemm(inputs: _Values, attributes: _Attributes) -> tuple[Value, ...]:
    """A linear layer: the transposed weights are stored."""
    (rows, size), (columns, inner), bias = (value.shape for value in inputs)
    _expect(_integer(attributes, "transB") == 1 and size == inner and bias == (columns,))
    return (Value((rows, columns)),)


_RULES: Final[Mapping[str, _Rule]] = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Greater"), _Rule(_broadcast, (2, 2))),
    "Where": _Rule(_broadcast, (3, 3)),
    "Exp": _Rule(_same, (1, 1)),
    "Identity": _Rule(_same, (1, 1)),
    "Clip": _Rule(_clip, (2, 3)),
    "Softmax": _Rule(_softmax, (1, 1), frozenset({"axis"})),
    "Constant": _Rule(_constant, (0, 0), frozenset({"value"})),
    "ConstantOfShape": _Rule(_constant_of_shape, (1, 1), frozenset({"value"})),
    "Shape": _Rule(_shape, (1, 1)),
    "Gather": _Rule(_gather, (2, 2), frozenset({"axis"})),
    "Unsqueeze": _Rule(_unsqueeze, (2, 2)),
    "Squeeze": _Rule(_squeeze, (2, 2)),
    "Concat": _Rule(_concat, (1, 8), frozenset({"axis"})),
    "Transpose": _Rule(_transpose, (1, 1), frozenset({"perm"})),
    "ReduceSum": _Rule(_reduce_sum, (2, 2), frozenset({"keepdims"})),
    "ReduceMax": _Rule(_reduce_max, (1, 1), frozenset({"axes", "keepdims"})),
    "LSTM": _Rule(_lstm, (7, 7), frozenset({"hidden_size"})),
    "BatchNormalization": _Rule(_batch_norm, (5, 5), frozenset({"epsilon", "momentum", "training_mode"})),
    "Gemm": _Rule(_gemm, (3, 3), frozenset({"alpha", "beta", "transB"})),
}
