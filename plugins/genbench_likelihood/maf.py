"""The masked autoregressive flow (Papamakarios, Pavlakou & Murray 2017, arXiv:1705.07057).

z_i = (x_i - mu_i) exp(-alpha_i), where mu_i and alpha_i depend on x_1 .. x_{i-1} (eq. 2 to 5). A
masked network computes all of them in one pass (MADE, Germain et al. 2015, arXiv:1502.03509); the
inverse goes from value to value. We differ from the paper in the lack of batch normalisation: the
data is standardised.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench import DataSpec
from genbench_likelihood.flow import Bijection, Flow, label_count
from genbench_likelihood.flow_settings import MAFSettings
from genbench_nets.mlp import flat_size

STEEPEST = 5.0
"""|alpha| is smaller than this."""


def maf(settings: MAFSettings, data: DataSpec) -> Flow:
    """The flow for this data; images and grids are flattened."""
    settings.check(data)
    s = settings.fitted(data)
    return Flow(AutoregressiveLayers(s, data), data, s)


class AutoregressiveLayers(Bijection):
    """Layers in a row, with the order of the values reversed in between."""

    def __init__(self, s: MAFSettings, data: DataSpec) -> None:
        super().__init__()
        assert s.hidden is not None, "the settings must be fitted to the data first"
        self.shape, self.evaluations = data.shape, flat_size(data.shape)
        classes = label_count(s, data)
        made = [MADE(flat_size(data.shape), s.hidden, classes) for _ in range(s.layers)]
        self.layers = cast("Sequence[MADE]", nn.ModuleList(made))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z (B, D), and the log-determinant (B,)."""
        x, total = x.flatten(1), x.new_zeros(len(x))
        for layer in self.layers:
            mean, log_scale = layer(x, labels)
            x = ((x - mean) * (-log_scale).exp()).flip(1)
            total = total - log_scale.sum(1)
        return x, total

    def inverse(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """x (B, *shape)."""
        for layer in reversed(self.layers):
            z = layer.inverse(z.flip(1), labels)
        return z.view(-1, *self.shape)


class MADE(nn.Module):
    """Mean and log-scale of each value given those before it, (B, D) -> two (B, D).

    A hidden unit has a degree d from 1 to D - 1 and sees the first d values; units are ordered by
    degree. So the inverse needs each unit once, after value d, as `inverse` shows: its arithmetic
    is that of one pass, not of D passes. Labels are added to the first hidden layer.
    """

    def __init__(self, dims: int, hidden: tuple[int, ...], classes: int) -> None:
        super().__init__()
        most = max(1, dims - 1)
        self.dims = dims
        of_layers = [
            [*range(1, dims + 1)],
            *([1 + unit * most // units for unit in range(units)] for units in hidden),
        ]
        self._ends = [_ends(degrees, dims) for degrees in of_layers]
        degrees = [torch.tensor(values) for values in of_layers]
        sizes = (dims, *hidden)
        linear = [nn.Linear(sizes[k], sizes[k + 1]) for k in range(len(hidden))]
        self.hidden = cast("Sequence[nn.Linear]", nn.ModuleList(linear))
        self.mean, self.log_scale = (nn.Linear(hidden[-1], dims) for _ in range(2))
        self.label = nn.Linear(classes, hidden[0], bias=False) if classes else None
        for k in range(len(hidden)):
            mask = degrees[k + 1][:, None] >= degrees[k]
            self.register_buffer(f"mask{k}", mask.float(), persistent=False)
        last = (degrees[0][:, None] > degrees[-1]).float()
        self.register_buffer("last", last, persistent=False)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log-scale of all values in one pass."""
        for k, layer in enumerate(self.hidden):
            x = F.linear(x, layer.weight * self.get_buffer(f"mask{k}"), layer.bias)
            x = F.relu(x if k else x + self._told(labels))
        last = self.get_buffer("last")
        mean = F.linear(x, self.mean.weight * last, self.mean.bias)
        raw = F.linear(x, self.log_scale.weight * last, self.log_scale.bias)
        return mean, bounded(raw)

    def _told(self, labels: Tensor | None) -> Tensor:
        """What the labels add to the first hidden layer, (B, units), or 0."""
        if self.label is None or labels is None:
            return self.mean.bias.new_zeros(1, 1)
        return cast("Tensor", self.label(labels))

    def inverse(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """x from z, value by value: x_d, then the units of degree d, which x_{d+1} depends on."""
        units: list[list[Tensor]] = [[] for _ in self._ends]
        told = self._told(labels).expand(-1, self.hidden[0].out_features)
        for d in range(self.dims):
            seen = torch.cat(units[-1], 1) if units[-1] else z.new_zeros(z.shape[0], 0)
            mean, raw = (
                F.linear(seen, head.weight[d : d + 1, : seen.shape[1]], head.bias[d : d + 1])
                for head in (self.mean, self.log_scale)
            )
            units[0].append(z[:, d : d + 1] * bounded(raw).exp() + mean)
            for k, layer in enumerate(self.hidden):
                new = slice(self._ends[k + 1][d], self._ends[k + 1][d + 1])
                if new.start < new.stop:
                    below = torch.cat(units[k], 1)
                    unit = F.linear(below, layer.weight[new, : below.shape[1]], layer.bias[new])
                    units[k + 1].append(F.relu(unit if k else unit + told[:, new]))
        return torch.cat(units[0], 1)


def _ends(degrees: list[int], most: int) -> list[int]:
    """How many units of a layer, in order of degree, have degree 0, at most 1, ..., at most D."""
    return [bisect_right(degrees, degree) for degree in range(most + 1)]


def bounded(raw: Tensor) -> Tensor:
    """Values within (-STEEPEST, STEEPEST), about the same for small ones."""
    return STEEPEST * torch.tanh(raw / STEEPEST)
