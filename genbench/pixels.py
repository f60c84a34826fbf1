"""The one place where bytes become floats and floats become bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def to_float(images: Tensor) -> Tensor:
    """uint8 0..255 -> float32 in [-1, 1], exactly x / 127.5 - 1."""
    return images.to(torch.float32).div_(127.5).sub_(1.0)


def stored_as_float(rows: np.ndarray[Any, Any]) -> Tensor:
    """Samples of a split, uint8 or float, as a model sees them: float32 on the CPU, a copy."""
    x = torch.from_numpy(np.array(rows))
    return to_float(x) if x.dtype == torch.uint8 else x


def to_uint8(x: Tensor) -> Tensor:
    """Float in [-1, 1] -> uint8 0..255, rounded half to even; values outside are clamped."""
    return x.float().add(1.0).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)
