"""Many networks of one shape in one computation: on a GPU a hundred cost little more than one.

Every parameter of `ResLstmSa` gets a leading axis of networks. The networks share nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from ser_model.training.networks.architecture import CLIP, ResLstmSa
from ser_model.training.networks.fit_config import Device
from ser_model.training.networks.frame_store import FrameStore

_MOMENTUM = 0.1
_EPSILON = 1e-5
"""Constants of the batch normalisations: PyTorch's defaults, as in the single network."""


class BatchedNetworks:
    """The parameters and statistics of K networks.

    Args:
        networks: networks of the same shape; their weights are copied.
        mean: mean of the raw features that each network normalises with, shape (K, 46).
        std: standard deviation, likewise.
        device: `cpu` or `cuda`.
    """

    def __init__(self, networks: Sequence[ResLstmSa], mean: Tensor, std: Tensor, device: Device) -> None:
        self._template = networks[0]
        trained = dict(networks[0].named_parameters())
        states = [network.state_dict() for network in networks]
        self.parameters: dict[str, Tensor] = {}
        self.statistics: dict[str, Tensor] = {}
        for name in states[0]:
            rows = torch.stack([state[name] for state in states]).to(device)
            if name in trained:
                self.parameters[name] = rows.requires_grad_()
            elif rows.is_floating_point():
                self.statistics[name] = rows
        self.statistics["mean"], self.statistics["std"] = mean.to(device), std.to(device)

    def unstack(self) -> list[ResLstmSa]:
        """Return the networks with their present weights, on the CPU and in evaluation mode."""
        out = []
        for index in range(len(self.statistics["mean"])):
            network = ResLstmSa(self._template.hidden, self._template.dropout.p, residual=self._template.residual)
            rows = {**self.parameters, **self.statistics}
            state = {name: row[index].detach().cpu() for name, row in rows.items()}
            network.load_state_dict(state, strict=False)
            out.append(network.eval())
        return out

    def normalise(self, frames: Tensor) -> Tensor:
        """Normalise raw frames of shape (time, K, batch, 46), without clipping."""
        return (frames - self.statistics["mean"][:, None]) / self.statistics["std"][:, None]

    def forward(self, inputs: Tensor, mask: Tensor, keep: Tensor | None = None) -> Tensor:
        """Compute the logits of `ResLstmSa.forward`, shape (K, batch, 8).

        Args:
            inputs: normalised frames, shape (time, K, batch, 46).
            mask: 1 where a frame is real, shape (time, K, batch).
            keep: factors of the embedding by dropout, shape (K, batch, hidden). If given, the networks are in training:
                batch normalisation uses and updates its statistics.
        """
        training = keep is not None
        real = mask.unsqueeze(3)
        h = inputs.clamp(-CLIP, CLIP) * real
        if self._template.residual:
            h = self._lstm("lstm1", h) + h
            h = self._norm("norm1", h, real, (0, 2), training) * real
        h = self._lstm("lstm2", h)
        scores = (h * self.parameters["query"][:, None]).sum(dim=3)
        attention = torch.softmax(scores.masked_fill(mask == 0, -torch.inf), dim=0)
        context = (attention.unsqueeze(3) * h).sum(dim=0)
        embedding = self._norm("norm2", context, torch.ones_like(context[..., :1]), (1,), training)
        if keep is not None:
            embedding = embedding * keep
        weight, bias = self.parameters["classifier.weight"], self.parameters["classifier.bias"]
        return torch.baddbmm(bias[:, None], embedding, weight.transpose(1, 2))

    @torch.no_grad()
    def predict(self, store: FrameStore, rows: npt.NDArray[Any], version: int = 0) -> Tensor:
        """Logits of whole utterances, shape (K, n, 8), on the CPU.

        Args:
            store: the frames.
            rows: for each network the recordings, shape (K, n).
            version: 0 for the clean recording.
        """
        out = []
        for at in range(0, rows.shape[1], 64):
            frames, mask = store.whole_utterances(rows[:, at : at + 64], version)
            out.append(self.forward(self.normalise(frames), mask).cpu())
        return torch.cat(out, dim=1)

    def _lstm(self, name: str, inputs: Tensor) -> Tensor:
        input_weight, weight, *biases = (
            self.parameters[f"{name}.{part}_l0"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        if inputs.is_cuda:
            gates = torch.matmul(inputs, input_weight.transpose(1, 2)) + (biases[0] + biases[1])[:, None]
            return _Lstm.apply(gates, weight.transpose(1, 2))  # type: ignore[no-any-return,no-untyped-call]
        out = []
        for index in range(inputs.shape[1]):
            one = inputs[:, index]
            zero = one.new_zeros(1, one.shape[1], weight.shape[2])
            weights = [input_weight[index], weight[index], biases[0][index], biases[1][index]]
            out.append(torch.lstm(one, (zero, zero), weights, True, 1, 0.0, True, False, False)[0])
        return torch.stack(out, dim=1)

    def _norm(self, name: str, x: Tensor, real: Tensor, axes: tuple[int, ...], training: bool) -> Tensor:
        """Batch normalisation over `axes`, without padding."""
        mean, variance = self.statistics[f"{name}.running_mean"], self.statistics[f"{name}.running_var"]
        if training:
            count = real.sum(dim=axes)
            running_mean, running_variance = mean, variance
            mean = (x * real).sum(dim=axes) / count
            variance = (torch.square(x - mean[:, None]) * real).sum(dim=axes) / count
            with torch.no_grad():
                running_mean.lerp_(mean, _MOMENTUM)
                running_variance.lerp_(variance * count / (count - 1), _MOMENTUM)
        scale = self.parameters[f"{name}.weight"] * torch.rsqrt(variance + _EPSILON)
        return (x - mean[:, None]) * scale[:, None] + self.parameters[f"{name}.bias"][:, None]


class _Lstm(torch.autograd.Function):
    """K LSTMs over time on a GPU; cuDNN runs one network at a time.

    The inputs are the input part of the gates, shape (time, K, batch, 4 H), and the recurrent weights, shape
    (K, H, 4 H). The outputs are the hidden states, shape (time, K, batch, H).
    """

    @staticmethod
    def forward(ctx: Any, gates: Tensor, weight: Tensor) -> Tensor:
        """Step through time, and keep what the backward pass needs."""
        time, count, batch, width = gates.shape
        size = width // 4
        h, c = gates.new_zeros(count, batch, size), gates.new_zeros(count * batch, size)
        nothing = gates.new_zeros(count * batch, width)
        hidden, cells, workspaces = gates.new_empty(time, count, batch, size), [c], []
        for step in range(time):
            both = torch.baddbmm(gates[step], h, weight).view(count * batch, width)
            flat, c, workspace = torch.ops.aten._thnn_fused_lstm_cell(both, nothing, c)
            h = flat.view(count, batch, size)
            hidden[step] = h
            cells.append(c)
            workspaces.append(workspace)
        ctx.save_for_backward(weight, hidden)
        ctx.cells, ctx.workspaces = cells, workspaces
        return hidden

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        """Step back through time; the gradient of the weights is one product over all steps."""
        (above,) = gradients
        weight, hidden = ctx.saved_tensors
        time, count, batch, size = above.shape
        gates = above.new_empty(time, count, batch, 4 * size)
        back = weight.transpose(1, 2)
        from_after, cell = torch.zeros_like(above[0]), None
        for step in range(time - 1, -1, -1):
            here = (above[step] + from_after).view(count * batch, size)
            flat, cell, _ = torch.ops.aten._thnn_fused_lstm_cell_backward_impl(
                here, cell, ctx.cells[step], ctx.cells[step + 1], ctx.workspaces[step], False
            )
            gates[step] = flat.view(count, batch, 4 * size)
            from_after = torch.bmm(gates[step], back)
        before = torch.cat((torch.zeros_like(hidden[:1]), hidden[:-1]))
        left = before.permute(1, 3, 0, 2).reshape(count, size, time * batch)
        right = gates.permute(1, 0, 2, 3).reshape(count, time * batch, 4 * size)
        return gates, torch.bmm(left, right)
