"""The network of the paper: size, padding, streaming, export, and training of many networks at once."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("onnx", reason="the train extra is not installed")

from pathlib import Path  # noqa: E402

from ser_model.network.estimator import Model  # noqa: E402
from ser_model.scoring.activation import ActivationParameters  # noqa: E402
from ser_model.training.networks.architecture import VARIANTS, ResLstmSa, count_parameters  # noqa: E402
from ser_model.training.networks.batched import BatchedNetworks  # noqa: E402
from ser_model.training.networks.export import difference, export  # noqa: E402
from ser_model.training.networks.fit import fit  # noqa: E402
from ser_model.training.networks.fit_config import FitConfig  # noqa: E402
from ser_model.training.networks.frame_store import FrameStore  # noqa: E402
from ser_model.training.networks.inference import pad, predict  # noqa: E402
from ser_model.training.networks.training_step import Task  # noqa: E402


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
    for padding, filler in ((33, 0.0), (60, 1e3)):
        batch = torch.full((2, padding, 46), filler)
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
        activation=ActivationParameters(slope=1.5, offset=0.5, unknown_below=0.75),
    )
    model = Model.load(paths[0])
    assert difference(made, model) < 1e-4
    assert model.metadata.temperature == 1.5
    assert model.metadata.activation == ActivationParameters(slope=1.5, offset=0.5, unknown_below=0.75)
    assert model.name == f"reslstm-sa-{variant}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.stream.onnx", "net.window.onnx"]


@pytest.mark.parametrize(("variant", "parameters"), [("h32", 10_600), ("h128", 91_528)])
def test_the_baseline_has_one_lstm(variant: str, parameters: int) -> None:
    assert count_parameters(ResLstmSa(VARIANTS[variant], residual=False)) == parameters


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_batched_networks_equal_single_ones(device: str, residual: bool) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU")
    torch.manual_seed(1)
    networks = [ResLstmSa(32, 0.0, residual=residual) for _ in range(3)]
    for one in networks:
        one.mean.normal_()
        one.std.uniform_(0.5, 2)
    mean, std = (torch.stack([getattr(one, name) for one in networks]) for name in ("mean", "std"))
    batched = BatchedNetworks(networks, mean, std, device)
    rng = np.random.default_rng(0)
    sequences = [rng.standard_normal((length, 46)).astype(np.float32) for length in (5, 20, 33, 1)]
    store = FrameStore([[sequence] for sequence in sequences], device)
    rows = np.tile(np.arange(4), (3, 1))
    np.testing.assert_allclose(batched.predict(store, rows), [predict(one, sequences) for one in networks], atol=1e-5)

    frames, mask = store.whole_utterances(rows, 0)
    logits = batched.forward(batched.normalise(frames), mask, torch.ones(3, 4, 32, device=device))
    logits.square().sum().backward()
    for index, one in enumerate(networks):
        alone = one.train()(*pad(sequences)).logits
        alone.square().sum().backward()
        for name, parameter in one.named_parameters():
            torch.testing.assert_close(batched.parameters[name].grad[index].cpu(), parameter.grad, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(
            batched.statistics["norm2.running_var"][index].cpu(), one.norm2.running_var, atol=1e-4, rtol=1e-4
        )
    for back, one in zip(batched.unstack(), networks, strict=True):
        torch.testing.assert_close(back.classifier.weight, one.classifier.weight)


def toy() -> tuple[FrameStore, np.ndarray, list[np.ndarray]]:
    """Utterances whose class is the column with a higher mean."""
    rng = np.random.default_rng(0)
    sequences = [rng.standard_normal((rng.integers(10, 30), 46)).astype(np.float32) for _ in range(64)]
    emotions = np.arange(64) % 4
    for sequence, emotion in zip(sequences, emotions, strict=True):
        sequence[:, 5 + emotion] += 2
    return FrameStore([[sequence] for sequence in sequences], "cpu"), emotions, sequences


def test_training_learns_a_simple_rule_and_is_reproducible() -> None:
    store, emotions, sequences = toy()
    tasks = [Task(seed, np.arange(64), FitConfig(epochs=12, batch=16)) for seed in (3, 4)]
    first = fit(store, emotions, tasks)
    for one in first:
        assert (predict(one, sequences).argmax(axis=1) == emotions).mean() > 0.9
    again = fit(store, emotions, tasks)
    np.testing.assert_array_equal(predict(first[1], sequences), predict(again[1], sequences))
    assert not np.array_equal(predict(first[0], sequences), predict(first[1], sequences))


def test_soft_targets_outweigh_the_labels() -> None:
    store, emotions, sequences = toy()
    soft = torch.zeros(64, 8)
    soft[:, 7] = 1
    config = FitConfig(epochs=12, batch=16, hard_share=0.2, balanced=False)
    (taught,) = fit(store, emotions, [Task(0, np.arange(64), config, soft)])
    assert (predict(taught, sequences).argmax(axis=1) == 7).mean() > 0.6


def test_examples_are_cropped_at_a_constant_rate_within_their_recording() -> None:
    sequence = np.arange(200, dtype=np.float32)[:, None] * np.ones(46, dtype=np.float32)
    store = FrameStore([[sequence], [sequence[:40] + 1000]], "cpu")
    config = FitConfig(batch=4, crop_share=1.0, tempo=0.15, level_db=0.0)
    for batch, longest in store.epoch_batches([np.array([0, 1] * 20)], [config], [np.random.default_rng(0)]):
        frames, mask = store.examples(batch, longest)
        for row in range(4):
            real = frames[mask[:, 0, row] == 1, 0, row, 1].numpy()
            steps = np.diff(real)
            assert np.ptp(steps) < 0.01
            assert 1 / 1.2 < steps[0] < 1.2
            low, high = (1000, 1039) if batch.recording[0, row] == 1 else (0, 199)
            assert low <= real[0] < real[-1] <= high
