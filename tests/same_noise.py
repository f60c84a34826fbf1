"""The same random numbers on every device: drawn by the generator of the CPU, then copied.

CPU and CUDA generators give different numbers for one seed, so that two trainings can only be
compared if what they draw is taken from one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class SameNoise(TorchFunctionMode):
    """Inside, PyTorch's random functions draw on the CPU; all others are unchanged."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _MADE:
            device = kwargs.pop("device", None)
            return func(*args, **kwargs).to(device or "cpu")
        if func in _LIKE:
            x, *rest = args
            return _LIKE[func](*rest, x.shape, dtype=x.dtype, **kwargs).to(x.device)
        if func in _FILLED:
            x, *rest = args
            return x.copy_(func(torch.empty(x.shape, dtype=x.dtype), *rest, **kwargs))
        if func is torch.bernoulli:
            return torch.bernoulli(args[0].detach().cpu(), **kwargs).to(args[0].device)
        if func is F.dropout:
            return _dropout(*args, **kwargs)
        return func(*args, **kwargs)


_MADE = (torch.randn, torch.rand, torch.randint, torch.randperm, torch.normal)
_LIKE: dict[Any, Callable[..., Tensor]] = {
    torch.randn_like: torch.randn,
    torch.rand_like: torch.rand,
}
_FILLED = (Tensor.normal_, Tensor.uniform_, Tensor.bernoulli_, Tensor.exponential_)


def _dropout(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    if not training or p == 0:
        return x
    kept = (torch.rand(x.shape) >= p).to(x.device)
    return torch.where(kept, x / (1 - p), 0.0)
