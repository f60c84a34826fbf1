"""`torch.compile` of losses."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch._functorch.config

from genbench.contracts import Batch, Phase, Terms


def compiled(phase: Phase) -> Callable[[Batch], Terms]:
    """The compiled loss. All batches have one shape; ``batch.step`` becomes a symbol.

    Several optimizers differentiate one graph one after the other. A compiled backward pass that
    reuses its saved tensors as scratch space (donated buffers) doesn't support this.
    """
    if len(phase.updates) > 1:
        torch._functorch.config.donated_buffer = False
    return torch.compile(phase.loss)
