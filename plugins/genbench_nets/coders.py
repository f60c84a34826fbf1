"""Encoders and decoders built from their settings, with or without labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from genbench import DataSpec
from genbench_nets.coder_settings import CoderSettings
from genbench_nets.conv import conv_decoder, conv_encoder, doubling, halving, normed
from genbench_nets.imagenette_networks import imagenette_decoder, imagenette_encoder
from genbench_nets.labelled_sequential import LabelledSequential
from genbench_nets.mlp import Unflatten, flat_size, mlp


@dataclass(frozen=True, kw_only=True)
class Coders:
    """``encoder(x[, y])`` -> (B, outputs * z_dim, ...); ``decoder(code[, y])`` -> (B, *shape)."""

    encoder: LabelledSequential
    decoder: LabelledSequential


def coders(
    settings: CoderSettings, data: DataSpec, *, outputs: int = 2, classes: int | None = None
) -> Coders:
    """Both networks on the CPU, the encoder built first; the decoder ends in logits.

    The encoder gives ``outputs`` values for each value of a code (2: mean and log-variance, to be
    split along dimension 1), shaped (B, outputs * z_dim), or (B, outputs * z_dim, H, W) for spatial
    codes. ``classes``: both take labels.
    """
    if settings.network == "conv":
        make = _spatial if settings.code == "spatial" else _convolutional
    else:
        make = _dense if settings.network == "mlp" else _imagenette
    down, up = make(settings, data, outputs, classes or 0)
    flat, unit = settings.network == "mlp", settings.input_range == "0,1"
    return Coders(
        encoder=LabelledSequential(*down, classes=classes, flat=flat, unit=unit),
        decoder=LabelledSequential(*up, classes=classes),
    )


CoderLayers = tuple[Iterable[nn.Module], Iterable[nn.Module]]
"""The layers of an encoder and of a decoder, for inputs with the classes joined."""


def _dense(s: CoderSettings, data: DataSpec, outputs: int, classes: int) -> CoderLayers:
    pixels, act = flat_size(data.shape), s.activation
    sizes = (pixels + classes, *s.hidden, outputs * s.z_dim)
    encoder = mlp(sizes, act=act, dropout=s.dropout)
    decoder = mlp((s.z_dim + classes, *reversed(s.hidden), pixels), act=act)
    return (nn.Flatten(), *encoder), (*decoder, Unflatten(data.shape))


def _convolutional(s: CoderSettings, data: DataSpec, outputs: int, classes: int) -> CoderLayers:
    seen = (data.shape[0] + classes, *data.shape[1:])
    encoder = conv_encoder(
        seen, s.channels, s.conv_hidden, outputs * s.z_dim, kernel=s.kernel, norm=s.batch_norm
    )
    decoder = conv_decoder(
        data.shape, s.channels, s.conv_hidden, s.z_dim + classes, kernel=s.kernel, norm=s.batch_norm
    )
    return encoder, decoder


def _imagenette(s: CoderSettings, data: DataSpec, outputs: int, classes: int) -> CoderLayers:
    encoder = imagenette_encoder(data.shape[0] + classes, outputs * s.z_dim)
    return encoder, imagenette_decoder(s.z_dim + classes, data.shape[0])


def _spatial(s: CoderSettings, data: DataSpec, outputs: int, classes: int) -> CoderLayers:
    """Strided convolutions to a grid of codes and back, with no linear layer between."""
    deepest, norm = s.channels[-1], s.batch_norm
    down: list[nn.Module] = []
    for inputs, width in pairwise((data.shape[0] + classes, *s.channels)):
        down += halving(inputs, width, s.kernel, norm=norm)
    up: list[nn.Module] = [nn.Conv2d(s.z_dim + classes, deepest, 3, 1, 1, bias=not norm)]
    for inputs, width in pairwise(reversed(s.channels)):
        up += [*normed(inputs, norm), doubling(inputs, width, s.kernel, bias=not norm)]
    up += [*normed(s.channels[0], norm), doubling(s.channels[0], data.shape[0], s.kernel)]
    return (*down, nn.Conv2d(deepest, outputs * s.z_dim, 1)), up
