"""The laws of compressors, on a small GAN."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.contracts import Batch, Data, Model, Optimizer, ParentRun, Phase, Stage, Terms
from genbench.engine import load_weights, seed_everything, train
from genbench.engine.compression import reshape_of, train_as
from genbench.errors import InterruptedRunError
from genbench.registry import Registry
from genbench.settings import CompressorSettings, Settings
from genbench.spec import RunSpec
from genbench.testing.data import small_data
from genbench.testing.parts import check_requirements
from genbench.testing.subject import Subject, subject

CPU = torch.device("cpu")
WIDTH = 16


def check_compressor(
    compressor: str | type,
    settings: Settings | type[Settings] | None = None,
    *,
    model: Any = None,
    registry: Registry | None = None,
) -> None:
    """Check that what a compressor makes is trained, resumed bitwise, and loaded by itself.

    It compresses a small GAN of 8x8 images; ``model`` is a function that builds another one for
    `small_data()`.
    """
    part = subject("compressor", compressor, settings, registry)
    check_requirements(part, part.cls.requires)
    trial = _Trial(part, model or SmallGAN)
    with tempfile.TemporaryDirectory() as folder:
        whole, broken = Path(folder) / "whole", Path(folder) / "broken"
        before = _state(trial.parent)
        _train(trial.compressed(), trial.data, whole)
        assert _same(before, _state(trial.parent)), (
            f"{part.name} changed the model that it compresses; parent.trained() is the parent's "
            "own, so copy what you change"
        )
        loaded = trial.loaded(whole)
        _check_samples(part.name, loaded, trial.data)
        _resumed(trial, broken)
        assert _same(_state(loaded), _state(trial.loaded(broken))), (
            f"{part.name}: a run that was stopped and resumed ends with other weights than an "
            "unbroken one; keep all state in parameters and buffers of model.nets"
        )


class SmallGAN:
    """A generator and a discriminator of 8x8 images, with 16 channels in hidden layers."""

    averaged = ("generator",)

    def __init__(self) -> None:
        self.nets = nn.ModuleDict(
            {
                "generator": nn.Sequential(
                    nn.Linear(4, WIDTH), nn.BatchNorm1d(WIDTH), nn.ReLU(), nn.Linear(WIDTH, 64)
                ),
                "discriminator": nn.Sequential(
                    nn.Linear(64, WIDTH), nn.LeakyReLU(0.2), nn.Linear(WIDTH, 1)
                ),
            }
        )

    def optimizers(self) -> Mapping[str, Optimizer]:
        """One for each network."""
        return {"d": Optimizer(nets=("discriminator",)), "g": Optimizer(nets=("generator",))}

    def stages(self) -> tuple[Stage, ...]:
        """Alternating steps."""
        d = Phase(name="d", loss=self.d_loss, updates=("d",))
        g = Phase(name="g", loss=self.g_loss, updates=("g",))
        return (Stage(name="train", phases=(d, g)),)

    def d_loss(self, batch: Batch) -> Terms:
        """-E log D(x) - E log(1 - D(G(z)))."""
        fake = self.generate(self.prior(len(batch)))
        real_loss = F.softplus(-self.discriminate(batch.x)).mean()
        return {"d": {"real": real_loss, "fake": F.softplus(self.discriminate(fake)).mean()}}

    def g_loss(self, batch: Batch) -> Terms:
        """-E log D(G(z))."""
        fake = self.generate(self.prior(len(batch)))
        return {"g": {"adversarial": F.softplus(-self.discriminate(fake)).mean()}}

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """z ~ N(0, I), (n, 4)."""
        return torch.randn(n, 4, generator=generator)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, 1, 8, 8) in [-1, 1]."""
        x: Tensor = self.nets["generator"](z)
        return torch.tanh(x).view(-1, 1, 8, 8)

    def discriminate(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        """Logits (B,)."""
        logits: Tensor = self.nets["discriminator"](h.flatten(1))
        return logits.squeeze(1)


class _Trial:
    """A compressor, and a parent that knows when it is loaded."""

    def __init__(self, part: Subject, build: Any) -> None:
        self.part, self._build = part, build
        self.data = small_data()
        self.parent = self._initial()
        with tempfile.TemporaryDirectory() as folder:
            _train(self.parent, self.data, Path(folder))
        self.parent.nets.eval().requires_grad_(False)
        self._open = True

    def compressed(self) -> Model:
        """A model that starts as the parent, or as a student, and is to be trained."""
        student = isinstance(self.part.settings, CompressorSettings) and self.part.settings.student
        model = self._initial()
        if not student:
            model.nets.load_state_dict(self.parent.nets.state_dict())
        return self._under_compression(model)

    def loaded(self, folder: Path) -> Model:
        """The model of a checkpoint, without the parent and its weights."""
        self._open = False
        try:
            model = self._under_compression(self._initial())
            load_weights(model, folder, CPU)
        finally:
            self._open = True
        model.nets.eval()
        return model

    def _under_compression(self, model: Model) -> Model:
        used, self._open = self._open, False
        compressor = self.part.cls(self.part.settings)
        parent = ParentRun(
            run="parent", data=self.data.spec, trained=self._trained, initial=self._initial_of
        )
        compression = compressor.compress(model, parent)
        self._open = used
        train_as(model, [reshape_of(compression, model)], compression)
        return model

    def _trained(self) -> Model:
        assert self._open, (
            f"{self.part.name}: compress() loads the parent, which may be gone when a stored run "
            "is loaded; leave it to Stage.begin and to losses"
        )
        return self.parent

    def _initial_of(self) -> Model:
        return self._initial() if self._open else self._trained()

    def _initial(self) -> Model:
        seed_everything(0)
        model: Model = self._build()
        return model


def _train(model: Model, data: Data, folder: Path, **more: Any) -> None:
    spec = RunSpec(model="m", dataset="d", epochs=2, batch_size=16)
    train(model, data, spec, device=CPU, folder=folder, emit=lambda event: None, **more)


def _resumed(trial: _Trial, folder: Path) -> None:
    """Stop after a few steps, and go on with a newly built model."""
    steps = 0

    def stop() -> bool:
        nonlocal steps
        steps += 1
        return steps == 3

    try:
        _train(trial.compressed(), trial.data, folder, should_stop=stop)
    except InterruptedRunError:
        _train(trial.compressed(), trial.data, folder, resume=True)


def _check_samples(name: str, model: Any, data: Data) -> None:
    with torch.no_grad():
        x = model.generate(model.prior(8))
    assert tuple(x.shape[1:]) == data.spec.shape, f"{name}: samples have shape {tuple(x.shape)}"
    assert bool(torch.isfinite(x).all()), f"{name}: samples are not finite"
    assert float(x.abs().max()) <= 1.0, f"{name}: samples are not in [-1, 1]"


def _state(model: Model) -> dict[str, Tensor]:
    return copy.deepcopy(dict(model.nets.state_dict()))


def _same(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )
