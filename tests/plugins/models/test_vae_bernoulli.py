"""Laws of the VAE with Bernoulli latents: its divergence, its gradients, its bits."""

from __future__ import annotations

import math

import pytest
import torch

from genbench import Batch, DataSpec, IncompatibleError, SettingError
from genbench.testing import check_model
from genbench_nets.bernoulli import (
    concrete_bits,
    kl_to_fair_coins,
    log_probability,
    log_variance,
    sample_bits,
    straight_through_bits,
)
from genbench_vae.vae_bernoulli import RunningMean
from genbench_vae.vae_bernoulli_settings import BernoulliVAESettings

TINY = DataSpec(name="tiny", shape=(1, 4, 4), train=10, test=10)
SIZES = {"z_dim": 8, "hidden": (64,)}
POINTS = DataSpec(name="points", shape=(2,), train=10, test=10)


def tiny_model(make, seed=3, **settings):
    """Three bits, so that all eight codes can be added up."""
    torch.manual_seed(seed)
    model = make("vae-bernoulli", TINY, z_dim=3, hidden=(5,), **settings)
    with torch.no_grad():
        model.nets["decoder"][0].weight.mul_(4)  # so that bits matter
    return model


def an_image(n=1):
    x = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return x.expand(n, -1, -1, -1)


def encoder_gradient(model, loss):
    gradients = torch.autograd.grad(loss, list(model.nets["encoder"].parameters()))
    return torch.cat([gradient.flatten() for gradient in gradients])


def exact_bound(model, x):
    """The negative bound of one image by adding up all codes, differentiable."""
    codes = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)
    logits = model.nets["encoder"](x)
    mass = log_probability(logits.expand(8, -1), codes).exp()
    target = x.expand(8, -1, -1, -1).add(1).div(2)
    pixels = model.nets["decoder"](2 * codes - 1)
    errors = torch.nn.functional.binary_cross_entropy_with_logits(pixels, target, reduction="none")
    return (mass * errors.flatten(1).sum(1)).sum() + kl_to_fair_coins(logits).sum()


def estimates(model, chunks, of):
    """Encoder gradients of the loss, each the mean of ``of`` independent estimates."""
    found = []
    for _ in range(chunks):
        loss = sum(model.loss(Batch(x=an_image(of)))["vae"].values())
        found.append(encoder_gradient(model, loss))
    return torch.stack(found)


# --- the divergence


def test_the_divergence_is_log_two_less_the_entropy():
    logits = torch.linspace(-8, 8, 33).view(-1, 1)
    rho = logits.double().sigmoid()
    entropy = -(rho * rho.log() + (1 - rho) * (1 - rho).log())
    expected = (math.log(2) - entropy).squeeze(1).float()
    assert torch.allclose(kl_to_fair_coins(logits), expected, atol=1e-6)


def test_a_certain_bit_costs_log_two_and_has_a_gradient():
    logits = torch.tensor([[300.0, -300.0, 0.0]], requires_grad=True)
    kl = kl_to_fair_coins(logits)
    assert float(kl.detach()) == pytest.approx(2 * math.log(2))
    assert torch.isfinite(torch.autograd.grad(kl.sum(), logits)[0]).all()


# --- the estimators


@pytest.mark.parametrize(
    "settings",
    [
        {"baseline": "none", "samples": 1},
        {"baseline": "running", "samples": 1},
        {"baseline": "leave_one_out", "samples": 3},
    ],
    ids=lambda s: s["baseline"],
)
def test_the_mean_of_the_estimate_is_the_exact_gradient_of_the_exact_bound(make, settings):
    model = tiny_model(make, **settings)
    model.nets["baseline"].mean.fill_(11.0)
    exact = encoder_gradient(model, exact_bound(model, an_image()))
    found = estimates(model, chunks=100, of=1000)
    error = found.std(0) / math.sqrt(len(found))
    assert exact.norm() > 10 * error.norm()
    assert ((found.mean(0) - exact).abs() <= 4.5 * error + 1e-6).all()


def test_the_reported_loss_is_the_exact_bound_in_the_mean(make):
    model = tiny_model(make, baseline="running", samples=1)
    with torch.no_grad():
        terms = model.loss(Batch(x=an_image(50_000)))["vae"]
    exact = float(exact_bound(model, an_image()).detach())
    assert float(sum(terms.values())) == pytest.approx(exact, rel=2e-3)
    assert float(terms["reinforce"]) == 0


def test_its_variance_falls_with_the_baseline_on_the_same_draws(make):
    variance = {}
    for baseline in ("none", "running"):
        model = tiny_model(make, baseline=baseline, samples=1)
        torch.manual_seed(0)
        for _ in range(20):  # the running mean finds the error
            model._follow(model.loss(Batch(x=an_image(100))))
        torch.manual_seed(1)
        variance[baseline] = float(estimates(model, chunks=400, of=1).var(0).sum())
    assert variance["running"] < 0.2 * variance["none"]


def test_leaving_one_out_compares_a_sample_with_the_others_of_its_image(make):
    model = tiny_model(make, baseline="leave_one_out", samples=3)
    errors = torch.tensor([1.0, 2.0, 6.0, 10.0, 10.0, 40.0])
    expected = torch.tensor([4.0, 3.5, 1.5, 25.0, 25.0, 10.0])
    assert torch.allclose(model._baselines(errors), expected)


def test_each_sample_is_credited_with_its_own_error_alone(make):
    model = tiny_model(make, baseline="none", samples=1)
    logits = torch.randn(4, 3, requires_grad=True)
    bits, errors = sample_bits(logits), torch.tensor([1.0, 10.0, 100.0, 0.0])
    score = model._score_function(errors, logits, bits)
    (gradient,) = torch.autograd.grad(score, logits)
    expected = errors[:, None] * (bits - logits.sigmoid()) / 4
    assert torch.allclose(gradient, expected.detach(), atol=1e-5)


def test_the_score_function_moves_no_weight_of_the_decoder(make):
    model = tiny_model(make, baseline="leave_one_out", samples=2)
    score = model.loss(Batch(x=an_image(2)))["vae"]["reinforce"]
    decoder = list(model.nets["decoder"].parameters())
    found = torch.autograd.grad(score, decoder, allow_unused=True)
    assert all(gradient is None for gradient in found)


def test_straight_through_bits_are_bits_with_the_gradient_of_their_probabilities():
    logits = torch.randn(50, 3, requires_grad=True)
    bits = straight_through_bits(logits)
    assert torch.equal(bits.detach().round(), bits.detach().round().clamp(0, 1))
    assert torch.allclose(bits.detach(), bits.detach().round(), atol=1e-6)
    weight = torch.randn(50, 3)
    (found,) = torch.autograd.grad((weight * bits).sum(), logits)
    (expected,) = torch.autograd.grad((weight * logits.sigmoid()).sum(), logits)
    assert torch.equal(found, expected)


def test_concrete_bits_pass_a_half_as_often_as_bits_are_one_and_become_bits_when_cold():
    torch.manual_seed(0)
    logits = torch.tensor([-2.0, 0.0, 1.0]).expand(40_000, 3)
    often = (concrete_bits(logits, 0.5) > 0.5).float().mean(0)
    assert torch.allclose(often, logits[0].sigmoid(), atol=0.01)
    cold = concrete_bits(logits, 1e-3)
    assert float(((cold > 0.01) & (cold < 0.99)).float().mean()) < 0.01


def test_the_running_mean_is_the_mean_of_all_steps_or_decays():
    plain, decaying = RunningMean(1.0), RunningMean(0.5)
    for value in (1.0, 3.0, 8.0):
        plain.update(torch.tensor(value))
        decaying.update(torch.tensor(value))
    assert float(plain.mean) == pytest.approx(4.0)
    assert float(decaying.mean) == pytest.approx(0.5 * 2.0 + 0.5 * 8.0)


# --- the model


def test_a_code_has_the_moments_of_its_bits(make):
    model = tiny_model(make)
    mean, logvar = model.encode(an_image(3))
    assert torch.allclose(logvar.exp(), mean * (1 - mean), atol=1e-6)
    assert torch.isfinite(log_variance(torch.tensor([90.0, -90.0]))).all()


def test_a_sample_depends_on_the_signs_of_its_noise_alone(make):
    model = tiny_model(make)
    z = model.prior(4000, torch.Generator().manual_seed(0))
    assert float(z.abs().max()) <= 1
    assert torch.allclose((z > 0).float().mean(0), torch.full((3,), 0.5), atol=0.04)
    assert torch.equal(model.generate(z), model.generate(z.sign()))
    assert torch.equal(model.generate(z), model.decode((z > 0).float()))


@pytest.mark.parametrize(
    "settings",
    [
        {"baseline": "leave_one_out"},
        {"baseline": "running", "samples": 1},
        {"estimator": "straight_through", "samples": 1},
        {"estimator": "concrete", "samples": 1},
    ],
    ids=lambda s: s.get("estimator", s.get("baseline")),
)
def test_every_estimator_keeps_the_contract(settings):
    check_model("vae-bernoulli", BernoulliVAESettings(**settings, **SIZES))


def test_leaving_one_out_of_one_sample_is_refused_with_the_fix(make):
    with pytest.raises(SettingError, match="samples=2 or more"):
        make("vae-bernoulli", TINY, samples=1)


def test_points_are_refused_in_one_sentence(make):
    with pytest.raises(IncompatibleError, match="vae-bernoulli takes images"):
        make("vae-bernoulli", POINTS)


def test_it_learns_digits(make, learns, digits_data):
    def bound(model):
        x = torch.from_numpy(digits_data.test.x.copy()).float() / 127.5 - 1
        model.nets.eval()
        with torch.no_grad():
            return float(model.validate(Batch(x=x))["loss"])

    torch.manual_seed(0)
    at_first = bound(make("vae-bernoulli", digits_data.spec, hidden=(128,)))
    untrained, trained, model = learns("vae-bernoulli", epochs=8, hidden=(128,), lr=3e-3)
    at_last = bound(model)
    print(f"vae-bernoulli: test loss {at_first:.0f} -> {at_last:.0f}")
    assert trained < 0.5 * untrained
    assert at_last < 0.6 * at_first
