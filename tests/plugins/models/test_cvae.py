"""The conditional VAE: it answers to labels, and needs them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genbench import MONITOR, Batch, Conditional, DataSpec, IncompatibleError, UsageError
from genbench.testing import check_model, small_data
from genbench_nets.labels import FIRST_FACTOR, label_first
from genbench_vae.cvae_settings import CVAESettings

IMAGES = DataSpec(name="images", shape=(1, 28, 28), classes=10, train=1000, test=100)
SIZES = {"hidden": (64,), "channels": (4, 8), "conv_hidden": 32}
KINDS = [{}, {"network": "conv"}, {"network": "conv", "code": "spatial", "z_dim": 3}]


@pytest.mark.parametrize("kind", KINDS[1:])
def test_cvae_keeps_the_contract_with_convolutions(kind):
    check_model("cvae", CVAESettings(**SIZES, **kind), data=small_data((1, 8, 8)))


@pytest.mark.parametrize("kind", KINDS)
def test_encoder_and_decoder_answer_to_the_label(make, kind):
    model = make("cvae", IMAGES, **SIZES, **kind)
    assert isinstance(model, Conditional)
    x, y = torch.rand(1, 1, 28, 28).repeat(10, 1, 1, 1) * 2 - 1, torch.arange(10)
    with torch.no_grad():
        mean, _ = model.encode(x, y)
        images = model.generate(model.prior(1).expand_as(mean), y)
    assert len(mean.flatten(1).unique(dim=0)) == len(images.flatten(1).unique(dim=0)) == 10


@pytest.mark.parametrize("kind", KINDS)
def test_a_mixture_of_one_class_alone_is_that_class(make, kind):
    model = make("cvae", IMAGES, **SIZES, **kind)
    z, y = model.prior(4), torch.tensor([3, 1, 4, 9])
    whole = torch.nn.functional.one_hot(y, 10).float()
    between = 0.5 * (whole + whole.roll(1, 0))
    with torch.no_grad():
        assert torch.equal(model.generate(z, y), model.decode(z, whole))
        assert not torch.allclose(model.decode(z, between), model.decode(z, whole))


def test_without_a_label_every_way_in_says_what_it_needs(make):
    model = make("cvae", IMAGES, **SIZES)
    x, z = torch.zeros(2, 1, 28, 28), model.prior(2)
    for call in (
        lambda: model.encode(x),
        lambda: model.generate(z),
        lambda: model.decode(z),
        lambda: model.reconstruct(x),
        lambda: model.log_likelihood(x, z),
        lambda: model.loss(Batch(x=x)),
    ):
        with pytest.raises(UsageError, match="needs the label of each sample"):
            call()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (DataSpec(name="faces", shape=(3, 32, 32)), "cvae needs labels, and 'faces' has none"),
        (DataSpec(name="ring", shape=(2,), classes=8), "cvae takes images"),
    ],
)
def test_unlabelled_data_and_points_are_refused_in_one_sentence(make, data, said):
    with pytest.raises(IncompatibleError, match=said):
        make("cvae", data)


def test_its_likelihood_given_the_label_is_what_it_is_trained_on(make):
    model = make("cvae", IMAGES, **SIZES)
    x, y = torch.randint(0, 2, (6, 1, 28, 28)) * 2.0 - 1, torch.arange(6)
    torch.manual_seed(0)
    trained_on = model.loss(Batch(x=x, y=y))["vae"]["reconstruction"]
    torch.manual_seed(0)
    mean, logvar = model.encode(x, y)
    z = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
    assert torch.allclose(-model.log_likelihood(x, z, y).mean(), trained_on, rtol=1e-4)
    with pytest.raises(UsageError, match="likelihood=mse"):
        make("cvae", IMAGES, likelihood="mse").log_likelihood(x, z, y)


def test_the_code_is_dear_at_first_and_the_kl_weighs_beta_from_then_on():
    x = torch.zeros(1)
    factors = [label_first(Batch(x=x, step=step, steps=100), 0.5) for step in (0, 25, 50, 99)]
    assert factors == pytest.approx([FIRST_FACTOR, FIRST_FACTOR**0.5, 1.0, 1.0])
    assert label_first(Batch(x=x, step=0, steps=100), 0.0) == 1.0


def test_training_records_the_kl_as_validation_does_without_its_weight(make):
    model, x, y = make("cvae", IMAGES, **SIZES), torch.zeros(4, 1, 28, 28), torch.arange(4)
    terms = model.loss(Batch(x=x, y=y, step=0, steps=100))
    bare = terms[MONITOR]["kl"]
    assert torch.allclose(terms["vae"]["kl"], model.settings.beta * FIRST_FACTOR * bare)
    assert torch.allclose(bare, model.validate(Batch(x=x, y=y))["kl"])


def test_the_loss_on_test_images_is_the_same_at_every_step(make):
    """What is trained on falls with the weight of the KL; what is compared must not."""
    model = make("cvae", IMAGES, **SIZES)
    x, y = torch.zeros(4, 1, 28, 28), torch.arange(4)
    told = []
    for step in (0, 99):
        torch.manual_seed(0)
        told.append(model.validate(Batch(x=x, y=y, step=step, steps=100))["loss"].item())
    assert told[0] == told[1]


def test_the_metrics_of_likelihoods_are_told_the_labels(make, digits_data, tmp_path):
    from dataclasses import replace

    from genbench import MetricContext
    from genbench_metrics.active_units import ActiveUnits
    from genbench_metrics.elbo import Elbo

    test = digits_data.test
    black = replace(test, x=((test.x > 127) * 255).astype(np.uint8))
    context = MetricContext(
        data=replace(digits_data, test=black),
        model=make("cvae", digits_data.spec, **SIZES),
        device=torch.device("cpu"),
        cache=tmp_path,
        n=100,
    )
    for metric, scores in ((Elbo(), 3), (ActiveUnits(), 1)):
        metric.begin(context)
        with torch.no_grad():
            taken = metric.result()
        assert len(taken) == scores
        assert all(np.isfinite(score.value) for score in taken)
    assert Elbo.requires == ("encodes", "generates", "has-likelihood")


def test_it_learns_digits_and_to_draw_the_class_that_is_asked_for(learns, label_accuracy):
    untrained, trained, model = learns("cvae", epochs=30, hidden=(256,), z_dim=6)
    assert trained < 0.4 * untrained
    assert label_accuracy(model).value > 0.8
