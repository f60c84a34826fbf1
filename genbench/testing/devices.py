"""The device law: a part works where its model is, and a training step never waits for the device.

It is tried on a pretended CUDA device (`genbench.testing.pretended`), so that no GPU is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn

from genbench.contracts import (
    Batch,
    Conditional,
    Data,
    Discriminates,
    Embeds,
    Generates,
)
from genbench.engine.ema import EMA
from genbench.engine.feed import Samples
from genbench.engine.optim import NamedOptimizer, build_optimizers
from genbench.engine.planned_stages import planned_stages
from genbench.engine.randomness import seed_everything
from genbench.engine.stage import StageRun, end_epoch, ready, validation
from genbench.errors import UsageError
from genbench.spec import RunSpec
from genbench.testing.outputs import maps
from genbench.testing.pretended import CUDA, PretendedCUDA, PretendedDeviceError, pretended_cuda
from genbench.testing.subject import Subject
from genbench.testing.trial import build, first, images

BATCH = 8
STEPS = 2
"""Iterations of each stage: what a first step sets up, the second finds."""


def check_device(part: Subject, data: Data) -> None:
    """A model on a GPU: every stage is prepared and trained, then all that the model can is done.

    The engine trains it, and between the losses of two phases nothing may make the host wait. What
    is given is on the device; generators are of the CPU, as the contract has it.
    """
    model = build(part, data)
    held = [name for name, tensor in _plain_tensors(model) if tensor.dim() > 0]
    few = first(data, 2 * BATCH)
    with pretended_cuda() as device:
        model.nets.to(CUDA)
        _train(part.name, model, few, device, held)
        model.nets.eval()
        with torch.no_grad():
            _use(part.name, model, few, held)


@contextmanager
def on_the_device(what: str, held: list[str] | None = None) -> Iterator[None]:
    """Turn what a GPU would refuse into an AssertionError that says what did it and what to do."""
    try:
        yield
    except PretendedDeviceError as error:
        message = str(error)
        if "waits for the device" in message:
            raise AssertionError(
                f"{what} makes the host wait for the device in every training step: {message}.\n"
                "Compute with tensors (torch.where, clamp), give sizes as Python numbers, and make "
                "constants in __init__ as buffers of a module in nets"
            ) from error
        if "generator" in message:
            raise AssertionError(
                f"{what} mixes devices once nets are moved: {message}.\nDraw on the CPU with the "
                "generator, then move the noise: torch.randn(shape, generator=generator)"
                ".to(device)"
            ) from error
        raise AssertionError(
            f"{what} mixes devices once nets are moved: {message}.\n{_advice(held or [])}"
        ) from error


def _advice(held: list[str]) -> str:
    suspects = f" Tensors that don't move with nets: {', '.join(held)}." if held else ""
    return (
        "Keep a tensor as a buffer (register_buffer) of a module in nets, or make it on the "
        f"device of the input (device=x.device).{suspects}"
    )


# --- training -----------------------------------------------------------------------------------


def _train(name: str, model: Any, data: Data, device: PretendedCUDA, held: list[str]) -> None:
    seed_everything(0)
    spec = RunSpec(model=name, dataset=data.spec.name, epochs=1, batch_size=BATCH, log_every=1)
    train, test = Samples.of(data.train, CUDA, data.augment), Samples.of(data.test, CUDA)
    optimizers: Mapping[str, NamedOptimizer] = build_optimizers(model, clip_norm=None)
    ema = EMA(model, None)
    for index, stage in enumerate(planned_stages(model)):
        with on_the_device(f"the preparation of stage '{stage.name}' of model '{name}'", held):
            run = ready(index, stage, model, optimizers, train, spec, CUDA, ema, None)
        _steps(name, run, device, held)
        with on_the_device(f"epoch_ended of stage '{stage.name}' of model '{name}'", held):
            end_epoch(run, model, 0, 1, CUDA)
        with on_the_device(f"validate of stage '{stage.name}' of model '{name}'", held):
            validation(stage, model, test, spec, 1, CUDA)


def _steps(name: str, run: StageRun, device: PretendedCUDA, held: list[str]) -> None:
    run.feed.start(0)
    for step in range(STEPS if run.updates else 0):
        for update in run.updates:
            [(x, y), *_] = run.feed.draw(0)
            what = f"phase '{update.phase.name}' of model '{name}'"
            with on_the_device(what, held), device.without_waiting():
                update(Batch(x=x, y=y, step=step, steps=STEPS))


# --- what a model can do ------------------------------------------------------------------------


def _use(name: str, model: Any, data: Data, held: list[str]) -> None:
    """The capabilities of a model, with and without a generator."""
    with on_the_device(f"prior(n, generator) of model '{name}'", held):
        for generator in (torch.Generator().manual_seed(0), None):
            if isinstance(model, Generates):
                _is_here(model.prior(BATCH, generator), f"prior(n, {generator and 'generator'})")
    with on_the_device(f"the maps of model '{name}'", held):
        for what, function, given in maps(model, data, CUDA):
            with on_the_device(f"{what} of model '{name}'", held), suppress(UsageError):
                _is_here(function(*given), what)
    x, y = (None if t is None else t.to(CUDA) for t in images(data, BATCH))
    assert x is not None
    labels = y if isinstance(model, Conditional) else None
    with on_the_device(f"discriminate(h) of model '{name}'", held):
        if isinstance(model, Discriminates):
            real = model.embed(x) if isinstance(model, Embeds) else x
            _is_here(model.discriminate(real, labels), "discriminate(h)")


def _is_here(tensor: Tensor, what: str) -> None:
    assert tensor.device == CUDA, (
        f"{what} gives a tensor on {tensor.device.type}, not on the device of nets; make it "
        "there, or, if it is drawn on the CPU with a generator, move it: .to(device)"
    )


def _plain_tensors(model: Any) -> Iterator[tuple[str, Tensor]]:
    """Attributes of the model or of its modules that are tensors, but no parameter or buffer."""
    yield from _tensors_of(vars(model), type(model).__name__)
    for name, module in model.nets.named_modules():
        own = {key: v for key, v in vars(module).items() if not key.startswith("_")}
        yield from _tensors_of(own, f"nets.{name}" if name else "nets")


def _tensors_of(attributes: Mapping[str, Any], owner: str) -> Iterator[tuple[str, Tensor]]:
    for name, value in attributes.items():
        if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
            yield f"{owner}.{name}", value
