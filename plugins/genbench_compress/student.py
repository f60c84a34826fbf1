"""What all distillation shares: the samples of student and teacher, and terms in a model's phases.

The student keeps the training of its own paper: the distance to the teacher is one more term in the
phase that trains its generator. L = L_own + weight * d(G_S(z), G_T(z)) holds for a GAN and a VAE.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench import (
    Batch,
    Conditional,
    Discriminates,
    Embeds,
    Generates,
    IncompatibleError,
    Model,
    Optimizer,
    Phase,
    Stage,
    Terms,
    prior_kind,
    rendered,
)
from genbench_compress.distil_settings import Distance

AddedTerms = Callable[[Batch], Mapping[str, Tensor]]
Measure = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""Samples of the student, of the teacher, and their labels -> a distance, 0-dim."""

ADVERSARIAL_WEIGHT = 10.0


def check_student(student: Any, teacher: Any) -> None:
    """Raise IncompatibleError if a student can't take the noise or the labels of its teacher."""
    theirs, own = tuple(teacher.prior(1).shape[1:]), tuple(student.prior(1).shape[1:])
    if own != theirs:
        raise IncompatibleError(
            f"the student takes z of shape {own}, and the teacher {theirs}: both must make a "
            "sample from the same noise; leave out the settings that change z (--set model.z_dim)"
        )
    if prior_kind(student) != prior_kind(teacher):
        raise IncompatibleError(
            f"the student's noise is {prior_kind(student)} and the teacher's "
            f"{prior_kind(teacher)}; leave out --set model.prior"
        )
    if isinstance(student, Conditional) != isinstance(teacher, Conditional):
        raise IncompatibleError(
            "one of student and teacher takes labels and the other doesn't; leave out "
            "--set model.conditional"
        )


def default_weight(model: Model, shape: Sequence[int]) -> float:
    """10 beside a discriminator; else the number of values, since likelihoods sum over them."""
    return (
        ADVERSARIAL_WEIGHT if isinstance(model, Discriminates) else float(torch.Size(shape).numel())
    )


def noise_of(model: Any, batch: Batch) -> tuple[Tensor, Tensor | None]:
    """Fresh noise for a minibatch, and its labels for a conditional model."""
    return model.prior(len(batch)), batch.y if isinstance(model, Conditional) else None


def drawn(model: Any, z: Tensor, y: Tensor | None) -> Tensor:
    """The samples of a model, float32, differentiable."""
    assert isinstance(model, Generates)
    return rendered(model, model.generate(z, y)).float()


def distance(kind: Distance, student: Tensor, teacher: Tensor) -> Tensor:
    """The mean squared or absolute error of a value; features are compared by their squares."""
    return F.l1_loss(student, teacher) if kind == "l1" else F.mse_loss(student, teacher)


def hidden_features(model: Any, x: Tensor, y: Tensor | None, nets: Sequence[str]) -> Tensor:
    """The input of the last layer of a discriminator for samples x, (B, n), float32.

    ``nets`` are the names of the discriminator's nets. Its last layer is the last module with a
    weight of its own that is called.
    """
    seen: list[Tensor] = []
    layers = [
        module
        for name in nets
        for module in model.nets[name].modules()
        if isinstance(getattr(module, "weight", None), Tensor)
        and not isinstance(module, nn.modules.batchnorm._NormBase)
    ]
    hooks = [
        layer.register_forward_pre_hook(lambda _, given: seen.append(given[0])) for layer in layers
    ]
    try:
        model.discriminate(model.embed(x) if isinstance(model, Embeds) else x, y)
    finally:
        for hook in hooks:
            hook.remove()
    return seen[-1].flatten(1).float()


# --- terms in the phases of a model


def with_terms(
    model: Model, nets: Sequence[str], added: AddedTerms, stages: Sequence[Stage]
) -> tuple[Stage, ...]:
    """The stages with terms in the first phase of the last stage that trains one of ``nets``."""
    optimizers = model.optimizers()
    for number in reversed(range(len(stages))):
        for place, phase in enumerate(stages[number].phases):
            owner = next((o for o in phase.updates if set(optimizers[o].nets) & set(nets)), None)
            if owner is not None:
                phases = list(stages[number].phases)
                phases[place] = _extended(phase, owner, added)
                changed = list(stages)
                changed[number] = replace(stages[number], phases=tuple(phases))
                return tuple(changed)
    raise IncompatibleError(
        f"no phase of {type(model).__name__} trains {' or '.join(nets)}, so it can't learn from a "
        "teacher"
    )


def _extended(phase: Phase, optimizer: str, added: AddedTerms) -> Phase:
    def loss(batch: Batch) -> Terms:
        terms = phase.loss(batch)
        return {**terms, optimizer: {**terms[optimizer], **added(batch)}}

    return replace(phase, loss=loss)


def alone(
    model: Model, nets: Sequence[str], added: AddedTerms
) -> tuple[tuple[Stage, ...], dict[str, Optimizer]]:
    """One stage that trains ``nets`` on the added terms alone, and its optimizers."""
    optimizers = {
        name: replace(optimizer, nets=tuple(net for net in optimizer.nets if net in nets))
        for name, optimizer in model.optimizers().items()
        if set(optimizer.nets) & set(nets)
    }

    def loss(batch: Batch) -> Terms:
        terms = added(batch)
        return dict.fromkeys(optimizers, terms)

    phase = Phase(name="distil", loss=loss, updates=tuple(optimizers))
    return (Stage(name="distil", phases=(phase,)),), optimizers


@torch.no_grad()
def copy_nets(student: Model, teacher: Model, names: Sequence[str]) -> None:
    """Give nets of the student the teacher's weights, where they have the same shapes."""
    for name in names:
        own, theirs = student.nets[name].state_dict(), teacher.nets[name].state_dict()
        if {k: v.shape for k, v in own.items()} == {k: v.shape for k, v in theirs.items()}:
            student.nets[name].load_state_dict(theirs)
