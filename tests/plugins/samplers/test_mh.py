"""Metropolis-Hastings GAN sampling against exact densities."""

from __future__ import annotations

import pytest
import torch

from genbench_samplers.mh import MH
from genbench_samplers.sampler_settings import MHSettings


def mh(**settings) -> MH:
    return MH(MHSettings(**{"calibration": None, "steps": 30, **settings}))


def test_chains_converge_to_the_data(oracle, drawn) -> None:
    x = drawn(mh(), oracle("Gaussians"), 20_000)
    assert float(x.mean()) == pytest.approx(0.5, abs=0.015)
    assert float(x.std()) == pytest.approx(0.6, abs=0.012)


def test_chains_converge_to_a_bent_density_in_the_plane(oracle, drawn, misfit) -> None:
    x = drawn(mh(steps=60), oracle("Banana"), 10_000, real=None)
    assert misfit(x) < 1.5


def test_few_chains_look_at_many_proposals_at_once_and_follow_the_same_law(oracle, drawn) -> None:
    draws = [drawn(mh(steps=20), oracle("Gaussians"), 50, seed=seed) for seed in range(80)]
    x = torch.cat(draws)
    assert float(x.mean()) == pytest.approx(0.5, abs=0.04)
    assert float(x.std()) == pytest.approx(0.6, abs=0.03)


def test_a_real_sample_is_never_handed_out(oracle, drawn) -> None:
    """Real samples score above all that is generated, so no chain ever moves from one."""
    model = oracle("Gaussians")
    model.discriminate = lambda h, y: torch.where(h > 50, 1000.0, h).squeeze(1)
    real = lambda n: iter([torch.full((n, 1), 100.0)])  # noqa: E731
    sampler = mh()
    x = drawn(sampler, model, 2000, real=real)
    assert sampler.diagnostics()["restarted"] == 1
    assert float(x.max()) < 10
    assert float(x.mean()) > 0.5  # the chains that started again went up exp(h), to N(1, 1)


def test_a_chain_starts_at_a_real_sample_of_its_own_class(oracle, drawn) -> None:
    """Class 1's real samples can't be left, class 0's at once: only the former start again."""
    model = oracle("TwoClasses")
    model.discriminate = lambda h, y: torch.where(h > 50, 1000.0, 0 * h).squeeze(1)
    labels = torch.tensor([0, 0, 0, 1]).repeat(100)
    real = lambda n: iter([torch.where(torch.arange(n) % 2 == 0, 0.0, 100.0)[:, None]])  # noqa: E731
    sampler = mh()
    drawn(sampler, model, 400, labels=labels, real=real, real_labels=lambda n: torch.arange(n) % 2)
    assert sampler.diagnostics()["restarted"] == 0.25


def test_samples_stay_beside_the_labels_asked_for(oracle, drawn) -> None:
    labels = (torch.rand(5003, generator=torch.Generator().manual_seed(1)) < 0.3).long()
    x = drawn(mh(), oracle("TwoClasses"), 5003, labels=labels, batch_size=1000).squeeze(1)
    assert float(x[labels == 0].mean()) == pytest.approx(-0.5, abs=0.05)
    assert float(x[labels == 1].mean()) == pytest.approx(0.5, abs=0.06)


def test_a_seed_repeats_a_draw_and_another_does_not(oracle, drawn) -> None:
    sampler = mh(calibration="isotonic")
    first, again, other = (drawn(sampler, oracle("Gaussians"), 300, seed=s) for s in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
