"""Encoders and decoders as the settings describe them, with or without labels."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from genbench import DataSpec
from genbench_nets.coder_settings import CoderSettings
from genbench_nets.conv import conv_decoder, conv_encoder
from genbench_nets.labels import with_labels
from genbench_nets.mlp import Unflatten, flat_size, mlp


class Coder(nn.Sequential):
    """Layers in a row. Where it has ``classes``, labels y (B,) join what comes in.

    As one-hot values beside a vector (``flat``: beside an image's pixels too), else as planes.
    """

    def __init__(self, *layers: nn.Module, classes: int | None = None, flat: bool = False) -> None:
        super().__init__(*layers)
        self.classes, self.flat = classes, flat

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The output of the last layer; y is int64 (B,) or weights (B, classes)."""
        if self.classes is not None:
            assert y is not None, "a conditional network needs labels"
            x = with_labels(x.flatten(1) if self.flat else x, y, self.classes)
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
    if settings.network == "mlp":
        return _dense(settings, data, outputs, classes or 0)
    make = _spatial if settings.code == "spatial" else _convolutional
    return make(settings, data, outputs, classes or 0)


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
    encoder = conv_encoder(seen, s.channels, s.conv_hidden, outputs * s.z_dim)
    decoder = conv_decoder(data.shape, s.channels, s.conv_hidden, s.z_dim + classes)
    return Coders(
        encoder=Coder(*encoder, classes=classes or None),
        decoder=Coder(*decoder, classes=classes or None),
    )


def _spatial(s: CoderSettings, data: DataSpec, outputs: int, classes: int) -> Coders:
    """Strided convolutions to a grid of codes and back, with no linear layer between."""
    widths = (data.shape[0] + classes, *s.channels)
    down: list[nn.Module] = []
    for inputs, width in pairwise(widths):
        down += [nn.Conv2d(inputs, width, 4, 2, 1), nn.ReLU()]
    up: list[nn.Module] = [nn.Conv2d(s.z_dim + classes, s.channels[-1], 3, 1, 1)]
    for inputs, width in pairwise((*reversed(s.channels), data.shape[0])):
        up += [nn.ReLU(), nn.ConvTranspose2d(inputs, width, 4, 2, 1)]
    return Coders(
        encoder=Coder(
            *down, nn.Conv2d(s.channels[-1], outputs * s.z_dim, 1), classes=classes or None
        ),
        decoder=Coder(*up, classes=classes or None),
    )
