"""The laws of a trained model: reconstructions are upright, and real samples get higher logits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from genbench.contracts import Data, Discriminates, Embeds, Generates, Phase, Reconstructs, Stage
from genbench.testing.subject import Subject
from genbench.testing.trial import build, first, inputs, repeated, train_model

MOST_STEPS = 200
"""Steps that a reconstruction may take to look like something."""
JUDGE_STEPS = 30
"""Minibatches of 8 that a discriminator is trained on alone."""
CLEAR = 1.0
"""Standard deviations of the logits from which on a gap between real and generated is real."""


# --- reconstructions ----------------------------------------------------------------------------


def check_reconstructions(part: Subject, data: Data) -> None:
    """Once a model has learned a few images, it gives them back upright."""
    few = first(data, 8)
    model = build(part, few)
    if not isinstance(model, Reconstructs) or not few.spec.is_image:
        return

    def learned() -> bool:
        return max(_likeness(model, few).values()) > 0.7

    train_model(model, repeated(few, 20), epochs=MOST_STEPS // 20, stop_when=learned)
    found = _likeness(model, few)
    best = max(found, key=lambda name: found[name])
    assert best == "upright" or found[best] < 0.5 or found[best] < found["upright"] + 0.25, (
        f"reconstruct(x) of images that the model was trained on resembles them {best} "
        f"(correlation {found[best]:.2f}) rather than upright ({found['upright']:.2f}); return "
        "each image as it was given"
    )


def _likeness(model: Any, data: Data) -> dict[str, float]:
    """How the reconstructions correlate with their images, and with what might be mistaken."""
    modes = [(module, module.training) for module in model.nets.modules()]
    x, y = inputs(model, data, 8)
    with torch.no_grad():
        found = model.reconstruct(x, y)
    for module, training in modes:
        module.training = training
    wrong = {
        "mirrored": x.flip(3),
        "upside down": x.flip(2),
        "negated": -x,
        "of the other image": x.roll(1, 0),
    }
    if x.shape[2] == x.shape[3]:
        wrong["transposed"] = x.transpose(2, 3)
    return {name: _correlation(found, other) for name, other in {"upright": x, **wrong}.items()}


def _correlation(a: Tensor, b: Tensor) -> float:
    """Correlation of the deviations from the mean image, which carries no information."""
    a, b = ((v - v.mean(0)).flatten().double() for v in (a, b))
    return float(a @ b / (a.norm() * b.norm()).clamp(min=1e-12))


# --- the discriminator --------------------------------------------------------------------------


def check_judge(part: Subject, data: Data) -> None:
    """The logit rises with realness: its own training sets real samples above generated ones.

    Gaps are in standard deviations of the logits, for a critic's have any scale; one of less than
    `CLEAR` is chance after so few steps. A phase that moves the generator too is no such training.
    """
    few = first(data, 16)
    model = build(part, few)
    if not all(isinstance(model, protocol) for protocol in (Discriminates, Generates)):
        return
    before = _gap(model, few)
    players = _players_of_judge(model, few)

    def alone(stage: Stage) -> Stage:
        return replace(stage, phases=tuple(p for p in stage.phases if _moves(p, players)))

    stages = [stage for stage in model.stages() if any(_moves(p, players) for p in stage.phases)]
    if not stages:
        return
    original = model.stages
    model.stages = lambda: [alone(stage) for stage in stages]
    train_model(model, repeated(few, JUDGE_STEPS // 6), epochs=3)
    model.stages = original
    after = _gap(model, few)
    assert after > -CLEAR or after >= before, (
        f"after {JUDGE_STEPS} steps of training the discriminator alone, its logits of real "
        f"samples lie {-after:.3g} standard deviations below those of generated ones "
        f"({-before:.3g} before): the sign is reversed; discriminate(h) must rise with realness "
        "(negate an energy)"
    )


def _moves(phase: Phase, players: set[str]) -> bool:
    return bool(phase.updates) and {*phase.updates} <= players


def _players_of_judge(model: Any, data: Data) -> set[str]:
    """The optimizers that own weights on which the logit depends."""
    h, _, y = _judged(model, data)
    weights = {n: p for n, p in model.nets.named_parameters() if p.requires_grad}
    logit = model.discriminate(h, y).sum()
    gradients = torch.autograd.grad(logit, list(weights.values()), allow_unused=True)
    reached = {
        n.partition(".")[0] for n, g in zip(weights, gradients, strict=True) if g is not None
    }
    return {name for name, o in model.optimizers().items() if reached & {*o.nets}}


def _gap(model: Any, data: Data) -> float:
    """How far logits of real samples lie above those of generated ones; in eval mode."""
    real, fake, y = _judged(model, data)
    with torch.no_grad():
        above, below = model.discriminate(real, y), model.discriminate(fake, y)
    spread = ((above.var() + below.var()) / 2).sqrt().clamp(min=1e-12)
    return float((above.mean() - below.mean()) / spread)


def _judged(model: Any, data: Data) -> tuple[Tensor, Tensor, Tensor | None]:
    """What the discriminator sees of real samples and of generated ones, and their labels."""
    x, y = inputs(model, data, 16)
    with torch.no_grad():
        real = model.embed(x) if isinstance(model, Embeds) else x
        return real, model.generate(model.prior(len(x), torch.Generator().manual_seed(4)), y), y
