"""Model files: the shipped ones changed, small hostile graphs, and what else can have a model's name."""

from __future__ import annotations

import contextlib
import io
import json
import math
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from hypothesis import strategies as st

from fuzz.files import edit, folder, place
from fuzz.invariants import check_sentence, require
from fuzz.strategies import extremes, file_kinds, odd_texts, to_json, values
from fuzz.target import Finding, register
from fuzz.targets.state import edits
from ser_model.adaptation.adaptation import Adaptation
from ser_model.errors import SerError
from ser_model.network.estimator import DEFAULT_MODEL, Model
from ser_model.network.metadata import ModelMetadata
from ser_model.network.verification import verify
from ser_model.recognizer import Recognizer

MODES = ("window", "stream")


@cache
def shipped(mode: str) -> bytes:
    """A shipped graph."""
    return files("ser_model").joinpath("weights", f"{DEFAULT_MODEL}.{mode}.onnx").read_bytes()


@cache
def properties() -> dict[str, str]:
    """Metadata of the shipped window graph, with an activation."""
    activation = {"slope": 1.5, "offset": -0.25, "unknown_below": 0.75}
    return Model.load().metadata.to_properties() | {"mode": '"window"', "activation": json.dumps(activation)}


KEYS = ["mode", "variant", "hidden", "mean", "std", "temperature", "short_temperature", "calibrated", "unknown_below"]
KEYS += ["unlike_speech", "typical_logits", "activation", "training_data", "licence", "labels", "features"]
KEYS += ["format_version"]
texts_of_numbers = st.sampled_from(
    ["0", "-1", "1e-300", "Infinity", "-Infinity", "NaN", "1e999", "null", "[]", "{}", '"x"']
)
json_texts = st.one_of(texts_of_numbers, values.map(lambda value: ("json", value)), extremes.map(lambda v: ("json", v)))
changes = st.one_of(
    st.tuples(st.just("value"), st.sampled_from(KEYS), json_texts),
    st.tuples(st.just("value"), st.sampled_from(KEYS), json_texts),
    st.tuples(
        st.just("item"), st.sampled_from(["mean", "std", "labels", "typical_logits"]), st.integers(0, 50), json_texts
    ),
    st.tuples(
        st.just("inner"),
        st.sampled_from(["method", "limit", "window_limit", "means", "whitening", "other"]),
        json_texts,
    ),
    st.tuples(st.just("activation"), st.sampled_from(["slope", "offset", "unknown_below", "other"]), json_texts),
    st.tuples(st.just("row"), st.sampled_from(["mean", "std"]), st.integers(0, 60), texts_of_numbers),
    st.tuples(st.just("text"), st.sampled_from(KEYS) | odd_texts, odd_texts),
    st.tuples(st.just("drop"), st.sampled_from(KEYS)),
)


def changed(plan: list[Any]) -> dict[str, str]:
    """The shipped metadata with changes."""
    made = dict(properties())
    for change in plan:
        match change:
            case ("value", key, text):
                made[key] = _text(text)
            case ("item", key, index, text):
                row = [json.dumps(item) for item in _list(made.get(key))]
                if row:
                    row[index % len(row)] = _text(text)
                made[key] = f"[{','.join(row)}]"
            case ("inner", key, text):
                _change_inner(made, "unlike_speech", key, _text(text))
            case ("activation", key, text):
                _change_inner(made, "activation", key, _text(text))
            case ("row", key, count, text):
                made[key] = f"[{','.join([text] * count)}]"
            case ("text", key, text):
                made[key] = text
            case ("drop", key):
                made.pop(key, None)
    return made


def _change_inner(made: dict[str, str], name: str, key: str, text: str) -> None:
    """Change one value of a mapping, if it is one."""
    with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
        inner = {key: json.dumps(item) for key, item in json.loads(made[name]).items()} | {key: text}
        made[name] = "{" + ",".join(f'"{key}":{item}' for key, item in inner.items()) + "}"


def _text(text: Any) -> str:
    return to_json(text[1]) if isinstance(text, tuple) else str(text)


def _list(text: str | None) -> list[Any]:
    try:
        found = json.loads(text or "[]")
    except (ValueError, RecursionError):
        return []
    return found if isinstance(found, list) else []


@register("metadata", st.lists(changes, min_size=1, max_size=3), quick=300, seconds=4.0)
def check_metadata(example: list[Any]) -> None:
    """Metadata are refused with one sentence, or whatever is done with them works."""
    made = changed(example)
    with np.errstate(all="ignore"):
        metadata = ModelMetadata.from_properties(made, "m.onnx", "window")
        numbers = [*metadata.mean, *metadata.std, metadata.temperature, metadata.unknown_below]
        finite = all(isinstance(one, int | float) and math.isfinite(one) for one in numbers)
        require(finite, "metadata accepted that --check refuses", "a number is not finite")
        require(
            len(metadata.mean) == len(metadata.std) == 46, "metadata accepted that --check refuses", "not 46 numbers"
        )
        require(all(one > 0 for one in metadata.std), "metadata accepted that --check refuses", "std is not above 0")
        require(metadata.variant == f"h{metadata.hidden}", "metadata accepted that --check refuses", "variant")
        _use(metadata)


def _use(metadata: ModelMetadata) -> None:
    """Do what the daemon does with metadata."""
    from ser_model.config import DecisionConfig
    from ser_model.decision import Decision

    decision = Decision(DecisionConfig(), metadata)
    # Older source trees, which `run.py --code` takes, have no activation.
    expected = getattr(metadata, "activation", None) is not None
    for logits in (np.zeros(8, np.float32), np.eye(1, 8, 4, np.float32)[0] * 1e6):
        answer = decision.final(logits, 16_000, np.zeros(metadata.hidden, np.float32))
        require(math.isfinite(answer.confidence), "confidence is not finite")
        found = getattr(answer, "activation", None)
        require((found is not None) == expected, "activation is missing, or made up")
        good = found is None or (found.level in ("high", "low", "unknown") and 0 <= found.probability <= 1)
        require(good, "activation is not a probability", str(found))
    if metadata.typical_logits is not None:
        Adaptation(metadata).learn(np.zeros(46), 10, np.zeros(8, np.float32))


nodes = st.one_of(
    st.tuples(
        st.just("ConstantOfShape"), st.lists(st.sampled_from([1, 8, 1024, 1 << 15, 1 << 20, 1 << 31]), max_size=3)
    ),
    st.tuples(st.just("Loop"), st.sampled_from([1, 1000, 10**6, 2**62])),
    st.tuples(st.just("Expand"), st.lists(st.sampled_from([1, 8, 1024, 1 << 16, 1 << 31]), min_size=1, max_size=3)),
    st.tuples(st.just("Range"), st.sampled_from([1, 1000, 1 << 28, 1 << 34])),
    st.tuples(st.just("Unknown"), odd_texts),
    st.tuples(st.just("MatMul"), st.sampled_from([8, 1024, 8192, 1 << 15])),
    st.tuples(st.just("If"), st.booleans()),
)
graphs = st.one_of(
    st.tuples(st.just("edits"), edits),
    st.tuples(st.just("metadata"), st.lists(changes, min_size=1, max_size=2)),
    st.tuples(
        st.just("initializer"), st.integers(0, 30), st.lists(st.sampled_from([0, 1, 8, -1, 2**31, 2**40]), max_size=3)
    ),
    st.tuples(st.just("external"), st.integers(0, 30), st.sampled_from(["/etc/passwd", "../x", "/dev/zero", "data"])),
    st.tuples(st.just("node"), st.integers(0, 60), st.sampled_from(["op", "drop", "twice", "input"]), odd_texts),
    st.tuples(st.just("hostile"), st.lists(nodes, min_size=1, max_size=3)),
    st.tuples(st.just("hostile"), st.lists(nodes, min_size=1, max_size=1)),
    st.tuples(st.just("good")),
)


def _utf8(text: str) -> str:
    """Replace what a file cannot hold."""
    return text.encode("utf-8", "replace").decode()


def to_graph(mode: str, plan: tuple[Any, ...]) -> bytes:
    """The bytes of a graph."""
    import onnx

    if plan[0] == "edits":
        return edit(shipped(mode), plan[1])
    model = onnx.load_from_string(shipped(mode))
    graph = model.graph
    match plan:
        case ("metadata", changes):
            del model.metadata_props[:]
            made = changed(changes)
            if made.get("mode") == '"window"':
                made["mode"] = f'"{mode}"'
            clean = {_utf8(key): _utf8(text) for key, text in made.items()}
            onnx.helper.set_model_props(model, clean)
        case ("initializer", index, dims):
            tensor = graph.initializer[index % len(graph.initializer)]
            del tensor.dims[:]
            tensor.dims.extend(dims)
        case ("external", index, location):
            tensor = graph.initializer[index % len(graph.initializer)]
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value=location)
        case ("node", index, action, text):
            _change_node(graph, index % len(graph.node), action, text)
        case ("hostile", parts):
            _add(graph, parts)
    return bytes(model.SerializeToString())


def _change_node(graph: Any, index: int, action: str, text: str) -> None:
    node = graph.node[index]
    name = text.encode("utf-8", "replace").decode() or "Nothing"
    match action:
        case "op":
            node.op_type = name
        case "drop":
            del graph.node[index]
        case "twice":
            graph.node.add().CopyFrom(node)
        case "input" if node.input:
            node.input[0] = name


def _add(graph: Any, parts: list[Any]) -> None:
    """Make logits depend on hostile nodes, so that they are computed."""
    from onnx import helper

    last = graph.output[0].name
    for node in graph.node:
        for at, name in enumerate(node.output):
            if name == last:
                node.output[at] = "inner_logits"
    total = "inner_logits"
    for number, part in enumerate(parts):
        made = f"hostile{number}"
        with contextlib.suppress(ValueError, OverflowError):
            _hostile(graph, part, made)
            summed = f"sum{number}"
            graph.node.append(helper.make_node("ReduceSum", [made], [f"{made}_s"], keepdims=0))
            graph.node.append(helper.make_node("Add", [total, f"{made}_s"], [summed]))
            total = summed
    graph.node.append(helper.make_node("Identity", [total], [last]))


def _hostile(graph: Any, part: tuple[Any, ...], out: str) -> None:
    """Add a node that may take much time or memory."""
    from onnx import TensorProto, helper

    def constant(name: str, kind: int, dims: list[int], content: list[Any]) -> str:
        graph.initializer.append(helper.make_tensor(f"{out}_{name}", kind, dims, content))
        return f"{out}_{name}"

    one = constant("one", TensorProto.FLOAT, [1], [1.0])
    match part:
        case ("ConstantOfShape", shape):
            dims = constant("dims", TensorProto.INT64, [len(shape)], shape)
            graph.node.append(helper.make_node("ConstantOfShape", [dims], [out]))
        case ("Expand", shape):
            dims = constant("dims", TensorProto.INT64, [len(shape)], shape)
            graph.node.append(helper.make_node("Expand", [one, dims], [out]))
        case ("Range", limit):
            bounds = [constant(n, TensorProto.FLOAT, [], [float(v)]) for n, v in (("a", 0), ("b", limit), ("c", 1))]
            graph.node.append(helper.make_node("Range", bounds, [out]))
        case ("MatMul", size):
            dims = constant("dims", TensorProto.INT64, [2], [size, size])
            graph.node.append(helper.make_node("ConstantOfShape", [dims], [f"{out}_m"]))
            graph.node.append(helper.make_node("MatMul", [f"{out}_m", f"{out}_m"], [out]))
        case ("Loop", count):
            trips = constant("trips", TensorProto.INT64, [], [count])
            go = constant("go", TensorProto.BOOL, [], [True])
            graph.node.append(helper.make_node("Loop", [trips, go, one], [out], body=_body(out)))
        case ("If", chosen):
            condition = constant("if", TensorProto.BOOL, [], [chosen])
            branch = helper.make_graph(
                [helper.make_node("Identity", [one], [f"{out}_b"])],
                "b",
                [],
                [helper.make_tensor_value_info(f"{out}_b", TensorProto.FLOAT, [1])],
            )
            graph.node.append(helper.make_node("If", [condition], [out], then_branch=branch, else_branch=branch))
        case ("Unknown", name):
            graph.node.append(helper.make_node(name.encode("utf-8", "replace").decode() or "X", [one], [out]))


def _body(out: str) -> Any:
    from onnx import TensorProto, helper

    inputs = [
        helper.make_tensor_value_info(f"{out}_i", TensorProto.INT64, []),
        helper.make_tensor_value_info(f"{out}_c", TensorProto.BOOL, []),
        helper.make_tensor_value_info(f"{out}_v", TensorProto.FLOAT, [1]),
    ]
    outputs = [
        helper.make_tensor_value_info(f"{out}_c2", TensorProto.BOOL, []),
        helper.make_tensor_value_info(f"{out}_v2", TensorProto.FLOAT, [1]),
    ]
    steps = [
        helper.make_node("Identity", [f"{out}_c"], [f"{out}_c2"]),
        helper.make_node("Neg", [f"{out}_v"], [f"{out}_v2"]),
    ]
    return helper.make_graph(steps, "body", inputs, outputs)


@register(
    "model",
    st.tuples(file_kinds, st.sampled_from(MODES), graphs),
    quick=40,
    isolated=True,
    seconds=12.0,
    megabytes=400.0,
    needs="onnx",
)
def check_model(example: tuple[str, str, tuple[Any, ...]]) -> None:
    """A model file is used, or refused with one sentence, in little time and memory; `--check` agrees."""
    kind, mode, plan = example
    with folder() as path:
        other = MODES[mode == "window"]
        (path / f"m.{other}.onnx").write_bytes(shipped(other))
        place(path / f"m.{mode}.onnx", kind, to_graph(mode, plan))
        usable = _loads(path / "m")
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            status = verify(path / "m")
        require(status in (0, 2), "exit status of --check", str(status))
        require(status == 2 or usable, "--check accepts what the daemon refuses")
        agree = status == 0 or not usable or plan[0] != "metadata"
        require(agree, "metadata accepted that --check refuses", output.getvalue()[-300:])


def _loads(path: Any) -> bool:
    """Whether the daemon can use the model; then use it."""
    try:
        model = Model.load(path)
    except SerError as error:
        check_sentence(error)
        return False
    recognizer = Recognizer(model)
    rng = np.random.default_rng(0)
    try:
        recognizer.push((rng.normal(0, 3000, 8000)).astype(np.int16))
        recognizer.finish()
    except SerError:
        raise Finding("model fails while listening", str(path)) from None
    return True
