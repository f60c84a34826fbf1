"""Labels beside what a network sees."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def one_hot(y: Tensor, classes: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """(B, classes): of int64 labels (B,); weights of a mixture of classes are taken as they are."""
    return y.to(dtype) if y.is_floating_point() else F.one_hot(y, classes).to(dtype)


def with_labels(x: Tensor, y: Tensor, classes: int) -> Tensor:
    """(B, D) -> (B, D + classes), or (B, C, H, W) -> (B, C + classes, H, W), by `one_hot`."""
    hot = one_hot(y, classes, x.dtype)
    if x.dim() == 4:
        hot = hot[:, :, None, None].expand(-1, -1, *x.shape[2:])
    return torch.cat((x, hot), dim=1)
