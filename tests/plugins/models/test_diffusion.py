"""Flow matching, DDPM and EDM: what they learn, and the closed forms of their papers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from genbench import Batch, Conditional, DataSpec, IncompatibleError
from genbench.errors import SettingError
from genbench.testing import check_model, small_data
from genbench.testing.devices import check_device
from genbench.testing.models import check_resume, check_state
from genbench.testing.subject import subject
from genbench_flow.ddpm import DDPM, Levels
from genbench_flow.edm import EDM, preconditioning
from genbench_flow.flow_matching import FlowMatching, optimal_pairing
from genbench_flow.flow_settings import DDPMSettings, EDMSettings, FlowMatchingSettings
from genbench_flow.networks import ConditionEmbedding, guided, some_dropped
from genbench_flow.solvers import denoised_step, edm_times

LINE = DataSpec(name="line", shape=(1,))
POINTS = DataSpec(name="points", shape=(2,), classes=4, train=100)
MNIST = DataSpec(name="mnist", shape=(1, 28, 28), classes=10, train=60_000)
TINY = {"width": 16, "depth": 1}


@pytest.mark.parametrize("name", ["flow-matching", "ddpm", "edm"])
def test_on_digits_each_beats_its_untrained_self(name, learns):
    untrained, trained, _ = learns(name, epochs=3, lr=4e-3, patch=7, channels=[32])
    assert trained < 0.9 * untrained


def test_a_fitted_velocity_between_two_gaussians_is_the_closed_form():
    mean, std = 1.0, 0.5
    torch.manual_seed(0)
    model = FlowMatching(FlowMatchingSettings(width=32, depth=1), LINE)
    optimizer = torch.optim.Adam(model.nets.parameters(), lr=1e-2)
    rate = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, 300)
    for _ in range(300):
        optimizer.zero_grad()
        x = mean + std * torch.randn(1024, 1)
        model.loss(Batch(x=x))["flow"]["velocity"].backward()
        optimizer.step()
        rate.step()
    for t in (0.1, 0.5, 0.9):
        spread = math.sqrt((t * std) ** 2 + (1 - t) ** 2)
        x = t * mean + spread * torch.linspace(-1.5, 1.5, 9)[:, None]
        slope = (t * std**2 - (1 - t)) / spread**2
        with torch.no_grad():
            found = model.velocity(x, torch.full((9,), t))
        assert torch.allclose(found, mean + slope * (x - t * mean), atol=0.2), t


def test_edms_factors_at_both_ends_and_unit_variance_between():
    low, high = (preconditioning(torch.tensor(s, dtype=torch.float64), 0.5) for s in (1e-6, 1e6))
    assert low.skip.item() == pytest.approx(1)
    assert low.out.item() == pytest.approx(1e-6)
    assert low.into.item() == pytest.approx(2)
    assert high.skip.item() == pytest.approx(0, abs=1e-9)
    assert high.out.item() == pytest.approx(0.5)
    assert high.into.item() == pytest.approx(1e-6)
    for sigma in (0.05, 0.5, 5.0):
        c = preconditioning(torch.tensor(sigma), 0.5)
        assert c.into.item() ** 2 * (0.5**2 + sigma**2) == pytest.approx(1)
        target = (1 - c.skip) ** 2 * 0.5**2 + c.skip**2 * sigma**2
        assert target.item() == pytest.approx(c.out.item() ** 2)


def test_edm_returns_x_without_noise_and_ends_its_noise_at_18_steps_as_published():
    model = EDM(EDMSettings(**TINY), POINTS)
    x = torch.randn(5, 2)
    assert torch.allclose(model.denoise(x, torch.full((5,), 1e-4)), x, atol=1e-3)
    times = model.path.times(18)
    assert (times[0], times[17], times[18]) == pytest.approx((80, 0.002, 0))
    assert times[1] == pytest.approx((80 ** (1 / 7) + (0.002 ** (1 / 7) - 80 ** (1 / 7)) / 17) ** 7)
    assert (model.evaluations, len(edm_times(0.0, 1.0, 0.01, 5))) == (35, 6)


def test_ddpms_levels_are_the_published_ones():
    levels = Levels(1000, 1e-4, 0.02)
    assert levels.kept[[0, 999]].tolist() == pytest.approx([0.9999, 4.036e-5], rel=1e-3)
    at = torch.tensor([levels.ratio(level) for level in (1, 20, 500, 980.5, 1000)])
    assert levels.at(at).tolist() == pytest.approx([1, 20, 500, 980.5, 1000], rel=1e-4)
    assert (levels.ratio(0), levels.ratio(1)) == pytest.approx((0, 0.01), rel=1e-3)


@pytest.mark.parametrize("level", [0, 400, 999])
def test_the_noise_follows_from_v_and_v_is_what_its_loss_compares_with(level, monkeypatch):
    """v = sqrt(abar) eps - sqrt(1 - abar) x_0 has no loss, and gives eps and the sample back."""
    model = DDPM(DDPMSettings(target="velocity", **TINY), POINTS)
    sample, eps = torch.randn(3, 2), torch.randn(3, 2)
    kept = Levels(1000, 1e-4, 0.02).kept[level]
    v = kept.sqrt() * eps - (1 - kept).sqrt() * sample
    for name in ("trained", "drawn"):
        monkeypatch.setattr(model._field, name, lambda x, t, y: v)
    ratio = ((1 - kept) / kept).sqrt()
    x, times = sample + ratio * eps, ratio.expand(3)
    assert torch.allclose(model.velocity(x, times), eps, atol=1e-4)
    assert torch.allclose(model.denoise(x, times), sample, atol=1e-3)
    monkeypatch.setattr(torch, "randint", lambda high, size, device: torch.full(size, level))
    monkeypatch.setattr(torch, "randn_like", lambda x: eps)
    assert float(model.loss(Batch(x=sample))["ddpm"]["noise"]) < 1e-10


@pytest.mark.parametrize("t", [2, 400, 1000])
def test_one_ancestral_step_is_ddpms_posterior(t):
    """Equations 6 and 7 of Ho et al., after x_t is divided by sqrt(abar_t)."""
    levels = Levels(1000, 1e-4, 0.02)
    kept, before = (float(levels.kept.double()[i]) for i in (t - 1, t - 2))
    beta = 1 - kept / before
    sample, x = torch.randn(3, 2), torch.randn(3, 2)
    mean = before**0.5 * beta / (1 - kept) * sample
    mean = mean + (1 - beta) ** 0.5 * (1 - before) / (1 - kept) * x
    variance = (1 - before) / (1 - kept) * beta
    path = levels.path(bounded=False)
    found, new = denoised_step(
        x / kept**0.5, sample, path, levels.ratio(t), levels.ratio(t - 1), eta=1.0
    )
    assert torch.allclose(before**0.5 * found, mean, rtol=1e-2, atol=1e-3)
    assert before * new**2 == pytest.approx(variance, rel=1e-2)


def test_optimal_pairing_is_a_permutation_that_shortens_the_lines():
    torch.manual_seed(0)
    x, noise = torch.randn(40, 2) + 3, torch.randn(40, 2)
    order = optimal_pairing(noise, x)
    assert order.sort().values.tolist() == list(range(40))
    assert (noise[order] - x).square().sum() < 0.9 * (noise - x).square().sum()
    model = FlowMatching(FlowMatchingSettings(pairing="ot", **TINY), POINTS)
    assert torch.isfinite(model.loss(Batch(x=x))["flow"]["velocity"])


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("flow-matching", {"conditional": True, "guidance": 2.0, "times": "logit-normal"}),
        ("edm", {"conditional": True}),
        ("ddpm", {"target": "velocity"}),
    ],
)
def test_options_keep_the_contract_on_points(name, settings, plugins):
    check_model(name, plugins.settings("model", name)(**settings, **TINY), data=small_data((2,)))


def test_a_run_with_reflow_is_resumed_bitwise_and_works_on_a_gpu(plugins):
    settings = FlowMatchingSettings(reflow=True, **TINY)
    part = subject("model", "flow-matching", settings, plugins)
    for law in (check_resume, check_state, check_device):
        law(part, small_data((2,)))


def test_reflow_trains_on_what_the_frozen_first_stage_makes():
    model = FlowMatching(FlowMatchingSettings(reflow=True, **TINY), POINTS)
    assert [stage.name for stage in model.stages()] == ["flow", "reflow"]
    with torch.no_grad():
        model.nets["velocity"].out.bias.fill_(1.0)
        model.keep_teacher(iter(()))
        model.nets["velocity"].out.bias.fill_(5.0)
        z, x = model.pairs(torch.zeros(7, 2), torch.Generator()).unbind(1)
    assert torch.allclose(x, z + 1, atol=1e-5), "a constant velocity of the teacher"


def test_guidance_pushes_away_from_what_has_no_label_and_takes_two_passes():
    torch.manual_seed(0)
    model = FlowMatching(FlowMatchingSettings(conditional=True, **TINY), POINTS)
    torch.nn.init.normal_(model.nets["velocity"].out.weight)
    x, t, y = torch.randn(4, 2), torch.rand(4), torch.arange(4)
    told, untold = model.velocity(x, t, y), model.velocity(x, t)
    assert not torch.allclose(told, untold)
    net, labels = model.nets["velocity"], torch.eye(4)
    assert torch.allclose(guided(net, x, t, labels, 3.0), untold + 3 * (told - untold), atol=1e-5)
    pushed = FlowMatching(FlowMatchingSettings(conditional=True, guidance=3.0, **TINY), POINTS)
    assert (pushed.passes, pushed.evaluations) == (2, 2 * model.evaluations)
    dropped = some_dropped(torch.eye(4).repeat(500, 1), 0.25)
    assert float(dropped.sum()) == pytest.approx(1500, abs=100)


def test_a_model_takes_labels_only_if_it_is_asked_to():
    plain = DDPM(DDPMSettings(**TINY), POINTS)
    assert not isinstance(plain, Conditional)
    assert isinstance(DDPM(DDPMSettings(conditional=True, **TINY), POINTS), Conditional)
    with pytest.raises(IncompatibleError, match="conditional=true needs labels"):
        DDPM(DDPMSettings(conditional=True), LINE)


def test_times_are_told_apart_by_their_embedding():
    condition = ConditionEmbedding(16, 0)
    found = condition(torch.tensor([0.0, 0.001, 0.5]), None)
    assert (found[0] - found[1]).abs().max() > 1e-4
    assert (found[0] - found[2]).abs().max() > 1e-2


@pytest.mark.parametrize("side", [28, 32, 64])
def test_the_u_net_fits_the_sides_it_promises(side):
    data = DataSpec(name="x", shape=(3, side, side))
    model = EDM(EDMSettings(channels=(8, 8, 8) if side > 28 else (8, 8)), data)
    assert model.settings.patch == 2
    assert model.denoise(torch.randn(1, *data.shape), torch.ones(1)).shape == (1, *data.shape)


@pytest.mark.parametrize("shape", [(4, 7, 7), (2, 4, 6), (16,)])
def test_codes_of_any_shape_are_drawn_without_bounds(shape):
    codes = DataSpec(name="latents", shape=shape, latent=True, source=MNIST)
    model = FlowMatching(FlowMatchingSettings(**TINY), codes)
    assert not model.path.bounded
    drawn = model.generate(model.prior(64, torch.Generator()))
    assert drawn.shape == (64, *shape)
    assert drawn.abs().max() > 1


@pytest.mark.parametrize(
    ("settings", "data", "said"),
    [
        ({"network": "unet"}, POINTS, "set network=mlp"),
        ({"channels": (8, 8, 8)}, MNIST, "divisible by 8"),
    ],
)
def test_networks_that_do_not_fit_are_refused_in_one_sentence(settings, data, said):
    with pytest.raises(IncompatibleError, match=said):
        FlowMatchingSettings(**settings).check(data)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"guidance": 2}, "guidance needs labels"),
        ({"reflow": True, "conditional": True}, "pairs of reflow have no labels"),
    ],
)
def test_options_that_exclude_one_another_are_refused(settings, said, make):
    with pytest.raises(SettingError, match=said):
        make("flow-matching", POINTS, **settings)


def test_each_model_is_averaged_over_a_share_of_its_steps():
    training = FlowMatchingSettings().training_on(MNIST)
    assert training.ema_for(2000) == pytest.approx(0.5 ** (1 / 100), abs=1e-6)
    assert training.ema_for(1) == 0.5
    assert replace(training, ema_share=None).ema_for(2000) is None
