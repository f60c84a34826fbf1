"""InfoGAN: codes in z, and their information in the sample."""

from __future__ import annotations

from math import log

import pytest
import torch

from genbench import Batch, Conditional, DataSpec
from genbench.testing import check_model, small_data
from genbench_gan.infogan import InfoGANSettings

IMAGES = DataSpec(name="images", shape=(1, 28, 28), train=1000, test=100)
SIZES = {"z_dim": 16, "g_hidden": (128,), "d_hidden": (128,)}
NARROW = {"g_hidden": (16,), "d_hidden": (16,), "q_hidden": 16}


def loss_of(model, phase):
    return {found.name: found.loss for found in model.stages()[0].phases}[phase]


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((1, 8, 8), NARROW),
        ((2,), {"continuous": 0, "categories": 8, **NARROW}),
        ((1, 28, 28), {"network": "conv", "g_channels": 2, "d_channels": 2, "q_hidden": 16}),
    ],
)
def test_infogan_keeps_the_contract_without_labels(shape, settings):
    check_model("infogan", InfoGANSettings(**settings), data=small_data(shape, classes=None))


def test_the_prior_holds_noise_and_codes_and_they_have_the_papers_laws(make):
    model = make("infogan", IMAGES, **SIZES)
    z = model.prior(20_000, torch.Generator().manual_seed(0))
    codes = model.generator[0].codes(z)
    assert z.shape == (20_000, 16 + 10 + 2)
    assert codes.category.bincount(minlength=10).float().div(20_000).sub(0.1).abs().max() < 0.01
    assert codes.continuous.shape == (20_000, 2)
    assert codes.continuous.abs().max() <= 1
    assert codes.continuous.std() == pytest.approx(3**-0.5, rel=0.02)
    assert abs(z.mean()) < 0.01
    assert z.std() == pytest.approx(1, rel=0.01)


def test_the_generator_sees_the_category_one_hot_beside_its_noise(make):
    model = make("infogan", IMAGES, **SIZES)
    z = model.prior(5)
    seen = model.nets["generator"][0](z)
    assert torch.equal(seen[:, :16], z[:, :16])
    assert torch.equal(seen[:, 16:26].argmax(1), model.generator[0].codes(z).category)
    assert torch.equal(seen[:, 16:26].sum(1), torch.ones(5))
    assert torch.equal(seen[:, 26:], model.generator[0].codes(z).continuous)


def test_what_is_told_of_the_codes_is_bounded_by_their_entropy(make):
    model = make("infogan", IMAGES, **SIZES, continuous=0)
    terms = loss_of(model, "d")(Batch(x=torch.rand(64, 1, 28, 28) * 2 - 1))
    assert terms["monitor"]["information"] <= log(10)
    assert torch.allclose(
        terms["monitor"]["information"] + terms["d"]["category"], torch.tensor(log(10))
    )


def test_q_shares_the_discriminators_body_and_its_optimizer_and_nothing_is_conditional(make):
    model = make("infogan", IMAGES, **SIZES)
    assert model.optimizers()["d"].nets == ("discriminator", "q")
    assert set(model.nets) == {"generator", "discriminator", "q"}
    assert not isinstance(model, Conditional)
    told = loss_of(model, "g")(Batch(x=torch.rand(8, 1, 28, 28) * 2 - 1))["g"]
    assert set(told) == {"adversarial", "category", "continuous"}


def test_it_learns_digits_and_its_codes_tell_on_its_samples(learns):
    untrained, trained, model = learns("infogan", epochs=25, **SIZES, d_lr=1e-3, g_norm="batch")
    assert trained < 0.7 * untrained
    x = torch.rand(256, 1, 28, 28) * 2 - 1
    assert loss_of(model, "d")(Batch(x=x))["monitor"]["information"] > 1
