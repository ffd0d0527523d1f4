"""A model is used only if its files are complete and made for this program."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ser_model.errors import SerError
from ser_model.network.estimator import Model
from ser_model.network.model_files import ModelFiles
from support.models import copy_shipped
from support.models import edit_metadata as edit

onnx = pytest.importorskip("onnx", reason="the train extra is not installed")


@pytest.fixture
def pair(tmp_path: Path) -> ModelFiles:
    return copy_shipped(tmp_path)


def test_the_shipped_model_has_metadata() -> None:
    model = Model.load()
    assert model.name == "reslstm-sa-h64"
    assert model.labels[0] == "neutral"
    assert model.metadata.licence
    assert len(model.metadata.mean) == 46


def test_the_open_model_learned_from_nothing_that_forbids_a_use() -> None:
    model = Model.load(Path("open"))
    assert model.name == "reslstm-sa-h64-open"
    assert model.metadata.licence.startswith("CC BY 4.0")
    assert not any(name in model.metadata.training_data for name in ("RAVDESS", "nEMO", "commands", "AESDD"))
    assert model.metadata.mean != Model.load().metadata.mean


@pytest.mark.parametrize("path", [None, Path("open")])
def test_the_shipped_models_are_calibrated_on_strangers(path: Path | None) -> None:
    metadata = Model.load(path).metadata
    assert metadata.calibrated
    assert metadata.activation is not None
    assert metadata.unlike_speech is not None
    assert metadata.typical_logits is not None
    assert 0.2 < metadata.unknown_below < 1


def test_a_pair_is_loaded_by_either_name_or_without_the_endings(pair: ModelFiles) -> None:
    for path in (*pair, pair.window.with_name("reslstm-sa-h64")):
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


def test_a_missing_file_is_named(pair: ModelFiles) -> None:
    pair.stream.unlink()
    with pytest.raises(SerError, match=r"stream\.onnx: can't read the model file"):
        Model.load(pair.window)


def test_a_damaged_file_is_refused(pair: ModelFiles) -> None:
    pair.window.write_bytes(pair.window.read_bytes()[:5000])
    with pytest.raises(SerError, match="damaged or not an ONNX model"):
        Model.load(pair.window)


def test_an_onnx_file_of_another_kind_is_refused(pair: ModelFiles) -> None:
    edit(pair.window, dict.clear)
    with pytest.raises(SerError, match="another kind"):
        Model.load(pair.window)


def test_a_newer_format_is_refused(pair: ModelFiles) -> None:
    edit(pair.window, lambda properties: properties.update(format_version="2"))
    with pytest.raises(SerError, match="format 2, this program reads up to 1"):
        Model.load(pair.window)


def test_other_labels_are_refused(pair: ModelFiles) -> None:
    edit(pair.stream, lambda properties: properties.update(labels=json.dumps(["joy", "grief"])))
    with pytest.raises(SerError, match="found joy, grief"):
        Model.load(pair.window)


def test_other_features_are_refused_by_their_names(pair: ModelFiles) -> None:
    def change(properties: dict[str, str]) -> None:
        properties["features"] = json.dumps({**json.loads(properties["features"]), "hop": 160})

    edit(pair.window, change)
    with pytest.raises(SerError, match=r"hop=160.*hop=683"):
        Model.load(pair.window)


def test_swapped_files_are_noticed(pair: ModelFiles) -> None:
    kept = pair.window.read_bytes()
    pair.window.write_bytes(pair.stream.read_bytes())
    pair.stream.write_bytes(kept)
    with pytest.raises(SerError, match="swapped"):
        Model.load(pair.window)


def test_incomplete_metadata_are_refused(pair: ModelFiles) -> None:
    edit(pair.window, lambda properties: properties.pop("temperature") and None)
    with pytest.raises(SerError, match="description is damaged"):
        Model.load(pair.window)


def test_a_graph_with_another_shape_is_refused(pair: ModelFiles) -> None:
    model = onnx.load(pair.stream)
    for node in model.graph.node:
        if node.op_type == "LSTM":
            node.attribute[0].CopyFrom(onnx.helper.make_attribute(node.attribute[0].name, 13))
    onnx.save(model, pair.stream)
    with pytest.raises(SerError, match="LSTM: its inputs don't fit"):
        Model.load(pair.window)
