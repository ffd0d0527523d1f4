"""Write the voice activity detector's graph: Silero VAD's weights, for several frames in one run.

    python release/silero_graph.py [folder]          # model/ser_model/weights by default

Silero's own graph computes one frame of 32 ms. A read of the microphone has five, so the weights went through the cache
five times. This graph has the same weights and computes the same numbers for `n` frames: the encoder over all of them
as one batch, then the recurrence in one LSTM node. Needs the package `onnx` of the extra `train`.

`release/silero_vad_16k.onnx` is Silero's file, unchanged. The same file gives the same bytes.

Inputs:
    frames: float32 in ±1, shape (n, 576): consecutive frames of 512 samples at 16 kHz, each after the last 64 samples
        of the frame before it (zeros at the start)
    state: float32, shape (2, 1, 128): zeros at the start, then `new_state` of the run before
Outputs:
    probabilities: float32, shape (n,): speech probability of each frame
    new_state: float32, shape (2, 1, 128)
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parents[1]
ORIGINAL = ROOT / "release/silero_vad_16k.onnx"
ORIGINAL_SHA256 = "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49"
NAME = "silero_vad_16k_batch"
FOLDER = ROOT / "model/ser_model/weights"

OPSET = 15
IR_VERSION = 8
SAMPLES = 576
"""Samples of a frame, with the context before it."""

WINDOW = 256
HOP = WINDOW // 2
WINDOWS = 4
BINS = WINDOW // 2 + 1
HIDDEN = 128

Array = npt.NDArray[np.float32]


class Graph:
    """Nodes and constants, named in the order in which they are added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, kind: str, *inputs: str, outputs: tuple[str, ...] = (), **attributes: object) -> str:
        """Add a node; return the name of its first output."""
        outputs = outputs or (f"{kind.lower()}_{len(self.nodes)}",)
        self.nodes.append(helper.make_node(kind, inputs, outputs, **attributes))
        return outputs[0]

    def constant(self, value: npt.NDArray[np.generic]) -> str:
        """Add a constant; return its name."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def integers(self, *values: int) -> str:
        """Add a constant of shape (len(values),), int64."""
        return self.constant(np.array(values, np.int64))

    def part(self, source: str, first: int, end: int, axis: int, step: int = 1) -> str:
        """Add a slice of one axis."""
        return self.add("Slice", source, *(self.integers(value) for value in (first, end, axis, step)))

    def reshape(self, source: str, *shape: int) -> str:
        """Add a reshape; 0 keeps a length, -1 takes the rest."""
        return self.add("Reshape", source, self.integers(*shape))

    def layer(self, source: str, weight: Array, bias: Array) -> str:
        """Add a dense layer with its ReLU.

        Args:
            source: shape (rows, inputs).
            weight: shape (inputs, outputs).
            bias: shape (outputs,).
        """
        return self.add("Relu", self.add("Gemm", source, self.constant(weight), self.constant(bias)))


def main() -> int:
    """Write the graph and its sum, and print the sum."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    try:
        content = build(ORIGINAL.read_bytes())
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{NAME}.onnx").write_bytes(content)
        line = f"{hashlib.sha256(content).hexdigest()}  {NAME}.onnx\n"
        (folder / f"{NAME}.sha256").write_text(line)
    except (OSError, ValueError) as error:
        print(f"silero_graph: {error}", file=sys.stderr)
        return 2
    print(line, end="")
    return 0


def build(original: bytes) -> bytes:
    """Return the graph for the weights of Silero's file.

    Raises:
        ValueError: it is another file.
    """
    found = hashlib.sha256(original).hexdigest()
    if found != ORIGINAL_SHA256:
        raise ValueError(f"{ORIGINAL}: expected the file with the SHA-256 {ORIGINAL_SHA256}, got {found}")
    tensors = onnx.load_model_from_string(original).graph.initializer
    weights = {tensor.name.removeprefix("model."): numpy_helper.to_array(tensor) for tensor in tensors}
    graph = Graph()
    encoded = add_encoder(graph, add_spectrum(graph, weights["stft.forward_basis_buffer"][:, 0]), weights)
    add_decoder(graph, encoded, weights)
    return serialise(graph)


def add_spectrum(graph: Graph, basis: Array) -> str:
    """Add the magnitudes of four Fourier transforms a frame, shape (n, 4, 129).

    The windowed cosines are even about the middle of the window, the sines are odd. So the sums and the differences of
    the samples on either side of it are enough: half the products, and half the weights.

    Args:
        graph: the graph.
        basis: shape (258, 256), cosines before sines.
    """
    cosines, sines = basis[:BINS], basis[BINS:]
    rising, falling = slice(1, HOP + 1), slice(WINDOW - 1, HOP - 1, -1)
    if not (np.allclose(basis[:, 0], 0) and np.allclose(cosines[:, rising], cosines[:, falling], atol=1e-6)
            and np.allclose(sines[:, rising], -sines[:, falling], atol=1e-6)):  # fmt: skip
        raise ValueError("the basis of the spectrum is not a Fourier basis with an even window")
    cosines, sines = cosines[:, rising].T.copy(), sines[:, rising].T.copy()
    # The middle is its own other side.
    cosines[-1] /= 2
    padded = graph.add("Pad", "frames", graph.integers(0, 0, 0, HOP // 2), mode="reflect")
    blocks = graph.reshape(padded, 0, WINDOWS + 1, HOP)
    windows = graph.add("Concat", graph.part(blocks, 0, -1, 1), graph.part(blocks, 1, WINDOWS + 1, 1), axis=2)
    left, right = graph.part(windows, 1, HOP + 1, 2), graph.part(windows, WINDOW - 1, HOP - 1, 2, -1)
    real = graph.add("MatMul", graph.add("Add", left, right), graph.constant(cosines))
    imaginary = graph.add("MatMul", graph.add("Sub", left, right), graph.constant(sines))
    squares = (graph.add("Mul", part, part) for part in (real, imaginary))
    return graph.add("Sqrt", graph.add("Add", *squares))


def add_encoder(graph: Graph, spectrum: str, weights: dict[str, Array]) -> str:
    """Add four convolutions over time, 4 → 4 → 2 → 1 → 1 columns; return shape (n, 128).

    Three of them are products, which take a third of the time. The second stays a convolution: its sums are so
    sensitive to the order of their terms that the probabilities would differ by up to 1.2e-5. A column outside is zero;
    weights that meet only such columns are left out.
    """
    first, second, third, fourth = (weights[f"encoder.{index}.reparam_conv.weight"] for index in range(4))
    bias = [weights[f"encoder.{index}.reparam_conv.bias"] for index in range(4)]
    padded = graph.add("Pad", spectrum, graph.integers(0, 1, 0, 0, 1, 0))
    taps = (graph.part(padded, tap, tap + WINDOWS, 1) for tap in range(3))
    rows = graph.reshape(graph.add("Concat", *taps, axis=2), -1, 3 * BINS)
    columns = graph.layer(rows, first.transpose(2, 1, 0).reshape(3 * BINS, -1), bias[0])
    columns = graph.add("Transpose", graph.reshape(columns, -1, WINDOWS, len(first)), perm=[0, 2, 1])
    filters = (graph.constant(second), graph.constant(bias[1]))
    columns = graph.add("Relu", graph.add("Conv", columns, *filters, strides=[2], pads=[1, 1], kernel_shape=[3]))
    rows = graph.reshape(columns, -1, 2 * len(second))
    column = graph.layer(rows, third[:, :, 1:].reshape(len(third), -1).T, bias[2])
    return graph.layer(column, fourth[:, :, 1].T, bias[3])


def add_decoder(graph: Graph, encoded: str, weights: dict[str, Array]) -> None:
    """Add the recurrence over the frames, and the two outputs."""
    cell = [weights[f"decoder.rnn.{name}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    inputs, recurrent, *biases = (iofc(value)[None] for value in cell)
    constants = [graph.constant(value) for value in (inputs, recurrent, np.concatenate(biases, axis=1))]
    steps = graph.add("Unsqueeze", encoded, graph.integers(1))
    before = (graph.part("state", 0, 1, 0), graph.part("state", 1, 2, 0))
    after = ("hidden", "cell")
    every = graph.add("LSTM", steps, *constants, "", *before, outputs=("every", *after), hidden_size=HIDDEN)
    graph.add("Concat", *after, axis=0, outputs=("new_state",))
    rows = graph.reshape(graph.add("Relu", every), -1, HIDDEN)
    last = [weights[f"decoder.decoder.2.{name}"] for name in ("weight", "bias")]
    logits = graph.add("Gemm", rows, graph.constant(last[0][:, :, 0].T), graph.constant(last[1]))
    graph.add("Reshape", graph.add("Sigmoid", logits), graph.integers(-1), outputs=("probabilities",))


def iofc(value: Array) -> Array:
    """Reorder the gates from PyTorch's i, f, g, o to ONNX's i, o, f, c (onnx.ai/onnx/operators/onnx__LSTM.html)."""
    gates = np.split(value, 4)
    return np.concatenate([gates[index] for index in (0, 3, 1, 2)])


def serialise(graph: Graph) -> bytes:
    """Return the file of a graph."""

    def tensor(name: str, *shape: int | str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    state = (2, 1, HIDDEN)
    inputs = [tensor("frames", "n", SAMPLES), tensor("state", *state)]
    outputs = [tensor("probabilities", "n"), tensor("new_state", *state)]
    body = helper.make_graph(graph.nodes, NAME, inputs, outputs, graph.constants)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    origin = {"source": ORIGINAL.name, "source_sha256": ORIGINAL_SHA256, "license": "MIT, Silero Team"}
    helper.set_model_props(model, {**origin, "source_model": "Silero VAD 6.2, 16 kHz"})
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


if __name__ == "__main__":
    sys.exit(main())
