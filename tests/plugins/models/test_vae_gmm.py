"""The VAE with a mixture on its codes: two stages, and what it samples from."""

from __future__ import annotations

import pytest
import torch

from genbench import MONITOR, Batch, DataSpec, IncompatibleError
from genbench.testing import check_model, small_data
from genbench_vae.vae_gmm_settings import VAEGMMSettings

IMAGES = DataSpec(name="images", shape=(1, 8, 8))
SMALL = {"z_dim": 3, "hidden": (16,), "components": 2}


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((1, 8, 8), {"fit_to": "mean", "covariance": "diag", "likelihood": "mse"}),
        ((1, 8, 8), {"network": "conv", "code": "spatial", "channels": (4,), "z_dim": 2}),
        ((2,), {"likelihood": "mse"}),
    ],
)
def test_every_option_of_the_vae_gmm_keeps_the_contract(shape, settings):
    check_model("vae-gmm", VAEGMMSettings(**{**SMALL, **settings}), data=small_data(shape))


def test_points_take_no_bernoulli_likelihood(make):
    with pytest.raises(IncompatibleError, match="set likelihood=mse"):
        make("vae-gmm", DataSpec(name="ring", shape=(2,)))


def test_with_beta_1_the_loss_is_that_of_the_plain_vae(make):
    sizes = {"z_dim": 3, "hidden": (16,)}
    torch.manual_seed(0)
    plain = make("vae", IMAGES, **sizes)
    model = make("vae-gmm", IMAGES, **SMALL, beta=1)
    for net in ("encoder", "decoder"):
        model.nets[net].load_state_dict(plain.nets[net].state_dict())
    batch = Batch(x=torch.rand(5, 1, 8, 8) * 2 - 1)
    found = []
    for one in (plain, model):
        torch.manual_seed(1)
        found.append(one.loss(batch)["vae"])
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_training_records_the_kl_as_validation_does_without_its_weight(make):
    model, batch = make("vae-gmm", IMAGES, **SMALL), Batch(x=torch.rand(5, 1, 8, 8) * 2 - 1)
    terms = model.loss(batch)
    assert torch.allclose(terms["vae"]["kl"], 0.05 * terms[MONITOR]["kl"])
    assert torch.allclose(terms[MONITOR]["kl"], model.validate(batch)["kl"])


def test_the_mixture_is_fitted_to_draws_of_the_posterior_or_to_its_means(make):
    x = torch.rand(400, 1, 8, 8) * 2 - 1
    for fit_to, noisy in (("sample", True), ("mean", False)):
        model = make("vae-gmm", IMAGES, **SMALL, fit_to=fit_to)
        with torch.no_grad():
            mean, logvar = model.encode(x)
            codes = model.codes(x, torch.Generator().manual_seed(0))
            again = model.codes(x, torch.Generator().manual_seed(0))
        deviation = (codes - mean) * torch.exp(-0.5 * logvar)
        assert torch.equal(codes, again)
        assert float(deviation.std()) == pytest.approx(1.0 if noisy else 0.0, abs=0.05)


def test_what_it_generates_is_the_decoding_of_the_mixtures_draws(make):
    model = make("vae-gmm", IMAGES, **SMALL)
    density = model.nets["density"]
    density.fit(torch.randn(200, 3) * 0.1 + 5)
    z = model.prior(300, torch.Generator().manual_seed(0))
    assert z.shape == (300, 4)
    codes = density(z)
    assert torch.allclose(codes.mean(0), torch.full((3,), 5.0), atol=0.1)
    assert torch.equal(model.generate(z), model.decode(codes))


def test_samples_are_differentiable_in_their_noise(make):
    model = make("vae-gmm", IMAGES, **SMALL)
    z = model.prior(4).requires_grad_(True)
    (slope,) = torch.autograd.grad(model.generate(z).sum(), z)
    assert slope[:, 1:].abs().min() > 0


def test_on_digits_the_mixture_samples_better_than_the_prior(learns, digits_data, tmp_path):
    untrained, trained, model = learns("vae-gmm", epochs=15, z_dim=8, hidden=(128,), components=10)
    assert trained < 0.5 * untrained
    model.nets["density"].load_state_dict(prior_of(model))
    assert trained < 0.8 * score(model, digits_data, tmp_path)


def prior_of(model):
    """The state of a density that was never fitted: N(0, I)."""
    from genbench_nets.ex_post import ExPostDensity

    return ExPostDensity(model.settings, DataSpec(name="x", shape=(1, 28, 28))).state_dict()


def score(model, data, cache) -> float:
    """fd_clf of as many samples as there are test images."""
    from genbench import MetricContext, to_uint8
    from genbench_metrics.fd_clf import FdClf

    metric, n, device = FdClf(), len(data.test.x), torch.device("cpu")
    metric.begin(MetricContext(data=data, model=model, device=device, cache=cache, n=n))
    with torch.no_grad():
        metric.update(to_uint8(model.generate(model.prior(n, torch.Generator().manual_seed(0)))))
    return metric.result()[0].value
