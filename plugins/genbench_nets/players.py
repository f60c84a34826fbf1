"""What two-player models share: an Adam for each player, and their alternating moves."""

from __future__ import annotations

from collections.abc import Callable

from genbench import Batch, Optimizer, Phase, Terms

Loss = Callable[[Batch], Terms]


def two_adams(*, d_lr: float, g_lr: float, beta1: float) -> dict[str, Optimizer]:
    """Optimizer ``d`` for the net ``discriminator``, ``g`` for ``generator``."""
    betas = (beta1, 0.999)
    return {
        "d": Optimizer(nets=("discriminator",), lr=d_lr, betas=betas),
        "g": Optimizer(nets=("generator",), lr=g_lr, betas=betas),
    }


def in_turns(d_loss: Loss, g_loss: Loss, *, n_critic: int = 1) -> tuple[Phase, Phase]:
    """D moves ``n_critic`` times, each on a fresh batch, then G once (Goodfellow, algorithm 1)."""
    return (
        Phase(name="d", loss=d_loss, updates=("d",), repeat=n_critic),
        Phase(name="g", loss=g_loss, updates=("g",)),
    )
