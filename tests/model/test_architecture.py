"""The network of the paper: sizes, padding, and one answer for whole and running utterances."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("onnx", reason="the train extra is not installed")

from pathlib import Path  # noqa: E402

from ser_model.estimator import Model  # noqa: E402
from ser_model.training.architecture import VARIANTS, ResLstmSa, count_parameters  # noqa: E402
from ser_model.training.export import difference, export  # noqa: E402
from ser_model.training.fit import Example, FitConfig, fit, predict  # noqa: E402


def network(variant: str = "h64") -> ResLstmSa:
    torch.manual_seed(5)
    made = ResLstmSa(VARIANTS[variant])
    made.mean.uniform_(-4, 4)
    made.std.uniform_(1, 3)
    made.norm1.running_mean.uniform_(-1, 1)
    made.norm2.running_var.uniform_(0.5, 2)
    return made


@pytest.mark.parametrize(("variant", "parameters"), [("h32", 27_988), ("h64", 46_772), ("h128", 108_916)])
def test_trainable_parameters_are_the_papers(variant: str, parameters: int) -> None:
    assert count_parameters(ResLstmSa(VARIANTS[variant])) == parameters


def test_padding_influences_neither_outputs_nor_batch_statistics() -> None:
    frames = [torch.randn(length, 46) for length in (20, 33)]
    outcomes = []
    for padding, rubbish in ((33, 0.0), (60, 1e3)):
        batch = torch.full((2, padding, 46), rubbish)
        mask = torch.zeros(2, padding, dtype=torch.bool)
        for row, sequence in enumerate(frames):
            batch[row, : len(sequence)], mask[row, : len(sequence)] = sequence, True
        made = network().train()
        made.dropout.p = 0.0
        outcome = made(batch, mask)
        outcomes.append((outcome.logits, outcome.attention[:, :33], made.norm1.running_mean, made.norm1.running_var))
        assert outcome.attention[0, 20:].abs().max() == 0
    for first, second in zip(*outcomes, strict=True):
        torch.testing.assert_close(first, second, atol=1e-5, rtol=0)


def test_the_stream_in_any_pieces_equals_the_whole() -> None:
    made = network().eval()
    frames = torch.randn(1, 61, 46) * 3
    whole = made(frames)
    state = made.start()
    for piece in torch.split(frames, [1, 30, 7, 23], dim=1):
        logits, embedding, state = made.stream(piece, state)
    torch.testing.assert_close(logits, whole.logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(embedding, whole.embedding, atol=1e-5, rtol=0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_exported_graphs_equal_torch_at_other_lengths_than_the_example(tmp_path: Path, variant: str) -> None:
    made = network(variant).eval()
    paths = export(
        made,
        tmp_path / "net",
        variant=variant,
        temperature=1.5,
        unknown_below=0.4,
        training_data="none",
        licence="MIT",
    )
    model = Model.load(paths[0])
    assert difference(made, model) < 1e-4
    assert model.metadata.temperature == 1.5
    assert model.name == f"reslstm-sa-{variant}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.stream.onnx", "net.window.onnx"]


def test_training_learns_a_simple_rule_and_repeats_itself() -> None:
    rng = np.random.default_rng(0)
    examples = []
    for index in range(64):
        frames = rng.standard_normal((rng.integers(10, 30), 46)).astype(np.float32)
        frames[:, index % 4] += 2
        examples.append(Example([frames], index % 4))
    config = FitConfig(epochs=12, batch=16, crop_share=0.0)
    first = fit(examples, config, seed=3)
    sequences = [example.versions[0] for example in examples]
    right = predict(first, sequences).argmax(axis=1) == [example.emotion for example in examples]
    assert right.mean() > 0.9
    np.testing.assert_array_equal(predict(first, sequences), predict(fit(examples, config, seed=3), sequences))
