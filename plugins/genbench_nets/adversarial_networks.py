"""The networks of adversarial training: generators z -> x, discriminators x -> score.

For images (B, C, H, W) in [-1, 1] fully connected (mlp) or, after DCGAN (Radford et al. 2015,
arXiv:1511.06434), convolutional with strides; for points (B, D), in their own units, fully
connected with a linear output, and so for latents, vectors (B, D) or grids (B, C, H, W). With
``classes`` both networks take a label as one-hot values beside their input (Mirza and Osindero
2014, arXiv:1411.1784).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from torch import nn

from genbench import DataSpec
from genbench_nets.adversarial_settings import AdversarialSettings, Norm
from genbench_nets.conv import halvings
from genbench_nets.labelled_sequential import LabelledSequential
from genbench_nets.minibatch_std import MinibatchStd
from genbench_nets.mlp import Activation, Unflatten, activation, flat_size

T = TypeVar("T")
Layers = list[nn.Module]


@dataclass(frozen=True, kw_only=True)
class Networks:
    """``generator(z[, y])`` -> (B, *shape) and ``discriminator(x[, y])`` -> (B, 1)."""

    generator: LabelledSequential
    discriminator: LabelledSequential


def networks(
    settings: AdversarialSettings,
    data: DataSpec,
    *,
    classes: int | None = None,
    head_bias: bool = True,
) -> Networks:
    """The networks of `settings.fitted(data)` on the CPU; the generator is built first.

    A critic is defined up to a constant and its loss cannot move the bias of its head, so it gets
    none (``head_bias``).
    """
    conv, extra = settings.network == "conv", classes or 0
    g = (_conv_generator if conv else _dense_generator)(settings, data, extra)
    d = (_conv_discriminator if conv else _dense_discriminator)(settings, data, extra, head_bias)
    return Networks(
        generator=LabelledSequential(*g, classes=classes),
        discriminator=LabelledSequential(*d, classes=classes, flat=not conv),
    )


def _dense_generator(s: AdversarialSettings, data: DataSpec, classes: int) -> Layers:
    """The output is tanh for images, linear for points and latents."""
    z_dim, hidden = decided(s.z_dim), decided(s.g_hidden)
    squash = [nn.Tanh()] if data.bounded else []
    shaped = [Unflatten(data.shape)] if data.is_image else []
    layers = dense_layers((z_dim + classes, *hidden), act=s.g_activation, norm=s.g_norm)
    return [*layers, nn.Linear(hidden[-1], flat_size(data.shape)), *squash, *shaped]


def _dense_discriminator(
    s: AdversarialSettings, data: DataSpec, classes: int, bias: bool
) -> Layers:
    hidden, inputs = decided(s.d_hidden), flat_size(data.shape) + classes
    aid = [MinibatchStd()] if s.minibatch_std else []
    layers = dense_layers((inputs, *hidden), norm=s.d_norm, dropout=s.d_dropout or 0.0)
    return [nn.Flatten(), *layers, *aid, nn.Linear(hidden[-1] + len(aid), 1, bias=bias)]


def _conv_generator(s: AdversarialSettings, data: DataSpec, classes: int) -> Layers:
    """From a grid of 4x4 (28 px: 7x7) by transposed 4x4 convolutions, each doubling the image."""
    z_dim, channels = decided(s.z_dim), decided(s.g_channels)
    steps, grid = decided(halvings(data.shape[1]))
    width = channels << (steps - 1)
    layers: list[nn.Module] = [
        nn.Linear(z_dim + classes, width * grid * grid),
        Unflatten((width, grid, grid)),
        *_normed(width, s.g_norm),
        activation(s.g_activation),
    ]
    for _ in range(steps - 1):
        layers += [
            nn.ConvTranspose2d(width, width // 2, 4, 2, 1),
            *_normed(width // 2, s.g_norm),
            activation(s.g_activation),
        ]
        width //= 2
    squash = [nn.Tanh()] if data.bounded else []
    return [*layers, nn.ConvTranspose2d(width, data.shape[0], 4, 2, 1), *squash]


def _conv_discriminator(s: AdversarialSettings, data: DataSpec, classes: int, bias: bool) -> Layers:
    """The mirror image, without normalisation after the first layer (DCGAN paper, section 3)."""
    width, (steps, grid) = decided(s.d_channels), decided(halvings(data.shape[1]))
    layers: list[nn.Module] = [
        nn.Conv2d(data.shape[0] + classes, width, 4, 2, 1),
        activation("leaky_relu"),
    ]
    for _ in range(steps - 1):
        layers += [
            nn.Conv2d(width, width * 2, 4, 2, 1),
            *_normed(width * 2, s.d_norm),
            activation("leaky_relu"),
        ]
        width *= 2
    if s.minibatch_std:
        layers.append(MinibatchStd())
        width += 1
    return [*layers, nn.Flatten(), nn.Linear(width * grid * grid, 1, bias=bias)]


def decided(value: T | None) -> T:
    """A value that `fitted` has set."""
    assert value is not None, "the settings must be fitted to the data first"
    return value


def mixes_samples(network: nn.Module) -> bool:
    """Whether a sample's score depends on the others of its minibatch."""
    mixing = (nn.modules.batchnorm._BatchNorm, MinibatchStd)
    return any(isinstance(module, mixing) for module in network.modules())


def dense_layers(
    sizes: tuple[int, ...],
    *,
    act: Activation = "leaky_relu",
    norm: Norm | None = None,
    dropout: float = 0.0,
) -> list[nn.Module]:
    """Hidden layers through ``sizes``: linear, normalisation, activation, dropout."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), *_normed(outputs, norm, flat=True), activation(act)]
        if dropout:
            layers.append(nn.Dropout(dropout))
    return layers


def _normed(width: int, norm: Norm | None, *, flat: bool = False) -> list[nn.Module]:
    if norm != "batch":
        return []
    return [nn.BatchNorm1d(width) if flat else nn.BatchNorm2d(width)]
