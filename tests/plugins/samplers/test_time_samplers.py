"""The samplers over time: their order, their law and their cost, on velocities known exactly."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import pytest
import torch

from genbench import SampleContext
from genbench.testing.oracle import SPREAD, Oracle
from genbench_flow.ddpm import DDPM, Levels
from genbench_flow.flow_settings import DDPMSettings
from genbench_flow.ode import ODE
from genbench_flow.sampler_settings import ODESettings, SDESettings
from genbench_flow.sde import SDE
from genbench_flow.solvers import evaluations_of, flow_map, integrate, times_of
from genbench_nets.labels import one_hot

MEAN, STD = 1.0, 0.3
CPU = torch.device("cpu")


def context(seed=0, **changes):
    generator = torch.Generator().manual_seed(seed)
    return SampleContext(device=CPU, generator=generator, batch_size=1500, **changes)


def velocity(x, t):
    """The velocity of straight lines between N(0, 1) and N(MEAN, STD^2)."""
    slope = (t * STD**2 - (1 - t)) / ((t * STD) ** 2 + (1 - t) ** 2)
    return MEAN + slope * (x - t * MEAN)


def error(solver, steps):
    z = torch.linspace(-2, 2, 9, dtype=torch.float64)
    times = [i / steps for i in range(steps + 1)]
    return float((integrate(velocity, z, times, solver) - (MEAN + STD * z)).abs().max())


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2), ("midpoint", 3)])
def test_eulers_error_falls_as_h_and_heuns_as_h_squared(solver, order):
    """The midpoint rule is of order 2, and of 3 here, where x_t is the root of a quadratic in t."""
    ratios = [error(solver, n) / error(solver, 2 * n) for n in (64, 128)]
    assert ratios == pytest.approx([2.0**order] * 2, rel=0.1)


@pytest.mark.parametrize(("solver", "expected"), [("euler", 7), ("midpoint", 14), ("heun", 13)])
def test_evaluations_are_counted_and_never_at_the_end_of_the_path(solver, expected):
    asked = []

    def told(x, t):
        asked.append(t)
        return velocity(x, t)

    integrate(told, torch.zeros(1), [i / 7 for i in range(8)], solver)
    assert len(asked) == evaluations_of(solver, 7) == expected
    assert max(asked) < 1


def gaussian(path, spread):
    """A model that knows the sample beneath the noise, of N(MEAN, spread^2)."""

    def denoise(x, t, y=None):
        a, s = path.signal(float(t[0])), path.noise(float(t[0]))
        return MEAN + a * spread**2 / ((a * spread) ** 2 + s**2) * (x - a * MEAN)

    return SimpleNamespace(
        path=path,
        denoise=denoise,
        prior=lambda n, generator: torch.randn(n, 1, generator=generator),
        generate=None,
    )


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("path", [Levels(1000, 1e-4, 0.02).path(bounded=False), Oracle.path])
def test_the_stochastic_draw_has_the_law_of_the_data_for_any_amount_of_noise(path, eta):
    path = path if path.end == 0 else Levels(100, 1e-3, 0.2).path(bounded=False)
    sampler = SDE(SDESettings(steps=100, eta=eta))
    (x,) = sampler.draw(gaussian(path, STD), 1500, context())
    assert float(x.mean()) == pytest.approx(MEAN, abs=0.05)
    assert float(x.std()) == pytest.approx(STD, abs=0.04)


def test_euler_along_the_path_of_ddpm_is_ddim_without_noise():
    torch.manual_seed(0)
    points = SimpleNamespace(name="points", shape=(2,), classes=4, bounded=False, is_image=False)
    model = DDPM(DDPMSettings(width=8, depth=1), points)
    torch.nn.init.normal_(model.nets["noise"].out.weight, std=0.1)
    (ode,) = ODE(ODESettings(solver="euler", steps=10)).draw(model, 50, context())
    (sde,) = SDE(SDESettings(eta=0.0, steps=10)).draw(model, 50, context())
    assert torch.allclose(ode, sde, rtol=1e-3, atol=1e-3)


def test_the_default_draw_is_the_map_of_generate_and_tells_its_evaluations():
    torch.manual_seed(0)
    points = SimpleNamespace(name="points", shape=(2,), classes=4, bounded=False, is_image=False)
    model = DDPM(DDPMSettings(width=8, depth=1), points)
    sampler = ODE(ODESettings())
    (drawn,) = sampler.draw(model, 20, context())
    z = model.prior(20, torch.Generator().manual_seed(0))
    assert torch.allclose(drawn, model.generate(z))
    assert sampler.diagnostics() == {"nfe": model.evaluations}


def test_a_bounded_model_is_drawn_in_its_range_with_the_labels_that_are_asked_for():
    class Labelled(Oracle):
        def _level(self, y):
            return (one_hot(y, 4).float() @ self.nets["constants"].values).view(-1, 1, 1, 1)

    model, y = Labelled(), torch.tensor([0, 3, 1])
    (x,) = ODE(ODESettings(steps=8)).draw(model, 3, context(labels=y))
    assert x.abs().max() <= 1
    levels = model.nets["constants"].values[y]
    assert torch.allclose(x.mean((1, 2, 3)), levels, atol=SPREAD)
    assert float(x[1].std()) < 2 * SPREAD


@pytest.mark.parametrize("schedule", ["own", "uniform", "edm"])
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_every_schedule_goes_from_start_to_end(schedule, steps):
    for path in (Oracle.path, Levels(50, 1e-3, 0.3).path(bounded=False)):
        times = times_of(path, steps, schedule)
        assert (len(times), times[0], times[-1]) == (steps + 1, path.start, path.end)
        assert sorted(times, reverse=path.start > path.end) == list(times)


def test_more_steps_bring_the_flow_nearer_to_the_exact_map():
    model, z = Oracle(), torch.randn(20, 1, 8, 8).clamp(-2, 2)
    exact = SPREAD * z
    apart = [
        float(
            (flow_map(model.path, model.velocity, z, times_of(model.path, n)) - exact).abs().max()
        )
        for n in (2, 8, 32)
    ]
    assert apart[0] > apart[1] > apart[2]
    assert apart[2] < 0.02
    assert math.isfinite(apart[0])


def test_a_trained_run_is_drawn_at_several_steps_and_compared_by_its_evaluations(
    genbench, tmp_path
) -> None:
    small = ("--set", "width=8", "--set", "depth=1", "--epochs", "1", "--samples", "50", "-q")
    said = genbench("run", "flow-matching", "gaussians-8", *small, "--set", "data.train=500")
    assert said.code == 0, said.err
    one, five = "ode[steps=1,solver=euler]", "ode[steps=5]"
    said = genbench("evaluate", "@1", "--sampler", one, "--sampler", five, "--sampler", "sde")
    assert said.code == 0, said.err
    (table,) = json.loads(genbench("compare", "--json").out)["datasets"]
    assert sorted(row["nfe"] for row in table["rows"]) == [1, 9, 19, 100]
    assert all(row["sample_s"]["mean"] > 0 for row in table["rows"])
    text = genbench("compare").out
    assert "NFE" in text
    assert "ode (steps=5)" in text
    assert genbench("report", "--out", "page.html").code == 0
    page = (tmp_path / "page.html").read_text()
    assert "Score against function evaluations" in page
    said = genbench("sample", "@1", "--sampler", "ode", "--set", "sampler.ode.steps=2", "-n", "9")
    assert said.code == 0, said.err
    said = genbench("evaluate", "@1", "--sampler", "drs")
    assert said.code == 2
