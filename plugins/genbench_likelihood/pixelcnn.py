"""The gated PixelCNN (van den Oord et al. 2016, arXiv:1606.05328): p(x) = prod p(x_i | x_<i).

Two stacks of convolutions see what comes before a pixel (section 2.3): the vertical stack all rows
above it, the horizontal one the pixels on its left, and the first feeds the second; both are gated
(eq. 2). In the place of masks, the image is moved down by a row (vertical) or to the right by a
pixel (horizontal), and convolutions are padded on one side only, which is the same. The channels
of a pixel come one after another. Samples are drawn pixel by pixel; each layer keeps the few rows
and pixels that it needs, so that an image costs the arithmetic of one pass [28x28: 784 steps].

With ``conditional``, p(x | y) = prod p(x_i | x_<i, y): a shift for the label is added before each
gate (eq. 4). That of the horizontal stack comes through its link from the vertical one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench import MONITOR, Batch, DataSpec, Optimizer, Phase, Schedule, Stage, Terms
from genbench_likelihood.pixel_laws import GREY, Bernoulli, Categorical, Law, Logistics, value_of
from genbench_likelihood.pixelcnn_settings import PixelCNNSettings
from genbench_nets.labels import as_weights, required
from genbench_nets.mlp import flat_size
from genbench_nets.prior_noise import draw_prior


class PixelCNN:
    """The mass of an image. z ~ U(-1, 1) has a value for each of the image's, which decides it.

    For grey levels, ``log_density`` is that of the level spread evenly over its width, so that it
    has the scale of a flow's. With ``likelihood=bernoulli`` it is the log-mass of black and white
    pixels. Both are given the label with ``conditional``.
    """

    averaged = ("network",)
    prior_kind = "uniform"
    piecewise = True

    def __init__(self, settings: PixelCNNSettings, data: DataSpec) -> None:
        settings.check(data)
        self.settings, self.likelihood = settings, settings.likelihood
        self._shape, self._dims = data.shape, flat_size(data.shape)
        self.evaluations = self._dims // data.shape[0]
        if settings.conditional and data.classes:
            self.classes = data.classes
        self._network = PixelNetwork(settings, data)
        self.nets = nn.ModuleDict({"network": self._network})

    def optimizers(self) -> Mapping[str, Optimizer]:
        """One Adam; its rate falls to 0 as a cosine."""
        cosine = Schedule(kind="cosine")
        return {"pixels": Optimizer(nets=("network",), lr=self.settings.lr, schedule=cosine)}

    def stages(self) -> tuple[Stage, ...]:
        """One stage of one phase."""
        phase = Phase(name="likelihood", loss=self.loss, updates=("pixels",))
        return (Stage(name="train", phases=(phase,), validate=self.validate),)

    def loss(self, batch: Batch) -> Terms:
        """-log P(x) in nats per image."""
        nll = -self.log_mass(batch.x, batch.y).mean()
        return {"pixels": {"nll": nll}, MONITOR: self._bits(nll.detach())}

    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        """The same of test images."""
        nll = -self.log_mass(batch.x, batch.y).mean()
        return {"loss": nll, **self._bits(nll)}

    def _bits(self, nll: Tensor) -> dict[str, Tensor]:
        if self.likelihood == "bernoulli":
            return {}
        return {"bits_per_dim": nll / (self._dims * math.log(2))}

    def log_mass(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """log P(x) in nats, (B,), given the labels with ``conditional``."""
        network = self._network
        return network.log_mass(network(x, self._weights(y)), x).flatten(1).sum(1)

    def _weights(self, y: Tensor | None) -> Tensor | None:
        return as_weights(required(y), self.classes) if self.settings.conditional else None

    # --- what it can do

    def log_density(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The log-mass, (B,), over the width of a level if there are 256."""
        width = 0.0 if self.likelihood == "bernoulli" else self._dims * math.log(GREY / 2)
        return self.log_mass(x, y) + width

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """z ~ U(-1, 1), (n, C, H, W)."""
        return draw_prior(self.nets, (n, *self._shape), generator, "uniform")

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The image (B, C, H, W) in which each value is the quantile (z + 1) / 2 of its law."""
        with torch.no_grad():
            return self._network.drawn(z.float().add(1).mul(0.5), self._weights(y))


class PixelNetwork(nn.Module):
    """x (B, C, H, W) -> features (B, hidden, H, W) of what comes before a pixel, and its law.

    Labels are weights of classes, float (B, classes), or None.
    """

    def __init__(self, s: PixelCNNSettings, data: DataSpec) -> None:
        super().__init__()
        channels, classes = data.shape[0], (data.classes or 0) if s.conditional else 0
        self.law = law = law_of(s)
        self.above = nn.Conv2d(channels, s.channels, 1)
        self.left = nn.Conv2d(channels, s.channels, 1)
        layers = [GatedLayer(s.channels, s.kernel, classes) for _ in range(s.layers)]
        self.layers = cast("Sequence[GatedLayer]", nn.ModuleList(layers))
        self.top = nn.Conv2d(s.channels, s.hidden, 1)
        self.outputs = nn.ModuleList(
            nn.Conv2d(s.hidden + earlier, law.size, 1) for earlier in range(channels)
        )

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Features of all pixels at once."""
        above = self.above(F.pad(x, (0, 0, 1, 0))[:, :, :-1])
        left = self.left(F.pad(x, (1, 0))[..., :-1])
        for layer in self.layers:
            above, left = layer(above, left, labels)
        return self._features(left)

    def log_mass(self, features: Tensor, x: Tensor) -> Tensor:
        """log P of each value given all earlier ones, (B, C, H, W), float32."""
        masses = [
            self.law.log_mass(self._of_law(features, x, channel).float(), x[:, channel].float())
            for channel in range(x.shape[1])
        ]
        return torch.stack(masses, dim=1)

    def drawn(self, u: Tensor, labels: Tensor | None = None) -> Tensor:
        """The image with the quantiles u (B, C, H, W) in [0, 1]."""
        x = torch.full_like(u, 0)
        row_before = torch.zeros_like(u[:, :, :1])
        rows = [layer.no_rows(u) for layer in self.layers]
        for i in range(u.shape[2]):
            above, links = self.above(row_before), []
            for k, layer in enumerate(self.layers):
                above, link, rows[k] = layer.next_row(above, rows[k], labels)
                links.append(link)
            self._draw_row(x[:, :, i], u[:, :, i], links)
            row_before = x[:, :, i : i + 1]
        return x

    def _draw_row(self, x: Tensor, u: Tensor, links: list[Tensor]) -> None:
        """Fill a row x (B, C, W), given what the layers' vertical stacks tell of the rows above."""
        before = torch.zeros_like(x[:, :, :1, None])
        pixels = [layer.no_pixels(before) for layer in self.layers]
        for j in range(x.shape[2]):
            left = self.left(before)
            for k, layer in enumerate(self.layers):
                left, pixels[k] = layer.next_pixel(left, links[k][..., j : j + 1], pixels[k])
            features, pixel = self._features(left), x[:, :, j : j + 1, None]
            for channel in range(x.shape[1]):
                below = self.law.below(self._of_law(features, pixel, channel)[..., 0, 0])
                level = (below < u[:, channel, j : j + 1]).sum(1)
                x[:, channel, j] = value_of(level, self.law.levels)
            before = pixel

    def _features(self, left: Tensor) -> Tensor:
        return F.relu(self.top(F.relu(left)))

    def _of_law(self, features: Tensor, x: Tensor, channel: int) -> Tensor:
        """Parameters (B, K, H, W) of the law of a channel, given the earlier ones of its pixel."""
        parameters: Tensor = self.outputs[channel](torch.cat([features, x[:, :channel]], 1))
        return parameters


class GatedLayer(nn.Module):
    """Figure 2 of the paper: (B, w, H, W) of the vertical and of the horizontal stack."""

    def __init__(self, width: int, kernel: int, classes: int) -> None:
        super().__init__()
        self.label = nn.Linear(classes, 2 * width, bias=False) if classes else None
        self.width, self.reach = width, kernel // 2
        self.vertical = nn.Conv2d(width, 2 * width, (self.reach + 1, kernel))
        self.link = nn.Conv2d(2 * width, 2 * width, 1)
        self.horizontal = nn.Conv2d(width, 2 * width, (1, self.reach + 1))
        self.out = nn.Conv2d(width, width, 1)

    def forward(self, above: Tensor, left: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """Both stacks; a place sees places above it and on its left, and itself."""
        reach = self.reach
        rows = self._rows(F.pad(above, (reach, reach, reach, 0)), labels)
        pixels = self.horizontal(F.pad(left, (reach, 0))) + self.link(rows)
        return gated(rows), left + self.out(gated(pixels))

    def _rows(self, padded: Tensor, labels: Tensor | None) -> Tensor:
        """The vertical stack before its gate, (B, 2 w, H, W)."""
        rows: Tensor = self.vertical(padded)
        if self.label is None or labels is None:
            return rows
        told: Tensor = self.label(labels)
        return rows + told[:, :, None, None]

    # --- the same for one row or one pixel after another

    def no_rows(self, like: Tensor) -> Tensor:
        """The rows above the first one, (B, w, reach, W), for images (B, C, H, W)."""
        return like.new_zeros(like.shape[0], self.width, self.reach, like.shape[3])

    def next_row(
        self, above: Tensor, earlier: Tensor, labels: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The next row of the vertical stack, what it tells the horizontal one, and its memory."""
        block = torch.cat([earlier, above], dim=2)
        rows = self._rows(F.pad(block, (self.reach, self.reach)), labels)
        return gated(rows), self.link(rows), block[:, :, 1:]

    def no_pixels(self, like: Tensor) -> Tensor:
        """The pixels on the left of the first one, (B, w, 1, reach)."""
        return like.new_zeros(like.shape[0], self.width, 1, self.reach)

    def next_pixel(self, left: Tensor, link: Tensor, earlier: Tensor) -> tuple[Tensor, Tensor]:
        """The next pixel of the horizontal stack, and its memory."""
        block = torch.cat([earlier, left], dim=3)
        return left + self.out(gated(self.horizontal(block) + link)), block[..., 1:]


def gated(x: Tensor) -> Tensor:
    """tanh of one half of the channels times the sigmoid of the other (eq. 2)."""
    value, gate = x.chunk(2, dim=1)
    return torch.tanh(value) * torch.sigmoid(gate)


def law_of(s: PixelCNNSettings) -> Law:
    """The law that the settings name."""
    if s.likelihood == "logistic":
        return Logistics(s.components)
    return Categorical() if s.likelihood == "categorical" else Bernoulli()
