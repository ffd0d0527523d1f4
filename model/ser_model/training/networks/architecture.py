"""ResLSTM-SA (arXiv 2606.03359, section 3): two LSTMs, a residual sum, soft attention over time."""

from __future__ import annotations

import copy
import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ser_model.features.features import SIZE
from ser_model.labels import LABELS

VARIANTS: Final[dict[str, int]] = {"h32": 32, "h64": 64, "h128": 128}
"""Hidden size of the second LSTM by variant; 27,988, 46,772 and 108,916 trainable parameters."""

CLIP = 5.0
"""Limit of normalised features, in standard deviations: digital silence has a log energy far below all speech."""

_NOTHING_YET = -1e30
"""Attention maximum before the first frame; finite, as infinity minus infinity is not a number."""


class Outcome(NamedTuple):
    """Outputs of the network for a batch of utterances."""

    logits: Tensor
    """Shape (batch, 8)."""
    embedding: Tensor
    """The normalised context vector of the attention, shape (batch, hidden)."""
    attention: Tensor
    """Weights over time, shape (batch, time). They are 0 on padding, and each row sums to 1."""


class State(NamedTuple):
    """State of the network within an utterance."""

    h1: Tensor
    """Shape (1, batch, 46), as `c1`."""
    c1: Tensor
    h2: Tensor
    """Shape (1, batch, hidden), as `c2`."""
    c2: Tensor
    attention_max: Tensor
    """Largest attention score so far, shape (batch, 1)."""
    attention_sum: Tensor
    """Sum of exp(score - max), shape (batch, 1)."""
    attention_weighted: Tensor
    """Sum of exp(score - max) times the LSTM's output, shape (batch, hidden)."""


class MaskedBatchNorm(nn.BatchNorm1d):
    """Batch normalisation over (batch, time) whose statistics leave out padding."""

    def forward(self, input: Tensor, mask: Tensor | None = None) -> Tensor:  # noqa: A002
        """Normalise (batch, time, features); `mask` is `True` for frames that are not padding."""
        if mask is None or not self.training:
            mean, variance = self.running_mean, self.running_var
            assert mean is not None
            assert variance is not None
            return (input - mean) * (self.weight / torch.sqrt(variance + self.eps)) + self.bias
        out = torch.zeros_like(input)
        out[mask] = super().forward(input[mask])
        return out


class ResLstmSa(nn.Module):
    """The network: frames of 46 raw features to eight logits. It normalises the features itself.

    Without the residual part (the first LSTM, its sum and its norm), it is the paper's baseline LSTM-SA.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, hidden: int = 64, dropout: float = 0.2, *, residual: bool = True) -> None:
        super().__init__()
        self.hidden = hidden
        self.residual = residual
        self.register_buffer("mean", torch.zeros(SIZE))
        self.register_buffer("std", torch.ones(SIZE))
        if residual:
            self.lstm1 = nn.LSTM(SIZE, SIZE, batch_first=True)
            self.norm1 = MaskedBatchNorm(SIZE)
        self.lstm2 = nn.LSTM(SIZE, hidden, batch_first=True)
        self.query = nn.Parameter(torch.empty(hidden))
        self.norm2 = nn.BatchNorm1d(hidden)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(hidden, len(LABELS))
        self._initialise()

    def _initialise(self) -> None:
        """Xavier normal input weights, orthogonal recurrent weights, forget biases of 1, as in the paper's code."""
        for lstm in (self.lstm1, self.lstm2) if self.residual else (self.lstm2,):
            for name, weight in lstm.named_parameters():
                if name.startswith("weight_ih"):
                    nn.init.xavier_normal_(weight)
                elif name.startswith("weight_hh"):
                    nn.init.orthogonal_(weight)
                else:
                    nn.init.zeros_(weight)
                    size = len(weight) // 4
                    nn.init.ones_(weight[size : 2 * size])
        nn.init.normal_(self.query, std=1 / math.sqrt(self.hidden))

    def forward(self, frames: Tensor, mask: Tensor | None = None) -> Outcome:
        """Compute the outputs for whole utterances or windows.

        Args:
            frames: shape (batch, time, 46), padded at the end.
            mask: shape (batch, time), `True` for frames that are not padding; `None`: there is no padding.
        """
        h = self._normalise(frames)
        if self.residual:
            h = self.norm1(self.lstm1(h)[0] + h, mask)
        h, _ = self.lstm2(h)
        scores = (h * self.query).sum(dim=2)
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        attention = torch.softmax(scores, dim=1)
        context = (attention.unsqueeze(2) * h).sum(dim=1)
        return Outcome(*self._classify(context), attention)

    def stream(self, frames: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """Continue utterances; return logits and embedding over all frames so far, and the new state.

        The softmax of the attention over all past frames is kept as a running maximum, sum and weighted sum. Any
        split of an utterance therefore gives what `forward` gives on the whole.
        """
        x = self._normalise(frames)
        h, (h1, c1) = self.lstm1(x, (state.h1, state.c1))
        h = self.norm1(h + x)
        h, (h2, c2) = self.lstm2(h, (state.h2, state.c2))
        scores = (h * self.query).sum(dim=2)
        peak = torch.cat((state.attention_max, scores), dim=1).max(dim=1, keepdim=True).values
        decay = torch.exp(state.attention_max - peak)
        weights = torch.exp(scores - peak)
        total = state.attention_sum * decay + weights.sum(dim=1, keepdim=True)
        weighted = state.attention_weighted * decay + (weights.unsqueeze(2) * h).sum(dim=1)
        logits, embedding = self._classify(weighted / total.clamp(min=1e-30))
        return logits, embedding, State(h1, c1, h2, c2, peak, total, weighted)

    def start(self, batch: int = 1) -> State:
        """Return the state before the first frame."""
        one, two = torch.zeros(1, batch, SIZE), torch.zeros(1, batch, self.hidden)
        none = torch.full((batch, 1), _NOTHING_YET)
        return State(one, one, two, two, none, torch.zeros(batch, 1), torch.zeros(batch, self.hidden))

    def _normalise(self, frames: Tensor) -> Tensor:
        return torch.clamp((frames - self.mean) / self.std, -CLIP, CLIP)

    def _classify(self, context: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.norm2(context)
        return self.classifier(self.dropout(embedding)), embedding


def with_logit_bias(network: ResLstmSa, bias: npt.NDArray[np.float64]) -> ResLstmSa:
    """Return a copy of a network with a bias added to its logits, shape (8,)."""
    changed = copy.deepcopy(network)
    with torch.no_grad():
        changed.classifier.bias.add_(torch.from_numpy(bias))
    return changed


def count_parameters(network: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
