"""Calibration and further training: a score becomes a logit, and the run's weights stay."""

from __future__ import annotations

import math

import pytest
import torch

from genbench import SamplingError
from genbench.evaluation.calibration import calibration_z, fit_calibration
from genbench_samplers.drs import DRS
from genbench_samplers.judge import prepare_judge
from genbench_samplers.sampler_settings import DRSSettings, JudgeSettings


def scores(n: int, seed: int = 0):
    """Scores 2 d + 1 of real and generated samples, d their exact log ratio, and d itself."""
    g = torch.Generator().manual_seed(seed)
    h = torch.cat((0.5 + 0.6 * torch.randn(n, generator=g), torch.randn(n, generator=g))).double()
    d = h.square() / 2 - ((h - 0.5) / 0.6).square() / 2 - math.log(0.6)
    return 2 * d + 1, d


@pytest.mark.parametrize("kind", ["logistic", "isotonic"])
def test_calibrated_scores_are_log_ratios_and_uncalibrated_ones_are_told_by_z(kind) -> None:
    score, d = scores(20_000)
    real, fake = score.chunk(2)
    fitted = fit_calibration(kind, real, fake)
    middle = (d > -2) & (d < 0.6)
    assert float((fitted(score) - d)[middle].abs().mean()) < 0.1
    fresh_real, fresh_fake = scores(20_000, seed=1)[0].chunk(2)
    assert abs(calibration_z(fitted(fresh_real), fitted(fresh_fake))) < 4
    assert abs(calibration_z(fresh_real, fresh_fake)) > 10


@pytest.mark.parametrize("kind", [None, "logistic"])
@pytest.mark.parametrize("power", [0.3, 1.0])
def test_z_of_calibrated_logits_has_unit_variance(kind, power) -> None:
    """Scores that say little (``power``) or much: their d is log N(power, 1) - log N(0, 1)."""
    g = torch.Generator().manual_seed(0)
    n, repeats = 200, 200

    def drawn() -> tuple[torch.Tensor, torch.Tensor]:
        h = torch.randn(2, n, generator=g, dtype=torch.float64)
        h[0] += power
        real, fake = power * h - power**2 / 2
        return real, fake

    z = []
    for _ in range(repeats):
        fitted = fit_calibration(kind, *drawn())
        real, fake = (fitted(logits) for logits in drawn())
        z.append(calibration_z(real, fake, fitted_on=n if kind else 0))
    found = torch.tensor(z)
    assert abs(float(found.mean())) < 4 / repeats**0.5
    assert float(found.var()) == pytest.approx(1, abs=4 * (2 / repeats) ** 0.5)


def test_z_takes_account_of_labels_that_pairs_share() -> None:
    """A score of the class alone says nothing of real or generated: each pair adds up to 1."""
    score = torch.randn(500, generator=torch.Generator().manual_seed(0)).double()
    assert calibration_z(score, -score) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("kind", ["logistic", "isotonic"])
def test_scores_that_separate_all_samples_give_finite_logits(kind) -> None:
    real, fake = torch.linspace(5, 6, 100).double(), torch.linspace(-6, -5, 100).double()
    fitted = fit_calibration(kind, real, fake)
    logits = fitted(torch.cat((real, fake, torch.tensor([100.0, -100.0], dtype=torch.float64))))
    assert torch.isfinite(logits).all()
    assert float(fitted(real).min()) > 1 > -1 > float(fitted(fake).max())


def test_calibration_without_anything_to_calibrate_on_is_one_sentence(oracle, context) -> None:
    with pytest.raises(SamplingError, match="set calibration=none"):
        prepare_judge(oracle("Gaussians"), JudgeSettings(), context(real=None))
    with pytest.raises(SamplingError, match="labels of the held-out samples"):
        prepare_judge(oracle("TwoClasses"), JudgeSettings(), context(labels=torch.zeros(9)))


def test_a_conditional_score_is_calibrated_with_the_labels_of_the_real_samples(
    oracle, context
) -> None:
    """With the signs of class 0's samples turned, only right labels give a slope of 1."""

    def real(n):
        generator = torch.Generator().manual_seed(5)
        h = 0.5 + 0.6 * torch.randn(n, 1, generator=generator)
        for start in range(0, n, 300):
            sign = 2 * labels(n)[start : start + 300, None] - 1
            yield h[start : start + 300] * sign

    def labels(n):
        return (torch.arange(n) % 3 == 0).long()

    asked = context(labels=torch.zeros(50, dtype=torch.int64), real=real, real_labels=labels)
    settings = JudgeSettings(calibration_samples=40_000)
    judge = prepare_judge(oracle("TwoClasses"), settings, asked)
    assert judge.figures["calibration_slope"] == pytest.approx(1, abs=0.08)
    assert abs(judge.figures["calibration_z"]) < 4


# --- further training


class Trainable:
    """p_model = N(0, 1); a discriminator on (h, h^2), at first ignorant, with norm and dropout."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.nets = torch.nn.ModuleDict(
            {
                "generator": torch.nn.Linear(1, 1),
                "discriminator": torch.nn.Sequential(
                    torch.nn.BatchNorm1d(2), torch.nn.Dropout(0.0), torch.nn.Linear(2, 1)
                ),
            }
        )
        self.nets["generator"].load_state_dict({"weight": torch.ones(1, 1), "bias": torch.zeros(1)})
        self.nets.eval()

    def prior(self, n, generator=None):
        return torch.randn(n, 1, generator=generator)

    def generate(self, z, y=None):
        return self.nets["generator"](z)

    def render(self, h):
        return h

    def discriminate(self, h, y=None):
        return self.nets["discriminator"](torch.cat((h, h.square()), 1)).squeeze(1)


def test_further_training_finds_the_log_ratio_and_touches_no_weight_of_the_run(drawn) -> None:
    model = Trainable()
    before = {name: value.clone() for name, value in model.nets.state_dict().items()}
    sampler = DRS(DRSSettings(calibration=None, gamma=0, retrain=100, retrain_lr=0.05))
    x = drawn(sampler, model, 10_000, batch_size=1000)
    assert float(x.mean()) == pytest.approx(0.5, abs=0.06)
    assert float(x.std()) == pytest.approx(0.6, abs=0.06)
    assert sampler.diagnostics()["retrain_loss"] < math.log(2)
    state = model.nets.state_dict()
    assert all(torch.equal(state[name], value) for name, value in before.items())
    assert all(p.grad is None and p.requires_grad for p in model.nets.parameters())
    assert not any(module.training for module in model.nets.modules())


def test_further_training_repeats_by_its_seed_and_leaves_the_global_generator(drawn) -> None:
    sampler = DRS(DRSSettings(retrain=5))
    state = torch.get_rng_state()
    first = drawn(sampler, Trainable(), 200, batch_size=100)
    torch.rand(3)
    state_after = torch.get_rng_state()
    again = drawn(sampler, Trainable(), 200, batch_size=100)
    assert torch.equal(first, again)
    assert not torch.equal(state, state_after)


def test_a_discriminator_without_weights_cannot_be_trained(oracle, context) -> None:
    with pytest.raises(SamplingError, match="retrain=0"):
        prepare_judge(oracle("Gaussians"), JudgeSettings(retrain=3), context())


# --- what all of them keep


@pytest.mark.parametrize("calibration", [None, "logistic", "isotonic"])
def test_figures_tell_what_a_draw_cost(oracle, drawn, calibration) -> None:
    sampler = DRS(DRSSettings(calibration=calibration))
    drawn(sampler, oracle("Gaussians"), 1000)
    figures = sampler.diagnostics()
    names = {"acceptance", "proposals", "seconds_per_sample", "plain_seconds_per_sample"}
    assert names | {"cost_ratio", "calibration_z", "setup_seconds"} <= set(figures)
    assert all(type(value) is float for value in figures.values())
    ratio = figures["seconds_per_sample"] / figures["plain_seconds_per_sample"]
    assert figures["cost_ratio"] == pytest.approx(ratio)
