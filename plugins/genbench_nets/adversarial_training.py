"""Adversarial training: an optimizer for each network, and alternating phases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from genbench import Batch, Optimizer, Phase, Schedule, Terms
from genbench_nets.adversarial_settings import AdversarialSettings

Loss = Callable[[Batch], Terms]


def two_adams(
    *,
    d_lr: float,
    g_lr: float,
    beta1: float,
    beta2: float = 0.999,
    schedule: Schedule | None = None,
) -> dict[str, Optimizer]:
    """Adam ``d`` for the net ``discriminator``, Adam ``g`` for the net ``generator``."""
    both = Optimizer(nets=(), betas=(beta1, beta2), schedule=schedule or Schedule())
    return {
        "d": replace(both, nets=("discriminator",), lr=d_lr),
        "g": replace(both, nets=("generator",), lr=g_lr),
    }


def two_optimizers(s: AdversarialSettings) -> dict[str, Optimizer]:
    """Both optimizers, with the kind, betas, schedule and rates of the settings."""
    schedule = Schedule(kind=s.decay)
    both = Optimizer(nets=(), kind=s.optimizer, betas=(s.beta1, s.beta2), schedule=schedule)
    return {
        "d": replace(both, nets=("discriminator",), lr=s.d_lr),
        "g": replace(both, nets=("generator",), lr=s.g_lr),
    }


def alternating_phases(
    d_loss: Loss,
    g_loss: Loss,
    *,
    n_critic: int = 1,
    compile_d: bool = True,
    after_d: Callable[[Terms], None] | None = None,
) -> tuple[Phase, Phase]:
    """``n_critic`` steps of D, each on a fresh batch, then one of G.

    Algorithm 1 of Goodfellow et al. 2014, arXiv:1406.2661. ``after_d`` runs after each step of D.
    """
    d = Phase(
        name="d", loss=d_loss, updates=("d",), repeat=n_critic, compile=compile_d, after=after_d
    )
    return (d, Phase(name="g", loss=g_loss, updates=("g",)))
