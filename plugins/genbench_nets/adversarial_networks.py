"""The networks of the two-player games: generators z -> x, discriminators x -> score.

For images (B, C, H, W) in [-1, 1] fully connected (mlp) or, after DCGAN (Radford et al. 2015,
arXiv:1511.06434), convolutional with strides; for points (B, D), in their own units, fully
connected with a linear output, and so for latents, vectors (B, D) or grids (B, C, H, W). With
``classes`` both players see a label as one-hot values beside their input (Mirza and Osindero 2014,
arXiv:1411.1784).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from torch import Tensor, nn

from genbench import DataSpec
from genbench_nets.adversarial_settings import AdversarialSettings, Norm
from genbench_nets.conv import halvings
from genbench_nets.labels import with_labels
from genbench_nets.minibatch_std import MinibatchStd
from genbench_nets.mlp import Activation, Unflatten, activation, flat_size

T = TypeVar("T")


class Player(nn.Sequential):
    """Layers in a row, the last of which is the head: input -> features -> output.

    Where it has ``classes``, labels y (B,) join the input as one-hot channels: values of a vector
    (``flat``: of an image's pixels too), planes of an image.
    """

    def __init__(self, *layers: nn.Module, classes: int | None = None, flat: bool = False) -> None:
        super().__init__(*layers)
        self.classes, self.flat = classes, flat

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The output of the head."""
        output: Tensor = self.head(self.features(x, y))
        return output

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """What the head sees."""
        if self.classes is not None:
            assert y is not None, "a conditional network needs labels"
            x = with_labels(x.flatten(1) if self.flat else x, y, self.classes)
        for layer in list(self)[:-1]:
            x = layer(x)
        return x

    @property
    def head(self) -> nn.Module:
        """The last layer."""
        return self[-1]


@dataclass(frozen=True, kw_only=True)
class Networks:
    """Both players: ``generator(z[, y])`` -> (B, *shape), ``discriminator(x[, y])`` -> (B, 1)."""

    generator: Player
    discriminator: Player


def networks(
    settings: AdversarialSettings,
    data: DataSpec,
    *,
    classes: int | None = None,
    head_bias: bool = True,
) -> Networks:
    """The networks of `settings.fitted(data)`, on the CPU, the generator built first.

    A critic is defined up to a constant: its loss can't move the bias of its head, so it has none.
    """
    if settings.network == "conv":
        generator = _conv_generator(settings, data, classes)
        return Networks(
            generator=generator,
            discriminator=_conv_discriminator(settings, data, classes, head_bias),
        )
    generator = _dense_generator(settings, data, classes)
    return Networks(
        generator=generator,
        discriminator=_dense_discriminator(settings, data, classes, head_bias),
    )


def _dense_generator(s: AdversarialSettings, data: DataSpec, classes: int | None) -> Player:
    """Images by tanh, points and latents as they come."""
    z_dim, hidden = decided(s.z_dim), decided(s.g_hidden)
    squash = [nn.Tanh()] if data.bounded else []
    shaped = [Unflatten(data.shape)] if data.is_image else []
    return Player(
        *_dense((z_dim + (classes or 0), *hidden), act=s.g_activation, norm=s.g_norm),
        nn.Linear(hidden[-1], flat_size(data.shape)),
        *squash,
        *shaped,
        classes=classes,
    )


def _dense_discriminator(
    s: AdversarialSettings, data: DataSpec, classes: int | None, head_bias: bool
) -> Player:
    hidden, inputs = decided(s.d_hidden), flat_size(data.shape) + (classes or 0)
    aid = [MinibatchStd()] if s.minibatch_std else []
    return Player(
        nn.Flatten(),
        *_dense((inputs, *hidden), norm=s.d_norm, dropout=s.d_dropout or 0.0),
        *aid,
        nn.Linear(hidden[-1] + len(aid), 1, bias=head_bias),
        classes=classes,
        flat=True,
    )


def _conv_generator(s: AdversarialSettings, data: DataSpec, classes: int | None) -> Player:
    """From a grid of 4x4 (28 px: 7x7) by transposed 4x4 convolutions, each doubling the image."""
    z_dim, channels = decided(s.z_dim), decided(s.g_channels)
    steps, grid = decided(halvings(data.shape[1]))
    width = channels << (steps - 1)
    layers: list[nn.Module] = [
        nn.Linear(z_dim + (classes or 0), width * grid * grid),
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
    return Player(
        *layers, nn.ConvTranspose2d(width, data.shape[0], 4, 2, 1), *squash, classes=classes
    )


def _conv_discriminator(
    s: AdversarialSettings, data: DataSpec, classes: int | None, head_bias: bool
) -> Player:
    """The mirror; no normalisation after the first layer (section 3 of the DCGAN paper)."""
    width, (steps, grid) = decided(s.d_channels), decided(halvings(data.shape[1]))
    layers: list[nn.Module] = [
        nn.Conv2d(data.shape[0] + (classes or 0), width, 4, 2, 1),
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
    return Player(
        *layers,
        nn.Flatten(),
        nn.Linear(width * grid * grid, 1, bias=head_bias),
        classes=classes,
    )


def decided(value: T | None) -> T:
    """A value that `fitted` has decided."""
    assert value is not None, "the settings must be fitted to the data first"
    return value


def mixes_samples(network: nn.Module) -> bool:
    """Whether a sample's score depends on the others of its minibatch."""
    mixing = (nn.modules.batchnorm._BatchNorm, MinibatchStd)
    return any(isinstance(module, mixing) for module in network.modules())


def _dense(
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
