"""A normalising flow as a model: log p(x) = log N(z; 0, I) + log |dz/dx|, samples by its inverse.

All flows share this model and differ in their bijection. Images are dequantised in each step (see
`genbench.dequantized`) and mapped to logits, as in Dinh et al. 2017 (arXiv:1605.08803), section
4.1; any data is then standardised by the training split. With ``conditional``, the networks of the
bijection get the label, and the density is that of x given its label (Papamakarios et al. 2017,
section 3.4).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from genbench import (
    MONITOR,
    Batch,
    DataSpec,
    Optimizer,
    Phase,
    Schedule,
    Stage,
    Terms,
    dequantized,
)
from genbench_likelihood.flow_settings import FlowSettings
from genbench_nets.labels import as_weights, required
from genbench_nets.mlp import flat_size
from genbench_nets.prior_noise import draw_prior

NARROWEST = 0.1
"""The smallest deviation of a logit by which it is divided: a pixel that is black in all training
images may be white in a test image, which would be hundreds of deviations away."""
BITS = math.log(2)
SCALE = math.log(128)
"""Nats per value between a density on [-1, 1] and one of levels in [0, 256]."""


class Bijection(nn.Module):
    """An invertible network of standardised samples (B, *shape) and normal noise z (B, D).

    Labels are weights of classes, float (B, classes), or None for a flow without them.
    ``evaluations`` is the number of passes of an inverse, one after the other.
    """

    evaluations = 1

    def forward(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z (B, D) and log |dz/dx| in nats, (B,)."""
        raise NotImplementedError

    def inverse(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """x (B, *shape)."""
        raise NotImplementedError


class Flow:
    """A bijection between samples and N(0, I), trained by maximum likelihood, in float32."""

    averaged = ("flow",)

    def __init__(self, bijection: Bijection, data: DataSpec, s: FlowSettings) -> None:
        self._bounded, self._dims, self._lr = data.bounded, flat_size(data.shape), s.lr
        self._bijection = bijection
        self._classes = label_count(s, data)
        if self._classes:
            self.classes = self._classes
        self.evaluations = bijection.evaluations
        self._scaling = Scaling(data.shape, s.margin if data.bounded else None)
        self.nets = nn.ModuleDict({"flow": bijection, "scaling": self._scaling})

    def optimizers(self) -> Mapping[str, Optimizer]:
        """One Adam; its rate falls to 0 as a cosine."""
        cosine = Schedule(kind="cosine")
        return {"flow": Optimizer(nets=("flow",), lr=self._lr, clip_norm=100.0, schedule=cosine)}

    def stages(self) -> tuple[Stage, ...]:
        """One stage of one phase, after the scaling is fitted to the training samples."""
        phase = Phase(name="likelihood", loss=self.loss, updates=("flow",))
        fit = self._scaling.fit
        return (Stage(name="train", phases=(phase,), validate=self.validate, fit_buffers=fit),)

    def loss(self, batch: Batch) -> Terms:
        """-log p(x) in nats per sample, for images with new noise in each step."""
        nll = -self.log_density(self._continuous(batch.x), batch.y).mean()
        return {"flow": {"nll": nll}, MONITOR: self._bits(nll.detach())}

    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        """The same of test samples."""
        nll = -self.log_density(self._continuous(batch.x), batch.y).mean()
        return {"loss": nll, **self._bits(nll)}

    def _continuous(self, x: Tensor) -> Tensor:
        return dequantized(x) if self._bounded else x

    def _bits(self, nll: Tensor) -> dict[str, Tensor]:
        """Bits per value of a grey level, for images."""
        return {"bits_per_dim": (nll / self._dims + SCALE) / BITS} if self._bounded else {}

    # --- what it can do

    def log_density(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """log p(x) in nats, (B,): that of z and the logarithms of all derivatives.

        With ``conditional``, it is given the labels y, which are required.
        """
        with torch.autocast(x.device.type, enabled=False):
            scaled, stretched = self._scaling(x.float())
            z, log_det = self._bijection(scaled, self._weights(y))
            normal = -0.5 * (z.square().sum(1) + self._dims * math.log(2 * math.pi))
            log_p: Tensor = normal + log_det + stretched
        return log_p

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """z ~ N(0, I), (n, D)."""
        return draw_prior(self.nets, (n, self._dims), generator)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """x (B, *shape) by the inverse; images in [-1, 1]."""
        with torch.autocast(z.device.type, enabled=False):
            return self._scaling.inverse(self._bijection.inverse(z.float(), self._weights(y)))

    def _weights(self, y: Tensor | None) -> Tensor | None:
        return as_weights(required(y), self._classes) if self._classes else None


def label_count(s: FlowSettings, data: DataSpec) -> int:
    """The number of classes that the networks are told of, or 0."""
    return (data.classes or 0) if s.conditional else 0


class Scaling(nn.Module):
    """x -> values of mean 0 and standard deviation 1 over the training samples.

    With a ``margin`` m, x in [-1, 1] becomes the logit of m + (1 - 2 m) (x + 1) / 2 first.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, shape: tuple[int, ...], margin: float | None) -> None:
        super().__init__()
        self.margin = margin
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("std", torch.ones(shape))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The scaled values, and the log-determinant (B,)."""
        log_det = -self.std.log().sum().expand(len(x))
        if self.margin is not None:
            x, slope = logits(x, self.margin)
            log_det = log_det + slope.flatten(1).sum(1)
        return (x - self.mean) / self.std, log_det

    def inverse(self, scaled: Tensor) -> Tensor:
        """x; images are clamped to [-1, 1]."""
        x = scaled * self.std + self.mean
        if self.margin is None:
            return x
        return ((x.sigmoid() - 0.5) / (0.5 - self.margin)).clamp(-1, 1)

    def fit(self, chunks: Iterable[Tensor]) -> None:
        """Set mean and standard deviation to those of samples, with a fixed noise on images."""
        noise, count = torch.Generator().manual_seed(0), 0
        total = squares = torch.zeros((), dtype=torch.float64)
        for x in chunks:
            if self.margin is not None:
                x, _ = logits(dequantized(x, noise), self.margin)
            x = x.cpu().double()
            total, squares, count = total + x.sum(0), squares + x.square().sum(0), count + len(x)
        mean = total / count
        std = (squares / count - mean.square()).clamp(min=0).sqrt()
        self.mean.copy_(mean)
        self.std.copy_(std.clamp(min=1e-6 if self.margin is None else NARROWEST))


def logits(x: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """The logits of m + (1 - 2 m) (x + 1) / 2 for x in [-1, 1], and the logarithms of their slopes.

    Both sides of the logit are computed from the end of the range that they are near to, since a
    small margin would lose its digits beside 1.
    """
    low = (margin + (0.5 - margin) * (1 + x)).log()
    high = (margin + (0.5 - margin) * (1 - x)).log()
    return low - high, math.log(0.5 - margin) - low - high
