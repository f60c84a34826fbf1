"""Discriminator-driven latent sampling (Che et al. 2020, arXiv:2003.06060, Algorithm 1).

A chain in the latent space goes down the energy

    E(z) = -log p0(z) - d(G(z)),    z <- z - (eps/2) grad E + sqrt(eps) n,    n ~ N(0, I),

d the calibrated logit; without calibration it is the score as it stands, which the paper takes for
a Wasserstein critic too. If z follows exp(-E), G(z) follows p_model exp(d): the data, where d is
right. A uniform prior is walked in u ~ N(0, I) with z = 2 Phi(u) - 1. One eps sets step and noise:
z - a grad E + s n, set apart, would sample at the temperature s^2 / 2a.

ULA (the default) has a bias that grows with eps; MALA accepts or rejects each step and has none.
Both need time to mix: about 1/eps steps to move as far as the prior is wide.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch

from genbench import SampleContext, SamplingError
from genbench_samplers.account import Account
from genbench_samplers.calibration import Affine
from genbench_samplers.judge import Judge, prepare_judge
from genbench_samplers.latents import from_normal, law_of_prior, to_normal
from genbench_samplers.settings import DDLSSettings
from genbench_samplers.streams import asked_labels

if TYPE_CHECKING:
    from torch import Tensor

_LOOK_EVERY = 10
"""Steps between two looks for numbers that are not finite: each look waits for the device."""


class _Point(NamedTuple):
    """Where chains are: u (B, ...), its energy (B,), the gradient (B, ...), the logit (B,)."""

    u: Tensor
    energy: Tensor
    gradient: Tensor
    logit: Tensor


class DDLS:
    """One chain for each sample, from the prior; a minibatch of chains at a time."""

    requires = ("generates", "discriminates")

    def __init__(self, settings: DDLSSettings) -> None:
        self.settings = settings
        self._account = Account(torch.device("cpu"))

    def draw(self, model: Any, n: int, context: SampleContext) -> Iterator[Tensor]:
        """Yield minibatches of samples in [-1, 1], ``n`` in all, (b, *shape).

        Raises SamplingError where a chain leaves the finite numbers.
        """
        account = self._account = Account(context.device)
        with account.setup():
            law = law_of_prior(model, "ddls")
            account.time_plain(model, n, context)
            judge = prepare_judge(model, self.settings, context)
            account.notes |= judge.figures
        logits = _Mean()
        for start in range(0, n, context.batch_size):
            size = min(context.batch_size, n - start)
            with account.drawing():
                energy = _Energy(model, judge, law, asked_labels(context, start, size))
                first = energy(to_normal(model.prior(size, context.generator), law))
                last = self._walk(energy, first, context.generator)
                with torch.no_grad():
                    x: Tensor = model.render(energy.generate(last.u))
                logits.add(first.logit, last.logit)
            account.samples += size
            account.notes |= logits.figures()
            yield x

    def diagnostics(self) -> Mapping[str, float]:
        """Figures of the last draw; ``logit_start`` and ``logit_end`` show how far it went."""
        return self._account.figures()

    def exactness(self) -> str:
        """What a chain's last sample follows."""
        if self.settings.mala:
            return "exact as steps grow, where the discriminator is right"
        return "ULA has a bias that grows with eps; mala=true takes it off"

    def _walk(self, energy: _Energy, at: _Point, generator: torch.Generator) -> _Point:
        eps, steps = self.settings.eps, self.settings.steps
        accepted = torch.zeros((), device=at.u.device)
        for step in range(1, steps + 1):
            noise = torch.randn(at.u.shape, generator=generator).to(at.u)
            proposed = energy(at.u - eps / 2 * at.gradient + eps**0.5 * noise)
            if self.settings.mala:
                chance = _log_alpha(at, proposed, noise, eps)
                drawn = torch.rand(len(chance), generator=generator).log().to(chance)
                at = _where(drawn < chance, proposed, at)
                accepted += (drawn < chance).sum()
            else:
                at = proposed
            if step % _LOOK_EVERY == 0 or step == steps:
                self._check(at, step)
        moves = steps * len(at.u)
        self._account.count(moves, int(accepted) if self.settings.mala else moves)
        return at

    def _check(self, at: _Point, step: int) -> None:
        if not (torch.isfinite(at.energy).all() and torch.isfinite(at.gradient).all()):
            raise SamplingError(
                f"a chain of ddls left the finite numbers within {step} steps at eps="
                f"{self.settings.eps:g}; lower it with --set sampler.ddls.eps="
                f"{self.settings.eps / 10:g}"
            )


class _Energy:
    """E in the coordinates u, where the prior is N(0, I): |u|^2 / 2 - d(G(z(u)))."""

    def __init__(
        self, model: Any, judge: Judge, law: Literal["normal", "uniform"], y: Tensor | None
    ) -> None:
        assert isinstance(judge.calibration, Affine)  # the settings allow no other
        self._model, self._judge, self._law, self._y = model, judge, law, y
        self._calibration = judge.calibration

    def __call__(self, u: Tensor) -> _Point:
        """The energies and their gradient, by u alone: no weight gets one."""
        u = u.detach()
        with torch.enable_grad():
            watched = u.requires_grad_()
            scores = self._judge.discriminator.discriminate(self.generate(watched), self._y)
            logit = self._calibration(scores)
            [slope] = torch.autograd.grad(logit.sum(), watched)
        u = u.detach()
        logit = logit.detach()
        energy = 0.5 * u.square().flatten(1).sum(1) - logit
        return _Point(u=u, energy=energy, gradient=u - slope, logit=logit)

    def generate(self, u: Tensor) -> Tensor:
        """G(z(u))."""
        h: Tensor = self._model.generate(from_normal(u, self._law), self._y)
        return h


def _log_alpha(at: _Point, proposed: _Point, noise: Tensor, eps: float) -> Tensor:
    """log of E's ratio and of the proposals' (Roberts and Tweedie 1996), (B,).

    nan, from a proposal that is not finite, is refused by the comparison.
    """
    back = at.u - proposed.u + eps / 2 * proposed.gradient
    forward = noise.square().flatten(1).sum(1) / 2
    return at.energy - proposed.energy + forward - back.square().flatten(1).sum(1) / (2 * eps)


def _where(chosen: Tensor, yes: _Point, no: _Point) -> _Point:
    wide = chosen.view(-1, *(1 for _ in yes.u.shape[1:]))
    return _Point(
        u=torch.where(wide, yes.u, no.u),
        energy=torch.where(chosen, yes.energy, no.energy),
        gradient=torch.where(wide, yes.gradient, no.gradient),
        logit=torch.where(chosen, yes.logit, no.logit),
    )


class _Mean:
    """Mean logits of all chains so far, at their start and their end."""

    def __init__(self) -> None:
        self._first = self._last = 0.0
        self._n = 0

    def add(self, first: Tensor, last: Tensor) -> None:
        self._first += float(first.sum())
        self._last += float(last.sum())
        self._n += len(first)

    def figures(self) -> dict[str, float]:
        return {"logit_start": self._first / self._n, "logit_end": self._last / self._n}
