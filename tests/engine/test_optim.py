"""Laws of the optimizers: ownership and schedules in closed form."""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from genbench.contracts import Optimizer, Schedule
from genbench.engine.optim import build_optimizers, factor
from genbench.errors import PluginError


def model_of(nets, **optimizers):
    return SimpleNamespace(nets=nn.ModuleDict(nets), optimizers=lambda: optimizers)


def test_constant_schedule_is_one_and_warm_up_rises_linearly_to_it():
    assert {factor(Schedule(), k, 10) for k in range(10)} == {1.0}
    rising = [factor(Schedule(warmup=0.5), k, 8) for k in range(8)]
    assert rising == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("warmup", [0.0, 0.3])
def test_linear_and_cosine_follow_their_closed_form_after_the_warm_up(warmup):
    steps, w = 50, warmup * 50
    for k in range(math.ceil(w), steps):
        p = (k - w) / (steps - w)
        linear = Schedule(kind="linear", warmup=warmup, final=0.1)
        assert factor(linear, k, steps) == pytest.approx(1 - 0.9 * p)
        cosine = Schedule(kind="cosine", warmup=warmup, final=0.1)
        assert factor(cosine, k, steps) == pytest.approx(
            0.1 + 0.9 * (1 + math.cos(math.pi * p)) / 2
        )


def test_step_schedule_drops_by_gamma_each_share_of_the_stage():
    schedule = Schedule(kind="step", gamma=0.1, every=0.25)
    found = [factor(schedule, k, 8) for k in range(8)]
    assert found == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


@pytest.mark.parametrize("kind", ["adam", "adamw", "sgd", "rmsprop"])
def test_rate_in_use_is_base_rate_times_factor_and_each_kind_moves_the_weights(kind):
    net = nn.Linear(2, 1)
    schedule = Schedule(kind="linear")
    settings = Optimizer(nets=("f",), kind=kind, lr=0.5, momentum=0.5, schedule=schedule)
    optimizer = build_optimizers(model_of({"f": net}, f=settings), clip_norm=None)["f"]
    before = net.weight.detach().clone()
    net(torch.ones(3, 2)).sum().backward()
    optimizer.set_rate(3, 4)
    optimizer.step()
    assert optimizer.torch_optimizer.param_groups[0]["lr"] == 0.5 * 0.25
    assert not torch.equal(before, net.weight)


@pytest.mark.parametrize("kind", ["adam", "adamw", "sgd", "rmsprop"])
def test_an_eager_step_is_bitwise_the_step_of_torch(kind):
    weights = []
    for eager in (True, False):
        net = nn.Linear(8, 4)
        nn.init.constant_(net.weight, 0.5)
        settings = Optimizer(nets=("f",), kind=kind, lr=0.1, momentum=0.9)
        optimizer = build_optimizers(model_of({"f": net}, f=settings), clip_norm=None)["f"]
        for step in range(5):
            net.weight.grad = torch.full_like(net.weight, 0.1 * step - 0.3)
            net.bias.grad = torch.ones_like(net.bias)
            if eager:
                optimizer.set_rate(step, 5)
                optimizer.step()
            else:
                optimizer.torch_optimizer.step()
        weights.append(net.weight.detach())
    assert torch.equal(*weights)


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_a_loaded_state_and_a_missing_gradient_leave_an_eager_step_bitwise_that_of_torch(kind):
    """Both optimizers load the state that the eager one has saved, after 3 of 8 steps."""
    nets = [nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 1)) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    settings = Optimizer(nets=("f",), kind=kind, lr=0.1, weight_decay=0.01)

    def built(net):
        return build_optimizers(model_of({"f": net}, f=settings), clip_norm=None)["f"]

    eager, plain = map(built, nets)
    for step in range(8):
        if step == 3:
            state = eager.torch_optimizer.state_dict()
            eager, plain = map(built, nets)
            for optimizer in (eager, plain):
                optimizer.torch_optimizer.load_state_dict(copy.deepcopy(state))
        for net in nets:
            for k, p in enumerate(net.parameters()):
                p.grad = torch.full_like(p, 0.1 * step - 0.3 * k)
            net[1].bias.grad = None if step == 5 else net[1].bias.grad
        eager.step()
        plain.torch_optimizer.step()
    for a, b in zip(*(net.parameters() for net in nets), strict=True):
        assert torch.equal(a, b)
    counts = [float(state["step"]) for state in eager.torch_optimizer.state.values()]
    assert counts == [8, 8, 8, 7]


def test_parameter_with_two_owners_is_refused():
    shared = nn.Linear(2, 2)
    model = model_of(
        {"a": shared, "b": nn.Sequential(shared, nn.Linear(2, 2))},
        first=Optimizer(nets=("a",)),
        second=Optimizer(nets=("b",)),
    )
    with pytest.raises(PluginError, match="'first' and 'second' share a parameter"):
        build_optimizers(model, clip_norm=None)


def test_weights_tied_within_one_optimizer_are_owned_once():
    shared = nn.Linear(2, 2)
    model = model_of({"a": shared, "b": shared}, both=Optimizer(nets=("a", "b")))
    assert len(build_optimizers(model, clip_norm=None)["both"].parameters) == 2


def test_unknown_net_and_empty_optimizer_are_refused():
    nets = {"encoder": nn.Linear(2, 2), "nothing": nn.ReLU()}
    with pytest.raises(PluginError, match="did you mean 'encoder'"):
        build_optimizers(model_of(nets, f=Optimizer(nets=("encodr",))), clip_norm=None)
    with pytest.raises(PluginError, match="owns no parameter"):
        build_optimizers(model_of(nets, f=Optimizer(nets=("nothing",))), clip_norm=None)
