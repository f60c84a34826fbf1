"""Laws of the loop: counts, modes, records, divergence, evaluation."""

from __future__ import annotations

import math
import os
import time
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from genbench.contracts import MONITOR, Optimizer, Phase, Stage
from genbench.engine import derive_seed, load_weights, planned_epochs
from genbench.engine.checkpoint import latest_checkpoint
from genbench.engine.restoring import read_checkpoint
from genbench.errors import DivergedError, InterruptedRunError, PluginError
from genbench.events import Checkpointed, EpochDone, StageStarted, StepsDone


class Counter:
    """Counts its moves in buffers; each loss is the number of the move."""

    averaged = ("f",)

    def __init__(self, stages=None, **phases):
        self.nets = nn.ModuleDict({"f": nn.Linear(16, 1), "g": nn.Linear(16, 1)})
        self.moves, self.batches = [], []
        self.settings = phases or {"a": {}}
        self._stages = stages

    def optimizers(self):
        return {"f": Optimizer(nets=("f",), kind="sgd", lr=0.1), "g": Optimizer(nets=("g",))}

    def stages(self):
        phases = tuple(
            Phase(name=name, loss=self.loss(name), updates=("f",), **options)
            for name, options in self.settings.items()
        )
        return self._stages or (Stage(name="train", phases=phases),)

    def loss(self, name):
        def loss(batch):
            self.moves.append((batch.step, name))
            self.batches.append(batch)
            number = torch.tensor(float(len(self.moves)))
            return {"f": {"n": number + 0 * self.nets["f"](batch.x.flatten(1)).sum()}}

        return loss


def test_phases_move_as_often_as_every_and_repeat_say(tiny, tmp_path):
    model = Counter(d={"repeat": 3}, r={"every": 4}, g={})
    tiny.run(lambda: model, tiny.spec(epochs=2, batch_size=4), tmp_path)
    steps = (45 // 4) // 3
    expected = [
        (step, name)
        for step in range(2 * steps)
        for name in (*"ddd", *("r" if step % 4 == 0 else ""), "g")
    ]
    assert model.moves == expected
    assert {b.steps for b in model.batches} == {2 * steps}


def test_players_of_one_iteration_share_the_batch_and_repeats_get_fresh_ones(tiny, tmp_path):
    model = Counter(d={"repeat": 2}, g={})
    tiny.run(lambda: model, tiny.spec(epochs=1, batch_size=4), tmp_path)
    first, second, shared = (batch.x for batch in model.batches[:3])
    assert torch.equal(first, shared)
    assert not torch.equal(first, second)


def test_windows_are_means_over_steps_and_epoch_means_over_the_epoch(tiny, tmp_path):
    log = tiny.run(Counter, tiny.spec(epochs=2, batch_size=4, log_every=3), tmp_path).log
    loss = {step: float(step) for step in range(1, 23)}  # 11 steps an epoch, one move each
    ends = [3, 6, 9, 11, 12, 15, 18, 21, 22]
    starts = [0, *ends[:-1]]
    expected = {
        end: sum(loss[s] for s in range(start + 1, end + 1)) / (end - start)
        for start, end in zip(starts, ends, strict=True)
    }
    assert log.series()["f/n"] == log.series()["f/loss"] == expected
    assert [e.losses["f/loss"] for e in log.of(EpochDone)] == [6.0, 17.0]
    assert [e.images for e in log.of(EpochDone)] == [44, 44]


def test_optimizer_of_several_phases_has_a_series_for_each(tiny, tmp_path):
    log = tiny.run(lambda: Counter(d={}, r={"every": 4}), tiny.spec(epochs=1), tmp_path).log
    norms = {"monitor/d.f_grad_norm", "monitor/r.f_grad_norm"}
    assert set(log.series()) == {"f/d.n", "f/d.loss", "f/r.n", "f/r.loss"} | norms


def test_two_phases_may_not_record_the_same_monitor(tiny, tmp_path):
    model = Counter()

    def loss(batch):
        return {
            "f": {"n": model.nets["f"](batch.x.flatten(1)).sum()},
            MONITOR: {"m": batch.x.sum()},
        }

    phases = tuple(Phase(name=name, loss=loss, updates=("f",)) for name in "ab")
    model._stages = (Stage(name="s", phases=phases),)
    with pytest.raises(PluginError, match="'a' and 'b' both record 'monitor/m'"):
        tiny.run(lambda: model, tiny.spec(), tmp_path)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_loss_that_is_not_finite_stops_with_step_phase_and_term(tiny, tmp_path, bad):
    model = Counter(warm={}, fit={})
    plain = model.loss("fit")

    def loss(batch):
        terms = plain(batch)
        return {"f": {**terms["f"], "kl": torch.tensor(bad if batch.step == 8 else 0.5)}}

    phases = (model.stages()[0].phases[0], Phase(name="fit", loss=loss, updates=("f",)))
    model._stages = (Stage(name="s", phases=phases),)
    log = tiny.Log()
    with pytest.raises(DivergedError) as caught:
        tiny.run(lambda: model, tiny.spec(epochs=9, log_every=2), tmp_path, log=log)
    error = caught.value
    assert (error.stage, error.phase, error.term, error.step) == ("s", "fit", "f/fit.kl", 9)
    assert str(error.value) == str(bad)
    assert [e.epoch for e in log.of(EpochDone)] == [1]  # 5 steps an epoch
    assert read_checkpoint(tmp_path).position["step"] == 5
    assert max(log.series()["f/warm.n"]) == 8


def test_monitor_may_be_infinite(tiny, tmp_path):
    model = Counter()
    plain = model.loss("fit")
    phase = Phase(
        name="fit",
        loss=lambda b: {**plain(b), MONITOR: {"ratio": torch.tensor(math.inf)}},
        updates=("f",),
    )
    model._stages = (Stage(name="s", phases=(phase,)),)
    log = tiny.run(lambda: model, tiny.spec(epochs=1), tmp_path).log
    assert log.of(EpochDone)[0].losses["monitor/ratio"] == math.inf


def test_weight_that_is_not_finite_is_never_written_into_a_checkpoint(tiny, tmp_path):
    model = Counter()

    def spoil(terms):
        if len(model.moves) == 10:  # the last step of the second epoch: its loss was fine
            model.nets["f"].weight[0, 3] = math.nan

    phase = Phase(name="fit", loss=model.loss("fit"), updates=("f",), after=spoil)
    model._stages = (Stage(name="s", phases=(phase,)),)
    with pytest.raises(DivergedError, match=r"the weight 'f.weight' of phase 'fit'.*is nan") as e:
        tiny.run(lambda: model, tiny.spec(epochs=2), tmp_path)
    assert e.value.step == 10
    assert read_checkpoint(tmp_path).position["step"] == 5


def test_nets_that_a_stage_does_not_update_stay_bitwise_as_they_are(tiny, tmp_path):
    states = []

    def watch(event):
        if isinstance(event, (StageStarted, EpochDone)):
            state = model.nets.state_dict()
            states.append((event.stage, {k: v.clone() for k, v in state.items()}))

    class Watched(tiny.LatentGAN):
        def __init__(self):
            nonlocal model
            super().__init__()
            model = self

        def d_loss(self, batch):
            # Even where a loss runs them: BatchNorm in the encoder sees data in stage 2.
            self.nets["encoder"](torch.randn(4, 16))
            return super().d_loss(batch)

    model = None
    tiny.run(Watched, tiny.spec(), tmp_path, emit=watch)
    frozen = {"autoencoder": ("generator.", "discriminator."), "gan": ("encoder.", "decoder.")}
    for stage, prefixes in frozen.items():
        first, *later = [state for name, state in states if name == stage]
        moved = set()
        for state in later:
            for key in state:
                if not torch.equal(state[key], first[key]):
                    moved.add(key)
        assert not [key for key in moved if key.startswith(prefixes)]
        assert moved


def test_between_epochs_sees_eval_mode_and_averages_and_leaves_no_trace(tiny, tmp_path):
    seen = []

    def look(done):
        assert not any(module.training for module in model.nets.modules())
        seen.append(model.nets["f"].weight.detach().clone())

    model = Counter()
    net = model.nets["f"]
    phase = Phase(
        name="fit", loss=lambda b: {"f": {"a": net(b.x.flatten(1)).square().mean()}}, updates=("f",)
    )
    model._stages = (Stage(name="s", phases=(phase,)),)
    spec = tiny.spec(epochs=1, ema=0.5)
    before = net.weight.detach().clone()
    weights = []
    phase_after = Phase(**{**vars(phase), "after": lambda _: weights.append(net.weight.clone())})
    model._stages = (Stage(name="s", phases=(phase_after,)),)
    tiny.run(lambda: model, spec, tmp_path, between_epochs=look)
    average = before
    for weight in weights:
        average = 0.5 * average + 0.5 * weight
    torch.testing.assert_close(seen[0], average)
    assert torch.equal(net.weight, weights[-1])
    assert net.training
    stored = Counter()
    load_weights(stored, tmp_path, torch.device("cpu"))
    assert torch.equal(stored.nets["f"].weight, seen[0])


def test_the_seed_of_a_validation_depends_on_the_run_and_the_epoch_only(tiny, tmp_path):
    seeds = []

    class Validated(Counter):
        def stages(self):
            (stage,) = super().stages()
            return (Stage(name="s", phases=stage.phases, validate=self.validate),)

        def validate(self, batch):
            seeds.append(torch.initial_seed())
            return {"nothing": torch.zeros(())}

    tiny.run(Validated, tiny.spec(epochs=2, seed=5), tmp_path)
    assert seeds == [derive_seed(5, "validate", epoch) for epoch in (1, 2)]


def test_losses_of_an_epoch_longer_than_a_page_are_read_within_it(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("genbench.engine.loop.READ_S", 1e9)  # however slow the steps are
    spec = tiny.spec(epochs=1, batch_size=1, log_every=10)
    log = tiny.run(Counter, spec, tmp_path, data=tiny.data(250)).log
    told = [event.step for event in log.of(StepsDone)]
    assert told == [100, 200, 250]
    assert log.series()["f/n"] == {step: step - 4.5 for step in range(10, 251, 10)}


def test_a_stop_ends_the_step_and_names_the_checkpoint_and_the_way_on(tiny, tmp_path):
    log = tiny.Log()
    steps = iter([False, False, True])
    spec = tiny.spec(log_every=1)
    with pytest.raises(InterruptedRunError) as caught:
        tiny.run(Counter, spec, tmp_path, log=log, should_stop=lambda: next(steps))
    assert str(caught.value) == (
        "interrupted at step 3; a checkpoint was written. To resume: genbench resume RUN"
    )
    assert [event.step for event in log.of(Checkpointed)] == [3]
    assert log.of(StepsDone)[-1].step == 3


def test_validation_is_weighted_by_samples_and_repeatable(tiny, tmp_path):
    class Validated(Counter):
        def stages(self):
            (stage,) = super().stages()
            return (Stage(name="s", phases=stage.phases, validate=self.validate),)

        def validate(self, batch):
            assert not self.nets.training
            assert not torch.is_grad_enabled()
            return {"label": batch.y.double().mean(), "noise": torch.rand(())}

    data = tiny.data(test_size=1203)  # chunks of 500, 500 and 203
    runs = [tiny.run(Validated, tiny.spec(epochs=2), tmp_path / k, data=data).log for k in "ab"]
    first, second = runs[0].of(EpochDone)
    assert first.losses["test/label"] == pytest.approx(data.test.y.mean(), rel=1e-6)
    assert first.losses["test/noise"] != second.losses["test/noise"]
    assert [e.losses for e in runs[0].of(EpochDone)] == [e.losses for e in runs[1].of(EpochDone)]
    assert "test/label" not in runs[0].series()  # told with the epoch, and once


@pytest.mark.parametrize("pauses", [False, True], ids=["unbroken", "with checkpoints within"])
def test_cpu_seconds_are_those_of_the_process_within_the_training_seconds(tiny, tmp_path, pauses):
    class Slow(Counter):
        """Waits 10 ms at each step, and computes for 0.2 s when it is validated."""

        def stages(self):
            (stage,) = super().stages()
            return (Stage(name="s", phases=stage.phases, validate=self.validate),)

        def loss(self, name):
            counted = super().loss(name)

            def loss(batch):
                time.sleep(0.01)
                return counted(batch)

            return loss

        def validate(self, batch):
            began = time.process_time()
            while time.process_time() - began < 0.2:
                pass
            return {"zero": torch.zeros(())}

    kept = {"checkpoint_s": 0.0} if pauses else {}
    (done,) = tiny.run(Slow, tiny.spec(epochs=1), tmp_path, **kept).log.of(EpochDone)
    assert done.train_s > 0.05
    assert 0 < done.cpu_s < done.train_s
    assert done.cpu_s < 0.2 < done.eval_s  # validating is in neither
    assert done.load == pytest.approx(os.getloadavg()[0], abs=2)


def test_cpu_seconds_before_a_checkpoint_within_an_epoch_count(tiny, tmp_path):
    class Busy(Counter):
        """Computes for 10 ms at each step."""

        def loss(self, name):
            counted = super().loss(name)

            def loss(batch):
                began = time.process_time()
                while time.process_time() - began < 0.01:
                    pass
                return counted(batch)

            return loss

    log = tiny.run(Busy, tiny.spec(epochs=1), tmp_path, checkpoint_s=0.0).log
    (done,) = log.of(EpochDone)
    assert len(log.of(Checkpointed)) > done.step  # within the epoch, after each step
    assert done.cpu_s > 0.01 * done.step


def test_averages_start_from_the_weights_at_the_start_of_each_stage(tiny, tmp_path):
    class Twice(Counter):
        """Moves f in both stages."""

        def stages(self):
            phase = Phase(name="a", loss=self.loss("a"), updates=("f",))
            return (
                Stage(name="first", phases=(phase,), epochs=1),
                Stage(name="second", phases=(phase,), epochs=1, prepare=self.prepare),
            )

        def loss(self, name):
            return lambda batch: {"f": {"n": self.nets["f"](batch.x.flatten(1)).sum()}}

        def prepare(self, x, generator):
            self.at_start = self.nets["f"].bias.detach().clone()
            return x

    run = tiny.run(Twice, tiny.spec(ema=0.999999), tmp_path)
    average = read_checkpoint(tmp_path).ema["f.bias"]
    assert torch.allclose(average, run.model.at_start, atol=0.01)
    assert (average - run.model.nets["f"].bias).abs() > 1  # which the second stage has moved


def test_events_come_in_their_order_and_seconds_add_up(tiny, tmp_path):
    log = tiny.run(tiny.LatentGAN, tiny.spec(), tmp_path).log
    kinds = [type(event) for event in log.events]
    assert kinds[0] is StageStarted
    for k, event in enumerate(log.events):
        if isinstance(event, EpochDone):
            assert kinds[k - 1] is StepsDone
            assert Checkpointed in kinds[k:]
            assert event.train_s > 0
            assert event.train_s + event.eval_s <= event.wall_s
            assert event.peak_mem > 2**20
    assert log.of(StageStarted)[1].prepare_s > 0
    assert latest_checkpoint(tmp_path) == log.events[-1].path


def test_planned_epochs_are_the_stages_own_or_the_runs(tiny):
    assert planned_epochs(tiny.LatentGAN(), tiny.spec()) == (("autoencoder", 2), ("gan", 3))


def test_an_epoch_of_any_stage_goes_through_the_runs_epoch_images(tiny, tmp_path):
    log = tiny.run(tiny.LatentGAN, tiny.spec(epoch_images=17), tmp_path).log
    assert [(done.stage, done.images) for done in log.of(EpochDone)] == [
        *[("autoencoder", 16)] * 2,
        *[("gan", 16)] * 3,
    ]


def test_models_that_contradict_themselves_are_refused_before_training(tiny, tmp_path):
    phase = Phase(name="a", loss=lambda b: {}, updates=("f",))
    broken = {
        "has no stage": (),
        "has neither a phase": (Stage(name="s", phases=()),),
        "occurs twice": (Stage(name="s", phases=(phase, phase)),),
        "at least 1": (Stage(name="s", phases=(Phase(**{**vars(phase), "every": 0}),)),),
        "updates no optimizer": (
            Stage(name="s", phases=(Phase(**{**vars(phase), "updates": ()}),)),
        ),
    }
    for words, stages in broken.items():
        model = SimpleNamespace(nets=Counter().nets, averaged=(), stages=lambda s=stages: s)
        with pytest.raises(PluginError, match=words):
            tiny.run(lambda m=model: m, tiny.spec(), tmp_path)


def test_prepare_must_return_one_sample_for_each(tiny, tmp_path):
    class Short(tiny.LatentGAN):
        def encode(self, x, generator):
            return super().encode(x, generator)[1:]

    with pytest.raises(PluginError, match="returned 44 samples for 45"):
        tiny.run(Short, tiny.spec(), tmp_path)
