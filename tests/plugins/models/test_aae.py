"""Laws of the adversarial autoencoder: codes are judged, by the prior; labels where asked for."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from genbench import Batch, Conditional, DataSpec, Discriminates, IncompatibleError
from genbench.testing import check_model, small_data
from genbench_hybrid.aae_settings import AAESettings

DATA = small_data((1, 8, 8)).spec
SMALL = {"z_dim": 3, "hidden": (24,), "d_hidden": (16,)}


@pytest.mark.parametrize(
    "settings",
    [
        {**SMALL, "conditional": True, "judge_labels": True, "likelihood": "mse"},
        {
            "posterior": "gaussian",
            "network": "conv",
            "code": "spatial",
            "channels": (8,),
            "z_dim": 2,
            "d_hidden": (16,),
        },
    ],
)
def test_the_adversarial_autoencoder_keeps_the_contract(settings):
    check_model("aae", AAESettings(**settings))


def test_a_deterministic_code_is_certain_and_a_gaussian_one_is_not(make):
    x = torch.rand(5, 1, 8, 8)
    mean, logvar = make("aae", DATA, **SMALL).encode(x)
    assert mean.shape == logvar.shape == (5, 3)
    assert torch.isneginf(logvar).all()
    _, logvar = make("aae", DATA, **SMALL, posterior="gaussian").encode(x)
    assert torch.isfinite(logvar).all()


def test_it_offers_no_judge_of_samples(make):
    assert not isinstance(make("aae", DATA, **SMALL), Discriminates)


def test_the_discriminator_takes_the_priors_codes_for_real_and_the_encoder_works_against_it(make):
    """With D(z) = s(-|z|^2 + 1), which likes small codes, the encoder is pulled towards 0."""
    model = make("aae", DATA, **SMALL)
    model.nets["discriminator"] = LikesSmallCodes()
    x = torch.rand(64, 1, 8, 8) * 2 - 1
    with torch.no_grad():
        model.nets["encoder"][-1].bias.fill_(3.0)
    terms = model.d_loss(Batch(x=x))
    assert terms["d"]["fake"] < 0.01 < terms["d"]["real"]
    (pull,) = torch.autograd.grad(
        model.encoder_loss(Batch(x=x))["encoder"]["adversarial"], model.nets["encoder"][-1].bias
    )
    assert (pull > 0).all()


class LikesSmallCodes(torch.nn.Module):
    def forward(self, z):
        return 1 - z.square().sum(1, keepdim=True)


def test_the_decoder_sees_the_label_and_the_encoder_does_not(make):
    assert not isinstance(make("aae", DATA, **SMALL), Conditional)
    model = make("aae", DATA, **SMALL, conditional=True)
    assert model.classes == 4
    y = torch.arange(4)
    assert len(model.decode(torch.zeros(4, 3), y).flatten(1).unique(dim=0)) == 4
    codes, _ = model.encode(torch.rand(1, 1, 8, 8).repeat(4, 1, 1, 1), y)
    assert len(codes.unique(dim=0)) == 1


def test_the_judge_of_codes_sees_the_label_where_asked_to(make):
    x, seen = torch.rand(8, 1, 8, 8), {}
    for judge_labels in (False, True):
        model = make("aae", DATA, **SMALL, conditional=True, judge_labels=judge_labels)
        with torch.no_grad():
            losses = [
                model.encoder_loss(Batch(x=x, y=torch.full((8,), c)))["encoder"]["adversarial"]
                for c in (0, 1)
            ]
        seen[judge_labels] = bool(losses[0] != losses[1])
    assert seen == {False: False, True: True}


def test_labels_that_are_not_there_are_asked_for():
    with pytest.raises(ValidationError, match="set conditional=true"):
        AAESettings(judge_labels=True)
    with pytest.raises(IncompatibleError, match="needs labels"):
        AAESettings(conditional=True).check(DataSpec(name="faces", shape=(3, 64, 64)))


def test_aae_learns_digits(learns, make, digits_data):
    sizes = {"hidden": (128,), "d_hidden": (64,)}
    untrained, trained, model = learns("aae", epochs=10, **sizes)
    assert trained < 0.6 * untrained
    x = torch.tensor(digits_data.test.x).float() / 127.5 - 1
    fresh = make("aae", digits_data.spec, **sizes)
    with torch.no_grad():
        losses = [float(m.validate(Batch(x=x))["loss"]) for m in (fresh, model)]
    assert losses[1] < 0.6 * losses[0]
