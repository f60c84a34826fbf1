"""Check the minibatches of a sampler before they are used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from genbench.contracts import Data
from genbench.errors import PluginError

BEYOND = 1 + 1 / 127.5
"""The largest accepted value of an image: one grey level outside [-1, 1], for rounding."""


def checked(minibatches: Iterator[Any], data: Data, n: int, name: str) -> Iterator[Tensor]:
    """The minibatches (b, *shape) of the sampler ``name``, checked.

    Raises PluginError for a minibatch that isn't a float tensor or has another shape or range than
    the data, and if there are more or fewer samples than ``n``. Values that are not finite are
    accepted here, since they come from the model.
    """
    count = 0
    for x in minibatches:
        _check(x, data, name)
        count += len(x)
        if count > n:
            break
        yield x
    if count != n:
        raise PluginError(f"{name} yielded {count} samples instead of {n}")


def _check(x: Any, data: Data, name: str) -> None:
    shape = data.spec.shape
    expected = f"expected float samples (b, {', '.join(map(str, shape))})"
    if not isinstance(x, Tensor):
        raise PluginError(f"{name} yielded {_described(x)}; {expected}")
    if not x.is_floating_point():
        raise PluginError(f"{name} yielded {x.dtype}; {expected} in [-1, 1]")
    if tuple(x.shape[1:]) != tuple(shape) or x.dim() != len(shape) + 1:
        raise PluginError(f"{name} yielded samples of shape {tuple(x.shape)}; {expected}")
    if not data.spec.bounded or not x.numel():
        return
    low, high = (float(value) for value in torch.aminmax(x.detach()))
    if max(-low, high) > BEYOND and max(-low, high) != float("inf"):
        raise PluginError(
            f"{name} yielded values in [{low:.3g}, {high:.3g}]; {expected} in [-1, 1]"
        )


def _described(x: object) -> str:
    kind = type(x)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"a {module}{kind.__qualname__}"
