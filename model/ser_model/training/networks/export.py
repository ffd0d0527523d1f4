"""Writes a trained network as two ONNX graphs that describe themselves, and holds them to PyTorch."""

from __future__ import annotations

import copy
import io
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from ser_model.atomic_file import replace_file
from ser_model.errors import SerError
from ser_model.features.features import RECIPE, SIZE
from ser_model.network.estimator import STATE, Model
from ser_model.network.metadata import ModelMetadata
from ser_model.network.model_files import MODES, Mode, ModelFiles
from ser_model.scoring.logit_bias import ClassMeanLogits
from ser_model.scoring.ood import OodParameters
from ser_model.training.networks.architecture import ResLstmSa, State

OPSET = 17
TOLERANCE = 1e-4
"""Largest difference of logits allowed between torch, the window graph and the stream graph."""

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
        # ONNX' LSTM answers an empty sequence with a zero state: keep the one that came in. The attention's
        # running values are right either way.
        some = torch._shape_as_tensor(frames)[1] > 0
        lstm = [torch.where(some, new, old) for new, old in zip(after[:4], before[:4], strict=True)]
        return logits, embedding, *lstm, *after[4:]


def _to_onnx(network: ResLstmSa, mode: Mode) -> onnx.ModelProto:
    """Trace one graph.

    With torch's TorchScript exporter: the newer one fixed the number of frames while calling it dynamic.
    """
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
            buffer,  # type: ignore[arg-type]  # a file object is taken with dynamo=False
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
) -> ModelFiles:
    """Write STEM.window.onnx and STEM.stream.onnx, after checking them against torch; the rest is `ModelMetadata`'s.

    Raises:
        SerError: the graphs don't give what torch gives; nothing is written then.
    """
    network = copy.deepcopy(network).eval()
    contents: list[bytes] = []
    for mode in MODES:
        metadata = ModelMetadata(
            mode=mode,
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
            training_data=training_data,
            licence=licence,
            features=RECIPE,
        )
        graph = _to_onnx(network, mode)
        onnx.helper.set_model_props(graph, metadata.to_properties())
        graph.doc_string = f"{metadata.name}, {mode} graph. Licence of the weights: {licence}"
        onnx.checker.check_model(graph, full_check=True)
        contents.append(graph.SerializeToString())
    with TemporaryDirectory() as folder:
        trial = ModelFiles.named(Path(folder, stem.name))
        for path, content in zip(trial, contents, strict=True):
            path.write_bytes(content)
        worst = difference(network, Model.load(trial.window))
    if worst > TOLERANCE:
        raise SerError(f"{stem}: torch and ONNX differ by {worst:.2g}, more than {TOLERANCE}; nothing was exported")
    pair = ModelFiles.named(stem)
    for path, content in zip(pair, contents, strict=True):
        replace_file(path, content)
    return pair


def difference(network: ResLstmSa, model: Model) -> float:
    """Largest difference of logits between torch, window graph and stream graph, at lengths from 1 to 700 frames."""
    rng = np.random.default_rng(1)
    mean, std = np.array(model.metadata.mean), np.array(model.metadata.std)
    worst = 0.0
    for length in _LENGTHS:
        frames = (mean + std * rng.standard_normal((length, SIZE))).astype(np.float32)
        with torch.no_grad():
            expected = network(torch.from_numpy(frames)[None]).logits[0].numpy()
        stream = model.stream()
        # Both ends among the cuts: empty pieces must change nothing.
        cuts = np.sort([0, *rng.integers(0, length + 1, 3), length])
        for piece in np.split(frames, cuts):
            running = stream.push(piece)
        for got in (model.window(frames).logits, running.logits):
            worst = max(worst, float(np.abs(got - expected).max()))
    return worst
