"""The one place where bytes become floats and floats become bytes."""

from __future__ import annotations

import torch
from torch import Tensor


def to_float(images: Tensor) -> Tensor:
    """uint8 0..255 -> float32 in [-1, 1], exactly x / 127.5 - 1."""
    return images.to(torch.float32).div_(127.5).sub_(1.0)


def to_uint8(x: Tensor) -> Tensor:
    """Float in [-1, 1] -> uint8 0..255, rounded half to even; values outside are clamped."""
    return x.float().add(1.0).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)
