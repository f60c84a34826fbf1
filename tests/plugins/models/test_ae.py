"""The deterministic autoencoders: what all three share, on the plain one."""

from __future__ import annotations

import pytest
import torch

from genbench import Batch, DataSpec, IncompatibleError
from genbench.testing import check_model, small_data
from genbench_vae.ae import AESettings

IMAGES = DataSpec(name="images", shape=(1, 8, 8))
SMALL = {"z_dim": 3, "hidden": (16,), "components": 2}


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((1, 8, 8), {"network": "conv", "channels": (4,), "conv_hidden": 8, "loss": "mse"}),
        ((1, 8, 8), {"network": "conv", "code": "spatial", "channels": (4,), "z_dim": 2}),
        ((2,), {"loss": "mse", "covariance": "diag"}),
    ],
)
def test_every_option_of_the_ae_keeps_the_contract(shape, settings):
    check_model("ae", AESettings(**{**SMALL, **settings}), data=small_data(shape))


def test_points_take_no_cross_entropy(make):
    with pytest.raises(IncompatibleError, match="set loss=mse"):
        make("ae", DataSpec(name="ring", shape=(2,)))


def test_codes_that_a_full_covariance_cannot_take_are_refused_before_training():
    settings = AESettings(network="conv", code="spatial", z_dim=16)
    with pytest.raises(IncompatibleError, match="covariance=diag"):
        settings.check(DataSpec(name="mnist", shape=(1, 28, 28)))


def test_its_code_is_certain_and_decodes_to_the_reconstruction(make):
    model, x = make("ae", IMAGES, **SMALL), torch.rand(5, 1, 8, 8) * 2 - 1
    code, logvar = model.encode(x)
    assert (logvar == -torch.inf).all()
    assert torch.equal(code + torch.exp(0.5 * logvar) * torch.randn_like(code), code)
    assert torch.equal(model.decode(code), model.reconstruct(x))


def test_squared_error_of_pixels_is_taken_from_0_to_1_and_of_points_as_they_are(make):
    for shape, scale in (((1, 8, 8), 0.25), ((2,), 1.0)):
        model = make("ae", DataSpec(name="x", shape=shape), **SMALL, loss="mse")
        x = torch.rand(5, *shape) * 2 - 1
        found = model.loss(Batch(x=x))["ae"]["reconstruction"]
        expected = scale * (model.reconstruct(x) - x).square().sum() / 5
        assert torch.allclose(found, expected, rtol=1e-4)


def test_the_density_is_fitted_to_the_codes_of_the_training_set(make):
    model = make("ae", IMAGES, **SMALL)
    x = torch.rand(300, 1, 8, 8) * 2 - 1
    _, density = model.stages()
    with torch.no_grad():
        codes = torch.cat([density.prepare(part, torch.Generator()) for part in x.split(100)])
        density.fit(codes)
        draws = model.nets["density"](model.prior(4000, torch.Generator().manual_seed(0)))
    assert torch.equal(codes, model.encode(x)[0])
    assert torch.allclose(draws.mean(0), codes.mean(0), atol=0.1 * float(codes.std()))
    assert torch.allclose(draws.T.cov(), codes.T.cov(), atol=0.1 * float(codes.T.cov().max()))


def test_the_ae_learns_digits(learns):
    untrained, trained, _ = learns("ae", epochs=15, z_dim=8, hidden=(128,), components=10)
    assert trained < 0.5 * untrained
