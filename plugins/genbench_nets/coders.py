"""Encoders and decoders as the settings describe them, with or without labels."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from genbench import DataSpec
from genbench_nets.coder_settings import CoderSettings
from genbench_nets.conv import conv_decoder, conv_encoder, doubling, halving, normed
from genbench_nets.imagenette_networks import imagenette_decoder, imagenette_encoder
from genbench_nets.labels import needed, with_labels
from genbench_nets.mlp import Unflatten, flat_size, mlp


class Coder(nn.Sequential):
    """Layers in a row. Where it has ``classes``, labels y (B,) join what comes in.

    As one-hot values beside a vector (``flat``: beside an image's pixels too), else as planes.
    ``unit``: images in [-1, 1] are mapped to [0, 1] first.
    """

    def __init__(
        self,
        *layers: nn.Module,
        classes: int | None = None,
        flat: bool = False,
        unit: bool = False,
    ) -> None:
        super().__init__(*layers)
        self.classes, self.flat, self.unit = classes, flat, unit

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The output of the last layer; y is int64 (B,) or weights (B, classes).

        Raises UsageError where labels are needed and there are none.
        """
        if self.unit:
            x = x.add(1).mul(0.5)
        if self.classes is not None:
            x = with_labels(x.flatten(1) if self.flat else x, needed(y), self.classes)
        for layer in self:
            x = layer(x)
        return x


@dataclass(frozen=True, kw_only=True)
class Coders:
    """``encoder(x[, y])`` -> (B, outputs * z_dim, ...); ``decoder(code[, y])`` -> (B, *shape)."""

    encoder: Coder
    decoder: Coder


def coders(
    settings: CoderSettings, data: DataSpec, *, outputs: int = 2, classes: int | None = None
) -> Coders:
    """Both networks on the CPU, the encoder built first; the decoder ends in logits, unsquashed.

    The encoder gives ``outputs`` values for each of a code (2: mean and log-variance, to be split
    along dimension 1), shaped (B, outputs * z_dim), or (B, outputs * z_dim, H, W) for spatial
    codes. ``classes``: both take labels.
    """
    if settings.network == "conv":
        make = _spatial if settings.code == "spatial" else _convolutional
    else:
        make = _dense if settings.network == "mlp" else _imagenette
    built = make(settings, data, outputs, classes or 0)
    built.encoder.unit = settings.input_range == "0,1"
    return built


def _dense(s: CoderSettings, data: DataSpec, outputs: int, classes: int) -> Coders:
    pixels, act = flat_size(data.shape), s.activation
    sizes = (pixels + classes, *s.hidden, outputs * s.z_dim)
    encoder = mlp(sizes, act=act, dropout=s.dropout)
    decoder = mlp((s.z_dim + classes, *reversed(s.hidden), pixels), act=act)
    return Coders(
        encoder=Coder(nn.Flatten(), *encoder, classes=classes or None, flat=True),
        decoder=Coder(*decoder, Unflatten(data.shape), classes=classes or None),
    )


def _convolutional(s: CoderSettings, data: DataSpec, outputs: int, classes: int) -> Coders:
    seen = (data.shape[0] + classes, *data.shape[1:])
    encoder = conv_encoder(
        seen,
        s.channels,
        s.conv_hidden,
        outputs * s.z_dim,
        kernel=s.kernel,
        norm=s.batch_norm,
    )
    decoder = conv_decoder(
        data.shape,
        s.channels,
        s.conv_hidden,
        s.z_dim + classes,
        kernel=s.kernel,
        norm=s.batch_norm,
    )
    return Coders(
        encoder=Coder(*encoder, classes=classes or None),
        decoder=Coder(*decoder, classes=classes or None),
    )


def _imagenette(s: CoderSettings, data: DataSpec, outputs: int, classes: int) -> Coders:
    encoder = imagenette_encoder(data.shape[0] + classes, outputs * s.z_dim)
    decoder = imagenette_decoder(s.z_dim + classes, data.shape[0])
    return Coders(
        encoder=Coder(*encoder, classes=classes or None),
        decoder=Coder(*decoder, classes=classes or None),
    )


def _spatial(s: CoderSettings, data: DataSpec, outputs: int, classes: int) -> Coders:
    """Strided convolutions to a grid of codes and back, with no linear layer between."""
    deepest, norm = s.channels[-1], s.batch_norm
    down: list[nn.Module] = []
    for inputs, width in pairwise((data.shape[0] + classes, *s.channels)):
        down += halving(inputs, width, s.kernel, norm=norm)
    up: list[nn.Module] = [nn.Conv2d(s.z_dim + classes, deepest, 3, 1, 1, bias=not norm)]
    for inputs, width in pairwise(reversed(s.channels)):
        up += [*normed(inputs, norm), doubling(inputs, width, s.kernel, bias=not norm)]
    up += [*normed(s.channels[0], norm), doubling(s.channels[0], data.shape[0], s.kernel)]
    return Coders(
        encoder=Coder(*down, nn.Conv2d(deepest, outputs * s.z_dim, 1), classes=classes or None),
        decoder=Coder(*up, classes=classes or None),
    )
