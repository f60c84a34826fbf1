"""bits_per_dim, and the exact nll: log p(x) of test samples, of a model that knows its density.

A density has no value at a grey level: uniform noise over the level's width is added, with a fixed
seed, so that the mean of the density over the level is bounded from below (Theis et al. 2016,
arXiv:1511.01844, section 3.1). Bits are those of the grey levels 0 .. 255: by the change of scale
from [-1, 1] to [0, 256], log2(128) is added for each of the D values of a sample. So a model that
knows nothing, uniform on [-1, 1]^D, has 8 bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from genbench import MetricContext, PluginError, Score, UsageError, dequantized, to_float
from genbench_metrics.held_out import given_by, held_out_protocol, takes_labels
from genbench_metrics.likelihood_settings import HeldOutSettings

SEED = 0
"""Of the noise that is added to the test images: the same for all models and runs."""
CHUNK = 100
"""Test samples at a time: a fixed number, for the noise is drawn in these chunks."""
SCALE = math.log(128)
"""Nats a value between a density of x in [-1, 1] and one of the levels in [0, 256]."""


class BitsPerDim:
    """Minus the exact log-density of dequantised test images, bits a value; lower is better."""

    uses: Literal["samples", "model"] = "model"
    requires: tuple[str, ...] = ("has-density",)

    def __init__(self, settings: HeldOutSettings | None = None) -> None:
        self._settings = settings or HeldOutSettings()

    def begin(self, context: MetricContext) -> None:
        """Raises UsageError if samples are no images of 256 levels."""
        if context.data.test.x.dtype != np.uint8:
            raise UsageError(
                f"bits_per_dim is of images of 256 grey levels, and '{context.data.spec.name}' has "
                "none; use nll"
            )
        self._context = context

    def update(self, images: Tensor) -> None:
        """Takes no samples: this score is of the model itself."""

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
                note=f"between samples {float(bits.std()) / math.sqrt(len(bits)):.2g}",
            )
        ]


def exact_nll(context: MetricContext, n: int) -> Score:
    """``nll`` in nats a sample: of x in [-1, 1] after dequantisation, of points as they are."""
    found = log_densities(context, n)
    return Score(
        metric="nll",
        value=float(-found.mean()),
        n=len(found),
        direction="min",
        unit="nats",
        protocol=density_protocol(context, len(found)),
        note=f"exact; between samples {float(found.std()) / math.sqrt(len(found)):.2g} nats",
    )


def log_densities(context: MetricContext, n: int) -> Tensor:
    """log p of the first ``n`` test samples, nats, float64 (n,) on the CPU.

    Raises PluginError if the model gives something else than one number a sample.
    """
    test, generator = context.data.test, torch.Generator().manual_seed(SEED)
    labels = test.y if takes_labels(context) else None
    found = []
    for start in range(0, min(n, len(test.x)), CHUNK):
        rows = slice(start, min(start + CHUNK, n, len(test.x)))
        x = torch.from_numpy(np.array(test.x[rows]))
        x = dequantized(to_float(x), generator) if x.dtype == torch.uint8 else x.float()
        x = x.to(context.device)
        y = None if labels is None else torch.from_numpy(np.array(labels[rows])).to(x.device)
        with torch.no_grad():
            log_p = context.model.log_density(x, y)
        if not isinstance(log_p, Tensor) or log_p.shape != (len(x),):
            shape = tuple(getattr(log_p, "shape", ()))
            raise PluginError(
                f"log_density gave shape {shape} for {len(x)} samples; expected ({len(x)},), the "
                "log-density of each whole sample"
            )
        found.append(log_p.cpu().double())
    return torch.cat(found)


def density_protocol(context: MetricContext, n: int) -> Mapping[str, Any]:
    """What decides an exact density beside the model."""
    levels = context.data.test.x.dtype == np.uint8
    return {
        "measure": "exact density",
        "volume": "x in [-1, 1]" if context.data.spec.bounded else "x as given",
        "dequantization": f"uniform over a level, seed {SEED}" if levels else None,
        "given": given_by(context),
        **held_out_protocol(context, n),
        "implementation": "genbench-density-1",
    }
