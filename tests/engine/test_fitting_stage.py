"""Laws of a stage without phases: something is fitted to the whole of the data, once."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from genbench.contracts import Optimizer, Phase, Stage
from genbench.engine import load_weights, planned_epochs
from genbench.errors import PluginError
from genbench.events import EpochDone, StageStarted
from genbench.pixels import to_float


class Moments(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(2))


class CodesAndTheirMean:
    """Trains an encoder, then keeps the mean of the codes in a buffer."""

    averaged = ("encoder",)

    def __init__(self):
        self.nets = nn.ModuleDict({"encoder": nn.Linear(16, 2), "density": Moments()})
        self.fits = 0

    def optimizers(self):
        return {"ae": Optimizer(nets=("encoder",), lr=1e-2)}

    def stages(self):
        phase = Phase(name="train", loss=self.loss, updates=("ae",))
        return (
            Stage(name="codes", phases=(phase,)),
            Stage(name="density", phases=(), prepare=self.codes, fit=self.fit),
        )

    def loss(self, batch):
        return {"ae": {"size": self.nets["encoder"](batch.x.flatten(1)).square().mean()}}

    def codes(self, x, generator):
        return self.nets["encoder"](x.flatten(1))

    def fit(self, codes):
        self.fits += 1
        self.nets["density"].mean.copy_(codes.mean(0))


def test_it_takes_one_epoch_of_no_steps_whatever_the_run_asks_for(tiny, tmp_path):
    spec = tiny.spec(epochs=3, batch_size=4)
    run = tiny.run(CodesAndTheirMean, spec, tmp_path)
    assert planned_epochs(run.model, spec) == (("codes", 3), ("density", 1))
    done = [event for event in run.log.events if isinstance(event, EpochDone)]
    assert [event.images > 0 for event in done] == [True, True, True, False]
    assert done[-1].step == done[-2].step
    assert run.model.fits == 1


def test_its_seconds_are_those_of_the_preparation(tiny, tmp_path):
    run = tiny.run(CodesAndTheirMean, tiny.spec(epochs=1, batch_size=4), tmp_path)
    started = [event for event in run.log.events if isinstance(event, StageStarted)]
    assert started[-1].stage == "density"
    assert started[-1].prepare_s > 0


def test_what_it_fits_is_in_the_checkpoint(tiny, tmp_path):
    run = tiny.run(CodesAndTheirMean, tiny.spec(epochs=2, batch_size=4), tmp_path)
    fresh = CodesAndTheirMean()
    load_weights(fresh, tmp_path, torch.device("cpu"))
    assert torch.equal(fresh.nets["density"].mean, run.model.nets["density"].mean)
    assert float(fresh.nets["density"].mean.abs().sum()) > 0


def test_it_fits_the_averaged_weights_where_a_run_asks_for_them(tiny, tmp_path):
    run = tiny.run(CodesAndTheirMean, tiny.spec(epochs=2, batch_size=4, ema=0.9), tmp_path)
    averaged = CodesAndTheirMean()
    load_weights(averaged, tmp_path, torch.device("cpu"))
    x = to_float(torch.from_numpy(tiny.data().train.x.copy()))
    with torch.no_grad():
        means = [model.codes(x, None).mean(0) for model in (averaged, run.model)]
    assert torch.allclose(averaged.nets["density"].mean, means[0], atol=1e-6)
    assert not torch.allclose(averaged.nets["density"].mean, means[1], atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"fit": None}, "neither a phase"), ({"prepare": None}, "without `prepare`")],
)
def test_a_stage_with_nothing_to_do_is_refused(change, message, tiny, tmp_path):
    class Idle(CodesAndTheirMean):
        def stages(self):
            return tuple(replace(stage, **change) for stage in super().stages()[1:])

    with pytest.raises(PluginError, match=message):
        tiny.run(Idle, tiny.spec(epochs=1, batch_size=4), tmp_path)
