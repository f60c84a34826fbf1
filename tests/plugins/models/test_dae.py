"""The denoising autoencoder: what its input loses, and what it learns to put back."""

from __future__ import annotations

import pytest
import torch

from genbench import Batch, DataSpec, IncompatibleError, SettingError, to_float
from genbench.settings import validate
from genbench.testing import check_model, small_data
from genbench_vae.dae import DAESettings, corrupted

IMAGES = DataSpec(name="images", shape=(1, 8, 8))
SMALL = {"z_dim": 3, "hidden": (16,), "components": 2}


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((1, 8, 8), {"corruption": "masking", "walk": 2}),
        ((1, 8, 8), {"corruption": "salt_pepper", "level": 0.2}),
        ((2,), {"loss": "mse", "corruption": "masking", "level": 0.2}),
    ],
)
def test_every_option_of_the_dae_keeps_the_contract(shape, settings):
    check_model("dae", DAESettings(**{**SMALL, **settings}), data=small_data(shape))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"corruption": "masking", "level": 1.5}, "share of the pixels.*set level < 1"),
        ({"level": 0.0}, "level' = 0.0: it must be more than 0"),
    ],
)
def test_a_level_that_is_no_share_is_refused(settings, message):
    with pytest.raises(SettingError, match=message):
        validate(DAESettings, settings, owner="dae")


def test_salt_and_pepper_are_refused_for_points(make):
    with pytest.raises(IncompatibleError, match="set corruption=gaussian or masking"):
        make("dae", DataSpec(name="ring", shape=(2,)), corruption="salt_pepper", loss="mse")


def test_gaussian_noise_has_the_level_as_its_standard_deviation():
    x = torch.zeros(200, 1, 8, 8)
    seen = corrupted(x, torch.randn_like(x), "gaussian", 0.3, black=-1.0)
    assert float(seen.std()) == pytest.approx(0.3, rel=0.02)
    assert float(seen.mean()) == pytest.approx(0, abs=0.01)


def test_masking_blackens_its_share_of_the_pixels_and_leaves_the_others():
    x = torch.full((200, 1, 8, 8), 0.5)
    seen = corrupted(x, torch.randn_like(x), "masking", 0.3, black=-1.0)
    assert set(seen.unique().tolist()) == {-1.0, 0.5}
    assert float((seen == -1).float().mean()) == pytest.approx(0.3, abs=0.02)


def test_salt_and_pepper_are_equally_likely():
    x = torch.full((200, 1, 8, 8), 0.5)
    seen = corrupted(x, torch.randn_like(x), "salt_pepper", 0.4, black=-1.0)
    assert set(seen.unique().tolist()) == {-1.0, 0.5, 1.0}
    assert float((seen == -1).float().mean()) == pytest.approx(0.2, abs=0.02)
    assert float((seen == 1).float().mean()) == pytest.approx(0.2, abs=0.02)


def test_the_loss_compares_the_clean_sample_with_what_is_made_of_the_corrupted_one(make):
    model, x = make("dae", IMAGES, **SMALL, loss="mse"), torch.rand(5, 1, 8, 8) * 2 - 1
    torch.manual_seed(1)
    found = model.loss(Batch(x=x))["ae"]["reconstruction"]
    torch.manual_seed(1)
    seen = x + model.settings.level * torch.randn_like(x)
    expected = 0.25 * (model.reconstruct(seen) - x).square().sum() / 5
    assert torch.allclose(found, expected, rtol=1e-4)


def test_a_walk_corrupts_and_reconstructs_by_noise_of_its_own_that_lies_in_z(make):
    model = make("dae", IMAGES, **SMALL, walk=2)
    z = model.prior(4, torch.Generator().manual_seed(0))
    assert z.shape == (4, 4 + 2 * 64)
    x = model.decode(model.nets["density"](z[:, :4]))
    for noise in z[:, 4:].view(4, 2, 1, 8, 8).unbind(1):
        x = model.reconstruct(x + model.settings.level * noise)
    assert torch.equal(model.generate(z), x)


def test_the_dae_learns_digits_and_to_take_noise_off_them(learns, digits_data):
    untrained, trained, model = learns(
        "dae", epochs=15, z_dim=8, hidden=(128,), components=10, level=0.5
    )
    assert trained < 0.5 * untrained
    x = to_float(torch.tensor(digits_data.test.x))
    seen = x + 0.5 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        cleaned = model.reconstruct(seen)
    assert (cleaned - x).square().mean() < 0.6 * (seen.clamp(-1, 1) - x).square().mean()
