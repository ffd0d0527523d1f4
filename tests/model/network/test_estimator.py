"""A model file is used only when it is what this program was made for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from ser_model.errors import SerError
from ser_model.network.estimator import DEFAULT_MODEL, Model

onnx = pytest.importorskip("onnx", reason="the train extra is not installed")


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    for mode in ("window", "stream"):
        shutil.copy(str(files("ser_model").joinpath("weights", f"{DEFAULT_MODEL}.{mode}.onnx")), tmp_path)
    return tmp_path / DEFAULT_MODEL


def edit(path: Path, change: Callable[[dict[str, str]], None]) -> None:
    model = onnx.load(path)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    change(properties)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, properties)
    onnx.save(model, path)


def window(pair: Path) -> Path:
    return pair.with_name(f"{pair.name}.window.onnx")


def stream(pair: Path) -> Path:
    return pair.with_name(f"{pair.name}.stream.onnx")


def test_the_shipped_model_describes_itself() -> None:
    model = Model.load()
    assert model.name == "reslstm-sa-h64"
    assert model.labels[0] == "neutral"
    assert model.metadata.licence
    assert len(model.metadata.mean) == 46


def test_a_pair_is_loaded_by_either_name_or_by_its_beginning(pair: Path) -> None:
    for path in (pair, window(pair), stream(pair)):
        assert Model.load(path).name == "reslstm-sa-h64"


@pytest.mark.parametrize("pieces", [[60], [1, 59], [20, 0, 40], [7] * 8 + [4]])
def test_window_and_stream_agree(pieces: list[int]) -> None:
    model = Model.load()
    rng = np.random.default_rng(4)
    frames = (np.array(model.metadata.mean) + rng.standard_normal((60, 46))).astype(np.float32)
    running = model.stream()
    for piece in np.split(frames, np.cumsum(pieces)[:-1]):
        estimate = running.push(piece)
    np.testing.assert_allclose(estimate.logits, model.window(frames).logits, atol=1e-4)
    np.testing.assert_allclose(estimate.embedding, model.window(frames).embedding, atol=1e-4)


def test_a_missing_file_is_named(pair: Path) -> None:
    stream(pair).unlink()
    with pytest.raises(SerError, match=r"stream\.onnx: can't read the model file"):
        Model.load(pair)


def test_a_damaged_file_is_refused(pair: Path) -> None:
    window(pair).write_bytes(window(pair).read_bytes()[:5000])
    with pytest.raises(SerError, match="damaged or not an ONNX model"):
        Model.load(pair)


def test_somebody_elses_model_is_refused(pair: Path) -> None:
    edit(window(pair), dict.clear)
    with pytest.raises(SerError, match="another kind"):
        Model.load(pair)


def test_a_newer_format_is_refused(pair: Path) -> None:
    edit(window(pair), lambda properties: properties.update(format_version="2"))
    with pytest.raises(SerError, match="format 2, this program reads up to 1"):
        Model.load(pair)


def test_other_labels_are_refused(pair: Path) -> None:
    edit(stream(pair), lambda properties: properties.update(labels=json.dumps(["joy", "grief"])))
    with pytest.raises(SerError, match="found joy, grief"):
        Model.load(pair)


def test_other_features_are_refused_by_their_names(pair: Path) -> None:
    def change(properties: dict[str, str]) -> None:
        properties["features"] = json.dumps({**json.loads(properties["features"]), "hop": 160})

    edit(window(pair), change)
    with pytest.raises(SerError, match=r"hop=160.*hop=683"):
        Model.load(pair)


def test_swapped_files_are_noticed(pair: Path) -> None:
    kept = window(pair).read_bytes()
    window(pair).write_bytes(stream(pair).read_bytes())
    stream(pair).write_bytes(kept)
    with pytest.raises(SerError, match="swapped"):
        Model.load(pair)


def test_a_description_without_a_value_is_refused(pair: Path) -> None:
    edit(window(pair), lambda properties: properties.pop("temperature") and None)
    with pytest.raises(SerError, match="description is damaged"):
        Model.load(pair)


def test_a_graph_with_another_shape_is_refused(pair: Path) -> None:
    model = onnx.load(stream(pair))
    for node in model.graph.node:
        if node.op_type == "LSTM":
            node.attribute[0].CopyFrom(onnx.helper.make_attribute(node.attribute[0].name, 13))
    onnx.save(model, stream(pair))
    with pytest.raises(SerError, match=r"can't be run|damaged"):
        Model.load(pair)
