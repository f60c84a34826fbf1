"""The laws of PixelCNN: its order, its masses, and samples that follow them."""

from __future__ import annotations

import math

import pytest
import torch

from genbench import DataSpec, IncompatibleError, UsageError
from genbench.contracts import MetricContext
from genbench.testing import small_data
from genbench_likelihood.pixel_laws import level_of, value_of
from genbench_metrics.exact_density import BitsPerDim
from genbench_metrics.nll import Nll

TINY = {"layers": 2, "channels": 6, "hidden": 8, "kernel": 3}
KINDS = ("logistic", "categorical", "bernoulli")


@pytest.fixture
def tiny(make):
    def build(shape=(1, 6, 5), likelihood="logistic", classes=None, **settings):
        torch.manual_seed(0)
        values = {**TINY, "likelihood": likelihood, **settings}
        model = make("pixelcnn", DataSpec(name="x", shape=shape, classes=classes), **values)
        for parameter in model.nets.parameters():
            parameter.data.add_(0.2 * torch.randn_like(parameter))
        return model

    return build


def parameters(model, x):
    """Those of the law of each value, (B, C, K, H, W)."""
    network = model.nets["network"]
    features = network(x)
    return torch.stack([network._of_law(features, x, c) for c in range(x.shape[1])], 1)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("shape", [(1, 6, 5), (3, 5, 6)])
def test_the_logits_of_a_pixel_do_not_move_when_later_pixels_do(tiny, shape, kernel):
    model = tiny(shape, kernel=kernel)
    x = torch.rand(1, *shape) * 2 - 1
    before = parameters(model, x)
    for i, j in ((0, 0), (0, 3), (2, 0), (3, 4)):
        changed = x.clone()
        changed[:, :, i, j:] += 0.3
        changed[:, :, i + 1 :] -= 0.3
        after = parameters(model, changed)
        same = (before == after).all(dim=2)
        assert same[:, :, :i].all()
        assert same[:, :, i, :j].all()
        assert same[:, 0, i, j].all()
        assert not same[:, 1:, i, j].any()  # a later channel sees the earlier ones of its pixel
        assert not same[:, :, i, j + 1 :].any()


def test_a_pixel_sees_every_pixel_before_it_that_its_layers_reach(tiny):
    model = tiny((1, 6, 5), layers=6)
    x = torch.zeros(1, 1, 6, 5, requires_grad=True)
    parameters(model, x)[0, 0, :, 4, 2].sum().backward()
    seen = x.grad[0, 0] != 0
    order = torch.arange(30).view(6, 5)
    assert torch.equal(seen, order < order[4, 2])  # no blind spot


@pytest.mark.parametrize("shape", [(1, 6, 5), (3, 4, 4)])
@pytest.mark.parametrize("likelihood", KINDS)
def test_masses_sum_to_one_and_samples_are_their_quantiles(tiny, shape, likelihood):
    model = tiny(shape, likelihood)
    law = model.nets["network"].law
    z = model.prior(3, torch.Generator().manual_seed(1))
    x = model.generate(z)
    with torch.no_grad():
        found = parameters(model, x).movedim(2, -1).flatten(0, 3)[..., None, None]
    levels = [value_of(torch.tensor(k), law.levels) for k in range(law.levels)]
    masses = torch.stack([law.log_mass(found, v.expand(len(found), 1, 1)) for v in levels], 1)
    masses = masses.exp().flatten(1).double()
    assert float((masses.sum(1) - 1).abs().max()) < 1e-4
    below = law.below(found[..., 0, 0]).double()
    assert float((masses.cumsum(1)[:, :-1] - below).abs().max()) < 1e-4
    u, drawn = z.add(1).div(2).flatten(), x.flatten()
    index = (drawn + 1).mul((law.levels - 1) / 2).round().long()
    ends = torch.cat([torch.zeros(len(u), 1), below, torch.ones(len(u), 1)], 1)
    assert (ends.gather(1, index[:, None])[:, 0] <= u + 1e-5).all()
    assert (u <= ends.gather(1, index[:, None] + 1)[:, 0] + 1e-5).all()


def test_a_conditional_model_draws_the_quantiles_of_the_law_that_its_label_gives(tiny):
    model = tiny((1, 4, 4), "bernoulli", classes=3, conditional=True)
    z = model.prior(200, torch.Generator().manual_seed(1))
    told = [model.generate(z, torch.full((200,), label)) for label in range(3)]
    assert not torch.equal(told[0], told[1])
    both = model.generate(z, torch.arange(200) % 3)
    hot = torch.nn.functional.one_hot(torch.arange(200) % 3, 3).float()
    assert torch.equal(both, model.generate(z, hot))
    for label in range(3):
        assert torch.equal(both[label::3], told[label][label::3])
    every = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 4).view(16, 1, 2, 2)
    small = tiny((1, 2, 2), "bernoulli", classes=3, conditional=True)
    with torch.no_grad():
        masses = [small.log_density(every, torch.full((16,), y)).exp() for y in range(3)]
    assert all(float(mass.sum()) == pytest.approx(1, abs=1e-5) for mass in masses)
    assert float((masses[0] - masses[1]).abs().max()) > 1e-3


def test_a_conditional_model_needs_labels(tiny):
    with pytest.raises(IncompatibleError, match="conditional=true needs labels"):
        tiny(conditional=True)
    with pytest.raises(UsageError, match="needs the label of each sample"):
        tiny(classes=3, conditional=True).log_density(torch.zeros(1, 1, 6, 5))


def test_levels_survive_noise_and_both_scales_of_the_pixels():
    levels = torch.arange(256)
    assert torch.equal(level_of(value_of(levels, 256)), levels)
    for noise in (0.0, 0.5, 0.99):
        assert torch.equal(level_of((levels + noise) / 128 - 1), levels)


@pytest.fixture
def score(tmp_path):
    def scored(metric, model, data):
        metric.begin(
            MetricContext(data=data, model=model, device=torch.device("cpu"), cache=tmp_path, n=16)
        )
        [found] = metric.result()
        return found

    return scored


def without_weights(model):
    for parameter in model.nets.parameters():
        parameter.data.zero_()
    return model


def test_a_model_that_knows_nothing_has_eight_bits_or_one_by_its_levels(tiny, score):
    grey = small_data((1, 8, 8))
    model = without_weights(tiny((1, 8, 8), "categorical"))
    assert score(BitsPerDim(), model, grey).value == pytest.approx(8, abs=1e-5)
    black = small_data((1, 8, 8))
    black.test.x[:] = (black.test.x > 127) * 255
    coin = without_weights(tiny((1, 8, 8), "bernoulli"))
    found = score(Nll(), coin, black)
    assert found.value == pytest.approx(64 * math.log(2), rel=1e-6)
    assert found.protocol["measure"] == "exact mass"
    assert found.protocol["binarization"] == "fixed"
    with pytest.raises(UsageError, match="black and white pixels; use nll"):
        BitsPerDim().begin(MetricContext(data=black, model=coin, device=None, cache=None, n=1))


def test_a_mass_of_black_and_white_is_no_likelihood_of_grey_pixels(tiny, score):
    with pytest.raises(UsageError, match="not a likelihood"):
        score(Nll(), tiny((1, 8, 8), "bernoulli"), small_data((1, 8, 8)))


def test_pixelcnn_that_is_trained_on_digits_beats_its_untrained_self(learns, digits_of):
    data = digits_of(size=8)
    untrained, trained, _ = learns("pixelcnn", epochs=2, data=data, lr=1e-2, **TINY)
    assert trained < 0.9 * untrained


def test_pixelcnn_refuses_points_and_latents(plugins):
    with pytest.raises(IncompatibleError, match="takes images of 256 levels"):
        plugins.settings("model", "pixelcnn")().check(DataSpec(name="x", shape=(2,)))
