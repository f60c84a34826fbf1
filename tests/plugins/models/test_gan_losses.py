"""Adversarial losses and monitors against their closed forms."""

from __future__ import annotations

import pytest
import torch

from genbench_gan.gan import OBJECTIVES
from genbench_nets.adversarial_losses import monitors, real_loss

LOSSES = tuple(OBJECTIVES)


def discriminator_losses(real, fake, loss="non_saturating", *, real_target=1.0):
    objective = OBJECTIVES[loss]
    return {"real": objective.real(real, real_target), "fake": objective.fake(fake)}


def generator_loss(fake, loss):
    return OBJECTIVES[loss].generator(fake)


def _scores(n: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(n) + 0.5, torch.randn(n) - 0.5


def _close(value: torch.Tensor, expected: torch.Tensor) -> None:
    assert torch.allclose(value, expected.float(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("loss", ["non_saturating", "minimax"])
def test_the_discriminators_loss_is_the_cross_entropy_of_the_paper(loss):
    real, fake = _scores()
    terms = discriminator_losses(real, fake, loss)
    _close(terms["real"], -real.double().sigmoid().log().mean())
    _close(terms["fake"], -(1 - fake.double().sigmoid()).log().mean())


def test_the_generators_logit_losses_agree_where_the_discriminator_is_undecided():
    fake = torch.zeros(3)
    assert generator_loss(fake, "non_saturating") == -generator_loss(fake, "minimax")


def test_only_the_minimax_gradient_vanishes_when_the_discriminator_has_won():
    gradients = {}
    for loss in ("non_saturating", "minimax"):
        logit = torch.full((1,), -15.0, requires_grad=True)
        generator_loss(logit, loss).backward()
        gradients[loss] = abs(float(logit.grad))
    assert gradients["non_saturating"] == pytest.approx(1, abs=1e-5)
    assert gradients["minimax"] < 1e-5


def test_least_squares_has_the_targets_zero_one_and_one():
    real, fake = _scores()
    terms = discriminator_losses(real, fake, "least_squares")
    _close(terms["real"], 0.5 * ((real - 1) ** 2).mean())
    _close(terms["fake"], 0.5 * (fake**2).mean())
    _close(generator_loss(fake, "least_squares"), 0.5 * ((fake - 1) ** 2).mean())


def test_the_hinge_leaves_scores_beyond_the_margin_alone():
    terms = discriminator_losses(torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.0]), "hinge")
    assert terms["real"] == 0.25
    assert terms["fake"] == 0.5
    assert generator_loss(torch.tensor([2.0, 4.0]), "hinge") == -3


def test_the_critics_loss_is_the_difference_of_means_and_the_generators_its_fake_half():
    real, fake = _scores()
    terms = discriminator_losses(real, fake, "wasserstein")
    _close(terms["real"] + terms["fake"], fake.mean() - real.mean())
    assert generator_loss(fake, "wasserstein") == -terms["fake"]


def test_a_smoothed_label_is_the_cross_entropy_against_that_label():
    real, fake = _scores()
    exact = torch.nn.functional.binary_cross_entropy_with_logits(real, torch.full_like(real, 0.9))
    _close(real_loss(real, 0.9), exact)
    smooth = discriminator_losses(real, fake, real_target=0.9)
    assert smooth["fake"] == discriminator_losses(real, fake)["fake"]


def test_a_smoothed_label_is_where_the_discriminator_comes_to_rest():
    logit = torch.tensor([0.9]).logit().requires_grad_(True)
    real_loss(logit, 0.9).backward()
    assert logit.grad.abs() < 1e-6
    value = torch.tensor([0.9], requires_grad=True)
    discriminator_losses(value, value.detach(), "least_squares", real_target=0.9)["real"].backward()
    assert value.grad.abs() < 1e-6


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_falls_when_its_network_does_better(loss):
    real, fake = _scores()
    better = discriminator_losses(real + 0.1, fake - 0.1, loss)
    worse = discriminator_losses(real - 0.1, fake + 0.1, loss)
    assert sum(better.values()) < sum(worse.values())
    assert generator_loss(fake + 0.1, loss) < generator_loss(fake, loss)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_discriminator_reports_its_outputs_and_its_accuracy_without_gradient(loss):
    real, fake = _scores()
    real, fake = real.requires_grad_(), fake.requires_grad_()
    o = OBJECTIVES[loss]
    monitored = monitors(real, fake, threshold=o.threshold, logits=o.logits)
    assert list(monitored) == ["d_real", "d_fake", "d_accuracy"]
    assert not any(value.requires_grad for value in monitored.values())
    assert all(t.requires_grad for t in discriminator_losses(real, fake, loss).values())


def test_logits_are_reported_as_probabilities_and_other_scores_as_they_are():
    real, fake = _scores()
    assert monitors(real, fake, logits=True)["d_real"] == real.sigmoid().mean()
    assert monitors(real, fake)["d_fake"] == fake.mean()


def test_accuracy_is_the_share_of_samples_on_their_side_of_the_threshold():
    real, fake = torch.tensor([2.0, 2.0, -1.0, 0.2]), torch.tensor([-1.0, 0.3, 1.0, 1.0])
    assert monitors(real, fake)["d_accuracy"] == 0.5 * (3 / 4 + 1 / 4)
    assert monitors(real, fake, threshold=0.5)["d_accuracy"] == 0.5 * (2 / 4 + 2 / 4)


def test_a_critics_accuracy_does_not_change_with_a_constant_added_to_its_scores():
    real, fake = _scores()
    accuracy = monitors(real, fake, threshold=None)["d_accuracy"]
    assert accuracy == monitors(real + 100, fake + 100, threshold=None)["d_accuracy"] > 0.5


def test_a_discriminator_that_cannot_tell_the_samples_apart_is_right_half_of_the_time_at_most():
    same = torch.zeros(10)
    assert monitors(same, same)["d_accuracy"] <= 0.5
