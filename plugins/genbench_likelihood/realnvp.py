"""RealNVP (Dinh, Sohl-Dickstein & Bengio 2017, arXiv:1605.08803): affine couplings.

A coupling keeps some values and changes the others by a scale and a shift that depend on the kept
ones (eq. 4 to 8), so that its inverse needs no inverse of a network and its log-determinant is the
sum of the log-scales. For images, checkerboards alternate at each scale, then channels after 2x2
pixels became channels (figure 3); half of the values are done at each scale (eq. 14 to 16). The
paper normalises batches, in and between couplings; here the data is standardised and of an
image the flow starts as the identity, since the last layer of each network starts at 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench import DataSpec
from genbench_likelihood.flow import Bijection, Flow
from genbench_likelihood.flow_settings import RealNVPSettings
from genbench_nets.mlp import mlp

Network = Callable[[int], nn.Module]
"""Makes the network of a coupling of (B, C, H, W), by its number of channels C."""


def realnvp(settings: RealNVPSettings, data: DataSpec) -> Flow:
    """The flow for this data: of images and grids multi-scale, else of vectors."""
    settings.check(data)
    s = settings.fitted(data)
    if not data.is_image:
        return Flow(Couplings(vector_couplings(s, data.shape[0])), data, s)
    bijection = MultiScale(
        data.shape,
        lambda channels: ResidualNetwork(channels, s.channels, s.blocks),
        scales=s.scales,
    )
    return Flow(bijection, data, s)


class Coupling(nn.Module):
    """y = x on the kept values, and x exp(s) + t on the others; s and t depend on the kept ones.

    ``kept`` is 1 for them and 0 for the others, (D,) or any shape that broadcasts to (C, H, W).
    """

    kept: Tensor

    def __init__(self, network: nn.Module, kept: Tensor) -> None:
        super().__init__()
        self.network = network
        self.strength = nn.Parameter(torch.ones(()))
        self.register_buffer("kept", kept)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """y, and the log-determinant (B,)."""
        log_scale, shift = self._terms(x)
        return x * log_scale.exp() + shift, log_scale.flatten(1).sum(1)

    def inverse(self, y: Tensor) -> Tensor:
        """x."""
        log_scale, shift = self._terms(y)
        return (y - shift) * (-log_scale).exp()

    def _terms(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Log-scale and shift, 0 for the kept values; the scale is bounded by a tanh."""
        raw, shift = self.network(x * self.kept).chunk(2, dim=1)
        changed = 1 - self.kept
        return changed * self.strength * torch.tanh(raw), changed * shift


class Couplings(Bijection):
    """Couplings in a row."""

    def __init__(self, couplings: list[Coupling]) -> None:
        super().__init__()
        self.couplings = cast("Sequence[Coupling]", nn.ModuleList(couplings))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The output of the last one, and the sum of the log-determinants (B,)."""
        total = x.new_zeros(len(x))
        for coupling in self.couplings:
            x, log_det = coupling(x)
            total = total + log_det
        return x, total

    def inverse(self, y: Tensor) -> Tensor:
        """x."""
        for coupling in reversed(self.couplings):
            y = coupling.inverse(y)
        return y


class MultiScale(Bijection):
    """Figure 3 and 4 of the paper: (B, C, H, W) -> z (B, C H W), half of the values at each scale.

    A scale has three couplings on checkerboards, 2x2 pixels become channels, and three couplings on
    channels. It needs even sides of at least 8; the last one has four couplings on checkerboards.
    """

    def __init__(self, shape: tuple[int, ...], network: Network, *, scales: int) -> None:
        super().__init__()
        channels, height, width = shape
        boards, depths = list[Couplings](), list[Couplings]()
        while len(depths) < scales and _halves(height, width):
            boards.append(Couplings(_boards(3, channels, height, width, network)))
            channels, height, width = 4 * channels, height // 2, width // 2
            depths.append(Couplings(_halved_channels(3, channels, network)))
            channels //= 2
        boards.append(Couplings(_boards(4, channels, height, width, network)))
        self.boards = cast("Sequence[Couplings]", nn.ModuleList(boards))
        self.depths = cast("Sequence[Couplings]", nn.ModuleList(depths))
        self.last = (channels, height, width)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """z, what is done first coming first, and the log-determinant (B,)."""
        done: list[Tensor] = []
        total = x.new_zeros(len(x))
        for board, depth in zip(self.boards, self.depths, strict=False):
            x, on_board = board(x)
            x, on_depth = depth(F.pixel_unshuffle(x, 2))
            x, half = x.chunk(2, dim=1)
            done.append(half.flatten(1))
            total = total + on_board + on_depth
        x, log_det = self.boards[-1](x)
        return torch.cat([*done, x.flatten(1)], dim=1), total + log_det

    def inverse(self, z: Tensor) -> Tensor:
        """x (B, C, H, W)."""
        shapes = [self.last]
        for _ in self.depths:
            channels, height, width = shapes[0]
            shapes.insert(0, (channels // 2, 2 * height, 2 * width))
        halves = [(2 * c, h // 2, w // 2) for c, h, w in shapes[:-1]]
        sizes = [c * h * w for c, h, w in (*halves, self.last)]
        *done, x = torch.split(z, sizes, dim=1)
        x = self.boards[-1].inverse(x.view(-1, *self.last))
        scales = list(zip(self.boards, self.depths, done, halves, strict=False))
        for board, depth, half, shape in reversed(scales):
            x = depth.inverse(torch.cat([x, half.view(-1, *shape)], dim=1))
            x = board.inverse(F.pixel_shuffle(x, 2))
        return x


class ResidualNetwork(nn.Module):
    """(B, C, H, W) -> (B, 2 C, H, W): residual blocks of 3x3 convolutions; it starts at 0."""

    def __init__(self, inputs: int, channels: int, blocks: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, channels, 3, padding=1)
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


def vector_couplings(s: RealNVPSettings, dims: int) -> list[Coupling]:
    """Couplings of (B, D) that keep the even and the odd values in turn.

    Their networks do not start at 0: for independent values, such as the coordinates of a grid of
    modes, the identity is a saddle point that the training does not leave.
    """
    assert s.hidden is not None, "the settings must be fitted to the data first"
    couplings = []
    for number in range(s.couplings):
        network = mlp((dims, *s.hidden, 2 * dims))
        couplings.append(Coupling(network, ((torch.arange(dims) + number) % 2).float()))
    return couplings


def _boards(count: int, channels: int, height: int, width: int, network: Network) -> list[Coupling]:
    board = (torch.arange(height)[:, None] + torch.arange(width)) % 2
    return [Coupling(network(channels), (board + k).remainder(2).float()) for k in range(count)]


def _halved_channels(count: int, channels: int, network: Network) -> list[Coupling]:
    half = (torch.arange(channels) < channels // 2)[:, None, None]
    return [Coupling(network(channels), (half ^ bool(k % 2)).float()) for k in range(count)]


def _halves(height: int, width: int) -> bool:
    return min(height, width) >= 8 and height % 2 == 0 and width % 2 == 0


def _from_zero(layer: nn.Module) -> nn.Module:
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
