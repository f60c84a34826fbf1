"""Train and eval modes of networks."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from genbench.contracts import Model
from genbench.engine.randomness import forked_rng


def set_modes(nets: nn.ModuleDict, learning: Collection[str]) -> None:
    """Put the nets named in ``learning`` into train mode and all others into eval mode.

    Law: a net that no phase of the stage updates stays bitwise unchanged, including the running
    statistics of its normalisations.
    """
    for name, net in nets.items():
        net.train(name in learning)


@contextmanager
def evaluation(model: Model, device: torch.device) -> Iterator[None]:
    """Use eval mode and forked generators inside; restore modes and generators afterwards.

    Gradients are not disabled: some samplers need them.
    """
    modes = [(module, module.training) for module in model.nets.modules()]
    model.nets.eval()
    try:
        with forked_rng(device):
            yield
    finally:
        for module, training in modes:
            module.training = training
