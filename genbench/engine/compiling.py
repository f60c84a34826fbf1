"""`torch.compile` of losses, and whether it pays.

A compiled loss may be slower than the loss itself: on the CPU, for small networks, it often is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch._functorch.config

from genbench.contracts import Batch, Model, Phase, Terms
from genbench.engine.device import synchronize
from genbench.engine.randomness import forked_rng

WARM_UP = 3
"""Trials before the measurement: the first ones compile, for one step and for all others."""
TRIALS = 5
"""Trials that are measured, of each kind in turn; the fastest ones are compared."""
SLOWER = 1.05
"""The ratio from which a compiled loss is called slower; less is noise."""

Trial = Callable[[Batch, bool], None]
"""Computes the gradients of a phase on a batch, compiled or not, and drops them."""


def compiled(phase: Phase) -> Callable[[Batch], Terms]:
    """The compiled loss. All batches have one shape; ``batch.step`` becomes a symbol.

    Several optimizers differentiate one graph one after the other. A compiled backward pass that
    reuses its saved tensors as scratch space (donated buffers) doesn't support this.
    """
    if len(phase.updates) > 1:
        torch._functorch.config.donated_buffer = False
    return torch.compile(phase.loss)


def slowdown(trial: Trial, batches: Sequence[Batch], model: Model, device: torch.device) -> float:
    """The seconds of a compiled loss and its gradients over those of the loss as it is.

    ``batches`` are used in turn; they should differ in ``step``. Nothing is trained: buffers and
    generators are restored.
    """
    seconds: dict[bool, list[float]] = {True: [], False: []}
    with _unchanged(model, device):
        for k in range(WARM_UP + TRIALS):
            for kind, found in seconds.items():
                begun = time.perf_counter()
                trial(batches[k % len(batches)], kind)
                synchronize(device)
                if k >= WARM_UP:
                    found.append(time.perf_counter() - begun)
    return min(seconds[True]) / min(seconds[False])


@contextmanager
def _unchanged(model: Model, device: torch.device) -> Iterator[None]:
    """Restore generators and buffers afterwards, such as the statistics of BatchNorm."""
    buffers = list(model.nets.buffers())
    kept = [buffer.clone() for buffer in buffers]
    with forked_rng(device):
        try:
            yield
        finally:
            for buffer, before in zip(buffers, kept, strict=True):
                buffer.copy_(before)
