"""torch's optimizers without TorchDynamo, which takes as long to import as torch itself.

`torch.optim` imports TorchDynamo at its first use only to keep `torch.compile` out of its own
functions. The engine compiles losses and never a step, so there is nothing to keep out: a run
starts 1 s earlier on an ordinary core (4.1 of 8.5 s of a slow one), and a step of Adam on a small
network takes 0.17 ms in place of 0.24. This uses private parts of torch; where a version has
others, the ordinary functions are called, which do the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from inspect import unwrap

import torch
from torch.optim import Optimizer

WRAPPED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")


@functools.cache
def leave_dynamo_out() -> None:
    """Tell torch that nothing has to be hidden from TorchDynamo in these methods."""
    for name in WRAPPED:
        plain = getattr(getattr(Optimizer, name), "__wrapped__", None)
        if plain is not None:
            vars(plain).setdefault("__dynamo_disable", plain)


def eager_step(optimizer: Optimizer) -> Callable[[], object]:
    """The step of ``optimizer`` without graph breaks, profiler ranges and hooks."""
    plain = torch.no_grad()(unwrap(type(optimizer).step))
    return functools.partial(plain, optimizer)
