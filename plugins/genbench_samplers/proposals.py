"""Plain proposals, and real samples with their labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from genbench import SampleContext


def propose(model: Any, n: int, y: Tensor | None, context: SampleContext) -> Tensor:
    """Generate ``n`` plain proposals ``h``, without gradients."""
    with torch.no_grad():
        h: Tensor = model.generate(model.prior(n, context.generator), y)
    return h


def asked_labels(context: SampleContext, start: int, size: int) -> Tensor | None:
    """The requested labels from start to start + size, on the device; None without labels."""
    if context.labels is None:
        return None
    return context.labels[start : start + size].to(context.device)


def labelled(
    samples: Callable[[int], Iterator[Tensor]],
    labels: Callable[[int], Tensor] | None,
    n: int,
    context: SampleContext,
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Minibatches of ``n`` real samples, with their labels if the draw has labels."""
    y = None if context.labels is None or labels is None else labels(n).to(context.device)
    start = 0
    for h in samples(n):
        yield h, None if y is None else y[start : start + len(h)]
        start += len(h)
