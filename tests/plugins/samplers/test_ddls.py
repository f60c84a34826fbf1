"""Discriminator-driven latent sampling against exact densities."""

from __future__ import annotations

import pytest
import torch

from genbench import DataSpec, SamplingError
from genbench_hybrid.vaegan import VAEGAN
from genbench_hybrid.vaegan_settings import VAEGANSettings
from genbench_samplers.ddls import DDLS
from genbench_samplers.sampler_settings import DDLSSettings


def ddls(**settings) -> DDLS:
    ula = {"calibration": None, "eps": 0.1, "steps": 100, "mala": False}
    return DDLS(DDLSSettings(**{**ula, **settings}))


@pytest.mark.parametrize(
    ("settings", "mean", "std", "n"),
    [
        ({}, 0.50, 0.622, 20_000),  # ULA's own limit: 0.6 / sqrt(1 - eps / (4 * 0.36))
        ({"mala": True}, 0.50, 0.600, 20_000),
        ({"eps": 0.01}, 0.379, 0.633, 20_000),  # not mixed
        ({"eps": 0.01, "steps": 1000}, 0.502, 0.601, 10_000),
    ],
)
def test_mean_and_spread_are_those_that_theory_gives(oracle, drawn, settings, mean, std, n) -> None:
    sampler = ddls(**settings)
    x = drawn(sampler, oracle("Gaussians"), n)
    assert float(x.mean()) == pytest.approx(mean, abs=0.016)
    assert float(x.std()) == pytest.approx(std, abs=0.014)
    assert (sampler.diagnostics()["acceptance"] < 1) == ("mala" in settings)


def test_mala_corrects_a_step_that_ula_cannot_take(oracle, drawn) -> None:
    limit = 0.6 / (1 - 0.8 / (4 * 0.36)) ** 0.5  # 0.9 at eps = 0.8
    assert float(drawn(ddls(eps=0.8), oracle("Gaussians"), 10_000).std()) == pytest.approx(
        limit, abs=0.03
    )
    x = drawn(ddls(eps=0.8, mala=True), oracle("Gaussians"), 10_000)
    assert float(x.std()) == pytest.approx(0.6, abs=0.02)


# --- the step


class Narrow(torch.nn.Module):
    """N(0, I) in the plane as the model, and a density ``width`` wide in it as the data."""

    prior_kind = "normal"

    def __init__(self, width: float) -> None:
        super().__init__()
        self.width = width

    def prior(self, n, generator=None):
        return torch.randn(n, 2, generator=generator)

    def generate(self, z, y=None):
        return z

    def render(self, h):
        return h

    def discriminate(self, h, y=None):
        # exp(-|h|^2 / 2 + d) has the deviation ``width``.
        return h.square().sum(1) / 2 * (1 - self.width**-2)


@pytest.mark.parametrize("width", [0.02, 0.6])
def test_eps_is_tuned_to_the_model_s_scale_and_frozen(drawn, width) -> None:
    sampler = DDLS(DDLSSettings(calibration=None, steps=300))
    x = drawn(sampler, Narrow(width), 1000, real=None)
    figures = sampler.diagnostics()
    assert figures["acceptance"] == pytest.approx(0.98, abs=0.02)
    assert 0.05 < figures["eps"] / width**2 < 0.7
    assert float(x.std()) == pytest.approx(width, rel=0.06)


def test_tuning_may_aim_at_another_acceptance(drawn) -> None:
    sampler = DDLS(DDLSSettings(calibration=None, steps=100, acceptance=0.57))
    drawn(sampler, Narrow(0.1), 1000, real=None)
    assert sampler.diagnostics()["acceptance"] == pytest.approx(0.57, abs=0.04)


@pytest.mark.parametrize("mala", [False, True])
def test_an_eps_that_is_given_is_not_tuned(oracle, drawn, mala) -> None:
    sampler = ddls(eps=0.037, mala=mala)
    drawn(sampler, oracle("Gaussians"), 50)
    assert sampler.diagnostics()["eps"] == 0.037


@pytest.mark.parametrize(
    ("eps", "told"), [(0.01, "bias that grows"), (0.7, "inexact with eps=0.7")]
)
def test_ula_says_where_a_test_of_its_steps_finds_it_far_off(oracle, drawn, eps, told) -> None:
    sampler = ddls(eps=eps)
    drawn(sampler, oracle("Gaussians"), 100)
    assert told in sampler.exactness()
    assert (sampler.diagnostics()["mala_acceptance"] < 0.8) == ("inexact" in told)


def test_testing_ula_changes_nothing_that_is_drawn(oracle, drawn) -> None:
    short, long = (drawn(ddls(burn_in=burn_in), oracle("Gaussians"), 50) for burn_in in (1, 60))
    assert torch.equal(short, long)


def test_mala_says_where_its_steps_are_too_long_to_be_accepted(drawn) -> None:
    sampler = ddls(eps=0.1, mala=True)
    drawn(sampler, Narrow(0.02), 200, real=None)
    assert "with eps=0.1 only " in sampler.exactness()


@pytest.mark.parametrize("mala", [False, True])
def test_a_uniform_prior_is_walked_in_normal_coordinates(oracle, drawn, mala) -> None:
    x = drawn(ddls(mala=mala), oracle("Uniform"), 20_000)
    assert float(x.mean()) == pytest.approx(0.5, abs=0.016)
    assert float(x.std()) == pytest.approx(0.6 if mala else 0.622, abs=0.014)


def test_mala_samples_a_bent_density_in_the_plane(oracle, drawn, misfit) -> None:
    x = drawn(ddls(eps=0.1, steps=400, mala=True), oracle("Banana"), 5000, real=None)
    assert misfit(x) < 1.5


def test_latents_may_have_any_shape(oracle, drawn) -> None:
    model = oracle("Gaussians")
    of_one = model.discriminate
    model.prior = lambda n, generator=None: torch.randn(n, 2, 3, 1, generator=generator)
    model.discriminate = lambda h, y: of_one(h.reshape(-1, 1), None).view(len(h), -1).sum(1)
    x = drawn(ddls(mala=True), model, 2000, real=None)
    assert x.shape == (2000, 2, 3, 1)
    assert float(x.mean()) == pytest.approx(0.5, abs=0.03)
    assert float(x.std()) == pytest.approx(0.6, abs=0.02)


def test_a_critic_is_calibrated_first(oracle, drawn) -> None:
    sampler = ddls(mala=True, calibration="logistic", calibration_samples=40_000)
    x = drawn(sampler, oracle("Critic"), 10_000)
    assert sampler.diagnostics()["calibration_slope"] == pytest.approx(1 / 3, rel=0.08)
    assert float(x.mean()) == pytest.approx(0.5, abs=0.03)
    assert float(x.std()) == pytest.approx(0.6, abs=0.03)


def test_samples_stay_beside_the_labels_asked_for(oracle, drawn) -> None:
    labels = (torch.rand(3001, generator=torch.Generator().manual_seed(1)) < 0.3).long()
    x = drawn(ddls(), oracle("TwoClasses"), 3001, labels=labels, batch_size=1000).squeeze(1)
    assert float(x[labels == 0].mean()) == pytest.approx(-0.5, abs=0.06)
    assert float(x[labels == 1].mean()) == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize("mala", [False, True])
def test_a_seed_repeats_a_draw_and_another_does_not(oracle, drawn, mala) -> None:
    sampler = ddls(mala=mala, steps=20)
    first, again, other = (drawn(sampler, oracle("Gaussians"), 300, seed=s) for s in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_chain_that_leaves_the_finite_numbers_is_one_sentence(oracle, context) -> None:
    with pytest.raises(SamplingError, match=r"lower it with --set sampler\.ddls\.eps=1"):
        list(ddls(eps=10).draw(oracle("Gaussians"), 100, context()))


def test_another_prior_is_refused(oracle, context) -> None:
    model = oracle("Gaussians")
    model.prior_kind = "categorical"
    with pytest.raises(SamplingError, match="normal or uniform"):
        list(ddls().draw(model, 10, context()))


def test_in_a_latent_gan_the_chain_runs_in_z_and_the_discriminator_sees_the_code(context) -> None:
    settings = VAEGANSettings(latent_dim=3, z_dim=5, vae_hidden=(16,), g_hidden=(8,), d_hidden=(8,))
    torch.manual_seed(0)
    model = VAEGAN(settings, DataSpec(name="small", shape=(1, 8, 8)))
    model.nets.eval()
    before = {name: value.clone() for name, value in model.nets.state_dict().items()}
    seen, of_codes = set(), model.discriminate

    def discriminate(h, y=None):
        seen.add(tuple(h.shape[1:]))
        return 5 * of_codes(h, y)

    model.discriminate = discriminate  # type: ignore[method-assign]
    sampler = ddls(eps=0.05)
    x = torch.cat(list(sampler.draw(model, 70, context(batch_size=50, real=None))))
    figures = sampler.diagnostics()
    assert x.shape == (70, 1, 8, 8)
    assert seen == {(3,)}
    assert figures["logit_end"] > figures["logit_start"]
    assert all(torch.equal(value, before[name]) for name, value in model.nets.state_dict().items())
    assert all(weight.grad is None for weight in model.nets.parameters())
