"""Copies of the shipped model that a test may change."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

from ser_model.network.estimator import DEFAULT_MODEL
from ser_model.network.model_files import ModelFiles

SHIPPED = ModelFiles.named(Path(str(files("ser_model").joinpath("weights", DEFAULT_MODEL))))


def copy_shipped(folder: Path) -> ModelFiles:
    """Copy the two graphs of the shipped model into a folder."""
    return ModelFiles(*(Path(shutil.copy(path, folder)) for path in SHIPPED))


def edit_metadata(path: Path, change: Callable[[dict[str, str]], object]) -> None:
    """Change the metadata of a graph in place."""
    onnx = pytest.importorskip("onnx", reason="the train extra is not installed")
    model = onnx.load(path)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    change(properties)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, properties)
    onnx.save(model, path)


def with_activation(folder: Path, **parameters: float) -> ModelFiles:
    """Copy the shipped model into a folder, with parameters of the activation in place of its own."""
    pair = copy_shipped(folder)
    for path in pair:
        edit_metadata(path, lambda properties: properties.update(activation=json.dumps(parameters)))
    return pair


def without_class_mean_logits(folder: Path) -> Path:
    """Copy the shipped model without its class-mean logits, so that it cannot be adapted."""
    for path in copy_shipped(folder):
        # A key of the same length keeps the file valid.
        path.write_bytes(path.read_bytes().replace(b"typical_logits", b"atypical_logit"))
    return folder / DEFAULT_MODEL
