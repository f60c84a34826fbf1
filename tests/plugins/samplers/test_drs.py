"""Discriminator rejection sampling against exact densities."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from genbench import SamplingError, SettingError
from genbench.settings import validate
from genbench_samplers.drs import DRS
from genbench_samplers.sampler_settings import DRSSettings


def drs(**settings) -> DRS:
    exact = {} if settings.get("percentile") else {"gamma": 0.0}
    given = {"calibration": None, "burn_in": 200_000, **exact, **settings}
    return DRS(DRSSettings(**given))


def by_quadrature(percentile: float | None) -> tuple[float, float, float]:
    """Mean and standard deviation of what is kept, and its share, with the true maximum."""
    h = np.linspace(-8, 8, 200_001)
    share = np.exp(-h * h / 2) / np.exp(-h * h / 2).sum()
    d = h * h / 2 - ((h - 0.5) / 0.6) ** 2 / 2 - math.log(0.6)
    f = d - d.max() - np.log(-np.expm1(d - d.max() - 1e-6))
    order = np.argsort(f)
    below = np.cumsum(share[order])
    gamma = 0.0 if percentile is None else f[order][np.searchsorted(below, percentile / 100)]
    kept = share / (1 + np.exp(gamma - f))
    mean = (kept * h).sum() / kept.sum()
    return mean, math.sqrt((kept * h * h).sum() / kept.sum() - mean**2), kept.sum()


@pytest.mark.parametrize(
    ("percentile", "published"),
    [(None, (0.50, 0.60, 0.4935)), (80, (0.649, 0.420, 0.246)), (95, (0.742, 0.234, 0.074))],
)
def test_mean_spread_and_acceptance_are_those_of_the_exact_density(
    oracle, drawn, percentile, published
) -> None:
    sampler = drs(percentile=percentile)
    x = drawn(sampler, oracle("Gaussians"), 20_000)
    found = (float(x.mean()), float(x.std()), sampler.diagnostics()["acceptance"])
    assert found == pytest.approx(by_quadrature(percentile), abs=0.012)
    assert found == pytest.approx(published, abs=0.015)


def test_gamma_zero_samples_a_bent_density_in_the_plane(oracle, drawn, misfit) -> None:
    x = drawn(drs(gamma=0), oracle("Banana"), 10_000, real=None)
    assert misfit(x) < 1.5
    assert misfit(oracle("Banana").prior(10_000)) > 20


def test_a_gamma_keeps_a_share_that_falls_as_it_rises(oracle, drawn) -> None:
    shares = []
    for gamma in (-1, 0, 0.8, 3):
        sampler = drs(gamma=gamma)
        drawn(sampler, oracle("Gaussians"), 2000)
        shares.append(sampler.diagnostics()["acceptance"])
        assert sampler.diagnostics()["gamma"] == gamma
    assert shares == sorted(shares, reverse=True)


def test_refused_proposals_are_tried_again_for_the_same_class(oracle, drawn) -> None:
    labels = (torch.rand(7001, generator=torch.Generator().manual_seed(1)) < 0.2).long()
    x = drawn(drs(), oracle("TwoClasses"), 7001, labels=labels, batch_size=1000).squeeze(1)
    for label, mean in ((0, -0.5), (1, 0.5)):
        own = x[labels == label]
        assert float(own.mean()) == pytest.approx(mean, abs=0.06)
        assert float(own.std()) == pytest.approx(0.6, abs=0.05)


def test_a_seed_repeats_a_draw_and_another_does_not(oracle, drawn) -> None:
    sampler = drs(calibration="logistic")
    first, again, other = (drawn(sampler, oracle("Gaussians"), 500, seed=s) for s in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_it_stops_at_its_cap_with_what_it_had_and_says_how_to_go_on(oracle, context) -> None:
    sampler, batches = drs(gamma=6, max_proposals=20), []
    drawing = sampler.draw(oracle("Gaussians"), 1000, context(batch_size=100))
    with pytest.raises(SamplingError, match=r"percentile=80.*max_proposals=200") as stopped:
        batches.extend(drawing)
    figures = sampler.diagnostics()
    assert figures["proposals"] == 20_000
    assert 0 < len(torch.cat(batches)) == len(stopped.value.places) < 1000
    assert len(torch.cat(batches)) == figures["acceptance"] * figures["proposals"]


def test_what_a_cap_leaves_keeps_its_labels(oracle, context) -> None:
    model = oracle("TwoClasses")
    of_all = model.discriminate
    model.discriminate = lambda h, y: of_all(h, y) - 1000 * y
    labels, batches = torch.arange(60) % 2, []
    drawing = drs(max_proposals=10).draw(model, 60, context(labels=labels, real=None))
    with pytest.raises(SamplingError) as stopped:
        batches.extend(drawing)
    assert list(stopped.value.places) == [p for p in range(60) if labels[p] == 0]
    assert len(torch.cat(batches)) == 30


def test_one_that_accepts_nothing_yields_nothing_and_still_has_figures(oracle, context) -> None:
    sampler = drs(gamma=1e9, max_proposals=3)
    with pytest.raises(SamplingError, match="accepted 0 of 300 proposals for 100 samples"):
        list(sampler.draw(oracle("Gaussians"), 100, context()))
    assert sampler.diagnostics()["acceptance"] == 0


def test_gamma_goes_by_the_80th_percentile_unless_it_is_given() -> None:
    for given, gamma, percentile in (({}, None, 80), ({"gamma": 0}, 0, None)):
        settings = DRSSettings(**given)
        assert (settings.gamma, settings.percentile) == (gamma, percentile)
        assert DRSSettings(**settings.model_dump()) == settings


def test_gamma_and_percentile_exclude_each_other() -> None:
    with pytest.raises(SettingError, match="give one"):
        validate(DRSSettings, {"gamma": 0, "percentile": 80}, owner="sampler 'drs'")


def test_a_score_that_is_not_finite_is_one_sentence(oracle, context) -> None:
    model = oracle("Gaussians")
    model.discriminate = lambda h, y: h.squeeze(1) / 0
    with pytest.raises(SamplingError, match="not finite"):
        list(drs().draw(model, 10, context()))
