"""Laws of adversarial variational Bayes: what its adversary knows, and where gradients go."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from genbench import Batch
from genbench.testing import check_model, small_data
from genbench_hybrid.avb_settings import AVBSettings

DATA = small_data((1, 8, 8)).spec
SMALL = {"z_dim": 2, "hidden": (24,), "t_hidden": (64, 64), "t_features": 16, "noise_dim": 4}


@pytest.mark.parametrize(
    "settings",
    [
        {**SMALL, "adaptive_contrast": False, "t_steps": 2},
        {**SMALL, "network": "conv", "channels": (8,), "conv_hidden": 16},
    ],
)
def test_avb_keeps_the_contract(settings):
    check_model("avb", AVBSettings(**settings))


class Gaussian(torch.nn.Module):
    """q(z|x) = N(m(x), std^2 I) with m(x) the first two pixels: its density is known."""

    std = 0.5

    def forward(self, x):
        mean = x.flatten(1)[:, :2]
        logvar = torch.full_like(mean, 2 * torch.tensor(self.std).log().item())
        return mean + self.std * torch.randn_like(mean), mean, logvar


def true_log_ratio(z, mean, std: float):
    q = torch.distributions.Normal(mean, std).log_prob(z).sum(1)
    return q - torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)


@pytest.mark.parametrize("adaptive", [False, True])
def test_the_adversary_recovers_the_true_log_ratio_on_gaussians(make, adaptive):
    torch.manual_seed(0)
    model = make("avb", DATA, **SMALL, adaptive_contrast=adaptive)
    model.nets["encoder"] = Gaussian()
    adversary = model.nets["adversary"]
    adam = torch.optim.Adam(adversary.parameters(), lr=3e-3)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(adam, 600)
    for _ in range(600):
        batch = Batch(x=torch.rand(256, 1, 8, 8) * 2 - 1)
        adam.zero_grad()
        sum(model.adversary_loss(batch)["adversary"].values()).backward()
        adam.step()
        fall.step()
    x = torch.rand(4000, 1, 8, 8) * 2 - 1
    with torch.no_grad():
        z, mean, logvar = model.nets["encoder"](x)
        told = model.log_ratio(x, z, mean, logvar)
    true = true_log_ratio(z, mean, Gaussian.std)
    assert torch.corrcoef(torch.stack((told, true)))[0, 1] > 0.95
    assert told.mean() == pytest.approx(float(true.mean()), abs=0.15)  # the KL, 1.4 nats


def test_with_the_standardised_gaussian_for_contrast_nothing_is_left_to_learn_of_a_gaussian(make):
    """An adversary that says 0 everywhere is right: the rest is known."""
    model = make("avb", DATA, **SMALL, adaptive_contrast=True)
    for parameter in model.nets["adversary"].parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.rand(50, 1, 8, 8) * 2 - 1
    z, mean, logvar = Gaussian()(x)
    told = model.log_ratio(x, z, mean, logvar)
    assert torch.allclose(told, true_log_ratio(z, mean, Gaussian.std), atol=1e-4)


@pytest.mark.parametrize("adaptive", [False, True])
def test_the_encoders_gradient_goes_through_what_the_adversary_sees_and_nothing_else(
    make, adaptive
):
    model = make("avb", DATA, **SMALL, adaptive_contrast=adaptive)
    z = torch.randn(6, 2, requires_grad=True)
    mean = torch.randn(6, 2, requires_grad=True)
    logvar = torch.randn(6, 2, requires_grad=True)
    model.nets["encoder"] = Given(z, mean, logvar)
    kl = model.loss(Batch(x=torch.rand(6, 1, 8, 8)))["vae"]["kl"]
    found = torch.autograd.grad(kl, (z, mean, logvar), allow_unused=True)
    assert found[0].abs().max() > 0
    assert found[1:] == (None, None)


class Given(torch.nn.Module):
    def __init__(self, *values):
        super().__init__()
        self.values = values

    def forward(self, x):
        return self.values


def test_the_moments_of_the_implicit_posterior_are_those_of_its_draws(make):
    torch.manual_seed(0)
    model = make("avb", DATA, **SMALL)
    x = torch.rand(1, 1, 8, 8)
    with torch.no_grad():
        # As many draws as are needed to tell; the 256 kept ones are a sample themselves.
        mean, logvar = model.encode(x)
        draws, _, _ = model.nets["encoder"](x.repeat(20_000, 1, 1, 1))
    std = draws.std(0)
    assert torch.allclose(draws.mean(0), mean[0], atol=float(0.3 * std.max()))
    assert torch.allclose((0.5 * logvar[0]).exp(), std, rtol=0.2)
    assert torch.equal(model.encode(x)[0], mean)


def test_under_autocast_the_moments_stay_in_float32(make):
    torch.manual_seed(0)
    encoder = make("avb", DATA, **SMALL).nets["encoder"]
    first, others = torch.randn(6, 2), torch.randn(6, 4, 2)
    v = encoder._weights(encoder.draws)
    expected = torch.stack([(v * a).sum(1).var(0) for a in others]).log()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        encoder._weights = lambda eps: v
        _, logvar = encoder._moments(first, others)
    assert logvar.dtype == torch.float32
    assert torch.allclose(logvar, expected, atol=1e-4)


def test_grids_of_codes_are_refused():
    with pytest.raises(ValidationError, match="set code=vector"):
        AVBSettings(network="conv", code="spatial")


def test_avb_learns_digits(learns, make, digits_data):
    sizes = {"hidden": (128,), "t_hidden": (64, 64)}
    untrained, trained, model = learns("avb", epochs=8, **sizes)
    assert trained < 0.6 * untrained
    x = torch.tensor(digits_data.test.x).float() / 127.5 - 1
    fresh = make("avb", digits_data.spec, **sizes)
    with torch.no_grad():
        losses = [float(m.validate(Batch(x=x))["loss"]) for m in (fresh, model)]
    assert losses[1] < 0.6 * losses[0]
