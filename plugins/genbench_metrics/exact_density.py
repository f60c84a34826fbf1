"""bits_per_dim and the exact nll: log p(x) of test samples, for models that compute it.

Uniform noise over the width of a grey level is added to images, with a fixed seed, since a density
at a single level is not meaningful; the result bounds the log-likelihood of the levels (Theis et
al. 2016, arXiv:1511.01844, section 3.1). Bits are those of the grey levels 0 .. 255: the change of
scale from [-1, 1] to [0, 256] adds log2(128) for each of the D values of a sample. A uniform
distribution on [-1, 1]^D thus has 8 bits.

A model with ``likelihood = "bernoulli"`` has a mass of black and white pixels, which get no noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genbench import MetricContext, PluginError, Score, UsageError, dequantized, to_float
from genbench_metrics.held_out import (
    binarization,
    given_by,
    held_out_protocol,
    likelihood_of,
    takes_labels,
)
from genbench_metrics.likelihood_settings import HeldOutSettings
from genbench_metrics.metric import ModelMetric

SEED = 0
"""The seed of the noise, which is the same for all models and runs."""
CHUNK = 100
"""Test samples per chunk; the number is fixed, since noise is drawn per chunk."""
SCALE = math.log(128)
"""Nats per value between a density of x in [-1, 1] and one of levels in [0, 256]."""


class BitsPerDim(ModelMetric[HeldOutSettings]):
    """The negative log-density of dequantised test images, in bits per dimension."""

    requires = ("has-density",)
    defaults = HeldOutSettings

    def begin(self, context: MetricContext) -> None:
        """Keep the context; raises UsageError without 256 levels in the data and in the model."""
        if context.data.test.x.dtype != np.uint8:
            raise UsageError(
                f"bits_per_dim needs images with 256 levels, which '{context.data.spec.name}' "
                "doesn't have; use nll"
            )
        if is_mass(context):
            raise UsageError(
                "bits_per_dim needs a density of 256 levels, and this model has black and white "
                "pixels; use nll"
            )
        self._context = context

    def result(self) -> Sequence[Score]:
        """One score, ``bits_per_dim``."""
        context = self._context
        found = log_densities(context, self._settings.n)
        dims = math.prod(context.data.spec.shape)
        bits = (dims * SCALE - found) / (dims * math.log(2))
        return [
            Score(
                metric="bits_per_dim",
                value=float(bits.mean()),
                n=len(bits),
                direction="min",
                unit="bits",
                protocol={**density_protocol(context, len(bits)), "scale": "levels 0 .. 255"},
                note=f"standard error {float(bits.std()) / math.sqrt(len(bits)):.2g}",
            )
        ]


def exact_nll(context: MetricContext, n: int) -> Score:
    """``nll`` in nats per sample: of dequantised images in [-1, 1], of points, or of a mass."""
    found = log_densities(context, n)
    return Score(
        metric="nll",
        value=float(-found.mean()),
        n=len(found),
        direction="min",
        unit="nats",
        protocol=density_protocol(context, len(found)),
        note=f"exact; standard error {float(found.std()) / math.sqrt(len(found)):.2g} nats",
    )


def log_densities(context: MetricContext, n: int) -> Tensor:
    """log p of the first ``n`` test samples in nats, float64 (n,) on the CPU.

    Raises PluginError if the model doesn't return one number per sample.
    """
    test, generator = context.data.test, torch.Generator().manual_seed(SEED)
    labels = test.y if takes_labels(context) else None
    levels = test.x.dtype == np.uint8 and not is_mass(context)
    found = []
    for start in range(0, min(n, len(test.x)), CHUNK):
        rows = slice(start, min(start + CHUNK, n, len(test.x)))
        x = torch.from_numpy(np.array(test.x[rows]))
        x = to_float(x) if x.dtype == torch.uint8 else x.float()
        x = dequantized(x, generator) if levels else x
        x = x.to(context.device)
        y = None if labels is None else torch.from_numpy(np.array(labels[rows])).to(x.device)
        with torch.no_grad():
            log_p = context.model.log_density(x, y)
        if not isinstance(log_p, Tensor) or log_p.shape != (len(x),):
            shape = tuple(getattr(log_p, "shape", ()))
            raise PluginError(
                f"log_density returned shape {shape} for {len(x)} samples; expected ({len(x)},), "
                "the log-density of each sample"
            )
        found.append(log_p.cpu().double())
    return torch.cat(found)


def density_protocol(context: MetricContext, n: int) -> Mapping[str, Any]:
    """The protocol of an exact density, or of an exact mass."""
    levels = context.data.test.x.dtype == np.uint8
    own = {
        "measure": "exact density",
        "volume": "x in [-1, 1]" if context.data.spec.bounded else "x as given",
        "dequantization": f"uniform over a level, seed {SEED}" if levels else None,
    }
    if is_mass(context):
        own = {"measure": "exact mass", "binarization": binarization(context)}
    return {
        **own,
        "given": given_by(context),
        **held_out_protocol(context, n),
        "implementation": "genbench-density-1",
    }


def is_mass(context: MetricContext) -> bool:
    """Whether ``log_density`` is the log-mass of black and white pixels."""
    return likelihood_of(context.model) == "bernoulli"
