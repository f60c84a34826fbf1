"""Self-supervised GAN compression (Yu & Pool 2020, arXiv:2007.01491).

Pruned generators fail if they are trained further with the usual losses, since a discriminator that
learns with them adapts to bad samples. Here the frozen discriminator of the uncompressed GAN judges
both generators on the same noise, and each loss l of the compressed one (C) should match that of
the original (O):

    L_GC = |lGen_O - lGen_C| / |lGen_O| + beta |lRec_O - lRec_C| / |lRec_O|
    L_DC = |lDis_O - lDis_C| / |lDis_O| + delta |lGP_O - lGP_C| / |lGP_O|
    L    = L_GC + lambda L_DC

lGen = -E log D(G(z)), lDis = -E log D(x) - E log(1 - D(G(z))), lGP is the gradient penalty between
real and generated samples. Models that reconstruct have lRec, the squared error. The
classification loss of the paper's translation models has no counterpart here, since D takes the
labels of conditional models as an input.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from genbench import (
    Batch,
    Compression,
    Embeds,
    IncompatibleError,
    Model,
    ParentRun,
    Phase,
    Reconstructs,
    Stage,
    Terms,
)
from genbench_compress import masks
from genbench_compress.nets import generating, judging, pruned_players
from genbench_compress.prune import check_removal, remove
from genbench_compress.prune_settings import SelfSupervisedSettings
from genbench_compress.teacher import Teacher
from genbench_nets.penalties import gradient_penalty


class SelfSupervised:
    """Prune the generator once, and train it towards the losses of the original."""

    requires = ("generates", "discriminates")

    def __init__(self, settings: SelfSupervisedSettings) -> None:
        self.settings = settings

    def check(self, model: Model, parent: ParentRun) -> None:
        """Every layer keeps a channel or weight, and an optimizer has the generator alone."""
        check_removal(model, self.settings)
        _generators_optimizers(model)

    def compress(self, model: Model, parent: ParentRun) -> Compression:
        """One stage of one phase, which updates the generator only."""
        s, teacher = self.settings, Teacher(parent)
        held = masks.Masks(model, pruned_players(model, s.players))
        updates = _generators_optimizers(model)

        def begin(batches: Iterator[Batch]) -> None:
            remove(model, s, s.ratio, batches)
            held.forget()

        def loss(batch: Batch) -> Terms:
            original: Any = teacher.on(batch.x.device)
            z = original.prior(len(batch))
            own = losses(model, original, z, batch, penalty=s.delta > 0)
            aim = losses(original, original, z, batch, penalty=s.delta > 0)
            weights = {"gen": 1.0, "rec": s.beta, "dis": s.lam, "gp": s.lam * s.delta}
            terms = {n: weights[n] * relative(aim[n], own[n]) for n in own if weights[n]}
            return {updates[0]: terms, **{name: dict(terms) for name in updates[1:]}}

        phase = Phase(name="self-supervised", loss=loss, updates=updates, compile=not s.delta)
        if s.granularity == "weight":
            phase = held.held(phase)
        return Compression(stages=(Stage(name="self-supervised", phases=(phase,), begin=begin),))


def losses(model: Any, judge: Any, z: Tensor, batch: Batch, *, penalty: bool) -> dict[str, Tensor]:
    """lGen, lDis and, where there are such, lGP and lRec of a model before the frozen judge."""
    y = batch.y
    fake = model.generate(z, y)
    real = judge.embed(batch.x) if isinstance(judge, Embeds) else batch.x.to(fake.dtype)
    on_fake, on_real = judge.discriminate(fake, y).float(), judge.discriminate(real, y).float()
    found = {
        "gen": F.softplus(-on_fake).mean(),
        "dis": F.softplus(-on_real).mean() + F.softplus(on_fake).mean(),
    }
    if penalty:
        found["gp"] = gradient_penalty(lambda h: judge.discriminate(h, y), real, fake)
    if isinstance(model, Reconstructs):
        found["rec"] = F.mse_loss(model.reconstruct(batch.x, y).float(), batch.x)
    return found


def relative(original: Tensor, compressed: Tensor) -> Tensor:
    """|l_O - l_C| / |l_O|."""
    fixed = original.detach()
    return (fixed - compressed).abs() / fixed.abs().clamp_min(1e-6)


def _generators_optimizers(model: Model) -> tuple[str, ...]:
    """The optimizers of the nets that make samples. Raises IncompatibleError if they have D too."""
    makers, judges = generating(model), judging(model)
    names = tuple(n for n, o in model.optimizers().items() if {*o.nets} & {*makers})
    for name in names:
        if {*model.optimizers()[name].nets} & {*judges}:
            raise IncompatibleError(
                f"the optimizer '{name}' of {type(model).__name__} also trains the discriminator, "
                "which self-supervised compression keeps as it is; use --method prune"
            )
    return names
