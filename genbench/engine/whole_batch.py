"""What a loss on a part of a batch takes from the whole batch: its noise, and its normalisation.

A loss draws noise by PyTorch's functions and normalises by ``F.batch_norm``. While a `WholeBatch`
is active, these draw the noise of the whole batch, of which this process takes the rows of its own
part, and use the statistics of the whole batch. So the processes together compute the losses of one
process, up to rounding, and their generators stay in the same state as that of one process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


class WholeBatch(TorchFunctionMode):
    """The whole of a microbatch of which process ``rank`` of ``count`` has ``rows`` rows.

    ``total`` adds a tensor over all processes, differentiably.

    The dimension of the batch is the first one that has k times ``rows``, for some k. It has k
    groups of rows one after the other, as a batch of real and generated samples, or with
    ``interleaved`` k rows for each sample. A tensor without such a dimension is the same in all
    processes. `genbench.engine.shard_trial` tries beforehand which of both a loss does.
    """

    def __init__(
        self,
        rows: int,
        *,
        rank: int,
        count: int,
        interleaved: bool,
        total: Callable[[Tensor], Tensor],
    ) -> None:
        super().__init__()
        self._rows, self._interleaved = rows, interleaved
        self._rank, self._count, self._total = rank, count, total

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function, or its replacement."""
        call = _INSTEAD.get(func)
        if call is None:
            return func(*args, **(kwargs or {}))
        return call(self, func, *args, **(kwargs or {}))

    # --- the dimension of the batch

    def _dim(self, shape: Sequence[int]) -> int | None:
        found = (dim for dim, size in enumerate(shape) if size and size % self._rows == 0)
        return next(found, None)

    def _whole_shape(self, shape: Sequence[int], dim: int) -> list[int]:
        return [size * (self._count if i == dim else 1) for i, size in enumerate(shape)]

    def _repeated(self, x: Tensor, dim: int) -> Tensor:
        """A tensor of the whole batch that has the rows of this process in their places."""
        part = x.shape[dim] if self._interleaved else self._rows
        groups = torch.unflatten(x.detach(), dim, (-1, 1, part))
        sizes = list(groups.shape)
        sizes[dim + 1] = self._count
        return groups.expand(sizes).flatten(dim, dim + 2).clone()

    def _own(self, whole: Tensor, dim: int) -> Tensor:
        """The rows of this process of a tensor of the whole batch."""
        part = whole.shape[dim] // self._count if self._interleaved else self._rows
        groups = torch.unflatten(whole, dim, (-1, self._count, part))
        return groups.select(dim + 1, self._rank).flatten(dim, dim + 1)

    # --- noise

    def shaped(self, func: Any, *args: Any, **kwargs: Any) -> Tensor:
        """A function that takes the shape of its noise, such as `torch.randn`."""
        before, shape = _shape_in(args, kwargs)
        dim = self._dim(shape)
        if dim is None:
            made: Tensor = func(*args, **kwargs)
            return made
        kwargs["size"] = self._whole_shape(shape, dim)
        return self._own(func(*before, **kwargs), dim)

    def like(self, func: Any, input: Any, *args: Any, **kwargs: Any) -> Tensor:
        """A function of a tensor, element by element or row by row, such as `torch.bernoulli`."""
        dim = self._dim(input.shape) if isinstance(input, Tensor) else None
        if dim is None:
            return self.shaped(func, input, *args, **kwargs)
        others = [
            self._repeated(a, dim) if isinstance(a, Tensor) and a.shape == input.shape else a
            for a in args
        ]
        return self._own(func(self._repeated(input, dim), *others, **kwargs), dim)

    def in_place(self, func: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """A method that fills a tensor, such as ``normal_``."""
        dim = self._dim(x.shape)
        if dim is None:
            filled: Tensor = func(x, *args, **kwargs)
            return filled
        return x.copy_(self._own(func(self._repeated(x, dim), *args, **kwargs), dim))

    def masked(
        self,
        func: Any,
        input: Tensor,
        p: float = 0.5,
        training: bool = True,
        inplace: bool = False,
    ) -> Tensor:
        """Dropout: it is applied to ones of the whole batch, which gives the mask."""
        dim = self._dim(input.shape)
        if not training or not p or dim is None:
            made: Tensor = func(input, p, training, inplace)
            return made
        ones = torch.ones(
            self._whole_shape(input.shape, dim), device=input.device, dtype=input.dtype
        )
        return input * self._own(func(ones, p, True), dim)

    def drawn(self, func: Any, input: Tensor, num_samples: int, *args: Any, **more: Any) -> Tensor:
        """`torch.multinomial`: rows of weights (B, K), or a sample for each row of the batch."""
        if input.dim() == 2 or num_samples % self._rows:
            return self.like(func, input, num_samples, *args, **more)
        return self._own(func(input, num_samples * self._count, *args, **more), 0)

    # --- batch normalisation

    def batch_norm(
        self,
        func: Any,
        input: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        """``F.batch_norm`` by the mean and the variance over the whole batch, in fp32.

        It is made of differentiable operations, so that a penalty may differentiate it twice.
        """
        if not training:
            made: Tensor = func(
                input, running_mean, running_var, weight, bias, False, momentum, eps
            )
            return made
        dims = [0, *range(2, input.dim())]
        over = [1, -1, *[1] * (input.dim() - 2)]
        n = self._count * input.numel() // input.shape[1]
        x = input.float()
        mean = self._total(x.sum(dims)) / n
        x = x - mean.view(over)
        variance = self._total(x.square().sum(dims)) / n
        x = x * (variance + eps).rsqrt().view(over)
        x = x if weight is None else x * weight.view(over)
        x = x if bias is None else x + bias.view(over)
        if running_mean is not None and running_var is not None:
            with torch.no_grad():
                running_mean.lerp_(mean.to(running_mean.dtype), momentum)
                unbiased = variance * (n / (n - 1))
                running_var.lerp_(unbiased.to(running_var.dtype), momentum)
        return x.to(input.dtype)


def _shape_in(
    args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Sequence[Any], Sequence[int]]:
    """The other arguments of a random function and its shape, which is () if none is found.

    The shape is ``size``, the last argument, or all of them.
    """
    if "size" in kwargs:
        return args, kwargs["size"]
    if args and isinstance(args[-1], Sequence):
        return args[:-1], args[-1]
    return (), args if all(isinstance(a, int) for a in args) else ()


_METHODS = ("normal_", "uniform_", "bernoulli_", "exponential_", "random_", "log_normal_")
_DROPOUTS = (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d)
_LIKE = (
    *(torch.randn_like, torch.rand_like, torch.randint_like, torch.bernoulli, torch.poisson),
    *(Tensor.bernoulli, torch.normal),
)
_INSTEAD: Mapping[Any, Callable[..., Tensor]] = {
    F.batch_norm: WholeBatch.batch_norm,
    torch.randn: WholeBatch.shaped,
    torch.rand: WholeBatch.shaped,
    torch.randint: WholeBatch.shaped,
    torch.multinomial: WholeBatch.drawn,
    Tensor.multinomial: WholeBatch.drawn,
    **dict.fromkeys(_LIKE, WholeBatch.like),
    **dict.fromkeys(_DROPOUTS, WholeBatch.masked),
    **{getattr(Tensor, name): WholeBatch.in_place for name in _METHODS},
}
"""What a `WholeBatch` does in place of a function; all others draw noise for a part only."""
