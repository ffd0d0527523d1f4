"""Predictions of a trained network for whole utterances or windows, in batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ser_model.training.networks.architecture import ResLstmSa
from ser_model.types import Frames

Numbers = npt.NDArray[np.float32]

_BATCH = 64


def pad(sequences: Sequence[Frames]) -> tuple[Tensor, Tensor]:
    """Batch of shape (batch, time, 46), zero-padded at the end, and the mask of real frames, shape (batch, time)."""
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    inputs = pad_sequence([torch.from_numpy(sequence) for sequence in sequences], batch_first=True)
    return inputs, torch.arange(inputs.shape[1]) < lengths.unsqueeze(1)


def predict(network: ResLstmSa, sequences: Sequence[Frames]) -> Numbers:
    """Logits of shape (n, 8) for frames of any lengths."""
    return infer(network, sequences)[0]


@torch.no_grad()
def infer(network: ResLstmSa, sequences: Sequence[Frames]) -> tuple[Numbers, Numbers]:
    """Logits of shape (n, 8) and embeddings of shape (n, hidden) for frames of any lengths."""
    network.eval()
    logits, embeddings = [np.zeros((0, 8), np.float32)], [np.zeros((0, network.hidden), np.float32)]
    for at in range(0, len(sequences), _BATCH):
        outcome = network(*pad(sequences[at : at + _BATCH]))
        logits.append(outcome.logits.numpy())
        embeddings.append(outcome.embedding.numpy())
    return np.concatenate(logits), np.concatenate(embeddings)
