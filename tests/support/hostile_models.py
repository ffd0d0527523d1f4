"""Model files that somebody made to do harm: each is the shipped pair with one change."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.models import edit_metadata

Change = Callable[[Any], object]
Case = tuple[Callable[[Path], object], str]
"""What happens to the window graph's file, and a part of the sentence that refuses it."""


def _onnx() -> Any:
    return pytest.importorskip("onnx", reason="the train extra is not installed")


def changed(change: Change) -> Callable[[Path], None]:
    """Change the file by means of the `onnx` package."""

    def apply(path: Path) -> None:
        onnx = _onnx()
        model = onnx.load(path)
        change(model)
        path.write_bytes(model.SerializeToString())

    return apply


def described(name: str, value: str) -> Callable[[Path], None]:
    """Change one property of the metadata."""
    return lambda path: edit_metadata(path, lambda properties: properties.update({name: value}))


def _append(model: Any, *nodes: Any) -> None:
    """Put nodes behind the graph: they read `before`, which were the logits, and make `logits`."""
    for node in model.graph.node:
        node.output[:] = ["before" if name == "logits" else name for name in node.output]
    model.graph.node.extend(nodes)


def _constant(name: str, *integers: int) -> Any:
    helper, kind = _onnx().helper, _onnx().TensorProto.INT64
    data = b"".join(integer.to_bytes(8, "little", signed=True) for integer in integers)
    tensor = helper.make_tensor("value", kind, [len(integers)], data, True)
    return helper.make_node("Constant", [], [name], value=tensor)


def _add_sum_of(model: Any, name: str, rank: int) -> None:
    """Add the sum of a tensor to the logits, so that it has to be made."""
    make = _onnx().helper.make_node
    _append(
        model,
        _constant("axes", *range(rank)),
        make("ReduceSum", [name, "axes"], ["sum"], keepdims=0),
        make("Add", ["before", "sum"], ["logits"]),
    )


def _subgraph(name: str, inputs: list[Any], outputs: list[Any], nodes: list[Any]) -> Any:
    return _onnx().helper.make_graph(nodes, name, inputs, outputs)


def _loop(model: Any) -> None:
    onnx = _onnx()
    value, make = onnx.helper.make_tensor_value_info, onnx.helper.make_node
    kinds = onnx.TensorProto
    body = _subgraph(
        "body",
        [value("i", kinds.INT64, []), value("on", kinds.BOOL, []), value("x", kinds.FLOAT, None)],
        [value("on_too", kinds.BOOL, []), value("y", kinds.FLOAT, None)],
        [make("Identity", ["on"], ["on_too"]), make("Identity", ["x"], ["y"])],
    )
    # Neither a number of turns nor a condition.
    _append(model, make("Loop", ["", "", "before"], ["logits"], body=body))


def _with_nested_ifs(path: Path) -> None:
    """Nest thousands of graphs. By hand: the usual library refuses to write more than a hundred levels."""
    onnx = _onnx()
    model = onnx.load(path)
    branch = b""
    for _ in range(5000):
        attribute = b"\x0a\x06branch" + b"\x32" + _size(branch) + branch + b"\xa0\x01\x05"
        node = b"\x22\x02If" + b"\x2a" + _size(attribute) + attribute
        branch = b"\x0a" + _size(node) + node
    graph = model.graph.SerializeToString() + branch
    model.ClearField("graph")
    path.write_bytes(model.SerializeToString() + b"\x3a" + _size(graph) + graph)


def _with_a_second_graph(path: Path) -> None:
    """The usual library merges what occurs twice."""
    second = b"\x0a\x04\x22\x02If"
    path.write_bytes(path.read_bytes() + b"\x3a" + _size(second) + second)


def _size(content: bytes) -> bytes:
    """The length of a payload as a varint."""
    size, parts = len(content), []
    while size > 127:
        parts.append(size & 127 | 128)
        size >>= 7
    return bytes((*parts, size))


def _constant_of_shape(model: Any, *sizes: int) -> None:
    make = _onnx().helper.make_node
    nodes = [_constant("sizes", *sizes), make("ConstantOfShape", ["sizes"], ["large"])]
    model.graph.node.extend(nodes)
    _add_sum_of(model, "large", len(sizes))


def _frames_by_frames(model: Any) -> None:
    """A tensor that grows with the square of the time, from allowed operators alone."""
    make = _onnx().helper.make_node
    model.graph.node.extend(
        (
            _constant("one", 1),
            make("Unsqueeze", ["attention", "one"], ["row"]),
            _constant("two", 2),
            make("Unsqueeze", ["attention", "two"], ["column"]),
            make("Mul", ["row", "column"], ["large"]),
        )
    )
    _add_sum_of(model, "large", 3)


def _computed_size(model: Any) -> None:
    """A size that is a product of sizes, which no shape shows."""
    make = _onnx().helper.make_node
    model.graph.node.extend(
        (
            make("Shape", ["attention"], ["sizes"]),
            make("Mul", ["sizes", "sizes"], ["squares"]),
            make("ConstantOfShape", ["squares"], ["large"]),
        )
    )
    _add_sum_of(model, "large", 2)


def _with_node(operator: str, *inputs: str, domain: str = "", **attributes: object) -> Callable[[Path], None]:
    def change(model: Any) -> None:
        _append(model, _onnx().helper.make_node(operator, [*inputs], ["logits"], domain=domain, **attributes))
        if domain:
            model.opset_import.add(domain=domain, version=1)

    return changed(change)


def _scan(model: Any) -> None:
    onnx = _onnx()
    value, make, kind = onnx.helper.make_tensor_value_info, onnx.helper.make_node, onnx.TensorProto.FLOAT
    body = _subgraph("body", [value("x", kind, None)], [value("y", kind, None)], [make("Identity", ["x"], ["y"])])
    _append(model, make("Scan", ["before"], ["logits"], body=body, num_scan_inputs=1))


def _function(model: Any) -> None:
    helper = _onnx().helper
    body = [helper.make_node("Identity", ["x"], ["y"])]
    model.functions.append(helper.make_function("own", "f", ["x"], ["y"], body, [helper.make_opsetid("", 17)]))
    model.opset_import.add(domain="own", version=1)
    _append(model, helper.make_node("f", ["before"], ["logits"], domain="own"))


def _external(model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = _onnx().TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def _sparse(model: Any) -> None:
    onnx = _onnx()
    values = onnx.helper.make_tensor("s", onnx.TensorProto.FLOAT, [1], [1.0])
    indices = onnx.helper.make_tensor("i", onnx.TensorProto.INT64, [1], [0])
    model.graph.sparse_initializer.append(onnx.helper.make_sparse_tensor(values, indices, [1 << 28]))
    _add_sum_of(model, "s", 1)


def _initializer(model: Any) -> None:
    onnx = _onnx()
    model.graph.initializer.append(onnx.helper.make_tensor("large", 1, [500_000], bytes(2_000_000), True))
    _add_sum_of(model, "large", 1)


def _wrong_size(model: Any) -> None:
    model.graph.initializer[0].dims[:] = [1 << 40]


def _fixed_time(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 5


def _not_finite(model: Any) -> None:
    (tensor,) = (one for one in model.graph.initializer if one.name == "network.classifier.bias")
    tensor.raw_data = b"\x00\x00\x80\x7f" * 8


def _replace(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


def _listen(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(path))


def _sparse_file(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(64 << 30)


FILES: dict[str, Case] = {
    "FIFO": (lambda path: _replace(path, os.mkfifo), "it is a named pipe"),
    "/dev/zero": (lambda path: _replace(path, lambda new: new.symlink_to("/dev/zero")), "it is a device"),
    "folder": (lambda path: _replace(path, Path.mkdir), "it is a folder"),
    "socket": (lambda path: _replace(path, _listen), "it is a socket"),
    "sparse file": (lambda path: _replace(path, _sparse_file), "larger than 4 MiB"),
    "larger than allowed": (lambda path: path.write_bytes(path.read_bytes() + bytes(4 << 20)), "larger than 4 MiB"),
    "link to itself": (lambda path: _replace(path, lambda new: new.symlink_to(new)), "can't read the model file"),
    "no end of a number": (lambda path: path.write_bytes(b"\xff" * 100_000), "not an ONNX model"),
    "many empty fields": (lambda path: path.write_bytes(b"\x72\x00" * 2_000_000), "not an ONNX model"),
    "second graph": (_with_a_second_graph, "more than 1 graph"),
}

GRAPHS: dict[str, Case] = {
    "endless loop": (changed(_loop), "'Loop'"),
    "scan": (changed(_scan), "'Scan'"),
    "nested graphs": (_with_nested_ifs, "'If'"),
    "function": (changed(_function), "unexpected field 25"),
    "custom domain": (_with_node("Gelu", "before", domain="com.microsoft"), "com.microsoft"),
    "random numbers": (_with_node("RandomNormalLike", "before"), "RandomNormalLike"),
    "external data": (changed(_external), "tensor has an unexpected field"),
    "sparse tensor": (changed(_sparse), "unexpected field 15"),
    "2 GiB of zeros": (
        changed(lambda model: _constant_of_shape(model, 1 << 29)),
        "ConstantOfShape makes a tensor of shape",
    ),
    "negative size": (changed(lambda model: _constant_of_shape(model, -1)), "ConstantOfShape"),
    "frames by frames": (changed(_frames_by_frames), "Mul makes a tensor of shape"),
    "computed size": (changed(_computed_size), "depends on computed numbers"),
    "large tensor": (changed(_initializer), "expected the 46772 parameters"),
    "wrong size": (changed(_wrong_size), "a tensor has an unexpected type or shape"),
    "fixed length": (changed(_fixed_time), "expected frames of shape (any, any, 46), found (any, 5, 46)"),
    "weights not finite": (changed(_not_finite), "not finite"),
}

DESCRIPTIONS: dict[str, Case] = {
    f"{number}: {name} = {value[:20]}": (described(name, value), words)
    for number, (name, value, words) in enumerate(
        (
            ("mean", '"x"', "46 finite numbers as mean"),
            ("mean", json.dumps(["x"] * 46), "46 finite numbers as mean"),
            ("mean", json.dumps([1e30] * 46), "46 finite numbers as mean"),
            ("mean", f"[{'1e999, ' * 45}1]", "46 finite numbers as mean"),
            ("mean", f"[{'NaN, ' * 45}1]", "46 finite numbers as mean"),
            ("mean", f"[{'1' * 400 + ', ' * 1}{'1, ' * 44}1]", "46 finite numbers as mean"),
            ("mean", "[" * 5000 + "]" * 5000, "mean"),
            ("std", "[0]", "46 finite numbers as std"),
            ("std", json.dumps([0] * 46), "not above 0"),
            ("std", f"[{'Infinity, ' * 45}1]", "46 finite numbers as std"),
            ("features", "null", "expected a mapping as features"),
            ("features", '{"hop": ' * 5000 + "1" + "}" * 5000, "features"),
            ("features", json.dumps({"hop": "x" * 100_000}), "other features"),
            ("features", json.dumps({"\x1b[2J" * 1000: 1}), "other features"),
            ("labels", "null", "expected a list of texts as labels"),
            ("labels", json.dumps(["\x1b]0;x\x07" * 10_000] * 8), "expected the labels"),
            ("hidden", "true", "as hidden"),
            ("hidden", "1e3", "as hidden"),
            ("hidden", "-64", "as hidden"),
            ("hidden", "1" + "0" * 5000, "hidden"),
            ("variant", "64", "as variant"),
            ("variant", '"../h64"', "is called variant"),
            ("mode", "[]", "as mode"),
            ("mode", '"other"', "as mode"),
            ("format_version", "null", "as format_version"),
            ("format_version", "[1]", "as format_version"),
            ("format_version", "0", "as format_version"),
            ("temperature", "0", "as temperature"),
            ("temperature", "1e-300", "as temperature"),
            ("temperature", "1e300", "as temperature"),
            ("short_temperature", "[]", "as short_temperature"),
            ("unknown_below", "-1", "as unknown_below"),
            ("calibrated", '"no"', "as calibrated"),
            ("licence", '"\\u001b[2J"', "as licence"),
            ("training_data", json.dumps("x" * 100_000), "as training_data"),
            ("unlike_speech", "[]", "unlike_speech"),
            ("unlike_speech", '{"method": "energy", "limit": "x", "window_limit": 1}', "a limit is no number"),
            ("unlike_speech", '{"method": "energy", "limit": 1e999, "window_limit": 1}', "a limit is no number"),
            (
                "unlike_speech",
                '{"method": "mahalanobis", "limit": 1, "window_limit": 1, "means": [[1e300]], "whitening": [[1]]}',
                "expected finite numbers as means",
            ),
            (
                "unlike_speech",
                json.dumps(
                    {
                        "method": "mahalanobis",
                        "limit": 1,
                        "window_limit": 1,
                        "means": [[1]] * 65,
                        "whitening": [[1]],
                    }
                ),
                "at most 64 means",
            ),
            ("typical_logits", json.dumps([[1e300] * 8] * 8), "typical_logits"),
            ("activation", "[]", "activation is not what it should be"),
            ("activation", '{"slope": 1e999, "offset": 0, "unknown_below": 1}', "from 0 to 100 as slope, found inf"),
            ("activation", '{"slope": 1, "offset": NaN, "unknown_below": 1}', "from -100 to 100 as offset, found nan"),
            ("activation", '{"slope": 1, "offset": 0, "unknown_below": "\\u001b[2J"}', r"found '\x1b[2J'"),
            ("activation", json.dumps({"x" * 100_000: 1}), "activation is not what it should be"),
        )
    )
}
"""Changes of the metadata of both graphs."""
