"""A model that is trained as a compressor says, in place of its own stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from genbench.contracts import Compression, Model
from genbench.engine.shapes import take_shapes

Reshape = Callable[[Mapping[str, Tensor]], None]


def reshape_of(compression: Compression, model: Model) -> Reshape:
    """What gives the nets of a model the shapes of a checkpoint."""
    return compression.reshape or partial(take_shapes, model.nets)


def train_as(
    model: Any, reshapes: Sequence[Reshape], compression: Compression | None = None
) -> None:
    """Give a model other stages and optimizers; whatever else it can do stays as it is.

    ``reshapes`` are those of all compressors that it has been through, in their order.
    """

    def reshape(tensors: Mapping[str, Tensor]) -> None:
        for each in reshapes:
            each(tensors)

    model.reshape = reshape
    if compression is None:
        return
    model.stages = lambda: compression.stages
    if compression.optimizers is not None:
        model.optimizers = lambda: compression.optimizers
    if compression.averaged is not None:
        model.averaged = compression.averaged
