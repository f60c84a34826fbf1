"""Random numbers that a stack of models and each model alone draw alike, to compare the two."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from genbench.engine.stacked_update import unmapped


class SharedNoise(TorchFunctionMode):
    """All models get the same random numbers, which depend on ``seed`` and the draws before.

    Each random function is also called as it is, so that what `torch.func.vmap` refuses is still
    refused; then its numbers are replaced.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self._generator = torch.Generator().manual_seed(seed)

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function, and replace the numbers of a random one."""
        kwargs = dict(kwargs or {})
        if func is F.dropout:
            return self._dropout(*args, **kwargs)
        result = func(*args, **kwargs)
        if func in IN_PLACE:
            return args[0].copy_(IN_PLACE[func](self._noise, result, *args[1:], **kwargs))
        if func in MADE:
            return MADE[func](self._noise, result, *args, **kwargs).to(result.device, result.dtype)
        return result

    def _noise(self, like: Tensor, draw: Callable[..., Tensor] = torch.rand) -> Tensor:
        """Random numbers of the shape of ``like``, the same for all models."""
        with unmapped():
            return draw(like.shape, generator=self._generator).to(like.device)

    def _dropout(
        self, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor:
        if not training or p == 0:
            return x
        F.dropout(x, p)
        return x * (self._noise(x) >= p) / (1 - p)


Noise = Callable[..., Tensor]


def _normal(noise: Noise, like: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    return mean + std * noise(like, torch.randn)


def _uniform(noise: Noise, like: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
    return low + (high - low) * noise(like)


def _coins(noise: Noise, like: Tensor, p: Tensor | float = 0.5, **_: Any) -> Tensor:
    return torch.lt(noise(like), p).float()


def _integers(noise: Noise, like: Tensor, *bounds: Any, **_: Any) -> Tensor:
    low, high = [0, *(b for b in bounds if isinstance(b, int))][-2:]
    return low + ((high - low) * noise(like)).floor()


def _permutation(noise: Noise, like: Tensor, *_: Any, **__: Any) -> Tensor:
    return noise(like).argsort()


MADE: Mapping[Any, Callable[..., Tensor]] = {
    torch.randn: lambda noise, like, *_, **__: _normal(noise, like),
    torch.randn_like: lambda noise, like, *_, **__: _normal(noise, like),
    torch.rand: lambda noise, like, *_, **__: _uniform(noise, like),
    torch.rand_like: lambda noise, like, *_, **__: _uniform(noise, like),
    torch.bernoulli: _coins,
    torch.randint: _integers,
    torch.randperm: _permutation,
}
"""The functions that return random numbers, with numbers of the same law."""
IN_PLACE: Mapping[Any, Callable[..., Tensor]] = {
    Tensor.normal_: _normal,
    Tensor.uniform_: _uniform,
    Tensor.bernoulli_: _coins,
}
"""The methods that fill a tensor with random numbers."""
