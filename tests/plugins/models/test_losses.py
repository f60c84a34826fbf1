"""Losses against their closed forms."""

from __future__ import annotations

import math

import torch
from torch.distributions import Normal, kl_divergence

from genbench_nets.adversarial_losses import fake_loss, monitors, real_loss
from genbench_nets.elbo_terms import kl_to_normal, reconstruction_loss, sample_posterior


def test_kl_equals_the_closed_form_of_two_gaussians():
    mean, logvar = torch.randn(5, 3), torch.randn(5, 3)
    exact = kl_divergence(Normal(mean, (0.5 * logvar).exp()), Normal(0.0, 1.0)).sum(1).mean()
    assert torch.allclose(kl_to_normal(mean, logvar), exact, rtol=1e-5)


def test_kl_of_the_prior_itself_is_zero():
    assert kl_to_normal(torch.zeros(2, 4), torch.zeros(2, 4)) == 0


def test_the_reparameterised_sample_has_the_posteriors_moments():
    torch.manual_seed(0)
    mean, logvar = torch.full((200_000, 1), 1.5), torch.full((200_000, 1), math.log(0.25))
    z = sample_posterior(mean, logvar)
    assert abs(z.mean() - 1.5) < 0.01
    assert abs(z.std() - 0.5) < 0.01


def test_the_bernoulli_loss_is_the_cross_entropy_summed_over_pixels_and_averaged_over_images():
    x = torch.tensor([[[[-1.0, 1.0]]], [[[0.0, 0.0]]]])
    logits = torch.zeros_like(x)
    assert torch.allclose(
        reconstruction_loss(logits, x, "bernoulli"), torch.tensor(2 * math.log(2))
    )


def test_the_mse_loss_is_the_squared_error_on_the_scale_of_zero_to_one():
    x = torch.full((3, 1, 2, 2), -1.0)
    assert torch.allclose(reconstruction_loss(torch.zeros_like(x), x, "mse"), torch.tensor(1.0))


def test_adversarial_losses_equal_the_formulas_of_the_paper():
    logits = torch.randn(1000, dtype=torch.float64).float()
    d = logits.double().sigmoid()
    assert torch.allclose(real_loss(logits).double(), -d.log().mean(), rtol=1e-5)
    assert torch.allclose(fake_loss(logits).double(), -(1 - d).log().mean(), rtol=1e-5)


def test_losses_of_bf16_logits_are_computed_in_float32():
    logits = torch.randn(8).bfloat16()
    terms = [real_loss(logits, 0.9), fake_loss(logits), *monitors(logits, logits).values()]
    assert all(t.dtype is torch.float32 for t in terms)
    assert reconstruction_loss(logits, logits, "bernoulli").dtype is torch.float32


def test_the_monitors_of_a_discriminator_carry_no_gradient():
    logits = torch.randn(8, requires_grad=True)
    assert not any(value.requires_grad for value in monitors(logits, logits).values())
    assert real_loss(logits).requires_grad
    assert fake_loss(logits).requires_grad
