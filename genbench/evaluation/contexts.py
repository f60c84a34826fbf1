"""The context of samplers: a generator, real samples as a model's ``h``, and labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genbench.contracts import Conditional, Data, Embeds, SampleContext, Split
from genbench.pixels import as_float

Rows = np.ndarray[Any, np.dtype[np.int64]]


def sample_context(
    model: Any,
    data: Data,
    *,
    device: torch.device,
    seed: int,
    labels: Tensor | None = None,
    batch_size: int = 500,
) -> SampleContext:
    """The context of a sampler: a new generator with ``seed``, and real samples as ``h``."""

    def of_test(count: int) -> Rows:
        # Random rows, since a folder of pictures is sorted by class.
        return np.sort(np.random.default_rng(seed).permutation(len(data.test.x))[:count])

    def of_training(count: int) -> Rows:
        return np.random.default_rng(seed).integers(len(data.train.x), size=count)

    def samples_of(split: Split, rows: Callable[[int], Rows]) -> Callable[[int], Iterator[Tensor]]:
        augment = data.augment if split is data.train else None
        return lambda count: _as_h(model, split.x, rows(count), device, batch_size, augment)

    def labels_of(split: Split, rows: Callable[[int], Rows]) -> Callable[[int], Tensor] | None:
        y = split.y
        return None if y is None else lambda count: torch.from_numpy(np.asarray(y[rows(count)]))

    return SampleContext(
        device=device,
        generator=torch.Generator().manual_seed(seed),
        batch_size=batch_size,
        labels=labels,
        real=samples_of(data.test, of_test),
        training=samples_of(data.train, of_training),
        real_labels=labels_of(data.test, of_test),
        training_labels=labels_of(data.train, of_training),
    )


def scored_labels(model: Any, data: Data, n: int, seed: int) -> Tensor | None:
    """Random classes for a conditional model, distributed as in the training split; else None."""
    if not isinstance(model, Conditional):
        return None
    order = np.random.default_rng(seed)
    y = data.train.y
    if y is None:
        return torch.from_numpy(order.integers(model.classes, size=n))
    return torch.from_numpy(np.asarray(order.choice(y, size=n), dtype=np.int64))


def _as_h(
    model: Any,
    x: np.ndarray[Any, Any],
    rows: Rows,
    device: torch.device,
    batch_size: int,
    augment: Callable[[Tensor], Tensor] | None,
) -> Iterator[Tensor]:
    """The given rows of x as input of the model's discriminator, one minibatch at a time."""
    for start in range(0, len(rows), batch_size):
        stored = np.asarray(x[rows[start : start + batch_size]])
        batch = as_float(torch.from_numpy(stored).to(device))
        with torch.no_grad():
            batch = batch if augment is None else augment(batch)
            yield model.embed(batch) if isinstance(model, Embeds) else batch
