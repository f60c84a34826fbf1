"""Which networks of a model make its samples, and which judge them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from genbench import (
    Conditional,
    Discriminates,
    Embeds,
    Generates,
    IncompatibleError,
    Model,
    rendered,
    used_nets,
)

FEW = 2
"""Samples in a trial; batch normalisation is in eval mode."""


def generating(model: Model) -> tuple[str, ...]:
    """The names of the nets that samples are made with: a generator, a decoder or both."""
    return used(model, lambda: samples(model))


def judging(model: Model) -> tuple[str, ...]:
    """The names of the nets that belong to the discriminator alone; none without one."""
    if not isinstance(model, Discriminates):
        return ()
    with torch.no_grad():
        h = judged(model)
    made_with = generating(model)
    return tuple(name for name in used(model, lambda: scores(model, h)) if name not in made_with)


def samples(model: Any) -> Tensor:
    """A few samples, with their graph."""
    assert isinstance(model, Generates)
    return rendered(model, model.generate(model.prior(FEW), labels(model)))


def judged(model: Any) -> Tensor:
    """A few generated samples as the discriminator sees them."""
    h: Tensor = model.generate(model.prior(FEW), labels(model)).detach()
    return model.embed(rendered(model, h)) if isinstance(model, Embeds) else h


def scores(model: Any, h: Tensor) -> Tensor:
    """The discriminator's scores of a few samples, with their graph."""
    logits: Tensor = model.discriminate(h, labels(model))
    return logits


def labels(model: Any) -> Tensor | None:
    """Labels for a few samples of a conditional model."""
    if not isinstance(model, Conditional):
        return None
    classes: int = model.classes
    return torch.arange(FEW, device=device_of(model)) % classes


def device_of(model: Any) -> torch.device:
    """The device of the nets."""
    tensors = [*model.nets.parameters(), *model.nets.buffers()]
    device: torch.device = tensors[0].device
    return device


def used(model: Model, work: Callable[[], object]) -> tuple[str, ...]:
    """The names of the nets that take part in some work, in eval mode."""
    with evaluated(model.nets):
        return tuple(used_nets(model.nets, work))


@contextmanager
def evaluated(nets: nn.Module) -> Iterator[None]:
    """Eval mode inside; afterwards, the modes are as before."""
    modes = [(module, module.training) for module in nets.modules()]
    nets.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def differentiable(nets: nn.Module) -> Iterator[None]:
    """All parameters require gradients inside, also where gradients are disabled.

    Afterwards, the gradients are those of before.
    """
    kept = [(p, p.requires_grad, p.grad) for p in nets.parameters() if p.is_floating_point()]
    for parameter, _, _ in kept:
        parameter.requires_grad_(True)
        parameter.grad = None
    try:
        with torch.enable_grad():
            yield
    finally:
        for parameter, required, gradient in kept:
            parameter.requires_grad_(required)
            parameter.grad = gradient


def leave_gradients(nets: nn.Module, loss: Callable[[], None]) -> None:
    """Leave the gradients of ``loss`` on all parameters; they are 0 where it gives none."""
    with differentiable(nets):
        loss()
        found = [(p, p.grad) for p in nets.parameters() if p.is_floating_point()]
    for parameter, gradient in found:
        parameter.grad = torch.zeros_like(parameter) if gradient is None else gradient


def forget_gradients(nets: nn.Module) -> None:
    """Remove the gradients, so that the training begins without any."""
    for parameter in nets.parameters():
        parameter.grad = None


def check_floats(model: Model, nets: Iterable[str]) -> None:
    """Raise IncompatibleError if some nets have int8 weights."""
    if any(weight.dtype == torch.int8 for net in nets for weight in model.nets[net].parameters()):
        raise IncompatibleError(
            f"{type(model).__name__} is quantized, and int8 weights are neither pruned nor "
            "trained; compress the run that it was made from"
        )


def pruned_players(model: Model, players: str) -> tuple[str, ...]:
    """The nets of the players that are pruned. Raises IncompatibleError if there are none."""
    makers = generating(model) if players != "discriminator" else ()
    judges = judging(model) if players != "generator" else ()
    if players != "generator" and not judges:
        raise IncompatibleError(
            f"players={players}: {type(model).__name__} has no discriminator; set players=generator"
        )
    check_floats(model, (*makers, *judges))
    return (*makers, *judges)
