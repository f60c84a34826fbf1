"""BEGAN: its balance k_t, its measure of convergence, its two noises."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genbench import Batch, DataSpec
from genbench.testing import check_model, small_data
from genbench_gan.began import BEGANSettings, next_k

IMAGES = DataSpec(name="images", shape=(1, 28, 28), train=1000, test=100)
SMALL = {"g_hidden": (32,), "d_hidden": (32,), "z_dim": 8, "code": 8}


def joint_loss(model):
    """The loss of its one phase."""
    [[phase]] = [stage.phases for stage in model.stages()]
    return phase.loss


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((2,), {"g_hidden": (16,), "d_hidden": (16,)}),
        ((1, 28, 28), {"network": "conv", "channels": 2}),
    ],
)
def test_began_keeps_the_contract_on_points_and_with_convolutions(shape, settings):
    check_model("began", BEGANSettings(**settings), data=small_data(shape))


@pytest.mark.parametrize("rate", [1e-3, 0.5, 1.0])
def test_k_stays_in_zero_to_one_and_follows_its_update_to_the_last_bit(make, rate):
    from genbench.engine.optim import build_optimizers
    from genbench.engine.update import Update

    model = make("began", IMAGES, **SMALL, k_rate=rate, gamma=0.9, d_lr=3e-3)
    ((phase,),) = (stage.phases for stage in model.stages())
    update = Update(
        phase, build_optimizers(model, clip_norm=None), model, device=torch.device("cpu")
    )
    k, seen, f32 = np.float32(0), [], np.float32
    for step in range(30):
        values = update(Batch(x=torch.rand(8, 1, 28, 28) * 2 - 1, step=step, steps=30))
        names = [f"{owner}/{name}" for owner, n in update.layout.items() for name in n]
        value = dict(zip(names, (v.detach().numpy() for v in values), strict=True))
        assert value["monitor/k"] == k
        excess = f32(f32(0.9) * value["d/real"]) - value["g/energy"]
        measure = value["d/real"] + abs(excess)
        assert value["monitor/convergence"] == pytest.approx(measure, rel=1e-6)
        k = np.clip(k + f32(f32(rate) * excess), f32(0), f32(1))
        assert model.nets["balance"].k.numpy() == k
        seen.append(float(k))
    assert 0 <= min(seen) <= max(seen) <= 1
    assert max(seen) > 0


def test_k_is_clipped_at_both_ends():
    k = torch.zeros(())
    for real, fake, expected in ((4.0, 0.0, 1.0), (4.0, 0.0, 1.0), (0.0, 0.25, 0.75), (0, 9, 0)):
        k = next_k(k, torch.tensor(real), torch.tensor(fake), gamma=0.5, rate=1.0)
        assert k == expected


def test_the_discriminator_gains_by_k_of_the_generated_samples_error(make):
    model = make("began", IMAGES, **SMALL)
    batch = Batch(x=torch.rand(8, 1, 28, 28) * 2 - 1)
    assert joint_loss(model)(batch)["d"]["fake"] == 0
    model.nets["balance"].k.fill_(0.5)
    terms = joint_loss(model)(batch)
    assert torch.allclose(terms["d"]["fake"], 0.5 * terms["monitor"]["d_fake"])


def test_both_players_losses_are_taken_on_noise_of_their_own(make):
    model = make("began", IMAGES, **SMALL)
    terms = joint_loss(model)(Batch(x=torch.rand(8, 1, 28, 28) * 2 - 1))
    assert terms["g"]["energy"] != -terms["monitor"]["d_fake"]


def test_in_their_common_phase_each_player_gets_the_gradient_of_its_own_loss_alone(make):
    from genbench.engine.optim import build_optimizers
    from genbench.engine.update import Update

    model = make("began", IMAGES, **SMALL)
    model.nets["balance"].k.fill_(0.5)
    batch = Batch(x=torch.rand(8, 1, 28, 28) * 2 - 1)
    nets = {"d": "discriminator", "g": "generator"}
    torch.manual_seed(0)
    terms = joint_loss(model)(batch)
    alone = {
        name: torch.autograd.grad(
            sum(terms[name].values()), list(model.nets[net].parameters()), retain_graph=True
        )
        for name, net in nets.items()
    }
    (phase,) = model.stages()[0].phases
    players = build_optimizers(model, clip_norm=None)
    torch.manual_seed(0)
    Update(phase, players, model, device=torch.device("cpu"))(batch)
    for name, net in nets.items():
        stepped = [parameter.grad for parameter in model.nets[net].parameters()]
        assert all(torch.equal(a, b) for a, b in zip(stepped, alone[name], strict=True))


def test_its_noise_is_uniform_and_says_so(make):
    model = make("began", IMAGES)
    z = model.prior(2000)
    assert model.prior_kind == "uniform"
    assert z.abs().max() <= 1
    assert z.std() == pytest.approx(3**-0.5, rel=0.02)


def test_the_rates_are_halved_at_equal_shares_of_the_run(make):
    schedules = {o.schedule for o in make("began", IMAGES, halvings=3).optimizers().values()}
    [schedule] = schedules
    assert (schedule.kind, schedule.gamma, schedule.every) == ("step", 0.5, 0.25)


def test_it_learns_digits(learns):
    sizes = {"z_dim": 16, "g_hidden": (128,), "d_hidden": (128,), "code": 16}
    untrained, trained, model = learns("began", epochs=20, **sizes)
    assert trained < 0.7 * untrained
    assert 0 <= model.nets["balance"].k <= 1
