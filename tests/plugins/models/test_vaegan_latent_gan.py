"""Laws of the latent GAN: its VAE of every kind, its latents, what stage 2 leaves alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from genbench import Batch, DataSpec, IncompatibleError
from genbench.engine import seed_everything, train
from genbench.events import StageStarted
from genbench.spec import RunSpec
from genbench.testing import check_model, small_data
from genbench_hybrid.vaegan_settings import VAEGANSettings

FACES = DataSpec(name="celeba", shape=(3, 64, 64), classes=2, train=1000, test=100)
SMALL = {"latent_dim": 3, "g_hidden": (16,), "d_hidden": (16,), "z_dim": 4}
CONV = {**SMALL, "network": "conv", "channels": (8,), "conv_hidden": 16}
GRID = {**CONV, "code": "spatial", "latent_network": "conv", "latent_channels": 8}


@pytest.mark.parametrize("settings", [CONV, {**GRID, "batch_norm": True}])
def test_the_convolutional_latent_gan_keeps_the_contract(settings):
    check_model("vaegan", VAEGANSettings(**settings))


@pytest.mark.parametrize("latent_network", ["mlp", "conv"])
def test_spatial_latents_are_made_judged_and_decoded_as_grids(make, latent_network):
    settings = {"network": "conv", "code": "spatial", "channels": (8, 8, 8), "latent_dim": 2}
    model = make("vaegan", FACES, **settings, latent_network=latent_network)
    h = model.generate(model.prior(3))
    assert h.shape == (3, 2, 8, 8) == (3, *model.settings.latent_shape(FACES))
    assert model.discriminate(h).shape == (3,)
    assert model.render(h).shape == (3, 3, 64, 64)


def test_rendering_decodes_the_latents_that_were_standardised(make):
    model = make("vaegan", FACES, **{**SMALL, "network": "conv"})
    with torch.no_grad():
        codes = model.encode_data(torch.rand(20, 3, 64, 64) * 2 - 1, torch.Generator())
        model.fit_scaler(codes)
        mean = codes[:, 0]
        rendered = model.render(model.nets["scaler"](mean))
        torch.testing.assert_close(rendered, model.decode(mean), atol=1e-5, rtol=1e-4)


def trained(make, tmp_path, **settings):
    """A model trained on small images, and its state at the start of each stage."""
    data = small_data((1, 8, 8))
    seed_everything(0)
    model = make("vaegan", data.spec, vae_epochs=2, **settings)
    stages = model.stages
    model.stages = lambda: tuple(replace(stage, epochs=2) for stage in stages())
    states = []

    def listen(event):
        if isinstance(event, StageStarted):
            states.append({k: v.clone() for k, v in model.nets.state_dict().items()})

    spec = RunSpec(model="vaegan", dataset="small", epochs=2, batch_size=16)
    train(model, data, spec, device=torch.device("cpu"), folder=tmp_path, emit=listen)
    return model, states


@pytest.mark.parametrize("settings", [SMALL, {**CONV, "batch_norm": True}, GRID])
def test_a_frozen_decoder_stays_bitwise_frozen(make, tmp_path, settings):
    model, (first, second) = trained(make, tmp_path, **settings)
    last = model.nets.state_dict()
    frozen = [name for name in last if name.startswith(("encoder.", "decoder.", "scaler."))]
    assert all(torch.equal(second[name], last[name]) for name in frozen)
    moving = [name for name in last if name.startswith(("generator.", "discriminator."))]
    assert not any(torch.equal(second[name], last[name]) for name in moving)
    assert all(torch.equal(first[name], second[name]) for name in moving)


def test_what_there_was_before_is_stored_as_it_was():
    """Settings that came later leave no trace at their defaults: old runs keep their hash."""
    stored = set(VAEGANSettings().model_dump())
    assert stored == {
        *("vae_epochs", "latent_dim", "vae_hidden", "vae_lr", "z_dim", "g_hidden", "d_hidden"),
        *("latents", "lr", "beta1"),
    }


def test_old_weights_of_the_fully_connected_model_still_fit(make):
    names = set(make("vaegan", replace(FACES, shape=(1, 28, 28))).nets.state_dict())
    layers = {"encoder": (1, 3, 5), "decoder": (0, 2, 4), "generator": (0, 2, 4)}
    layers["discriminator"] = (0, 2, 4)
    expected = {f"{net}.{i}.{p}" for net, at in layers.items() for i in at for p in WEIGHTS}
    assert names == expected | {"scaler.mean", "scaler.std"}


WEIGHTS = ("weight", "bias")


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        ({"code": "spatial"}, "set network=conv"),
        ({"batch_norm": True}, "set network=conv"),
        ({"network": "conv", "latent_network": "conv"}, "set code=spatial"),
    ],
)
def test_settings_that_contradict_one_another_are_refused_with_the_fix(settings, hint):
    with pytest.raises(ValidationError, match=hint):
        VAEGANSettings(**settings)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (DataSpec(name="ring", shape=(2,)), "has points"),
        (DataSpec(name="codes", shape=(4, 7, 7), latent=True), "has latents"),
    ],
)
def test_what_is_no_image_is_refused(make, data, message):
    with pytest.raises(IncompatibleError, match=message):
        make("vaegan", data)


def test_the_latent_gan_learns_digits(learns, make, digits_data):
    sizes = {"vae_epochs": 10, "vae_hidden": (128,), "g_hidden": (64,), "d_hidden": (64,)}
    untrained, trained, model = learns("vaegan", epochs=15, **sizes)
    assert trained < 0.6 * untrained
    x = torch.tensor(digits_data.test.x).float() / 127.5 - 1
    fresh = make("vaegan", digits_data.spec, **sizes)
    with torch.no_grad():
        losses = [float(m.validate_vae(Batch(x=x))["loss"]) for m in (fresh, model)]
    assert losses[1] < 0.6 * losses[0]
