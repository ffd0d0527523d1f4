"""Export of a trained network as two ONNX graphs with metadata, after a comparison with PyTorch."""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from ser_model.atomic_file import replace_file
from ser_model.errors import SerError
from ser_model.features.features import RECIPE, SIZE
from ser_model.network.estimator import Model
from ser_model.network.graph_check import STATE
from ser_model.network.graph_shapes import OPSET
from ser_model.network.metadata import ModelMetadata
from ser_model.network.model_files import MODES, Mode, ModelFiles
from ser_model.scoring.activation import ActivationParameters
from ser_model.scoring.logit_bias import ClassMeanLogits
from ser_model.scoring.ood import OodParameters
from ser_model.training.networks.architecture import ResLstmSa, State

TOLERANCE = 1e-4
"""Largest difference of logits allowed between PyTorch, the window graph and the stream graph."""

_LENGTHS = (1, 2, 3, 7, 23, 46, 94, 188, 700)


class _Window(nn.Module):
    def __init__(self, network: ResLstmSa) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, embedding, attention = self.network(frames)
        return logits, embedding, attention


class _Stream(nn.Module):
    def __init__(self, network: ResLstmSa) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        before = State(*state)
        logits, embedding, after = self.network.stream(frames, before)
        # The LSTM of ONNX returns a zero state for an empty sequence: keep the state that came in. The running
        # values of the attention are right in both cases.
        some = torch._shape_as_tensor(frames)[1] > 0
        lstm = [torch.where(some, new, old) for new, old in zip(after[:4], before[:4], strict=True)]
        return logits, embedding, *lstm, *after[4:]


def _to_onnx(network: ResLstmSa, mode: Mode) -> onnx.ModelProto:
    """Trace one graph, with the TorchScript exporter: the newer one fixed the number of frames."""
    frames = torch.zeros(1, 7, SIZE)
    if mode == "window":
        wrapped: nn.Module = _Window(network)
        inputs: tuple[Tensor, ...] = (frames,)
        names, outputs = ["frames"], ["logits", "embedding", "attention"]
        axes = {"frames": {0: "batch", 1: "time"}, "attention": {0: "batch", 1: "time"}}
    else:
        wrapped = _Stream(network)
        inputs = (frames, *network.start())
        names = ["frames", *STATE]
        outputs = ["logits", "embedding", *(f"next_{name}" for name in STATE)]
        axes = {"frames": {0: "batch", 1: "time"}}
        for name in STATE:
            axes[name] = axes[f"next_{name}"] = {1 if name[0] in "hc" else 0: "batch"}
    axes |= {"logits": {0: "batch"}, "embedding": {0: "batch"}}
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            wrapped.eval(),
            inputs,
            buffer,  # type: ignore[arg-type]  # dynamo=False accepts a file object
            input_names=names,
            output_names=outputs,
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    return onnx.load_from_string(buffer.getvalue())


def export(
    network: ResLstmSa,
    stem: Path,
    *,
    variant: str,
    temperature: float,
    unknown_below: float,
    training_data: str,
    licence: str,
    short_temperature: float | None = None,
    calibrated: bool = False,
    unlike_speech: OodParameters | None = None,
    typical_logits: ClassMeanLogits | None = None,
    activation: ActivationParameters | None = None,
) -> ModelFiles:
    """Compare both graphs with PyTorch, and write STEM.window.onnx and STEM.stream.onnx.

    The other arguments are fields of `ModelMetadata`.

    Raises:
        SerError: The graphs and PyTorch give different logits; nothing is written.
    """
    network = copy.deepcopy(network).eval()
    metadata = ModelMetadata(
        mode="window",
        variant=variant,
        hidden=network.hidden,
        mean=tuple(float(value) for value in network.mean),
        std=tuple(float(value) for value in network.std),
        temperature=temperature,
        short_temperature=short_temperature,
        calibrated=calibrated,
        unknown_below=unknown_below,
        unlike_speech=unlike_speech,
        typical_logits=typical_logits,
        activation=activation,
        training_data=training_data,
        licence=licence,
        features=RECIPE,
    )
    contents = [_serialise(network, replace(metadata, mode=mode)) for mode in MODES]
    _check(network, contents, stem)
    return _replace(contents, stem)


def _serialise(network: ResLstmSa, metadata: ModelMetadata) -> bytes:
    graph = _to_onnx(network, metadata.mode)
    onnx.helper.set_model_props(graph, metadata.to_properties())
    graph.doc_string = f"{metadata.name}, {metadata.mode} graph. Licence of the weights: {metadata.licence}"
    onnx.checker.check_model(graph, full_check=True)
    content: bytes = graph.SerializeToString()
    return content


def _replace(contents: Sequence[bytes], stem: Path) -> ModelFiles:
    files = ModelFiles.named(stem)
    for path, content in zip(files, contents, strict=True):
        replace_file(path, content)
    return files


def _check(network: ResLstmSa, contents: Sequence[bytes], stem: Path) -> None:
    """Raise `SerError` if the graphs and PyTorch give different logits."""
    with TemporaryDirectory() as folder:
        files = ModelFiles.named(Path(folder, stem.name))
        for path, content in zip(files, contents, strict=True):
            path.write_bytes(content)
        worst = difference(network, Model.load(files.window))
    if worst > TOLERANCE:
        raise SerError(f"{stem}: torch and ONNX differ by {worst:.2g}, more than {TOLERANCE}; nothing was exported")


def difference(network: ResLstmSa, model: Model) -> float:
    """Largest difference of logits between PyTorch, window graph and stream graph, at lengths of 1 to 700 frames."""
    rng = np.random.default_rng(1)
    mean, std = np.array(model.metadata.mean), np.array(model.metadata.std)
    worst = 0.0
    for length in _LENGTHS:
        frames = (mean + std * rng.standard_normal((length, SIZE))).astype(np.float32)
        with torch.no_grad():
            expected = network(torch.from_numpy(frames)[None]).logits[0].numpy()
        stream = model.stream()
        # Cuts at both ends give empty pieces, which must change nothing.
        cuts = np.sort([0, *rng.integers(0, length + 1, 3), length])
        for piece in np.split(frames, cuts):
            running = stream.push(piece)
        for got in (model.window(frames).logits, running.logits):
            worst = max(worst, float(np.abs(got - expected).max()))
    return worst
