"""Reads one graph of a model and checks it, before ONNX Runtime sees it: for the daemon and `export --check` alike."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ser_model.errors import SerError
from ser_model.network.graph_check import check_graph
from ser_model.network.metadata import ModelMetadata
from ser_model.network.model_files import MOST_BYTES, Mode
from ser_model.network.onnx_file import read_onnx
from ser_model.small_file import UnreadableFileError, read_small_file


class ModelGraph(NamedTuple):
    """A graph whose metadata, operators, stored numbers and sizes are those of this program's network."""

    path: Path
    content: bytes
    metadata: ModelMetadata


def read_model_file(path: Path) -> bytes:
    """Read a model file, once.

    Raises:
        SerError: it cannot be read, is not a regular file, or is larger than `MOST_BYTES`.
    """
    try:
        return read_small_file(path, MOST_BYTES)
    except UnreadableFileError as error:
        expected = "expected a pair NAME.window.onnx and NAME.stream.onnx"
        raise SerError(f"{path}: can't read the model file ({error}); {expected}") from error


def check_model_file(path: Path, content: bytes, mode: Mode | None) -> ModelGraph:
    """Check the content of a model file.

    Args:
        path: of the file, for messages.
        content: its bytes.
        mode: the expected mode; `None`: as the metadata say.

    Raises:
        SerError: the file is damaged, or not made for this program.
    """
    try:
        outline = read_onnx(content)
    except ValueError as error:
        raise SerError(f"{path}: is damaged or not an ONNX model ({error}); copy or export it again") from error
    metadata = ModelMetadata.from_properties(outline.properties, path, mode)
    try:
        check_graph(outline.read_graph(), outline.opsets, metadata.mode, metadata.hidden)
    except ValueError as error:
        raise SerError(f"{path}: its graph is not one of `ser-model export` ({error}); export it again") from error
    return ModelGraph(path, content, metadata)


def check_pair(window: ModelGraph, stream: ModelGraph) -> None:
    """Check that two graphs are of one network, by their metadata.

    Raises:
        SerError: they are not.
    """
    one, other = window.metadata, stream.metadata
    if (one.variant, one.mean) != (other.variant, other.mean):
        raise SerError(
            f"{window.path} and {stream.path.name} come from different networks; export them again, together"
        )
