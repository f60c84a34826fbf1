"""What the VAE's weights, its noise and small latents do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from genbench import MONITOR, Batch, DataSpec, IncompatibleError, SettingError
from genbench.settings import validate
from genbench.testing import check_model
from genbench_vae.vae import VAE
from genbench_vae.vae_settings import VAESettings

DATA = DataSpec(name="x", shape=(1, 4, 4))
SMALL: dict[str, Any] = {"z_dim": 2, "hidden": (8,)}
CONV: dict[str, Any] = {"network": "conv", "channels": (4,), "conv_hidden": 8}


def build(**settings: Any) -> VAE:
    torch.manual_seed(0)
    return VAE(VAESettings(**{**SMALL, **settings}), DATA)


def black_and_white(n: int) -> Tensor:
    return torch.bernoulli(torch.full((n, 1, 4, 4), 0.5)) * 2 - 1


def gradients(model: VAE, x: Tensor, *terms: str) -> dict[str, Tensor]:
    """The gradients of the sum of some terms, by the name of the weight, with one noise for all."""
    torch.manual_seed(1)
    loss = model.loss(Batch(x=x))["vae"]
    model.nets.zero_grad()
    sum(loss[term] for term in terms).backward()
    return {
        name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for name, p in model.nets.named_parameters()
    }


# --- weights


def test_the_weights_scale_each_its_own_terms_gradient():
    x = black_and_white(8)
    reconstruction = gradients(build(), x, "reconstruction")
    kl = gradients(build(), x, "kl")
    both = gradients(build(reconstruction_weight=10, beta=3), x, "reconstruction", "kl")
    for name, found in both.items():
        assert torch.allclose(found, 10 * reconstruction[name] + 3 * kl[name], atol=1e-4), name
        if name.startswith("encoder"):
            assert kl[name].abs().sum() > 0
            assert reconstruction[name].abs().sum() > 0


def test_the_divergence_never_reaches_the_decoder():
    kl = gradients(build(reconstruction_weight=0.1), black_and_white(8), "kl")
    assert all(g.abs().sum() == 0 for name, g in kl.items() if name.startswith("decoder"))


def test_a_ratio_of_r_to_one_is_r_times_the_loss_of_a_beta_of_one_over_r():
    x = black_and_white(8)
    ratio = gradients(build(reconstruction_weight=0.5), x, "reconstruction", "kl")
    beta = gradients(build(beta=2), x, "reconstruction", "kl")
    for name in ratio:
        assert torch.allclose(ratio[name], 0.5 * beta[name], atol=1e-5), name


def validated(model: VAE, x: Tensor) -> dict[str, float]:
    torch.manual_seed(1)
    with torch.no_grad():
        return {name: float(value) for name, value in model.validate(Batch(x=x)).items()}


def test_validation_tells_both_parts_without_their_weights_so_that_ratios_can_be_compared():
    x = black_and_white(8)
    plain = validated(build(), x)
    for settings in ({"reconstruction_weight": 10}, {"beta": 4}, {"beta": 4, "beta_warmup": 0.5}):
        found = validated(build(**settings), x)
        assert found["reconstruction"] == plain["reconstruction"]
        assert found["kl"] == plain["kl"]
        weight, beta = settings.get("reconstruction_weight", 1), settings.get("beta", 1)
        expected = weight * plain["reconstruction"] + beta * plain["kl"]
        assert found["loss"] == pytest.approx(expected, rel=1e-6)


def test_training_records_both_parts_without_their_weights_where_there_are_some():
    x = black_and_white(8)
    assert MONITOR not in build().loss(Batch(x=x))
    plain = build().loss(Batch(x=x))["vae"]
    terms = build(reconstruction_weight=0.1, beta=2).loss(Batch(x=x))
    assert torch.allclose(terms["vae"]["reconstruction"], 0.1 * terms[MONITOR]["reconstruction"])
    assert torch.allclose(terms["vae"]["kl"], 2 * terms[MONITOR]["kl"])
    assert torch.allclose(terms[MONITOR]["kl"], plain["kl"])


@pytest.mark.parametrize("settings", [{"reconstruction_weight": 2.0}, {"beta_warmup": 0.5}])
def test_a_weighted_bound_is_refused_for_importance_weighting(settings):
    with pytest.raises(SettingError, match="needs a likelihood and beta = 1"):
        validate(VAESettings, {"iwae_samples": 5, **settings}, owner="vae")


# --- white noise


def seen_by_the_encoder(model: VAE, x: Tensor) -> Tensor:
    seen: list[Tensor] = []
    flatten = next(m for m in model.nets["encoder"].modules() if isinstance(m, torch.nn.Flatten))
    hook = flatten.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    model.loss(Batch(x=x))
    hook.remove()
    return seen[0]


def test_in_training_the_encoder_sees_noise_of_the_size_that_was_asked_for():
    x = black_and_white(4000)
    noise = seen_by_the_encoder(build(input_noise=0.3), x) - x
    assert noise.std().item() == pytest.approx(0.3, rel=0.02)
    assert noise.mean().item() == pytest.approx(0, abs=0.01)
    assert torch.equal(seen_by_the_encoder(build(), x), x)


def test_what_the_decoder_is_held_against_is_clean():
    model, x = build(input_noise=5.0, likelihood="mse"), black_and_white(8)
    for parameter in model.nets["decoder"].parameters():
        torch.nn.init.zeros_(parameter)
    # A grey of 1/2 is 1/2 off each pixel of 0 or 1, and would be further off a noisy one.
    terms = model.loss(Batch(x=x))["vae"]
    assert terms["reconstruction"].item() == pytest.approx(16 / 4, rel=1e-6)


def test_there_is_no_noise_in_eval_mode():
    noisy, clean, x = build(input_noise=0.5), build(), black_and_white(8)
    noisy.nets.eval()
    clean.nets.eval()
    assert torch.equal(noisy.encode(x)[0], clean.encode(x)[0])
    assert torch.equal(noisy.reconstruct(x), noisy.reconstruct(x))
    assert validated(noisy, x) == validated(clean, x)


def test_without_noise_the_networks_are_those_they_always_were():
    assert list(build().nets.state_dict()) == list(build(input_noise=0.0).nets.state_dict())
    stored = VAESettings().model_dump(mode="json")
    assert not {"input_noise", "reconstruction_weight", "kernel", "batch_norm"} & set(stored)


# --- codes


def test_what_is_reconstructed_is_what_the_mean_code_decodes_to():
    model, x = build(), black_and_white(5)
    model.nets.eval()
    assert torch.equal(model.decode(model.encode(x)[0]), model.reconstruct(x))
    assert torch.equal(model.decode(model.prior(3) * 0), model.generate(torch.zeros(3, 2)))


@pytest.mark.parametrize("shape", [(6,), (2, 3, 3)])
def test_on_the_codes_of_another_model_it_takes_a_density_unless_told_otherwise(shape):
    codes = DataSpec(name="latents", shape=shape, latent=True)
    settings = VAESettings(hidden=(8,), z_dim=2).fitted(codes)
    settings.check(codes)
    model = VAE(settings, codes)
    assert settings.likelihood == "gaussian"
    assert model.reconstruct(5 * torch.randn(4, *shape)).shape == (4, *shape)
    assert VAESettings().fitted(DATA).likelihood == "bernoulli"
    with pytest.raises(IncompatibleError, match="has codes, which are unbounded"):
        VAESettings(likelihood="mse").fitted(codes).check(codes)


@pytest.mark.parametrize(
    "settings",
    [
        {"z_dim": 1, "hidden": (8,)},
        {"z_dim": 1, **CONV, "kernel": 3},
        {**SMALL, "input_noise": 0.3, "reconstruction_weight": 0.5, "beta": 2.0},
        {**CONV, "z_dim": 2, "batch_norm": True, "input_noise": 0.3, "centred": True},
        {**CONV, "z_dim": 3, "code": "spatial", "batch_norm": True, "kernel": 3},
    ],
)
def test_small_latents_noise_and_weights_keep_the_contract(settings):
    check_model("vae", VAESettings(**settings))
