"""Labels beside what a network sees."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from genbench import UsageError


def needed(y: Tensor | None) -> Tensor:
    """The labels that a conditional network can't do without; raises UsageError without them."""
    if y is None:
        raise UsageError(
            "a conditional model needs the label of each sample: give y, or take data with labels"
        )
    return y


def one_hot(y: Tensor, classes: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """(B, classes): of int64 labels (B,); weights of a mixture of classes are taken as they are."""
    return y.to(dtype) if y.is_floating_point() else F.one_hot(y, classes).to(dtype)


def with_labels(x: Tensor, y: Tensor, classes: int) -> Tensor:
    """(B, D) -> (B, D + classes), or (B, C, H, W) -> (B, C + classes, H, W), by `one_hot`."""
    hot = one_hot(y, classes, x.dtype)
    if x.dim() == 4:
        hot = hot[:, :, None, None].expand(-1, -1, *x.shape[2:])
    return torch.cat((x, hot), dim=1)
