"""Checks a graph before ONNX Runtime sees it: its operators, sizes, inputs and outputs are those of this network.

A graph that passes holds the weights of one ResLSTM-SA, and each of its tensors has a size that is bounded by the
number of frames. So neither its memory nor its time can run away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from math import prod
from typing import Final

from ser_model.features.features import SIZE
from ser_model.labels import LABELS
from ser_model.network.graph_shapes import ABSENT, OPSET, Value, of_tensor, output_values
from ser_model.network.model_files import Mode
from ser_model.network.onnx_file import FLOAT, Node, OnnxGraph

STATE: Final = ("h1", "c1", "h2", "c2", "attention_max", "attention_sum", "attention_weighted")
"""State inputs of the stream graph. Its state outputs have the same names with the prefix `next_`."""

MOST_CELLS: Final = 256
"""Largest `hidden`; the largest network that `ser-model train` makes has 128."""

_BOTH: Final = frozenset((
    "Add", "BatchNormalization", "Clip", "Concat", "Constant", "Div", "Gather", "Gemm", "Identity",
    "LSTM", "Mul", "ReduceSum", "Shape", "Squeeze", "Sub", "Transpose", "Unsqueeze",
))  # fmt: skip
OPERATORS: Final[Mapping[Mode, frozenset[str]]] = {
    "window": _BOTH | {"ConstantOfShape", "Softmax"},
    "stream": _BOTH | {"Exp", "Greater", "ReduceMax", "Where"},
}
"""What `ser-model export` writes, by mode; `Identity` stands where two weights are equal. No operator repeats others,
or runs code from elsewhere."""

_MOST_LSTMS: Final = 2

_FRAMES: Final = 997
"""Frames for which the sizes are computed. Sizes grow with this number, so those of fewer frames are below the bound,
and a graph that multiplies frames by frames is above it. It is prime, so no stored size equals it."""


def input_shapes(mode: Mode, hidden: int) -> dict[str, tuple[int | None, ...]]:
    """Shapes of a graph's inputs by name; `None` stands for batch or time."""
    shapes: dict[str, tuple[int | None, ...]] = {"frames": (None, None, SIZE)}
    if mode == "stream":
        shapes |= dict.fromkeys(("h1", "c1"), (1, None, SIZE)) | dict.fromkeys(("h2", "c2"), (1, None, hidden))
        shapes |= dict.fromkeys(("attention_max", "attention_sum"), (None, 1))
        shapes |= {"attention_weighted": (None, hidden)}
    return shapes


def count_parameters(hidden: int) -> int:
    """Trainable parameters of a ResLSTM-SA with `hidden` cells in its second LSTM (arXiv 2606.03359, section 3)."""
    lstm1 = 4 * SIZE * (2 * SIZE + 2)
    lstm2 = 4 * hidden * (SIZE + hidden + 2)
    norms, query, classifier = 2 * SIZE + 2 * hidden, hidden, (hidden + 1) * len(LABELS)
    return lstm1 + lstm2 + norms + query + classifier


def check_graph(graph: OnnxGraph, opsets: Mapping[str, int], mode: Mode, hidden: int) -> None:
    """Check the operators, the stored numbers, the interface, and the size of every tensor.

    Raises:
        ValueError: the graph is not one that `ser-model export` writes; the text says why.
    """
    for reason in (
        *_foreign_operators(graph, opsets, mode),
        *_foreign_interface(graph, mode, hidden),
        *_foreign_numbers(graph, hidden),
    ):
        raise ValueError(reason)
    values = {name: of_tensor(tensor) for name, tensor in graph.initializers.items()} | _inputs(mode, hidden)
    if len(values) != len(graph.initializers) + len(graph.inputs):
        raise ValueError("two tensors have the same name")
    # The largest tensors of the network itself hold the outputs of an LSTM for all frames.
    most = 2 * _FRAMES * max(SIZE, hidden)
    for node in graph.nodes:
        for name, value in _outputs(node, values):
            if prod(value.shape) > most or len(value.shape) > 4:
                raise ValueError(f"{node.operator} makes a tensor of shape {value.shape} out of {_FRAMES} frames")
            if name in values:
                raise ValueError("two tensors have the same name")
            values[name] = value
    for name, shape in _output_shapes(mode, hidden).items():
        if values.get(name, ABSENT).shape != shape:
            raise ValueError(f"expected {name} of shape {shape}, found {values.get(name, ABSENT).shape}")


def _foreign_operators(graph: OnnxGraph, opsets: Mapping[str, int], mode: Mode) -> Iterator[str]:
    if dict(opsets) != {"": OPSET}:
        found = ", ".join(f"{domain or 'ONNX'} {version}"[:40] for domain, version in opsets.items())
        yield f"needs the operator sets {found!r}; expected ONNX {OPSET} alone"
    count = Counter((node.domain, node.operator) for node in graph.nodes)
    for domain, operator in count:
        if domain or operator not in OPERATORS[mode]:
            yield f"holds the operator {f'{domain} {operator}'.strip()[:40]!r}, which no {mode} graph needs"
    if count["", "LSTM"] > _MOST_LSTMS:
        yield f"has {count['', 'LSTM']} LSTMs, expected {_MOST_LSTMS}"


def _foreign_interface(graph: OnnxGraph, mode: Mode, hidden: int) -> Iterator[str]:
    wanted = input_shapes(mode, hidden)
    outputs = _output_shapes(mode, hidden)
    for kind, found, names in (("inputs", graph.inputs, wanted), ("outputs", graph.outputs, outputs)):
        if set(found) != set(names):
            shown = ", ".join(name[:40] for name in found)
            yield f"expected the {kind} {', '.join(names)}, found {shown.encode('unicode_escape').decode()}"
    for name, shape in wanted.items():
        if graph.inputs.get(name) != shape:
            shown, other = (_shown(one) for one in (shape, graph.inputs.get(name, ())))
            yield f"expected {name} of shape {shown}, found {other}"


def _foreign_numbers(graph: OnnxGraph, hidden: int) -> Iterator[str]:
    if any(tensor.data_type != FLOAT for tensor in graph.initializers.values()):
        yield "stores weights that are not float32"
    # The normalisation is stored too, and exporters fold some constants and store equal vectors once.
    parameters = count_parameters(hidden)
    if abs(graph.numbers - parameters) > 8 * (SIZE + hidden):
        yield (
            f"holds {graph.numbers} numbers, expected the {parameters} parameters of reslstm-sa-h{hidden} "
            "and what normalises; is it another network?"
        )


def _inputs(mode: Mode, hidden: int) -> dict[str, Value]:
    """The inputs for one utterance."""
    values = {}
    for name, shape in input_shapes(mode, hidden).items():
        sizes = [1 if size is None else size for size in shape]
        values[name] = Value((1, _FRAMES, SIZE) if name == "frames" else tuple(sizes))
    return values


def _output_shapes(mode: Mode, hidden: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the outputs for one utterance."""
    shapes: dict[str, tuple[int, ...]] = {"logits": (1, len(LABELS)), "embedding": (1, hidden)}
    if mode == "window":
        return shapes | {"attention": (1, _FRAMES)}
    states = _inputs(mode, hidden)
    return shapes | {f"next_{name}": states[name].shape for name in STATE}


def _outputs(node: Node, values: Mapping[str, Value]) -> Iterator[tuple[str, Value]]:
    """Names and values of a node's outputs."""
    try:
        inputs = [values[name] if name else ABSENT for name in node.inputs]
        outputs = output_values(node, inputs)
        yield from ((name, value) for name, value in zip(node.outputs, outputs, strict=False) if name)
        if len(node.outputs) > len(outputs):
            raise ValueError("it has too many outputs")
    except KeyError as error:
        raise ValueError(f"{node.operator} reads a tensor that no earlier operator makes") from error
    except ValueError as error:
        raise ValueError(f"{node.operator}: {error}") from error


def _shown(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"
