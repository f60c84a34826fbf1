"""Prepare a stage: its data, its phases with their optimizers, and the modes of its nets."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from genbench.contracts import Batch, Model, Stage
from genbench.engine.capture import Move
from genbench.engine.device import autocast
from genbench.engine.ema import EMA
from genbench.engine.feed import Feed, Samples
from genbench.engine.graphs import Graphs
from genbench.engine.loss_accumulator import LossAccumulator
from genbench.engine.modes import evaluation, set_modes
from genbench.engine.optim import NamedOptimizer, updated_nets
from genbench.engine.planned_stages import stage_epochs
from genbench.engine.randomness import cpu_generator, derive_seed, seed_everything
from genbench.engine.shards import Shards
from genbench.engine.update import Update
from genbench.errors import PluginError
from genbench.events import BATCHES, NO_GRAPHS, Execution
from genbench.spec import RunSpec

CHUNK = 1000
"""The number of samples in a call of `Stage.prepare`."""
VALIDATION_BATCH = 500


class Losses(Protocol):
    """What records the values of updates."""

    def record(self, update: Update, step: int, values: list[Tensor], /) -> None:
        """Record the values of one update at a step of the run."""


@dataclass(frozen=True, kw_only=True)
class Iterations:
    """What the iterations of a stage use; ``average`` updates the EMA after each of them."""

    epochs: int
    feed: Feed
    updates: tuple[Update, ...]
    losses: Losses
    average: Callable[[], None]

    @property
    def steps(self) -> int:
        """The number of iterations in the whole stage."""
        return self.epochs * self.feed.steps

    def iterate(self, stage_epoch: int, iteration: int, step: int) -> None:
        """Do an iteration of an epoch, both counted from 0, which is a step of the run, from 1."""
        at = stage_epoch * self.feed.steps + iteration
        steps = self.steps
        batches = [Batch(x=x, y=y, step=at, steps=steps) for x, y in self.feed.draw(iteration)]
        for update in self.updates:
            if at % update.phase.every == 0:
                for batch in batches[: update.phase.repeat]:
                    self.losses.record(update, step, update(batch))
        self.average()


@dataclass(frozen=True, kw_only=True)
class StageRun(Iterations):
    """A stage that is ready for training.

    ``uncaptured`` says why no move of the stage can be captured, and is empty if moves can be.
    """

    index: int
    stage: Stage
    losses: LossAccumulator
    prepare_s: float
    learning: frozenset[str]
    uncaptured: str

    def start_epoch(self, stage_epoch: int) -> None:
        """Shuffle for an epoch of the stage, counted from 0."""
        self.feed.start(stage_epoch)
        for update in self.updates:
            update.start()

    def execution(self) -> dict[str, Execution]:
        """How many updates of each phase, and draws of batches, were captured in this epoch."""
        moves: dict[str, tuple[int, Move[Any] | None]] = {
            update.phase.name: (update.count, update.move) for update in self.updates
        }
        if self.updates:
            moves[BATCHES] = (self.feed.count, self.feed.move)
        return {
            name: Execution(updates=count, reason=self.uncaptured)
            if move is None
            else Execution(updates=count, captured=move.replayed, reason=move.reason)
            for name, (count, move) in moves.items()
        }


def ready(
    index: int,
    stage: Stage,
    model: Model,
    optimizers: Mapping[str, NamedOptimizer],
    train: Samples,
    spec: RunSpec,
    device: torch.device,
    ema: EMA,
    graphs: Graphs | None,
    shards: Shards | None = None,
) -> StageRun:
    """Prepare the data of a stage, set the modes of its nets, and create its updates.

    With ``graphs``, its moves are captured where they can be; with ``shards``, this process updates
    on its part of each batch.
    """

    def new_move() -> Move[Any] | None:
        return None if graphs is None else Move(graphs, device, model.nets)

    updates = tuple(
        Update(
            phase,
            optimizers,
            model,
            device=device,
            precision=spec.precision,
            compile=spec.compile,
            accumulate=spec.accumulate,
            measure_every=max(1, spec.log_every // phase.every),
            move=new_move(),
            shards=shards,
        )
        for phase in stage.phases
    )
    learning = updated_nets(optimizers, [name for phase in stage.phases for name in phase.updates])
    begun = time.perf_counter()
    samples = _prepared(index, stage, model, train, spec.seed, device)
    prepare_s = time.perf_counter() - begun if stage.prepare or stage.fit_buffers else 0.0
    set_modes(model.nets, learning)
    width = max((phase.repeat for phase in stage.phases), default=0)
    return StageRun(
        index=index,
        stage=stage,
        epochs=stage_epochs(stage, spec),
        feed=Feed(
            samples,
            batch_size=spec.batch_size,
            width=width,
            seed=spec.seed,
            stage=index,
            limit=spec.epoch_images,
            move=new_move(),
            shards=shards,
            accumulate=spec.accumulate,
        ),
        updates=updates,
        losses=LossAccumulator(stage, log_every=spec.log_every, device=device),
        prepare_s=prepare_s,
        learning=learning,
        average=_averaging(ema, new_move()),
        uncaptured=_no_graphs(spec, device, shards) if graphs is None else "",
    )


def begin_stage(
    index: int, stage: Stage, model: Model, train: Samples, spec: RunSpec, device: torch.device
) -> None:
    """Call ``begin`` of a stage, if it has one. Its noise depends on (seed, stage) only."""
    if stage.begin is None:
        return
    feed = Feed(train, batch_size=spec.batch_size, width=1, seed=spec.seed, stage=index)
    feed.start(0)
    pairs = (feed.draw(iteration)[0] for iteration in range(feed.steps))
    with evaluation(model, device), torch.no_grad():
        seed_everything(derive_seed(spec.seed, "begin", index))
        stage.begin(Batch(x=x, y=y) for x, y in pairs)


def _averaging(ema: EMA, move: Move[None] | None) -> Callable[[], None]:
    return ema.update if move is None else partial(move, "average", ema.update)


def _no_graphs(spec: RunSpec, device: torch.device, shards: Shards | None) -> str:
    if shards is not None and spec.capture:
        return f"the batches are split over {shards.count} devices"
    return f"{NO_GRAPHS}{device.type}" if spec.capture else "capture is switched off"


def end_epoch(
    run: StageRun, model: Model, seed: int, stage_epoch: int, device: torch.device
) -> None:
    """Call ``epoch_ended`` of a stage, if it has one, after its epoch ``stage_epoch`` (from 1).

    Its noise depends on (seed, stage, epoch) only; the generators of the run are not affected.
    """
    if run.stage.epoch_ended is None:
        return
    with evaluation(model, device), torch.no_grad():
        seed_everything(derive_seed(seed, "epoch_ended", run.index, stage_epoch))
        run.stage.epoch_ended(stage_epoch)


def validation(
    stage: Stage,
    model: Model,
    test: Samples | None,
    spec: RunSpec,
    epoch: int,
    device: torch.device,
) -> dict[str, float]:
    """The means over the test split, weighted by samples, as ``test/name``; {} without any.

    They are computed in eval mode without gradients; the noise depends on (seed, epoch) only.
    """
    if stage.validate is None or test is None or not len(test):
        return {}
    rows: list[Tensor] = []
    sizes: list[int] = []
    names: tuple[str, ...] = ()
    with evaluation(model, device), torch.no_grad():
        torch.manual_seed(derive_seed(spec.seed, "validate", epoch))
        for x, y in test.in_order(VALIDATION_BATCH):
            with autocast(device, spec.precision):
                values = stage.validate(Batch(x=x, y=y))
            names = tuple(values)
            rows.append(torch.stack([value.float() for value in values.values()]))
            sizes.append(len(x))
    table = torch.stack(rows).cpu().double()
    weights = torch.tensor(sizes, dtype=torch.float64) / sum(sizes)
    means = (weights @ table).tolist()
    return {f"test/{name}": mean for name, mean in zip(names, means, strict=True)}


def _prepared(
    index: int, stage: Stage, model: Model, train: Samples, seed: int, device: torch.device
) -> Samples:
    if stage.fit_buffers is not None:
        with evaluation(model, device), torch.no_grad():
            stage.fit_buffers(x for x, _ in train.in_order(CHUNK))
    if stage.prepare is None:
        return train
    generator = cpu_generator(seed, "prepare", index)
    with evaluation(model, device), torch.no_grad():
        parts = [stage.prepare(x, generator) for x, _ in train.in_order(CHUNK)]
        whole = torch.cat([part.to(device, torch.float32) for part in parts])
        if len(whole) != len(train):
            raise PluginError(
                f"stage '{stage.name}': prepare returned {len(whole)} samples for {len(train)}; "
                f"it must return one per sample"
            )
        if stage.fit is not None:
            stage.fit(whole)
    return train.replaced(whole)
