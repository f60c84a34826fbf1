"""Networks (x, t, labels) -> a tensor of the shape of x, and what all models do with them.

A `Field` has a U-Net for images, or an MLP for vectors, and the labels that its settings ask for.

The time t (B,) is about 0 to 1. Labels are weights of classes, float (B, classes); a row of zeros
is no label, and None stands for zeros. The last layer starts at 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench import DataSpec, Optimizer, Schedule
from genbench_flow.flow_settings import FieldSettings
from genbench_nets.labels import as_weights, required
from genbench_nets.mlp import flat_size

FASTEST = 100.0
"""The highest frequency in the embedding of the time, in radians per unit; the lowest is 1."""


class Field:
    """The network of fitted settings, with labels if they are conditional.

    ``classes`` is their number, or 0.
    """

    def __init__(self, s: FieldSettings, data: DataSpec) -> None:
        self.classes = (data.classes or 0) if s.conditional else 0
        self.net = network(s, data, self.classes)
        self._dropout, self._guidance = s.label_dropout, s.guidance

    def trained(self, x: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        """The output for a training batch, float32, where some labels are left out."""
        labels = None
        if self.classes:
            labels = some_dropped(as_weights(required(y), self.classes), self._dropout)
        out: Tensor = self.net(x, t, labels)
        return out.float()

    def drawn(self, x: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        """The output while sampling, with guidance; without labels, that of all classes."""
        labels = None if y is None or not self.classes else as_weights(y, self.classes)
        return guided(self.net, x, t, labels, self._guidance)

    def adam(self, s: FieldSettings, name: str) -> Optimizer:
        """Adam for the network, which is called ``name`` in the model's nets."""
        rate = Schedule(kind=s.decay, warmup=s.warmup)
        return Optimizer(nets=(name,), lr=s.lr, schedule=rate)


def beside(values: Tensor, x: Tensor) -> Tensor:
    """Values (B,) in a shape that multiplies x (B, *shape)."""
    return values.view(-1, *[1] * (x.dim() - 1))


def network(s: FieldSettings, data: DataSpec, classes: int) -> nn.Module:
    """The network of fitted settings; it takes labels of so many classes, or none."""
    if s.network == "mlp":
        return MLP(data.shape, s.width, s.depth, classes, s.dropout)
    assert s.channels is not None, "fitted settings have channels"
    patch = s.patch or 1
    inner = UNet(
        data.shape[0] * patch**2,
        s.channels,
        s.blocks,
        classes,
        s.dropout,
        attention=s.attention,
    )
    return inner if patch == 1 else Patches(inner, patch)


# --- what a network is given besides x


class ConditionEmbedding(nn.Module):
    """(t, labels) -> (B, width): sines and cosines of t through two layers, plus the label's."""

    frequencies: Tensor

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        steps = torch.linspace(0, math.log(FASTEST), width // 2)
        self.register_buffer("frequencies", steps.exp(), persistent=False)
        self.layers = nn.Sequential(
            nn.Linear(2 * (width // 2), width), nn.SiLU(), nn.Linear(width, width)
        )
        self.label = nn.Linear(classes, width, bias=False) if classes else None

    def forward(self, t: Tensor, labels: Tensor | None) -> Tensor:
        """The condition of each row, after its activation."""
        angles = t[:, None] * self.frequencies
        found: Tensor = self.layers(torch.cat((angles.sin(), angles.cos()), dim=1))
        if self.label is not None and labels is not None:
            found = found + self.label(labels)
        return F.silu(found)


def guided(net: nn.Module, x: Tensor, t: Tensor, labels: Tensor | None, guidance: float) -> Tensor:
    """The output with labels, pushed away from that without (Ho and Salimans 2022, eq. 6).

    out(no label) + guidance (out(label) - out(no label)); arXiv:2207.12598, where the weight is
    w = guidance - 1. At 1 there is one pass through the network, otherwise two.
    """
    if labels is None or guidance == 1:
        out: Tensor = net(x, t, labels)
        return out.float()
    twice = torch.cat((labels, torch.zeros_like(labels)))
    told, untold = net(torch.cat((x, x)), torch.cat((t, t)), twice).float().chunk(2)
    pushed: Tensor = untold + guidance * (told - untold)
    return pushed


def some_dropped(labels: Tensor, share: float) -> Tensor:
    """The labels of a training batch; a random ``share`` of the rows has none."""
    kept = torch.rand(len(labels), 1, device=labels.device) >= share
    return labels * kept


# --- images


class UNet(nn.Module):
    """(B, C, H, W): residual blocks at each width of ``widths``; each further one halves H and W.

    As in DDPM (Ho et al. 2020, appendix B): group normalisation, SiLU, the condition added in each
    block, self-attention at the smallest size, and skips from each block to its mirror image.
    """

    def __init__(
        self,
        channels: int,
        widths: Sequence[int],
        blocks: int,
        classes: int,
        dropout: float,
        *,
        attention: bool,
    ) -> None:
        super().__init__()
        known = 4 * widths[0]
        self.condition = ConditionEmbedding(known, classes)
        self.stem = nn.Conv2d(channels, widths[0], 3, 1, 1)
        self.down = nn.ModuleList(
            nn.ModuleList(Block(w, w, known, dropout) for _ in range(blocks)) for w in widths
        )
        pairs = list(pairwise(widths))
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in pairs)
        self.middle = Block(widths[-1], widths[-1], known, dropout)
        self.attention = Attention(widths[-1]) if attention else nn.Identity()
        self.up = nn.ModuleList(
            nn.ModuleList(Block(2 * w, w, known, dropout) for _ in range(blocks)) for w in widths
        )
        self.grow = nn.ModuleList(nn.Conv2d(b, a, 3, 1, 1) for a, b in pairs)
        self.norm = normalisation(widths[0])
        self.out = zeroed(nn.Conv2d(widths[0], channels, 3, 1, 1))

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """The output, (B, C, H, W)."""
        c = self.condition(t, labels)
        h = self.stem(x)
        skips: list[Tensor] = []
        for level, blocks in enumerate(self.down):
            for block in cast(nn.ModuleList, blocks):
                h = block(h, c)
                skips.append(h)
            if level < len(self.shrink):
                h = self.shrink[level](h)
        h = self.attention(self.middle(h, c))
        for level in reversed(range(len(self.up))):
            for block in cast(nn.ModuleList, self.up[level]):
                h = block(torch.cat((h, skips.pop()), dim=1), c)
            if level:
                h = self.grow[level - 1](F.interpolate(h, scale_factor=2.0, mode="nearest"))
        out: Tensor = self.out(F.silu(self.norm(h)))
        return out


class Patches(nn.Module):
    """A network that sees squares of ``side`` x ``side`` pixels as channels, at less cost."""

    def __init__(self, inner: nn.Module, side: int) -> None:
        super().__init__()
        self.inner, self.side = inner, side

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """The output, (B, C, H, W)."""
        out: Tensor = self.inner(F.pixel_unshuffle(x, self.side), t, labels)
        return F.pixel_shuffle(out, self.side)


class Block(nn.Module):
    """x + two 3x3 convolutions, with the condition added between them; the second starts at 0."""

    def __init__(self, inputs: int, outputs: int, known: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Sequential(
            normalisation(inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, 1, 1)
        )
        self.shift = nn.Linear(known, outputs)
        self.second = nn.Sequential(
            normalisation(outputs),
            nn.SiLU(),
            *([nn.Dropout(dropout)] if dropout else []),
            zeroed(nn.Conv2d(outputs, outputs, 3, 1, 1)),
        )
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """(B, inputs, H, W) with the condition (B, known) -> (B, outputs, H, W)."""
        h = self.first(x) + self.shift(c)[:, :, None, None]
        out: Tensor = self.skip(x) + self.second(h)
        return out


class Attention(nn.Module):
    """x + self-attention over places, with one head; the last layer starts at 0."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = normalisation(width)
        self.qkv = nn.Conv2d(width, 3 * width, 1)
        self.out = zeroed(nn.Conv2d(width, width, 1))
        self.scale = width**-0.5

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) -> the same shape."""
        q, k, v = self.qkv(self.norm(x)).flatten(2).chunk(3, dim=1)
        weights = torch.softmax(self.scale * (q.transpose(1, 2) @ k), dim=2)
        mixed = (v @ weights.transpose(1, 2)).view_as(x)
        out: Tensor = x + self.out(mixed)
        return out


def normalisation(width: int) -> nn.GroupNorm:
    """Over groups of channels of each sample, eight if the width allows it."""
    return nn.GroupNorm(math.gcd(8, width), width)


def zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer with all weights 0, so that a residual branch adds nothing at first."""
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


# --- vectors


class MLP(nn.Module):
    """(B, *shape), flattened: residual layers of one width, the condition added in each."""

    def __init__(
        self, shape: Sequence[int], width: int, depth: int, classes: int, dropout: float
    ) -> None:
        super().__init__()
        size = flat_size(shape)
        self.condition = ConditionEmbedding(width, classes)
        self.stem = nn.Linear(size, width)
        self.layers = nn.ModuleList(ResidualLayer(width, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, size)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """The output, (B, *shape)."""
        c = self.condition(t, labels)
        h = self.stem(x.flatten(1))
        for layer in self.layers:
            h = layer(h, c)
        out: Tensor = self.out(F.silu(self.norm(h)))
        return out.view_as(x)


class ResidualLayer(nn.Module):
    """x + two linear layers, with the condition added between them."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))
        self.shift = nn.Linear(width, width)
        self.second = nn.Sequential(
            nn.SiLU(), *([nn.Dropout(dropout)] if dropout else []), nn.Linear(width, width)
        )

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """(B, width) with the condition (B, width) -> (B, width)."""
        out: Tensor = x + self.second(self.first(x) + self.shift(c))
        return out
