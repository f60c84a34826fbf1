"""The laws of the VAE's likelihoods and of what its training options do to the bound."""

from __future__ import annotations

import math

import pytest
import torch

from genbench import Batch, DataSpec, SettingError, UsageError
from genbench.settings import validate
from genbench.testing import check_model
from genbench_nets.centring import mean_image
from genbench_nets.elbo_terms import (
    bernoulli_log_likelihood,
    gaussian_log_likelihood,
    log_importance_weight,
)
from genbench_vae.vae import VAE
from genbench_vae.vae_settings import VAESettings

DATA = DataSpec(name="x", shape=(1, 4, 4))
SMALL = {"z_dim": 2, "hidden": (8,)}


def build(**settings) -> VAE:
    torch.manual_seed(0)
    return VAE(VAESettings(**{**SMALL, **settings}), DATA)


def black_and_white(n: int) -> torch.Tensor:
    return torch.bernoulli(torch.full((n, 1, 4, 4), 0.5)) * 2 - 1


def test_the_bernoulli_likelihood_is_a_mass_it_sums_to_one_over_all_images():
    logits = torch.tensor([0.3, -2.0, 5.0, -0.1])
    images = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 4)
    masses = bernoulli_log_likelihood(logits.expand(16, 4), images).exp()
    assert masses.sum() == pytest.approx(1, abs=1e-6)


def test_the_gaussian_likelihood_is_a_density_of_x():
    x, mean = torch.randn(5, 1, 2, 3), torch.randn(5, 1, 2, 3)
    expected = torch.distributions.Normal(mean, 0.3).log_prob(x).flatten(1).sum(1)
    found = gaussian_log_likelihood(mean, torch.tensor(math.log(0.3)), x)
    assert torch.allclose(found, expected, rtol=1e-5)


def test_the_importance_weight_is_prior_times_likelihood_over_posterior():
    z, mean, logvar = torch.randn(3, 6, 2).unbind()
    likelihood = torch.randn(6)
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)
    posterior = torch.distributions.Normal(mean, (0.5 * logvar).exp()).log_prob(z).sum(1)
    found = log_importance_weight(likelihood, z, mean, logvar)
    assert torch.allclose(found, likelihood + prior - posterior, atol=1e-5)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_the_loss_is_minus_the_likelihood_plus_the_divergence(likelihood):
    model, x = build(likelihood=likelihood), black_and_white(6)
    torch.manual_seed(1)
    terms = model.loss(Batch(x=x))["vae"]
    mean, logvar = model.encode(x)
    torch.manual_seed(1)
    z = mean + (0.5 * logvar).exp() * torch.randn_like(mean)
    found = -model.log_likelihood(x, z).mean()
    assert torch.allclose(terms["reconstruction"], found, rtol=1e-5)


def test_squared_error_is_refused_as_a_likelihood():
    model = build(likelihood="mse")
    with pytest.raises(UsageError, match="a loss and not a likelihood"):
        model.log_likelihood(black_and_white(2), model.prior(2))


def test_a_learned_standard_deviation_finds_that_of_the_data():
    model = build(likelihood="gaussian", hidden=(4,))
    x = 0.2 * torch.randn(4000, 1, 4, 4)
    optimizer = torch.optim.Adam(model.nets.parameters(), lr=2e-2)
    for step in range(300):
        loss = sum(model.loss(Batch(x=x[step % 20 :: 20]))["vae"].values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert model.nets["noise"]().exp().item() == pytest.approx(0.2, rel=0.05)


def test_a_fixed_standard_deviation_is_kept_and_optimised_by_nobody():
    model = build(likelihood="gaussian", noise_std=0.25)
    assert model.nets["noise"]().exp().item() == pytest.approx(0.25)
    assert model.optimizers()["vae"].nets == ("encoder", "decoder")
    assert "noise.log_std" in model.nets.state_dict()


def test_models_of_other_likelihoods_have_the_weights_they_always_had():
    assert set(build().nets) == set(build(likelihood="mse").nets) == {"encoder", "decoder"}


def test_the_importance_weighted_loss_falls_with_k_from_minus_the_bound():
    x = black_and_white(2000)
    losses = []
    for k in (2, 8, 64):
        model = build(iwae_samples=k)
        (phase,) = model.stages()[0].phases
        losses.append(float(phase.loss(Batch(x=x))["vae"]["loss"].detach()))
    bound = float(build().validate(Batch(x=x))["loss"].detach())
    assert bound > losses[0] > losses[1] > losses[2]


def test_the_weight_of_the_divergence_rises_over_its_share_of_the_steps():
    model, x = build(beta=2.0, beta_warmup=0.5), black_and_white(4)
    kl = float(model.validate(Batch(x=x))["kl"].detach())
    weights = [
        float(model.loss(Batch(x=x, step=step, steps=100))["vae"]["kl"].detach()) / kl
        for step in (0, 25, 50, 99)
    ]
    assert weights == pytest.approx([0, 1, 2, 2], rel=1e-5)


@pytest.mark.parametrize(
    "settings",
    [{"beta": 4.0}, {"likelihood": "mse"}],
)
def test_importance_weighting_of_what_is_no_bound_is_refused(settings):
    with pytest.raises(SettingError, match="needs a likelihood and beta = 1"):
        validate(VAESettings, {"iwae_samples": 5, **settings}, owner="vae")


def test_a_centred_model_starts_at_the_mean_image_of_the_training_data():
    model = build(centred=True)
    x = torch.rand(300, 1, 4, 4) * torch.linspace(0.1, 0.9, 4) * 2 - 1
    (stage,) = model.stages()
    stage.fit_buffers(iter(x.split(128)))
    assert torch.allclose(model.nets["decoder"][1].logits.sigmoid(), (x.mean(0) + 1) / 2, atol=1e-5)
    seen = model.nets["encoder"][0](x)
    assert torch.allclose(seen.mean(0), torch.zeros(1, 4, 4), atol=1e-5)
    assert torch.allclose(seen.std(0), x.std(0) / 2, atol=1e-5)


def test_a_pixel_that_is_always_black_may_still_be_white():
    black = mean_image(iter([-torch.ones(5, 1, 2, 2)]))
    assert torch.equal(black, torch.full((1, 2, 2), 1e-3))


def test_a_standard_deviation_without_a_gaussian_is_refused():
    with pytest.raises(SettingError, match="set likelihood=gaussian"):
        validate(VAESettings, {"noise_std": 0.1}, owner="vae")


def test_settings_that_came_later_are_not_stored_at_their_defaults():
    assert "schedule" not in VAESettings().model_dump(mode="json")
    assert VAESettings(schedule="cosine").model_dump(mode="json")["schedule"] == "cosine"


@pytest.mark.parametrize(
    "settings",
    [
        {"likelihood": "gaussian"},
        {"likelihood": "gaussian", "noise_std": 0.3},
        {"likelihood": "mse"},
        {"iwae_samples": 4},
        {"beta_warmup": 0.5, "input_dropout": 0.2, "schedule": "cosine", "activation": "tanh"},
        {"centred": True, "network": "conv", "channels": (4,), "conv_hidden": 8},
    ],
)
def test_every_option_keeps_the_contract(settings):
    check_model("vae", VAESettings(**{**SMALL, **settings}))
