"""Conversion between uint8 images and floats in [-1, 1], which happens only here."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def to_float(images: Tensor) -> Tensor:
    """uint8 0..255 -> float32 in [-1, 1], exactly x / 127.5 - 1."""
    return images.to(torch.float32).div_(127.5).sub_(1.0)


def as_float(x: Tensor) -> Tensor:
    """Samples as a model gets them, in float32: `to_float` for uint8; floats are unchanged."""
    return to_float(x) if x.dtype == torch.uint8 else x.to(torch.float32)


def stored_as_float(rows: np.ndarray[Any, Any]) -> Tensor:
    """Samples of a split (uint8 or float) as a model gets them: a float32 copy on the CPU."""
    return as_float(torch.from_numpy(np.array(rows)))


def to_uint8(x: Tensor) -> Tensor:
    """Float in [-1, 1] -> uint8 0..255, rounded half to even; values outside are clamped."""
    return x.float().add(1.0).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)


def dequantized(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Grey levels with uniform noise over the width of a level, so that they have a density.

    ``x`` is the result of `to_float`, with level u at u / 127.5 - 1; level u becomes uniform in
    [u / 128 - 1, (u + 1) / 128 - 1), so that all 256 levels fill [-1, 1). The bits of a level are
    then those of the density plus log2(128) for the scale (Theis et al. 2016, arXiv:1511.01844,
    section 3.1). The noise comes from a CPU ``generator``, or from the global one of x's device.
    """
    levels = x.add(1.0).mul(127.5).round()
    if generator is None:
        noise = torch.rand_like(x)
    else:
        noise = torch.rand(x.shape, generator=generator).to(x)
    return (levels + noise).div(128).sub(1.0)
