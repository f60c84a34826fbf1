"""The energy-based GAN: its energies, its margin, its repelling term."""

from __future__ import annotations

import pytest
import torch

from genbench import Batch, DataSpec, IncompatibleError, SettingError
from genbench.testing import check_model, small_data
from genbench_gan.ebgan import EBGANSettings, pulling_away

IMAGES = DataSpec(name="images", shape=(1, 28, 28), train=1000, test=100)
POINTS = DataSpec(name="ring", shape=(2,), train=1000, test=100)
SMALL = {"g_hidden": (32,), "d_hidden": (32,), "z_dim": 8, "code": 8}
NARROW = {"g_hidden": (16,), "d_hidden": (16,)}


def loss_of(model, phase):
    return {found.name: found.loss for found in model.stages()[0].phases}[phase]


def batch_of(data: DataSpec, size: int = 8) -> Batch:
    return Batch(x=torch.rand(size, *data.shape) * 2 - 1, steps=10)


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((2,), NARROW),
        ((3, 28, 28), {"network": "conv", "channels": 2, "code": 8}),
        ((1, 8, 8), {"energy": "mse", **NARROW}),
    ],
)
def test_its_other_networks_and_units_keep_the_contract(shape, settings):
    check_model("ebgan-pt", EBGANSettings(pull_away=0.1, **settings), data=small_data(shape))


def test_the_repelling_term_is_zero_on_orthogonal_and_one_on_identical_codes():
    assert pulling_away(3 * torch.eye(5, 8)) == 0
    assert torch.allclose(pulling_away(torch.randn(1, 8).repeat(6, 1)), torch.tensor(1.0))


def test_the_repelling_term_squares_its_cosines_and_leaves_the_diagonal_out():
    codes = torch.randn(7, 4, dtype=torch.float64)
    cosines = [
        torch.cosine_similarity(codes[i], codes[j], dim=0).item() ** 2
        for i in range(7)
        for j in range(7)
        if i != j
    ]
    assert pulling_away(codes).item() == pytest.approx(sum(cosines) / 42, rel=1e-5)
    flipped = codes * torch.tensor([1, -1, 1, -1, 1, -1, 1])[:, None]
    assert torch.allclose(pulling_away(codes), pulling_away(flipped))


def test_the_repelling_term_pulls_at_every_code():
    codes = torch.randn(5, 3, requires_grad=True)
    pulling_away(codes).backward()
    assert (codes.grad.abs().sum(1) > 0).all()


def test_generated_samples_above_the_margin_move_the_discriminator_no_more(make):
    model = make("ebgan", IMAGES, **SMALL, margin=1e-6)
    terms = loss_of(model, "d")(batch_of(IMAGES))["d"]
    assert terms["fake"] == 0
    assert terms["real"] > 0
    below = loss_of(make("ebgan", IMAGES, **SMALL, margin=1e4), "d")(batch_of(IMAGES))
    energy = -below["monitor"]["d_fake"]
    assert torch.allclose(below["d"]["fake"], 1e4 - energy, rtol=1e-6)


@pytest.mark.parametrize("unit", ["norm", "mse"])
def test_the_energy_is_the_reconstruction_error_and_the_score_is_minus_it(make, unit):
    model = make("ebgan", IMAGES, **SMALL, energy=unit)
    x = batch_of(IMAGES).x
    difference = (model.nets["discriminator"](x)[0] - x).flatten(1)
    expected = difference.norm(dim=1) if unit == "norm" else difference.square().mean(1)
    assert torch.allclose(model.energy(x), expected)
    assert torch.equal(model.discriminate(x), -model.energy(x))
    assert model.discriminate(x).shape == (8,)


def test_the_repelling_term_stands_in_the_generators_loss_alone(make):
    model, plain = make("ebgan-pt", IMAGES, **SMALL), make("ebgan", IMAGES, **SMALL)
    batch = batch_of(IMAGES)
    assert set(loss_of(model, "g")(batch)["g"]) == {"energy", "pull_away"}
    assert set(loss_of(plain, "g")(batch)["g"]) == {"energy"}
    for judged in (model, plain):
        assert set(loss_of(judged, "d")(batch)["d"]) == {"real", "fake"}
    assert set(loss_of(model, "d")(batch)["monitor"]) == {"d_real", "d_fake", "d_accuracy"}


def test_margin_and_sizes_are_fitted_to_the_data(make):
    assert make("ebgan", IMAGES).settings.margin == 10
    assert make("ebgan", POINTS).settings.margin == 1
    assert make("ebgan", POINTS).generate(make("ebgan", POINTS).prior(3)).shape == (3, 2)


def test_settings_that_make_no_sense_are_refused(make):
    with pytest.raises(SettingError, match="set channels"):
        make("ebgan", IMAGES, network="conv", g_hidden=(8,))
    with pytest.raises(IncompatibleError, match="28, 32 or 64 px"):
        make("ebgan", DataSpec(name="odd", shape=(1, 30, 30)), network="conv")
    with pytest.raises(SettingError, match="pull_away"):
        make("ebgan-pt", IMAGES, pull_away=0)


@pytest.mark.parametrize("name", ["ebgan", "ebgan-pt"])
def test_it_learns_digits(learns, name):
    sizes = {"z_dim": 16, "g_hidden": (128,), "d_hidden": (64,), "code": 16}
    untrained, trained, _ = learns(name, epochs=12, **sizes)
    assert trained < 0.5 * untrained
