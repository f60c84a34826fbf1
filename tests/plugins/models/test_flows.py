"""The laws of normalising flows: densities of total mass 1, exact inverses, exact determinants."""

from __future__ import annotations

import importlib.util
import math
from itertools import product

import pytest
import torch

from genbench import DataAccess, DataSpec, IncompatibleError, UsageError, dequantized
from genbench.planning.amend import amend
from genbench.runner.build_parts import build_model, completed
from genbench.spec import RunSpec
from genbench.testing import small_data

POINTS = DataSpec(name="points", shape=(2,))
SMALL = {
    "realnvp": {"hidden": (16,), "couplings": 4},
    "maf": {"hidden": (16, 16), "layers": 3},
    "nsf": {"hidden": (16,), "layers": 3},
}
SMALL_ON_IMAGES = {
    "realnvp": {"channels": 4, "blocks": 1},
    "maf": {"hidden": (24, 12), "layers": 2},
    "nsf": {"hidden": (8,), "layers": 2, "bins": 4},
}


@pytest.fixture
def moved(make):
    """A flow with weights that are no longer the initial ones, of which some are 0."""

    def build(name, spec, **settings):
        torch.manual_seed(1)
        model = make(name, spec, **settings)
        for parameter in model.nets.parameters():
            parameter.data.add_(0.05 * torch.randn_like(parameter))
        return model

    return build


@pytest.mark.parametrize("name", SMALL)
def test_the_density_of_points_integrates_to_one_on_a_grid(moved, name):
    model = moved(name, POINTS, **SMALL[name])
    model.nets["scaling"].fit([torch.randn(500, 2) * torch.tensor([1.5, 0.5]) + 0.7])
    line = torch.arange(-9, 9, 0.06)
    grid = torch.cartesian_prod(line, line)
    with torch.no_grad():
        mass = model.log_density(grid).double().exp().sum() * 0.06**2
    assert float(mass) == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize(
    ("name", "shape"),
    [*product(SMALL, [(2,), (5,), (1, 8, 8)]), ("realnvp", (2, 16, 16)), ("maf", (2, 16, 16))],
)
def test_the_inverse_is_exact_and_the_determinant_is_that_of_the_jacobian(moved, name, shape):
    small = SMALL_ON_IMAGES if len(shape) == 3 else SMALL
    check_exact(moved(name, DataSpec(name="x", shape=shape), **small[name]).nets["flow"], shape)


def test_a_dense_realnvp_of_images_is_exact_and_keeps_the_colours_of_a_checkerboard_in_turn(moved):
    data = DataSpec(name="x", shape=(1, 4, 6))
    flow = moved("realnvp", data, network="mlp", **SMALL["realnvp"]).nets["flow"]
    check_exact(flow, data.shape)
    first, second, *_ = (coupling.kept.view(4, 6) for coupling in flow.couplings)
    assert torch.equal(first + second, torch.ones(4, 6))
    assert torch.equal(first[:, 1:] + first[:, :-1], torch.ones(4, 5))
    assert torch.equal(first[1:] + first[:-1], torch.ones(3, 6))


@pytest.mark.parametrize(("name", "shape"), list(product(SMALL, [(2,), (1, 8, 8)])))
def test_a_conditional_flow_is_exact_for_each_label_and_another_one_for_others(moved, name, shape):
    small = SMALL_ON_IMAGES if len(shape) == 3 else SMALL
    data = DataSpec(name="x", shape=shape, classes=3)
    model = moved(name, data, conditional=True, **small[name])
    x, y = torch.randn(4, *shape).clamp(-1, 1), torch.tensor([0, 1, 2, 2])
    with torch.no_grad():
        labels = torch.nn.functional.one_hot(y, 3).float()
        z, log_det = model.nets["flow"](x, labels)
        assert float((model.nets["flow"].inverse(z, labels) - x).abs().max()) < 1e-5
        assert float((model.generate(z, y) - model.generate(z, labels)).abs().max()) == 0
        apart = model.log_density(x, y) - model.log_density(x, (y + 1) % 3)
    assert float(apart.abs().min()) > 1e-6
    jacobian = torch.autograd.functional.jacobian(
        lambda one: model.nets["flow"](one[None], labels[:1])[0][0], x[0]
    )
    expected = torch.linalg.slogdet(jacobian.reshape(z.shape[1], -1)).logabsdet
    assert float(log_det[0]) == pytest.approx(float(expected), abs=1e-4)
    with pytest.raises(UsageError, match="needs the label of each sample"):
        model.log_density(x)
    with pytest.raises(IncompatibleError, match="conditional=true needs labels"):
        moved(name, DataSpec(name="x", shape=shape), conditional=True)


def test_convolutions_of_points_are_refused_with_what_to_set(plugins):
    with pytest.raises(IncompatibleError, match=r"images or grids.*set network=mlp"):
        plugins.settings("model", "realnvp")(network="conv").check(POINTS)


def check_exact(flow, shape):
    """The inverse, and the determinant if the Jacobian is small enough to compute."""
    with torch.no_grad():
        x = torch.randn(3, *shape)
        z, log_det = flow(x)
        assert float((flow.inverse(z) - x).abs().max()) < 1e-5
    if z.shape[1] > 64:
        return
    jacobian = torch.autograd.functional.jacobian(lambda one: flow(one[None])[0][0], x[0])
    expected = torch.linalg.slogdet(jacobian.reshape(z.shape[1], -1)).logabsdet
    assert float(log_det[0]) == pytest.approx(float(expected), abs=1e-4)


def test_an_autoregressive_value_is_a_map_of_earlier_ones_alone(moved):
    made = moved("maf", DataSpec(name="x", shape=(6,)), hidden=(64, 64)).nets["flow"].layers[0]
    x = torch.randn(6)
    seen = torch.autograd.functional.jacobian(lambda x: sum(made(x[None]))[0], x) != 0
    assert torch.equal(seen, torch.ones(6, 6).tril(-1).bool())


def test_a_stored_flow_without_a_margin_keeps_that_of_its_version(plugins, tmp_path):
    """The margin was fixed at 0.05 before it was a setting; new runs have another default."""
    data, access = small_data((1, 8, 8)).spec, DataAccess(root=tmp_path, cache=tmp_path)
    settings = {"hidden": [8], "layers": 2, "lr": 1e-3}
    stored = RunSpec(
        model="maf", dataset="digits", model_settings=settings, epochs=1, batch_size=10
    )
    assert build_model(stored, data, plugins).nets["scaling"].margin == 0.05
    assert amend(stored, plugins, access).model_settings["margin"] == 0.05
    assert completed(stored, data, plugins).model_settings["margin"] == 1e-6


@pytest.mark.parametrize("margin", [0.05, 1e-6])
def test_images_of_a_flow_are_scaled_by_their_logits_and_back(make, margin):
    data = small_data((1, 8, 8))
    data.train.x[:, 0, 0] = 0
    data.train.x[:, 0, 1] = 255
    scaling = make("maf", data.spec, margin=margin).nets["scaling"]
    levels = torch.from_numpy(data.train.x).float().div(127.5).sub(1)
    x = dequantized(levels, torch.Generator().manual_seed(0))
    scaling.fit([levels[:40], levels[40:]])
    y, log_det = scaling(x)
    assert float(y.mean(0).abs().max()) < 1e-5
    wide = scaling.std > 0.1
    assert float((y.std(0) - 1)[wide].abs().max()) < 0.02
    assert float((scaling.inverse(y) - x).abs().max()) < 1e-5
    one = x[0].double().flatten()
    inside = margin + (1 - 2 * margin) * (one + 1) / 2
    slopes = (0.5 - margin) / (inside * (1 - inside)) / scaling.std.double().flatten()
    assert float(log_det[0]) == pytest.approx(float(slopes.log().sum()), rel=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_a_flow_that_is_trained_on_digits_beats_its_untrained_self(learns, digits_of, name):
    data = digits_of(size=8)
    untrained, trained, model = learns(
        name, epochs=2, batch_size=100, data=data, lr=3e-3, **SMALL_ON_IMAGES[name]
    )
    assert trained < 0.9 * untrained
    x = dequantized(torch.tensor(data.test.x[:50]).float().div(127.5).sub(1))
    with torch.no_grad():
        bits = (math.log(128) - float(model.log_density(x).mean()) / 64) / math.log(2)
    assert bits < 7


def test_nsf_without_zuko_tells_what_to_install(plugins, monkeypatch):
    settings = plugins.settings("model", "nsf")()
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "genbench_likelihood.flow_settings.find_spec",
        lambda name: None if name == "zuko" else found(name),
    )
    with pytest.raises(IncompatibleError, match=r"needs the package 'zuko'.*genbench\[flows\]"):
        settings.check(POINTS)


@pytest.mark.parametrize("name", SMALL)
def test_independent_values_do_not_start_at_a_saddle_point(make, name):
    """On a grid of modes, a flow that starts as the identity would not move [nll stays 3.53]."""
    torch.manual_seed(0)
    model = make(name, POINTS, **SMALL[name])
    other = make(name, POINTS, **SMALL[name])
    x = torch.randn(200, 2)
    with torch.no_grad():
        assert not torch.allclose(model.log_density(x), other.log_density(x))


@pytest.mark.parametrize("name", ["realnvp", "nsf"])
def test_a_coupling_of_a_single_value_is_refused_in_one_sentence(plugins, name):
    with pytest.raises(IncompatibleError, match="has one; use maf"):
        plugins.settings("model", name)().check(DataSpec(name="x", shape=(1,)))
