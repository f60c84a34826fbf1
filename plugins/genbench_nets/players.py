"""What two-player models share: an optimizer for each player, and their alternating moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from genbench import Batch, Optimizer, Phase, Schedule, Terms
from genbench_nets.adversarial_settings import AdversarialSettings

Loss = Callable[[Batch], Terms]


def two_adams(*, d_lr: float, g_lr: float, beta1: float) -> dict[str, Optimizer]:
    """Optimizer ``d`` for the net ``discriminator``, ``g`` for ``generator``."""
    betas = (beta1, 0.999)
    return {
        "d": Optimizer(nets=("discriminator",), lr=d_lr, betas=betas),
        "g": Optimizer(nets=("generator",), lr=g_lr, betas=betas),
    }


def two_optimizers(settings: AdversarialSettings) -> dict[str, Optimizer]:
    """The same of the settings' kind, with a rate of its own for each player."""
    s = settings
    of_both = Optimizer(
        nets=(),
        kind=s.optimizer,
        betas=(s.beta1, s.beta2),
        schedule=Schedule(kind=s.decay),
    )
    return {
        "d": replace(of_both, nets=("discriminator",), lr=s.d_lr),
        "g": replace(of_both, nets=("generator",), lr=s.g_lr),
    }


def in_turns(
    d_loss: Loss,
    g_loss: Loss,
    *,
    n_critic: int = 1,
    compile_d: bool = True,
    after_d: Callable[[Terms], None] | None = None,
) -> tuple[Phase, Phase]:
    """D moves ``n_critic`` times, each on a fresh batch, then G once (Goodfellow, algorithm 1)."""
    d = Phase(
        name="d",
        loss=d_loss,
        updates=("d",),
        repeat=n_critic,
        compile=compile_d,
        after=after_d,
    )
    return (d, Phase(name="g", loss=g_loss, updates=("g",)))
