"""Batch normalisation in a game of several players."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _NormBase


@contextmanager
def statistics_held(*nets: nn.Module) -> Iterator[None]:
    """Keep the running statistics of nets as they are; inside, minibatches normalise themselves.

    For a discriminator in the generator's loss: it would else count the generated samples twice,
    and what it says in eval mode would be of statistics that belong to no mixture it was trained
    on. Training doesn't change by it, for in train mode no running statistic is read.
    """
    tracking = [
        module
        for net in nets
        for module in net.modules()
        if isinstance(module, _NormBase) and module.track_running_stats
    ]
    for module in tracking:
        module.track_running_stats = False
    try:
        yield
    finally:
        for module in tracking:
            module.track_running_stats = True
