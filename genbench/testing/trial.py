"""The building blocks of a model's laws: build it, train it with the engine, read its state."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genbench.contracts import Batch, Conditional, Data, Split, Stage
from genbench.engine import seed_everything, train
from genbench.errors import IncompatibleError, InterruptedRunError
from genbench.events import EpochDone, Event
from genbench.pixels import to_float
from genbench.settings import ModelSettings, Settings
from genbench.spec import RunSpec
from genbench.testing.data import SHAPES, small_data
from genbench.testing.subject import Subject
from genbench.testing.watch import Watch

CPU = torch.device("cpu")


def fitting_data(settings: Settings) -> Data:
    """Small data of the first shape that a model's settings accept."""
    refusals = []
    for shape in SHAPES:
        data = small_data(shape)
        try:
            if isinstance(settings, ModelSettings):
                settings.check(data.spec)
        except IncompatibleError as error:
            refusals.append(str(error))
        else:
            return data
    raise AssertionError(
        f"the settings accept none of {SHAPES}: {refusals[0]}; give data=small_data(shape)"
    )


def build(part: Subject, data: Data, seed: int = 0) -> Any:
    """A fresh model under a seed."""
    seed_everything(seed)
    return part.cls(part.settings, data.spec)


def first(data: Data, n: int) -> Data:
    """The first n samples of each split."""
    train_split, test_split = (_cut(split, n) for split in (data.train, data.test))
    spec = replace(data.spec, train=len(train_split.x), test=len(test_split.x))
    return replace(data, spec=spec, train=train_split, test=test_split)


def _cut(split: Split, n: int) -> Split:
    y = None if split.y is None else split.y[:n]
    return Split(x=split.x[:n], y=y, digest=f"{split.digest}-{n}")


def repeated(data: Data, times: int) -> Data:
    """The training samples, repeated: long epochs cost fewer checkpoints."""
    x, y = data.train.x, data.train.y
    split = replace(
        data.train,
        x=np.concatenate([x] * times),
        y=None if y is None else np.concatenate([y] * times),
    )
    return replace(data, spec=replace(data.spec, train=len(split.x)), train=split)


def images(data: Data, n: int) -> tuple[Tensor, Tensor | None]:
    """The first n training samples as a model sees them, and their labels."""
    x = torch.from_numpy(np.array(data.train.x[:n]))
    y = None if data.train.y is None else torch.from_numpy(np.array(data.train.y[:n]))
    return (to_float(x) if x.dtype == torch.uint8 else x), y


def inputs(model: Any, data: Data, n: int) -> tuple[Tensor, Tensor | None]:
    """The first n training samples, with labels if the model takes them; nets go to eval mode."""
    model.nets.eval()
    x, y = images(data, n)
    return x, y if isinstance(model, Conditional) else None


def stage_batch(stage: Stage, data: Data) -> Batch:
    """A batch as a stage sees it, prepared where the stage prepares its data."""
    x, y = images(data, 8)
    if stage.prepare:
        with torch.no_grad():
            x = stage.prepare(x, torch.Generator().manual_seed(0))
            if stage.fit:
                stage.fit(x)
    return Batch(x=x, y=y)


def train_model(
    model: Any,
    data: Data,
    *,
    epochs: int,
    folder: Path | None = None,
    stop_after: int | None = None,
    stop_when: Callable[[], bool] | None = None,
    watch: Watch | None = None,
    resume: bool = False,
) -> list[EpochDone]:
    """Train with the engine.

    ``stop_after`` asks it to stop after that many epochs, ``stop_when`` (asked after each
    20th iteration) once something holds. ``watch`` checks each update.
    """
    size = min(8, len(data.train.x))
    spec = RunSpec(model="model", dataset=data.spec.name, epochs=epochs, batch_size=size)
    done: list[EpochDone] = []

    def listen(event: Event) -> None:
        if isinstance(event, EpochDone):
            done.append(event)

    iterations = count(1)

    def should_stop() -> bool:
        if stop_when is not None and next(iterations) % 20 == 0:
            return stop_when()
        return stop_after is not None and len(done) >= stop_after

    def short(stage: Stage) -> Stage:
        """A stage may ask for thousands of epochs of so small a data set."""
        stage = replace(stage, epochs=epochs)
        return stage if watch is None else watch.stage(stage)

    stages = model.stages
    model.stages = lambda: [short(stage) for stage in stages()]
    seed_everything(0)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            train(
                model,
                data,
                spec,
                device=CPU,
                folder=folder or Path(scratch),
                emit=listen,
                should_stop=should_stop,
                resume=resume,
            )
        except InterruptedRunError:
            assert stop_after is not None or stop_when is not None
        finally:
            model.stages = stages
    return done


def stepped(model: Any) -> set[str]:
    """The optimizers that some phase steps."""
    return {n for stage in model.stages() for phase in stage.phases for n in phase.updates}


def state_of(model: Any) -> dict[str, Tensor]:
    """A copy of all parameters and buffers."""
    return {name: value.detach().clone() for name, value in model.nets.state_dict().items()}


def differs(model: Any, before: Mapping[str, Tensor], name: str) -> bool:
    """Whether an entry of the state has changed in any bit."""
    return not torch.equal(model.nets.state_dict()[name], before[name])


def has_shape(value: Tensor, shape: tuple[int, ...], what: str) -> None:
    """Assert a shape."""
    assert tuple(value.shape) == shape, f"{what} has shape {tuple(value.shape)}; expected {shape}"


def is_sample(x: Tensor, data: Data, what: str) -> None:
    """Assert a batch of samples: shape, finite, and images in [-1, 1]."""
    has_shape(x, (len(x), *data.spec.shape), what)
    assert torch.isfinite(x).all(), f"{what} holds values that are not finite"
    low, high = float(x.min()), float(x.max())
    inside = -1 <= low <= high <= 1
    assert inside or not data.spec.bounded, (
        f"{what} is in [{low:.3g}, {high:.3g}], outside [-1, 1]; scale it, or end with a tanh"
    )
