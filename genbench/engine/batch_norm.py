"""Batch normalisation in adversarial training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _NormBase


@contextmanager
def statistics_held(*nets: nn.Module) -> Iterator[None]:
    """Don't update running statistics inside; minibatches are normalised by their own statistics.

    Use it for a discriminator in the generator's loss, which would otherwise count the generated
    samples twice, so that its running statistics would not match the data it was trained on.
    Training itself doesn't change, since running statistics are not used in train mode.
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
