"""The regularisers of adversarial training against their closed forms."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from genbench import Batch
from genbench_nets.augment import STEPS, augmented, noise_level, with_noise
from genbench_nets.minibatch_std import MinibatchStd, minibatch_std
from genbench_nets.penalties import (
    clip_weights,
    feature_distance,
    gradient_penalty,
    r1_penalty,
)
from genbench_nets.spectral import LAYERS, spectrally_normalised

POLICY = tuple(STEPS)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def test_the_gradient_penalty_of_a_linear_critic_is_exact():
    weight = torch.randn(6, requires_grad=True)
    real, fake = torch.randn(40, 6), torch.randn(40, 6)
    penalty = gradient_penalty(lambda x: x @ weight + 3, real, fake)
    exact = (weight.norm() - 1) ** 2
    assert torch.allclose(penalty, exact, rtol=1e-5)
    given, expected = (torch.autograd.grad(p, weight)[0] for p in (penalty, exact))
    assert torch.allclose(given, expected, rtol=1e-4)


def test_the_gradient_penalty_is_taken_between_real_and_fake_samples():
    seen = []

    def score(x):
        seen.append(x.detach())
        return x.flatten(1).sum(1)

    gradient_penalty(score, torch.zeros(500, 1, 2, 2), torch.ones(500, 1, 2, 2))
    (between,) = seen
    assert 0 <= between.min() < 0.02
    assert 0.98 < between.max() <= 1
    assert (between.flatten(1).var(1) < 1e-10).all(), "one share for each sample"


def test_r1_of_a_quadratic_discriminator_equals_its_closed_form():
    scale = torch.tensor(1.7, requires_grad=True)
    x = torch.randn(50, 3)
    penalty = r1_penalty(lambda x: 0.5 * scale * x.square().sum(1), x)
    exact = 0.5 * scale**2 * x.square().sum(1).mean()
    assert torch.allclose(penalty, exact, rtol=1e-5)
    given, expected = (torch.autograd.grad(p, scale)[0] for p in (penalty, exact))
    assert torch.allclose(given, expected, rtol=1e-4)


def test_r1_leaves_a_batch_as_it_found_it():
    x = torch.randn(4, 2)
    r1_penalty(lambda x: x.sum(1), x)
    assert not x.requires_grad


def test_no_clipped_weight_exceeds_the_bound_and_smaller_ones_stay():
    layer = nn.Linear(20, 20)
    before = layer.weight.detach().clone()
    with torch.no_grad():
        clip_weights(layer, 0.1)
    assert layer.weight.abs().max() <= 0.1
    small = before.abs() <= 0.1
    assert torch.equal(layer.weight[small], before[small])


def test_every_normalised_layer_has_a_spectral_norm_of_one():
    network = nn.Sequential(
        nn.Conv2d(1, 6, 4, 2, 1), nn.LeakyReLU(), nn.Flatten(), nn.Linear(96, 20), nn.Linear(20, 1)
    )
    spectrally_normalised(network)
    x = torch.randn(2, 1, 8, 8)
    for _ in range(300):
        network(x)
    layers = [layer for layer in network if isinstance(layer, LAYERS)]
    assert len(layers) == 3
    for layer in layers:
        norm = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2)
        assert abs(float(norm) - 1) < 1e-3


def test_a_normalised_network_keeps_its_power_iteration_in_its_state():
    first, second = (spectrally_normalised(nn.Sequential(nn.Linear(9, 5))) for _ in range(2))
    second.load_state_dict(first.state_dict(), strict=True)
    x = torch.randn(3, 9)
    assert torch.equal(first(x), second(x))
    assert torch.equal(first(x), second(x))


@pytest.mark.parametrize("steps", [1, 2, 50])
def test_instance_noise_falls_to_zero_at_the_last_step(steps):
    levels = [
        noise_level(0.3, Batch(x=torch.zeros(1), step=step, steps=steps)) for step in range(steps)
    ]
    assert levels[0] == 0.3
    assert levels == sorted(levels, reverse=True)
    assert levels[-1] == 0 or steps == 1


def test_instance_noise_has_the_std_that_it_says():
    noise = with_noise(torch.zeros(100_000), 0.3)
    assert float(noise.std()) == pytest.approx(0.3, rel=0.02)


def test_the_feature_distance_is_that_of_the_means_and_its_gradient_reaches_the_fake_ones_alone():
    real = torch.randn(30, 4, requires_grad=True)
    fake = torch.randn(20, 4, requires_grad=True)
    distance = feature_distance(real, fake)
    assert torch.allclose(distance, (real.mean(0) - fake.mean(0)).square().sum())
    distance.backward()
    assert real.grad is None
    assert fake.grad.abs().sum() > 0


@pytest.mark.parametrize("shape", [(5, 3), (5, 2, 4, 4)])
def test_the_minibatch_std_of_identical_samples_is_zero(shape):
    same = torch.randn(1, *shape[1:]).expand(shape)
    assert abs(float(minibatch_std(same))) < 1e-9
    assert minibatch_std(torch.randn(shape)) > 0.1


def test_the_minibatch_std_is_the_mean_deviation_of_the_features():
    x = torch.randn(200, 3) * torch.tensor([1.0, 2.0, 3.0])
    assert torch.allclose(minibatch_std(x), x.std(0, correction=0).mean(), atol=1e-3)


def test_the_minibatch_std_is_one_more_channel_with_a_finite_gradient():
    x = torch.zeros(4, 2, 3, 3, requires_grad=True)
    out = MinibatchStd()(x)
    assert out.shape == (4, 3, 3, 3)
    out.sum().backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("policy", [*((step,) for step in POLICY), POLICY])
@pytest.mark.parametrize("shape", [(6, 1, 28, 28), (6, 3, 32, 20)])
def test_augmentation_keeps_the_shape_and_passes_gradients(policy, shape):
    x = torch.randn(shape, requires_grad=True)
    y = augmented(x, policy)
    assert y.shape == x.shape
    assert not torch.equal(y, x)
    y.sum().backward()
    assert x.grad.flatten(1).abs().sum(1).min() > 0


def test_no_policy_leaves_the_images_alone():
    x = torch.randn(2, 1, 8, 8)
    assert augmented(x, ()) is x


def test_a_translation_moves_the_image_by_an_eighth_at_most_and_loses_nothing_else():
    x = torch.zeros(300, 1, 16, 16)
    x[:, :, 8, 8] = 1
    moved = STEPS["translation"](x)
    assert (moved.flatten(1).sum(1) == 1).all()
    where = moved[:, 0].nonzero()[:, 1:]
    assert where.min() == 6
    assert where.max() == 10


def test_a_cutout_takes_a_square_of_half_the_side_at_most():
    x = torch.ones(300, 1, 16, 16)
    cut = (STEPS["cutout"](x)[:, 0] == 0).sum((1, 2))
    assert cut.max() == 64
    assert cut.min() > 0


def test_brightness_adds_one_value_to_all_of_an_image():
    x = torch.randn(100, 1, 4, 4)
    added = (STEPS["brightness"](x) - x).flatten(1)
    assert (added.amax(1) - added.amin(1)).max() < 1e-5
    assert -0.5 <= added.min() < -0.3
    assert 0.3 < added.max() <= 0.5
