"""The gradient norm of each optimizer: measured before clipping, once a window, the same again."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from genbench.contracts import MONITOR, Optimizer, Phase, Stage
from genbench.errors import PluginError
from genbench.events import EpochDone


class Line:
    """One weight w per optimizer with loss a * w: the gradient is a, exactly."""

    averaged = ()

    def __init__(self, clip_norm=None, every=1, monitors=()):
        self.nets = nn.ModuleDict({"f": nn.ParameterList([torch.zeros(2)]), "g": nn.Linear(16, 1)})
        self.clip_norm, self.every, self.monitors = clip_norm, every, monitors

    def optimizers(self):
        return {
            "f": Optimizer(nets=("f",), kind="sgd", clip_norm=self.clip_norm),
            "g": Optimizer(nets=("g",), kind="sgd"),
        }

    def stages(self):
        f = Phase(name="f", loss=self.f_loss, updates=("f",), every=self.every)
        g = Phase(name="g", loss=self.g_loss, updates=("g",), repeat=2)
        return (Stage(name="train", phases=(f, g)),)

    def f_loss(self, batch):
        slope = torch.tensor([3.0, 4.0]) * (batch.step + 1)
        extra = {MONITOR: {name: slope.sum() for name in self.monitors}}
        return {"f": {"line": (slope * self.nets["f"][0]).sum()}, **extra}

    def g_loss(self, batch):
        return {"g": {"out": self.nets["g"](batch.x.flatten(1)).square().mean()}}


@pytest.mark.parametrize("clip_norm", [None, 0.1])
def test_the_norm_is_that_of_all_gradients_of_an_optimizer_before_clipping(
    tiny, tmp_path, clip_norm
):
    spec = tiny.spec(epochs=1, log_every=1)
    log = tiny.run(lambda: Line(clip_norm), spec, tmp_path, data=tiny.data(train_size=80)).log
    norms = log.series()["monitor/f_grad_norm"]
    assert norms == pytest.approx({step: 5.0 * step for step in norms}, rel=1e-6)
    assert list(norms) == [1, 2, 3, 4, 5]


def test_one_step_of_each_window_is_measured(tiny, tmp_path):
    log = tiny.run(
        Line, tiny.spec(epochs=4, log_every=4), tmp_path, data=tiny.data(train_size=80)
    ).log
    norms = log.series()["monitor/f_grad_norm"]
    assert norms == pytest.approx({4: 5.0, 5: 25.0, 10: 45.0, 15: 65.0, 20: 85.0})


def test_a_lazy_phase_is_measured_too(tiny, tmp_path):
    log = tiny.run(
        lambda: Line(every=3),
        tiny.spec(epochs=2, log_every=2),
        tmp_path,
        data=tiny.data(train_size=80),
    ).log
    assert sum(log.series()["monitor/f_grad_norm"].values()) == pytest.approx(5 * (1 + 4 + 7 + 10))


def test_the_epochs_mean_is_over_the_measured_steps(tiny, tmp_path):
    log = tiny.run(
        Line, tiny.spec(epochs=1, log_every=4), tmp_path, data=tiny.data(train_size=80)
    ).log
    assert log.of(EpochDone)[0].losses["monitor/f_grad_norm"] == pytest.approx(5 * (1 + 5) / 2)


def test_measuring_moves_no_weight(tiny, tmp_path):
    weights = [
        tiny.run(
            tiny.LatentGAN, tiny.spec(log_every=log_every), tmp_path / str(log_every)
        ).model.nets.state_dict()
        for log_every in (1, 1000)
    ]
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name


def test_the_name_of_a_gradient_norm_is_the_engines_own(tiny, tmp_path):
    with pytest.raises(PluginError, match="'my_grad_norm' must have another name"):
        tiny.run(lambda: Line(monitors=("my_grad_norm",)), tiny.spec(), tmp_path)
