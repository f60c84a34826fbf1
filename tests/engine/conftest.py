"""Tiny real models and data for the engine's laws, all seeded, all on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.contracts import (
    MONITOR,
    Batch,
    Data,
    DataSpec,
    Optimizer,
    Phase,
    Schedule,
    Split,
    Stage,
)
from genbench.engine import seed_everything, train
from genbench.events import Event, Resumed
from genbench.spec import RunSpec

CPU = torch.device("cpu")
SHAPE, PIXELS, Z = (1, 4, 4), 16, 3


class LatentGAN:
    """Two stages with all that can go wrong in a resume.

    Dropout, BatchNorm, a schedule, labels, monitors, a buffer moved by ``after``, a lazy phase,
    two D steps an iteration, data encoded with noise, statistics of it in a buffer.
    """

    averaged = ("generator",)

    def __init__(self) -> None:
        self.nets = nn.ModuleDict(
            {
                "encoder": nn.Sequential(
                    nn.Linear(PIXELS, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, Z)
                ),
                "decoder": nn.Linear(Z, PIXELS),
                "generator": nn.Sequential(nn.Linear(Z, 8), nn.BatchNorm1d(8), nn.Linear(8, Z)),
                "discriminator": nn.Sequential(nn.Linear(Z, 8), nn.Dropout(0.3), nn.Linear(8, 1)),
            }
        )
        self.nets["generator"].register_buffer("scale", torch.ones(Z))
        self.nets["discriminator"].register_buffer("k", torch.zeros(()))

    def optimizers(self) -> dict[str, Optimizer]:
        cosine = Schedule(kind="cosine", warmup=0.2, final=0.1)
        return {
            "ae": Optimizer(nets=("encoder", "decoder"), lr=1e-2, schedule=cosine),
            "g": Optimizer(nets=("generator",), kind="rmsprop", lr=1e-3, clip_norm=0.5),
            "d": Optimizer(nets=("discriminator",), kind="sgd", lr=1e-2, momentum=0.9),
        }

    def stages(self) -> tuple[Stage, ...]:
        ae = Phase(name="ae", loss=self.reconstruction, updates=("ae",))
        d = Phase(name="d", loss=self.d_loss, updates=("d",), repeat=2, after=self.move_k)
        r = Phase(name="decay", loss=self.d_decay, updates=("d",), every=3)
        g = Phase(name="g", loss=self.g_loss, updates=("g",))
        return (
            Stage(name="autoencoder", phases=(ae,), epochs=2, validate=self.validate),
            Stage(name="gan", phases=(d, r, g), prepare=self.encode, fit=self.standardise),
        )

    def reconstruction(self, batch: Batch) -> dict[str, dict[str, Tensor]]:
        x = batch.x.flatten(1)
        code = self.nets["encoder"](x + 0.1 * torch.randn_like(x))
        mse = F.mse_loss(self.nets["decoder"](code), x)
        return {"ae": {"mse": mse, "size": 0.01 * code.square().mean()}}

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        return {"mse": self.reconstruction(batch)["ae"]["mse"]}

    def encode(self, x: Tensor, generator: torch.Generator) -> Tensor:
        code: Tensor = self.nets["encoder"](x.flatten(1))
        return code + 0.1 * torch.randn(code.shape, generator=generator)

    def standardise(self, h: Tensor) -> None:
        self.nets["generator"].scale.copy_(h.std(0))

    def fakes(self, n: int) -> Tensor:
        fakes: Tensor = self.nets["generator"](torch.randn(n, Z)) * self.nets["generator"].scale
        return fakes

    def d_loss(self, batch: Batch) -> dict[str, dict[str, Tensor]]:
        d = self.nets["discriminator"]
        real = F.softplus(-d(batch.x)).mean()
        fake = F.softplus(d(self.fakes(len(batch)))).mean()
        return {"d": {"real": real, "fake": fake}, MONITOR: {"k": d.k.clone()}}

    def d_decay(self, batch: Batch) -> dict[str, dict[str, Tensor]]:
        return {"d": {"norm": 1e-3 * self.nets["discriminator"](batch.x).square().mean()}}

    def move_k(self, terms: Any) -> None:
        self.nets["discriminator"].k += 0.01 * (terms["d"]["real"] - terms["d"]["fake"])

    def g_loss(self, batch: Batch) -> dict[str, dict[str, Tensor]]:
        return {
            "g": {"loss": F.softplus(-self.nets["discriminator"](self.fakes(len(batch)))).mean()}
        }


def make_split(n: int, seed: int = 0) -> Split:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (n, *SHAPE), dtype=np.uint8)
    return Split(x=x, y=rng.integers(0, 10, n), digest=f"{n}-{seed}")


def make_data(train_size: int = 45, test_size: int = 7) -> Data:
    spec = DataSpec(name="noise", shape=SHAPE, classes=10)
    return Data(spec=spec, train=make_split(train_size), test=make_split(test_size, seed=1))


def make_spec(**changes: Any) -> RunSpec:
    fields: dict[str, Any] = {"epochs": 3, "batch_size": 8, "log_every": 4}
    return RunSpec(model="tiny", dataset="noise", **{**fields, **changes})


class Log:
    """A listener that keeps events as a store does: `Resumed` deletes what lies after."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Resumed):
            self.events = [e for e in self.events if getattr(e, "step", 0) <= event.step]
            self.events = [
                e for e in self.events if type(e).__name__ != "EpochDone" or e.epoch <= event.epoch
            ]
        self.events.append(event)

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def series(self) -> dict[str, dict[int, float]]:
        found: dict[str, dict[int, float]] = {}
        for event in self.events:
            for key, points in getattr(event, "series", {}).items():
                for step, value in points:
                    assert step not in found.setdefault(key, {}), (key, step)
                    found[key][step] = value
        return found


def run(build: Callable[[], Any], spec: RunSpec, folder: Any, **options: Any) -> SimpleNamespace:
    """Build under the run's seed, train on the CPU, hand back the model and its log."""
    log = options.pop("log", None) or Log()
    data = options.pop("data", None) or make_data()
    seed_everything(spec.seed)
    model = build()
    train(model, data, spec, device=CPU, folder=folder, emit=options.pop("emit", log), **options)
    return SimpleNamespace(model=model, log=log)


@pytest.fixture
def tiny() -> SimpleNamespace:
    """The stand-ins, by name."""
    return SimpleNamespace(
        LatentGAN=LatentGAN, Log=Log, data=make_data, split=make_split, spec=make_spec, run=run
    )


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
