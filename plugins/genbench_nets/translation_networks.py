"""Networks that translate samples from one domain into another, and that judge translations.

The convolutional ones are those of StarGAN (Choi et al. 2018, arXiv:1711.09020, tables 4 and 5).
They differ from the authors' code in one thing: instance normalisation keeps no running statistics.
Theirs does, so its pictures change in eval mode, which uses these statistics.

Padding is with zeros. With reflection padding the first instance normalisation would remove the
label: a constant plane shifts a channel by a constant, which the normalisation subtracts. Zeros at
the border make its effect depend on the place.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genbench_nets.labels import with_labels
from genbench_nets.mlp import mlp

SLOPE = 0.01
"""The slope of LeakyReLU in the judge."""


class Translator(nn.Module):
    """(x, c) -> x' of the same shape; c (B, D) is concatenated as planes, or as values to a vector.

    With ``residual``, the layers compute the difference x' - x. ``bounded`` ends in tanh.
    """

    def __init__(self, layers: nn.Module, *, residual: bool, bounded: bool) -> None:
        super().__init__()
        self.layers, self.residual, self.bounded = layers, residual, bounded

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """Samples (B, *shape) in the domains ``c``, float (B, D)."""
        made: Tensor = self.layers(with_labels(x, c, c.shape[1]))
        if self.residual:
            made = made + x
        return made.tanh() if self.bounded else made


class PatchDiscriminator(nn.Module):
    """x -> how real each patch looks (B, P), and the logits of the domain (B, D)."""

    def __init__(self, body: nn.Module, realness: nn.Module, domain: nn.Module) -> None:
        super().__init__()
        self.body, self.realness, self.domain = body, realness, domain

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both outputs; no normalisation mixes samples or depends on the mode."""
        features = self.body(x)
        return self.realness(features).flatten(1), self.domain(features).flatten(1)


class TranslatorBlock(nn.Module):
    """x + two 3x3 convolutions, each with instance normalisation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *convolved(width, width, 3, 1, 1),
            nn.ReLU(),
            *convolved(width, width, 3, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) -> the same shape."""
        made: Tensor = x + self.layers(x)
        return made


def conv_translator(
    shape: Sequence[int],
    domains: int,
    *,
    width: int,
    kernel: int,
    blocks: int,
    halvings: int,
    bounded: bool,
) -> Translator:
    """Convolution to ``width`` channels, halvings, residual blocks, doublings, convolution.

    The first and the last one have kernels of side ``kernel``. Each halving doubles the channels;
    H and W must be divisible by 2 ** halvings.
    """
    around = kernel // 2
    layers = [*convolved(shape[0] + domains, width, kernel, 1, around), nn.ReLU()]
    for _ in range(halvings):
        layers += [*convolved(width, 2 * width, 4, 2, 1), nn.ReLU()]
        width *= 2
    layers += [TranslatorBlock(width) for _ in range(blocks)]
    for _ in range(halvings):
        up = nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=False)
        layers += [up, instance_norm(width // 2), nn.ReLU()]
        width //= 2
    layers.append(nn.Conv2d(width, shape[0], kernel, 1, around, bias=False))
    return Translator(nn.Sequential(*layers), residual=False, bounded=bounded)


def conv_judge(
    shape: Sequence[int], domains: int, *, width: int, halvings: int
) -> PatchDiscriminator:
    """Halving convolutions without normalisation, which double the channels, and two heads."""
    body: list[nn.Module] = []
    channels, (height, across) = shape[0], shape[1:]
    for _ in range(halvings):
        body += [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(SLOPE)]
        channels, width = width, 2 * width
        height, across = height // 2, across // 2
    return PatchDiscriminator(
        nn.Sequential(*body),
        nn.Conv2d(channels, 1, 3, 1, 1, bias=False),
        nn.Conv2d(channels, domains, (height, across), bias=False),
    )


def dense_translator(size: int, domains: int, hidden: Sequence[int]) -> Translator:
    """Codes (B, size): fully connected layers compute the difference to the given code."""
    layers = mlp((size + domains, *hidden, size), act="leaky_relu")
    return Translator(layers, residual=True, bounded=False)


def dense_judge(size: int, domains: int, hidden: Sequence[int]) -> PatchDiscriminator:
    """Codes (B, size): fully connected layers and two linear heads."""
    body = nn.Sequential(*mlp((size, *hidden), act="leaky_relu"), nn.LeakyReLU(SLOPE))
    return PatchDiscriminator(
        body, nn.Linear(hidden[-1], 1, bias=False), nn.Linear(hidden[-1], domains)
    )


def convolved(
    inputs: int, outputs: int, kernel: int, stride: int, padding: int
) -> tuple[nn.Module, nn.Module]:
    """A convolution with zero padding, without bias, and instance normalisation."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
    return conv, instance_norm(outputs)


def instance_norm(channels: int) -> nn.Module:
    """Over the places of each channel, with learned scale and shift, without running statistics."""
    return nn.InstanceNorm2d(channels, affine=True, track_running_stats=False)


def bits(y: Tensor, attributes: int) -> Tensor:
    """Classes int64 (B,) as binary digits, float (B, attributes), the highest digit first.

    >>> bits(torch.tensor([5, 2]), 3)
    tensor([[1., 0., 1.],
            [0., 1., 0.]])
    """
    digits = torch.arange(attributes - 1, -1, -1, device=y.device)
    return (y[:, None] >> digits & 1).float()
