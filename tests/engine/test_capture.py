"""Laws of captured steps. Without a GPU, a tape of ATen operations stands in for the graph alone.

The tests marked ``cuda`` do the same with CUDA graphs.
"""

from __future__ import annotations

import random
import re
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from tape import Tape
from torch import nn

from genbench.contracts import Batch, Optimizer, Phase, Schedule, Stage
from genbench.engine import optim
from genbench.engine.capture import WARM_UP, Move
from genbench.engine.graphs import CudaGraphs
from genbench.engine.optim import build_optimizers
from genbench.engine.rehearsal import Rehearsal, difference
from genbench.engine.update import Update
from genbench.errors import OutOfMemoryError
from genbench.events import BATCHES, EpochDone, Execution, Noticed

CPU = torch.device("cpu")
STEPS = 200
KINDS = {
    "adam": {"kind": "adam", "betas": (0.5, 0.999)},
    "adamw": {"kind": "adamw", "weight_decay": 0.01},
    "sgd": {"kind": "sgd"},
    "momentum": {"kind": "sgd", "momentum": 0.9, "weight_decay": 0.01},
    "rmsprop": {"kind": "rmsprop"},
    "rmsprop-momentum": {"kind": "rmsprop", "momentum": 0.5},
}
SCHEDULES = {
    "constant": Schedule(),
    "warm-up": Schedule(warmup=0.5),
    "linear": Schedule(kind="linear"),
    "cosine": Schedule(kind="cosine", warmup=0.1, final=0.1),
    "step": Schedule(kind="step"),
}
LR = 2.0**-9
PAIRS = [
    (kind, schedule, 0.1 if (i + j) % 2 else None)
    for i, kind in enumerate(KINDS)
    for j, schedule in enumerate(SCHEDULES)
]
"""Every kind with every schedule, half of them clipped; with CUDA graphs, all of them are both."""


@pytest.fixture(autouse=True)
def _float32_rates(monkeypatch):
    """A graph has its rates in float32, and these differ from Python's floats in the last bits."""
    exact = optim.factor
    monkeypatch.setattr(optim, "factor", lambda *a: torch.tensor(exact(*a)).item())


@pytest.fixture
def tape(monkeypatch) -> Tape:
    """RMSprop takes its form for graphs on any device; only a check of the device is in its way."""
    module = sys.modules["torch.optim.rmsprop"]
    monkeypatch.setattr(module, "_get_capturable_supported_devices", lambda: ["cpu"])
    return Tape()


def trained(optimizer, device, graphs, clip=None, steps=STEPS):
    """A small net with all that is moved besides weights, trained on batches in one place."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(6, 8, bias=False),
        nn.BatchNorm1d(8, affine=False),
        nn.Tanh(),
        nn.Dropout(0.1),
        nn.Linear(8, 1),
    )
    model = SimpleNamespace(nets=nn.ModuleDict({"f": net}), optimizers=lambda: {"f": optimizer})
    model.nets.to(device)

    def loss(batch):
        noisy = batch.x + 0.1 * torch.randn_like(batch.x)
        return {"f": {"mse": (net(noisy).squeeze(1) - batch.y).square().mean()}}

    move = None if graphs is None else Move(graphs, device, model.nets)
    update = Update(
        Phase(name="fit", loss=loss, updates=("f",)),
        build_optimizers(model, clip_norm=clip),
        model,
        device=device,
        measure_every=10,
        move=move,
    )
    update.start()
    x, y = torch.empty(16, 6, device=device), torch.empty(16, device=device)
    told = []
    for step in range(steps):
        generator = torch.Generator().manual_seed(step)
        x.copy_(torch.randn(16, 6, generator=generator))
        y.copy_(x.sum(1))
        values = update(Batch(x=x, y=y, step=step, steps=steps))
        told.append(torch.stack(values).tolist())
    state = {name: tensor.cpu() for name, tensor in net.state_dict().items()}
    return SimpleNamespace(state=state, told=told, move=move)


def check_alike(optimizer, device, graphs, clip, *, exact):
    eager = trained(optimizer, device, None, clip)
    captured = trained(optimizer, device, graphs, clip)
    assert captured.move.reason == ""
    assert captured.move.replayed >= STEPS - WARM_UP - 3
    close = {"rtol": 0, "atol": 0} if exact else {"rtol": 1e-6, "atol": 1e-6}
    torch.testing.assert_close(captured.state, eager.state, **close)
    for a, b in zip(captured.told, eager.told, strict=True):
        torch.testing.assert_close(a, b, **close)


@pytest.mark.parametrize(("kind", "schedule", "clip"), PAIRS)
def test_200_captured_steps_end_where_200_ordinary_ones_end(tape, kind, schedule, clip):
    settings = Optimizer(nets=("f",), lr=LR, schedule=SCHEDULES[schedule], **KINDS[kind])
    # RMSprop multiplies by a rate on the device in another order than by a number.
    check_alike(settings, CPU, tape, clip, exact="rmsprop" not in kind or schedule == "constant")
    assert tape.captures == 2, "one with norms and one without"


@pytest.mark.cuda
@pytest.mark.parametrize("clip", [None, 0.1])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("kind", KINDS)
def test_200_steps_of_a_cuda_graph_end_where_200_ordinary_ones_end(kind, schedule, clip):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    device = torch.device("cuda:0")
    settings = Optimizer(nets=("f",), lr=LR, schedule=SCHEDULES[schedule], **KINDS[kind])
    check_alike(settings, device, CudaGraphs(device), clip, exact=False)


# --- whole runs


@pytest.fixture
def exact_gan(tiny):
    """The GAN with rates that are the same in float32, and phases that all run often enough."""

    class ExactGAN(tiny.LatentGAN):
        def optimizers(self):
            return {
                name: replace(settings, lr=LR, schedule=Schedule())
                for name, settings in super().optimizers().items()
            }

        def stages(self):
            first, second = super().stages()
            phases = tuple(replace(p, every=2 if p.every > 1 else 1) for p in second.phases)
            return replace(first, epochs=3), replace(second, phases=phases)

    return ExactGAN


def state_of(run):
    return {name: tensor.clone() for name, tensor in run.model.nets.state_dict().items()}


def executions(run):
    return {e.stage: e.execution for e in run.log.of(EpochDone)}


def test_a_captured_run_ends_and_reports_as_an_ordinary_one(tiny, exact_gan, tape, tmp_path):
    """Two stages, dropout, BatchNorm, a buffer moved by `after`, n_critic, a lazy phase, EMA."""
    spec = tiny.spec(epochs=8, ema=0.9)
    plain = tiny.run(exact_gan, spec, tmp_path / "plain")
    taped = tiny.run(exact_gan, spec, tmp_path / "taped", graphs=tape)
    torch.testing.assert_close(state_of(taped), state_of(plain), rtol=0, atol=0)
    assert taped.log.series() == plain.log.series()
    last = executions(taped)
    assert last["gan"] == {
        "d": Execution(updates=4, captured=4),
        "decay": Execution(updates=1, captured=1),
        "g": Execution(updates=2, captured=2),
        BATCHES: Execution(updates=2, captured=2),
    }
    assert not taped.log.of(Noticed)


@pytest.mark.parametrize("first", ["captured", "ordinary"])
def test_checkpoints_of_captured_and_ordinary_steps_are_read_by_both(
    tiny, exact_gan, tape, tmp_path, first
):
    spec = tiny.spec(epochs=8, ema=0.9)
    whole = state_of(tiny.run(exact_gan, spec, tmp_path / "whole"))
    begins, ends = (tape, None) if first == "captured" else (None, tape)
    steps = iter(range(10_000))
    with pytest.raises(Exception, match="interrupted"):
        tiny.run(
            exact_gan, spec, tmp_path / "a", graphs=begins, should_stop=lambda: next(steps) > 24
        )
    rest = tiny.run(exact_gan, spec, tmp_path / "a", graphs=ends, resume=True)
    torch.testing.assert_close(state_of(rest), whole, rtol=0, atol=0)
    assert tape.captures > 0


def test_a_run_tells_why_nothing_is_captured(tiny, tmp_path, tape):
    plain = tiny.run(tiny.LatentGAN, tiny.spec(), tmp_path / "a")
    assert executions(plain)["gan"]["d"] == Execution(updates=4, reason="the device is cpu")
    off = tiny.run(tiny.LatentGAN, tiny.spec(capture=False), tmp_path / "b", graphs=tape)
    assert executions(off)["gan"]["g"] == Execution(updates=2, reason="capture is switched off")
    assert tape.captures == 0


def test_a_captured_batch_is_augmented_in_each_step(tiny, tape, tmp_path):
    data = replace(tiny.data(), augment=lambda x: x + 0.1 * torch.randn_like(x))
    runs = [
        tiny.run(OneLoss, tiny.spec(epochs=4), tmp_path / name, graphs=graphs, data=data)
        for name, graphs in (("a", None), ("b", tape))
    ]
    torch.testing.assert_close(*map(state_of, runs), rtol=0, atol=0)
    assert executions(runs[1])["train"][BATCHES] == Execution(updates=5, captured=5)


# --- what a graph would do differently


class OneLoss:
    """A model of one loss."""

    averaged = ()
    mixes_samples = False

    def __init__(self):
        self.nets = nn.ModuleDict({"f": nn.Linear(16, 1)})
        self.count, self.history = 0, [torch.full((1,), float(k)) for k in range(100)]

    def optimizers(self):
        return {"f": Optimizer(nets=("f",), lr=LR)}

    def stages(self):
        phase = Phase(name="fit", loss=self.loss, updates=("f",))
        return (Stage(name="train", phases=(phase,)),)

    def loss(self, batch):
        return {"f": {"mse": self.factor(batch) * self.errors(batch).mean()}}

    def errors(self, batch):
        return (self.nets["f"](batch.x.flatten(1)) - 1).square()

    def factor(self, batch):
        return 1.0


def reads_a_value(model, batch):
    return 2.0 if model.nets["f"].weight.sum() > 0 else 1.0


def selects_by_values(model, batch):
    return batch.x[batch.x > 0].mean()


def reads_the_step(model, batch):
    return 1.0 if batch.step < 9 else 2.0


def counts_in_python(model, batch):
    model.count += 1
    return 1.0 / model.count


def makes_a_tensor_of_a_count(model, batch):
    model.count += 1
    return torch.tensor(1.0 / model.count)


def draws_on_the_host(model, batch):
    return 1.0 + 0.0 * random.random()


def takes_another_tensor(model, batch):
    model.count += 1
    return model.history[model.count].mean()


def branches(model, batch):
    model.count += 1
    return batch.x.mean() if model.count % 2 else 1.0


@pytest.mark.parametrize(
    ("factor", "reason"),
    [
        (reads_a_value, "it waits for a value of the device"),
        (selects_by_values, r"it waits for a value of the device \(index"),
        (reads_the_step, "its loss reads batch.step"),
        (counts_in_python, r"an operation differs from step to step \(aten.mul.*: 0.3.*, then 0.2"),
        (makes_a_tensor_of_a_count, "an operation differs from step to step"),
        (draws_on_the_host, "it draws random numbers on the host"),
        (takes_another_tensor, r"an operation differs from step to step \(.*another tensor"),
        (branches, "its number of operations differs from step to step"),
    ],
)
def test_a_step_that_a_graph_would_freeze_stays_ordinary_and_says_why(
    tiny, tape, tmp_path, factor, reason
):
    cls = type("Odd", (OneLoss,), {"factor": factor})
    runs = []
    for name, graphs in (("plain", None), ("taped", tape)):
        random.seed(0)
        runs.append(tiny.run(cls, tiny.spec(epochs=3), tmp_path / name, graphs=graphs))
    plain, taped = runs
    torch.testing.assert_close(state_of(taped), state_of(plain), rtol=0, atol=0)
    found = executions(taped)["train"]
    assert found["fit"].captured == 0
    assert found[BATCHES].captured == 5, "the draw of batches is captured by itself"
    (notice,) = taped.log.of(Noticed)
    assert notice.message.startswith("stage 'train': phase 'fit' is not captured")
    assert found["fit"].reason in notice.message
    assert re.search(reason, found["fit"].reason)


META = torch.device("meta")


@pytest.mark.parametrize(
    ("step", "obstacle"),
    [
        (lambda x: torch.where(x > 0, x, 0.5) * torch.tensor(2.0), ""),
        (lambda x: x + torch.tensor(2.0, device=META), "copies values between the host and"),
        (lambda x: x + torch.ones(3).to(META), r"uses a tensor on cpu \(ones"),
        (lambda x: torch.zeros(()).to(META) + x, "copies values between the host and the device"),
        (lambda x: torch.randn(3, device="cpu").to(META) + x, "uses a tensor on cpu"),
        (lambda x: torch.empty_like(x).copy_(torch.rand(())), "copies values between the host"),
    ],
)
def test_a_device_other_than_the_host_sees_what_comes_from_there(step, obstacle):
    """PyTorch's device ``meta`` stands for the GPU: it has shapes and no values."""
    seen = []
    for _ in range(2):
        with Rehearsal(META) as rehearsal:
            step(torch.ones(3, device=META))
        seen.append(rehearsal)
    found = seen[0].end() or difference(*seen)
    assert re.search(obstacle, found) if obstacle else not found, found


def test_a_number_of_the_host_that_changes_is_a_difference():
    seen = []
    for k in range(2):
        x = torch.ones(3, device=META)
        with Rehearsal(META) as rehearsal:
            x.mul_(torch.tensor(1.0 / (k + 1)))
        seen.append(rehearsal)
    assert not seen[0].end()
    assert "an operation differs from step to step" in difference(*seen)


def test_a_graph_that_does_not_fit_leaves_ordinary_steps_and_a_sentence(tiny, tape, tmp_path):
    class Full(Tape):
        def capture(self, move):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    runs = [
        tiny.run(OneLoss, tiny.spec(epochs=3), tmp_path / name, graphs=graphs)
        for name, graphs in (("plain", None), ("full", Full()))
    ]
    torch.testing.assert_close(*map(state_of, runs), rtol=0, atol=0)
    assert next(n.message for n in runs[1].log.of(Noticed)) == (
        "stage 'train': phase 'fit' is not captured as a CUDA graph, since its graph doesn't fit "
        "in the device's memory; try a smaller batch; its steps run as usual"
    )


def test_a_step_without_memory_still_raises_with_a_hint(tiny, tape, tmp_path):
    def too_much(model, batch):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    cls = type("Huge", (OneLoss,), {"factor": too_much})
    with pytest.raises(OutOfMemoryError, match="try --accumulate"):
        tiny.run(cls, tiny.spec(), tmp_path, graphs=tape)


def test_a_tensor_that_is_replaced_between_epochs_is_captured_again(tiny, tape, tmp_path):
    class Replaced(OneLoss):
        def stages(self):
            (stage,) = super().stages()
            return (replace(stage, epoch_ended=self.replace),)

        def replace(self, epoch):
            self.nets["f"].bias.data = self.nets["f"].bias.data + 0.5

    runs = [
        tiny.run(Replaced, tiny.spec(epochs=4), tmp_path / name, graphs=graphs)
        for name, graphs in (("plain", None), ("taped", tape))
    ]
    torch.testing.assert_close(*map(state_of, runs), rtol=0, atol=0)
    assert executions(runs[1])["train"]["fit"] == Execution(updates=5, captured=5)


@pytest.mark.parametrize("changes", [{"accumulate": 3}, {"precision": "bf16"}, {"batch_size": 64}])
def test_microbatches_autocast_and_a_single_batch_are_captured_too(tiny, tape, tmp_path, changes):
    spec = tiny.spec(**{"epochs": 12, **changes})
    runs = [
        tiny.run(OneLoss, spec, tmp_path / name, graphs=graphs)
        for name, graphs in (("plain", None), ("taped", tape))
    ]
    torch.testing.assert_close(*map(state_of, runs), rtol=0, atol=0)
    assert executions(runs[1])["train"]["fit"].captured > 0


def test_capture_is_a_setting_that_changes_no_existing_hash(tiny):
    spec = tiny.spec()
    assert spec.capture
    assert spec.digest == "f5fa0a09bb58cdb3", "that of a spec before there was capture"
    assert tiny.spec(capture=False).experiment != spec.experiment
