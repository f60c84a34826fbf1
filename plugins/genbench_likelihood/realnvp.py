"""RealNVP (Dinh, Sohl-Dickstein & Bengio 2017, arXiv:1605.08803): affine couplings.

A coupling keeps some values and changes the others by a scale and a shift that depend on the kept
ones (eq. 4 to 8), so that its inverse needs no inverse of a network and its log-determinant is the
sum of the log-scales. For images, checkerboards alternate at each scale, then channels after 2x2
pixels became channels (figure 3); half of the values are done at each scale (eq. 14 to 16). The
paper normalises batches, in and between couplings; here the data is standardised, and a flow of
images starts as the identity, since the last layer of each network starts at 0. Fully connected
couplings, for vectors and as a cheaper choice for images, are those of NICE (Dinh et al. 2015,
arXiv:1410.8516) with a scale.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench import DataSpec
from genbench_likelihood.flow import Bijection, Flow, label_count
from genbench_likelihood.flow_settings import RealNVPSettings
from genbench_nets.labels import with_labels
from genbench_nets.mlp import flat_size, mlp


def realnvp(settings: RealNVPSettings, data: DataSpec) -> Flow:
    """The flow for this data: multi-scale for images and grids, or fully connected."""
    settings.check(data)
    s = settings.fitted(data)
    if s.network == "mlp":
        return Flow(DenseCouplings(s, data), data, s)
    classes = label_count(s, data)

    def coupling(channels: int, kept: Tensor) -> Coupling:
        return Coupling(ResidualNetwork(channels, classes, s.channels, s.blocks), kept, classes)

    return Flow(MultiScale(data.shape, coupling, scales=s.scales), data, s)


class Coupling(nn.Module):
    """y = x on the kept values, and x exp(s) + t on the others; s and t depend on the kept ones.

    ``kept`` is 1 for them and 0 for the others, (D,) or any shape that broadcasts to (C, H, W).
    The network also sees labels of so many ``classes``, as further values or channels.
    """

    kept: Tensor

    def __init__(self, network: nn.Module, kept: Tensor, classes: int) -> None:
        super().__init__()
        self.network, self.classes = network, classes
        self.strength = nn.Parameter(torch.ones(()))
        self.register_buffer("kept", kept)

    def forward(self, x: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """y, and the log-determinant (B,)."""
        log_scale, shift = self._terms(x, labels)
        return x * log_scale.exp() + shift, log_scale.flatten(1).sum(1)

    def inverse(self, y: Tensor, labels: Tensor | None) -> Tensor:
        """x."""
        log_scale, shift = self._terms(y, labels)
        return (y - shift) * (-log_scale).exp()

    def _terms(self, x: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """Log-scale and shift, 0 for the kept values; the scale is bounded by a tanh."""
        seen = x * self.kept
        if labels is not None:
            seen = with_labels(seen, labels, self.classes)
        raw, shift = self.network(seen).chunk(2, dim=1)
        changed = 1 - self.kept
        return changed * self.strength * torch.tanh(raw), changed * shift


class Couplings(Bijection):
    """Couplings in a row."""

    def __init__(self, couplings: list[Coupling]) -> None:
        super().__init__()
        self.couplings = cast("Sequence[Coupling]", nn.ModuleList(couplings))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The output of the last one, and the sum of the log-determinants (B,)."""
        total = x.new_zeros(len(x))
        for coupling in self.couplings:
            x, log_det = coupling(x, labels)
            total = total + log_det
        return x, total

    def inverse(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """x."""
        for coupling in reversed(self.couplings):
            z = coupling.inverse(z, labels)
        return z


class DenseCouplings(Couplings):
    """Couplings with fully connected networks, (B, *shape) -> z (B, D).

    They keep the even and the odd values in turn, on images the two colours of a checkerboard.
    Their networks do not start at 0: for independent values, such as the coordinates of a grid of
    modes, the identity is a saddle point that the training does not leave.
    """

    def __init__(self, s: RealNVPSettings, data: DataSpec) -> None:
        assert s.hidden is not None, "the settings must be fitted to the data first"
        dims, classes = flat_size(data.shape), label_count(s, data)
        places = torch.meshgrid(*(torch.arange(side) for side in data.shape), indexing="ij")
        parity = torch.stack(places).sum(0).flatten()
        couplings = []
        for number in range(s.couplings):
            network = mlp((dims + classes, *s.hidden, 2 * dims))
            couplings.append(Coupling(network, (parity + number).remainder(2).float(), classes))
        super().__init__(couplings)
        self.shape = data.shape

    def forward(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z (B, D), and the log-determinant (B,)."""
        return super().forward(x.flatten(1), labels)

    def inverse(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """x (B, *shape)."""
        return super().inverse(z, labels).view(-1, *self.shape)


CouplingOf = Callable[[int, Tensor], Coupling]
"""Makes a coupling of (B, C, H, W), by its number of channels C and what it keeps."""


class MultiScale(Bijection):
    """Figure 3 and 4 of the paper: (B, C, H, W) -> z (B, C H W), half of the values at each scale.

    A scale has three couplings on checkerboards, 2x2 pixels become channels, and three couplings on
    channels. It needs even sides of at least 8; the last one has four couplings on checkerboards.
    """

    def __init__(self, shape: tuple[int, ...], coupling: CouplingOf, *, scales: int) -> None:
        super().__init__()
        channels, height, width = shape
        boards, depths = list[Couplings](), list[Couplings]()
        while len(depths) < scales and _halves(height, width):
            boards.append(Couplings(_boards(3, channels, height, width, coupling)))
            channels, height, width = 4 * channels, height // 2, width // 2
            depths.append(Couplings(_halved_channels(3, channels, coupling)))
            channels //= 2
        boards.append(Couplings(_boards(4, channels, height, width, coupling)))
        self.boards = cast("Sequence[Couplings]", nn.ModuleList(boards))
        self.depths = cast("Sequence[Couplings]", nn.ModuleList(depths))
        self.last = (channels, height, width)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z, what is done first coming first, and the log-determinant (B,)."""
        done: list[Tensor] = []
        total = x.new_zeros(len(x))
        for board, depth in zip(self.boards, self.depths, strict=False):
            x, on_board = board(x, labels)
            x, on_depth = depth(F.pixel_unshuffle(x, 2), labels)
            x, half = x.chunk(2, dim=1)
            done.append(half.flatten(1))
            total = total + on_board + on_depth
        x, log_det = self.boards[-1](x, labels)
        return torch.cat([*done, x.flatten(1)], dim=1), total + log_det

    def inverse(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """x (B, C, H, W)."""
        shapes = [self.last]
        for _ in self.depths:
            channels, height, width = shapes[0]
            shapes.insert(0, (channels // 2, 2 * height, 2 * width))
        halves = [(2 * c, h // 2, w // 2) for c, h, w in shapes[:-1]]
        sizes = [c * h * w for c, h, w in (*halves, self.last)]
        *done, x = torch.split(z, sizes, dim=1)
        x = self.boards[-1].inverse(x.view(-1, *self.last), labels)
        scales = list(zip(self.boards, self.depths, done, halves, strict=False))
        for board, depth, half, shape in reversed(scales):
            x = depth.inverse(torch.cat([x, half.view(-1, *shape)], dim=1), labels)
            x = board.inverse(F.pixel_shuffle(x, 2), labels)
        return x


class ResidualNetwork(nn.Module):
    """(B, C + classes, H, W) -> (B, 2 C, H, W): residual 3x3 convolutions; it starts at 0."""

    def __init__(self, inputs: int, classes: int, channels: int, blocks: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs + classes, channels, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(),
                nn.Conv2d(channels, channels, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(channels, channels, 1),
            )
            for _ in range(blocks)
        )
        self.last = _from_zero(nn.Conv2d(channels, 2 * inputs, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """The unbounded log-scale and the shift."""
        x = self.first(x)
        for block in self.blocks:
            x = x + block(x)
        out: Tensor = self.last(F.relu(x))
        return out


def _boards(
    count: int, channels: int, height: int, width: int, coupling: CouplingOf
) -> list[Coupling]:
    board = (torch.arange(height)[:, None] + torch.arange(width)) % 2
    return [coupling(channels, (board + k).remainder(2).float()) for k in range(count)]


def _halved_channels(count: int, channels: int, coupling: CouplingOf) -> list[Coupling]:
    half = (torch.arange(channels) < channels // 2)[:, None, None]
    return [coupling(channels, (half ^ bool(k % 2)).float()) for k in range(count)]


def _halves(height: int, width: int) -> bool:
    return min(height, width) >= 8 and height % 2 == 0 and width % 2 == 0


def _from_zero(layer: nn.Module) -> nn.Module:
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
