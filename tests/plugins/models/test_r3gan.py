"""The laws of R3GAN: its losses and penalties, schedules, and networks without normalisation."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from genbench import MONITOR, Batch, DataSpec, IncompatibleError, SettingError
from genbench.settings import validate
from genbench_gan.r3gan import Doubled, Halved
from genbench_nets.penalties import scores_and_slopes

DIGITS = DataSpec(name="digits", shape=(1, 28, 28), train=1437)
TINY = {"channels": 8, "group": 4, "z_dim": 8}


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def phases(model):
    return {phase.name: phase for stage in model.stages() for phase in stage.phases}


def test_both_penalties_equal_autograds_on_a_quadratic_discriminator(make):
    model = make("r3gan", DataSpec(name="x", shape=(3,)), gamma=0.4, final_gamma=0.4)
    scale = nn.Parameter(torch.tensor(1.7))
    fake = torch.randn(40, 3)
    model.discriminate = lambda x, y=None: 0.5 * scale * x.square().sum(1)
    model.real_and_fake = lambda batch: (batch.x, fake)
    real = torch.randn(40, 3)
    terms = phases(model)["d"].loss(Batch(x=real))["d"]
    for name, x in (("r1", real), ("r2", fake)):
        exact = 0.4 / 2 * scale**2 * x.square().sum(1).mean()
        assert torch.allclose(terms[name], exact, rtol=1e-5)
        given, expected = (torch.autograd.grad(p, scale)[0] for p in (terms[name], exact))
        assert torch.allclose(given, expected, rtol=1e-4)
    pairs = model.discriminate(fake) - model.discriminate(real)
    assert torch.allclose(terms["relativistic"], F.softplus(pairs).mean())


def test_scores_beside_a_penalty_are_the_plain_scores():
    weight = torch.randn(4)
    x = torch.randn(9, 4)
    scores, penalty = scores_and_slopes(lambda x: x @ weight, x)
    assert torch.equal(scores, x @ weight)
    assert torch.allclose(penalty, 0.5 * weight.square().sum())


def test_gs_loss_is_ds_with_the_pair_swapped_and_moves_g_alone(make):
    model = make("r3gan", DIGITS, **TINY)
    for parameter in model.discriminator.parameters():
        parameter.requires_grad_(False)
    batch = Batch(x=torch.rand(6, 1, 28, 28) * 2 - 1)
    torch.manual_seed(3)
    loss = phases(model)["g"].loss(batch)["g"]["relativistic"]
    torch.manual_seed(3)
    fake = model.generate(model.prior(6))
    pairs = model.discriminate(batch.x) - model.discriminate(fake)
    assert torch.allclose(loss, F.softplus(pairs).mean(), rtol=1e-5)
    assert loss.requires_grad


def test_gamma_and_rates_fall_by_a_cosine_over_the_run(make):
    model = make("r3gan", DIGITS, **TINY)
    x = torch.rand(4, 1, 28, 28)

    def weight(step):
        torch.manual_seed(0)
        return phases(model)["d"].loss(Batch(x=x, step=step, steps=100))["d"]["r1"].detach()

    first, half, last = (float(weight(step)) for step in (0, 50, 100))
    assert first / last == pytest.approx(10, rel=1e-4)
    assert half == pytest.approx((first + last) / 2, rel=1e-4)
    for optimizer in model.optimizers().values():
        assert (optimizer.lr, optimizer.betas) == (2e-4, (0.0, 0.99))
        assert (optimizer.schedule.kind, optimizer.schedule.final) == ("cosine", 0.25)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 8, 8)])
def test_networks_have_no_normalisation_and_blocks_that_start_as_the_identity(make, shape):
    model = make("r3gan", DataSpec(name="x", shape=shape), blocks=2, **TINY)
    x = model.generate(model.prior(3))
    assert x.shape == (3, *shape)
    assert model.discriminate(x).shape == (3,)
    kinds = {type(module).__name__ for module in model.nets.modules()}
    assert not any("Norm" in kind for kind in kinds)
    blocks = [m for m in model.nets.modules() if type(m).__name__ == "ResidualBlock"]
    h = torch.randn(2, 8, 8, 8)
    assert all(torch.equal(block(h), h) for block in blocks)
    assert {block.grouped.groups for block in blocks} == {4}


def test_resampling_smooths_by_one_two_one_and_keeps_constants_and_ramps():
    ramp = torch.arange(6.0).expand(1, 2, 6, 6)
    up, down = Doubled()(ramp), Halved()(ramp)
    assert torch.allclose(up[0, 0, 0, :-1], torch.arange(0, 5.25, 0.5))
    assert torch.allclose(down[0, 1, 1], torch.tensor([0.25, 2.0, 4.0]))
    ones = torch.ones(1, 3, 4, 4)
    assert torch.allclose(Doubled()(ones), torch.ones(1, 3, 8, 8))
    assert torch.allclose(Halved()(ones), torch.ones(1, 3, 2, 2))


def test_monitored_scores_have_no_threshold_as_only_differences_mean_something(make):
    model = make("r3gan", DIGITS, **TINY)
    values = phases(model)["d"].loss(Batch(x=torch.rand(4, 1, 28, 28)))[MONITOR]
    assert 0 <= float(values["d_accuracy"]) <= 1


def test_r3gan_that_is_trained_on_digits_beats_its_untrained_self(learns, digits_of):
    fast = {**TINY, "lr": 5e-3, "final_lr": 1e-3}
    untrained, trained, _ = learns("r3gan", epochs=2, batch_size=25, data=digits_of(size=8), **fast)
    assert trained < 0.8 * untrained


def test_r3gan_refuses_what_does_not_fit_in_one_sentence(plugins):
    kind = plugins.settings("model", "r3gan")
    with pytest.raises(IncompatibleError, match="network=residual takes square images"):
        kind(network="residual").check(DataSpec(name="x", shape=(2,)))
    with pytest.raises(SettingError, match="group must divide channels x expansion = 20"):
        validate(kind, {"channels": 10}, owner="r3gan")
