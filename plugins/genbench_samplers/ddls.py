"""Discriminator-driven latent sampling (Che et al. 2020, arXiv:2003.06060, Algorithm 1).

A Langevin chain in the latent space samples the energy

    E(z) = -log p0(z) - d(G(z)),    z <- z - (eps/2) grad E + sqrt(eps) n,    n ~ N(0, I),

with d the calibrated logit. Without calibration d is the score itself, which the paper also uses
for Wasserstein critics. If z follows exp(-E), G(z) follows p_model exp(d), which is the data
distribution if d is exact. For a uniform prior, the chain runs in u ~ N(0, I) with
z = 2 Phi(u) - 1. One eps sets both step size and noise: separate values, z - a grad E + s n, would
sample at the temperature s^2 / 2a.

We differ in that each step is accepted or rejected (MALA), which removes the bias of the paper's
ULA, which grows with eps. Also, eps is tuned in a burn-in unless it is set, since no single value
suits both a plane with sharp modes and a hundred dimensions. Chains need about 1/eps steps to cross
the width of the prior.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import torch

from genbench import AffineCalibration, SampleContext, SamplingError, rendered
from genbench_samplers.judge import Judge, prepare_judge
from genbench_samplers.langevin import ChainState, accept, step, tested_acceptance, tuned_eps
from genbench_samplers.latent_prior import from_normal, law_of_prior, to_normal
from genbench_samplers.proposals import asked_labels
from genbench_samplers.sampler_settings import DDLSSettings
from genbench_samplers.sampling_cost import CostedSampler, SamplingCost

if TYPE_CHECKING:
    from torch import Tensor

_CHECK_EVERY = 10
"""Steps between two checks for values that are not finite; each check waits for the device."""
PILOTS = 64
"""Number of chains in the burn-in."""
FAR = 0.8
"""Below this acceptance, ULA is very inexact [toy25, seeds 10 and 11: docs/samplers.md]."""
STUCK = 0.2
"""Below this acceptance, a chain of MALA hardly moves."""


class DDLS(CostedSampler[DDLSSettings]):
    """One chain per sample, started from the prior, in minibatches of chains.

    The diagnostics have the mean logits at the start and at the end of the chains.
    """

    requires = ("generates", "discriminates")

    def draw(self, model: Any, n: int, context: SampleContext) -> Iterator[Tensor]:
        """Yield minibatches of samples in [-1, 1], ``n`` in total, (b, *shape).

        Raises SamplingError if the values of a chain are not finite.
        """
        cost = self._cost = SamplingCost(context.device)
        with cost.setup():
            law = law_of_prior(model, "ddls")
            cost.time_plain(model, n, context)
            judge = prepare_judge(model, self.settings, context)
            cost.notes |= judge.figures
            eps = self._burn_in(model, judge, law, n, context)
        logits = _Mean()
        for start in range(0, n, context.batch_size):
            size = min(context.batch_size, n - start)
            with cost.drawing():
                energy = _Energy(model, judge, law, asked_labels(context, start, size))
                first = energy(to_normal(model.prior(size, context.generator), law))
                last = self._walk(energy, first, eps, context.generator)
                with torch.no_grad():
                    x: Tensor = rendered(model, energy.generate(last.u))
                logits.add(first.logit, last.logit)
            cost.samples += size
            cost.notes |= logits.figures()
            yield x

    def exactness(self) -> str:
        """Whether the last sample of a chain is exact, considering the step of the last draw."""
        figures = self._cost.figures()
        eps = f"eps={figures.get('eps', 0):.3g}"
        if self.settings.mala:
            text = "exact in the limit of many steps, if the discriminator is"
            moved = figures.get("acceptance", 1.0)
            if moved < STUCK:
                text += f"; but with {eps} only {moved:.0%} of the steps were accepted: lower it"
            return text
        tested = figures.get("mala_acceptance", 1.0)
        if tested < FAR:
            return (
                f"ULA is inexact with {eps}: MALA would accept {tested:.0%} of its steps; "
                "set mala=true, or don't set eps, so that it is tuned"
            )
        return "ULA has a bias that grows with eps; mala=true removes it"

    def _burn_in(
        self,
        model: Any,
        judge: Judge,
        law: Literal["normal", "uniform"],
        n: int,
        context: SampleContext,
    ) -> float:
        """The eps of the draw, as set or tuned; for ULA, also test MALA's acceptance with it."""
        eps, mala = self.settings.eps, self.settings.mala
        if eps is None or not mala:
            labels = context.labels
            y = None if labels is None else labels[torch.arange(PILOTS) % n].to(context.device)
            energy = _Energy(model, judge, law, y)
            # If eps is set, the draw must not depend on whether it is tested.
            own = context.generator if eps is None else context.generator.clone_state()
            at = energy(to_normal(model.prior(PILOTS, own), law))
            steps, target = self.settings.burn_in, self.settings.acceptance
            if eps is None:
                eps = tuned_eps(energy, at, target=target, steps=steps, generator=own)
            if not mala:
                self._cost.notes["mala_acceptance"] = tested_acceptance(
                    energy, at, eps=eps, steps=steps, generator=own
                )
        self._cost.notes["eps"] = eps
        return eps

    def _walk(
        self, energy: _Energy, at: ChainState, eps: float, generator: torch.Generator
    ) -> ChainState:
        steps, mala = self.settings.steps, self.settings.mala
        accepted = torch.zeros((), device=at.u.device)
        for count in range(1, steps + 1):
            proposed, chance = step(energy, at, eps, generator)
            if mala:
                at, moved = accept(at, proposed, chance, generator)
                accepted += moved.sum()
            else:
                at = proposed
            if count % _CHECK_EVERY == 0 or count == steps:
                _check(at, count, eps)
        moves = steps * len(at.u)
        self._cost.count(moves, int(accepted) if mala else moves)
        return at


def _check(at: ChainState, steps: int, eps: float) -> None:
    if not (torch.isfinite(at.energy).all() and torch.isfinite(at.gradient).all()):
        raise SamplingError(
            f"the values of a ddls chain are not finite after {steps} steps with eps={eps:g}; "
            f"lower it with --set sampler.ddls.eps={eps / 10:g}"
        )


class _Energy:
    """E in coordinates u with the prior N(0, I): |u|^2 / 2 - d(G(z(u)))."""

    def __init__(
        self, model: Any, judge: Judge, law: Literal["normal", "uniform"], y: Tensor | None
    ) -> None:
        assert isinstance(judge.calibration, AffineCalibration)  # the settings allow no other
        self._model, self._judge, self._law, self._y = model, judge, law, y
        self._calibration = judge.calibration

    def __call__(self, u: Tensor) -> ChainState:
        """The energies and their gradient with respect to u; weights get no gradients."""
        u = u.detach()
        with torch.enable_grad():
            leaf = u.requires_grad_()
            scores = self._judge.discriminator.discriminate(self.generate(leaf), self._y)
            logit = self._calibration(scores)
            [slope] = torch.autograd.grad(logit.sum(), leaf)
        u = u.detach()
        logit = logit.detach()
        energy = 0.5 * u.square().flatten(1).sum(1) - logit
        return ChainState(u=u, energy=energy, gradient=u - slope, logit=logit)

    def generate(self, u: Tensor) -> Tensor:
        """G(z(u))."""
        h: Tensor = self._model.generate(from_normal(u, self._law), self._y)
        return h


class _Mean:
    """Mean logits of all chains so far, at their start and end."""

    def __init__(self) -> None:
        self._first = self._last = 0.0
        self._n = 0

    def add(self, first: Tensor, last: Tensor) -> None:
        self._first += float(first.sum())
        self._last += float(last.sum())
        self._n += len(first)

    def figures(self) -> dict[str, float]:
        return {"logit_start": self._first / self._n, "logit_end": self._last / self._n}
