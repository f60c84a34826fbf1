"""The training loop, which is the same for all models.

Read `Trainer.train` from top to bottom: restore, then train stage by stage, epoch by epoch,
iteration by iteration. What differs between families of models is declared in their phases.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from genbench.contracts import Batch, Data, Model, Reshapes, Stage
from genbench.engine.checkpoint import RunIdentity, has_checkpoint
from genbench.engine.device import load_average, peak_memory, synchronize
from genbench.engine.ema import EMA
from genbench.engine.feed import Samples
from genbench.engine.graphs import Graphs, default_graphs
from genbench.engine.loss_accumulator import ROWS
from genbench.engine.modes import evaluation
from genbench.engine.optim import build_optimizers
from genbench.engine.planned_stages import planned_stages, stage_epochs
from genbench.engine.randomness import forked_rng, seed_everything
from genbench.engine.recovery import Position, Recovery
from genbench.engine.shards import Shards
from genbench.engine.slow_options import slow_options
from genbench.engine.stage import StageRun, begin_stage, end_epoch, ready, validation
from genbench.errors import DivergedError, InterruptedRunError
from genbench.events import (
    BATCHES,
    EpochDone,
    Listener,
    Noticed,
    Resumed,
    ShouldStop,
    StageStarted,
    StepsDone,
    never,
)
from genbench.spec import RunSpec

CHECKPOINT_S = 300.0
"""The maximum seconds between two checkpoints, after which one is written within an epoch."""
READ_S = 1.0
"""The maximum seconds between two reads of the losses, for the display of slow steps."""


def train(
    model: Model,
    data: Data,
    spec: RunSpec,
    *,
    device: torch.device,
    folder: Path,
    emit: Listener,
    between_epochs: Callable[[EpochDone], None] | None = None,
    should_stop: ShouldStop = never,
    resume: bool = False,
    checkpoint_s: float = CHECKPOINT_S,
    identity: RunIdentity | None = None,
    graphs: Graphs | None = None,
    shards: Shards | None = None,
) -> None:
    """Train a newly built model through all its stages, or continue from its last checkpoint.

    The model is passed on the CPU, built with the seed of the run, and is moved to ``device``.
    ``between_epochs`` is called after EpochDone and before the checkpoint of the epoch, in eval
    mode, with the EMA weights if there are any; it doesn't affect the generators of the run.
    ``should_stop`` is called after each iteration. A ``resume`` of a run that was killed before its
    first checkpoint starts from the beginning. ``identity`` is written into each checkpoint; a
    checkpoint with another identity is an error. ``graphs`` make the graphs of captured steps; by
    default, they are CUDA graphs on a CUDA device, and there are none elsewhere. With ``shards``,
    this is the first process of several, and `genbench.engine.follow` runs in the others.

    Law: an interrupted and resumed fp32 run on the CPU ends bitwise equal to an uninterrupted one:
    weights, optimizers, EMA, and the reported losses.

    Raises DivergedError, InterruptedRunError (after a checkpoint), CheckpointError, DiskFullError,
    PluginError (an invalid model).
    """
    trainer = Trainer(
        model, data, spec, device, folder, emit, checkpoint_s, identity, graphs, shards
    )
    try:
        trainer.train(between_epochs, should_stop, resume)
    except DivergedError as error:
        error.kept = has_checkpoint(folder)
        raise


class Trainer:
    """The state of a training run: the model and everything else in a checkpoint.

    ``share`` is the share of the process's seconds that count as those of this run.
    """

    def __init__(
        self,
        model: Model,
        data: Data,
        spec: RunSpec,
        device: torch.device,
        folder: Path,
        emit: Listener,
        checkpoint_s: float,
        identity: RunIdentity | None,
        graphs: Graphs | None,
        shards: Shards | None = None,
    ) -> None:
        self.model, self.spec, self.device, self.folder = model, spec, device, folder
        self.emit, self.checkpoint_s = emit, checkpoint_s
        self.share = 1.0
        self.shards = shards
        captures = spec.capture and shards is None
        self.graphs = (graphs or default_graphs(device)) if captures else None
        self.stages = planned_stages(model)
        self._own_nets()
        self.train_samples = Samples.of(data.train, device, data.augment)
        self.test_samples = None
        if any(stage.validate is not None for stage in self.stages):
            self.test_samples = Samples.of(data.test, device)
        self.position = Position()
        self._resumed_at = self._read_at = self._cpu_at = 0.0
        self.recovery = Recovery(
            folder,
            emit,
            model=model,
            optimizers=self.optimizers,
            ema=self.ema,
            device=device,
            identity=identity,
        )

    def _own_nets(self) -> None:
        """Move the nets to the device; their parameters get new optimizers and averages."""
        self.model.nets.to(self.device)
        self.optimizers = build_optimizers(self.model, clip_norm=self.spec.clip_norm)
        self.ema = EMA(self.model, self.spec.ema)

    def train(
        self,
        between_epochs: Callable[[EpochDone], None] | None,
        should_stop: Callable[[], bool],
        resume: bool,
    ) -> None:
        """Train all stages, from the beginning or from the last checkpoint."""
        sums: Mapping[str, Any] = {}
        if resume and has_checkpoint(self.folder):
            sums = self._restore()
        else:
            seed_everything(self.spec.seed)
        self._check_alike()
        if resume:
            self.emit(Resumed(step=self.position.step, epoch=self.position.epoch))
        self._epoch_began = time.perf_counter()
        while self.position.stage < len(self.stages):
            run = self._start_stage(self.stages[self.position.stage], sums)
            sums = {}
            while self.position.stage_epoch < run.epochs:
                self._epoch(run, should_stop)
                self._show(self._end_epoch(run), between_epochs)
                if self.recovery.is_due(self.position, run):
                    self._save(run)
            self.position.stage += 1
            self.position.stage_epoch = 0

    # --- a stage

    def _start_stage(self, stage: Stage, sums: Mapping[str, Any]) -> StageRun:
        at = self.position
        fresh = at.stage_epoch == 0 and at.iteration == 0
        begin_s = self._begin(stage) if fresh and stage.begin is not None else 0.0
        # A stage that only fits uses the weights that will be sampled from.
        with nullcontext() if stage.phases else self.ema.swapped_in():
            run = ready(
                at.stage,
                stage,
                self.model,
                self.optimizers,
                self.train_samples,
                self.spec,
                self.device,
                self.ema,
                self.graphs,
                self.shards,
            )
        if self.shards is not None:
            # A device may round what a stage fits in another way.
            self.shards.share([*self.model.nets.parameters(), *self.model.nets.buffers()])
        if sums:
            run.losses.restore(sums)
        self.ema.follow(run.learning, reset=fresh)
        prepare_s = begin_s + run.prepare_s + self._warn_of_slow_options(run)
        before = sum(stage_epochs(other, self.spec) for other in self.stages[: at.stage])
        self.emit(
            StageStarted(
                stage=stage.name,
                index=at.stage,
                epochs=run.epochs,
                steps_per_epoch=run.feed.steps,
                first_epoch=before + 1,
                prepare_s=prepare_s,
            )
        )
        return run

    def _begin(self, stage: Stage) -> float:
        """Let a stage change the nets; averages start again from them. Returns the seconds."""
        began = time.perf_counter()
        begin_stage(
            self.position.stage, stage, self.model, self.train_samples, self.spec, self.device
        )
        self._own_nets()
        self.recovery.follow(self.optimizers, self.ema)
        synchronize(self.device)
        return time.perf_counter() - began

    def _warn_of_slow_options(self, run: StageRun) -> float:
        """Say which options make the stage slower; returns the seconds of trying them."""
        asked = self.spec.compile or self.spec.precision != "fp32"
        if not asked or not run.updates or self.shards is not None:
            return 0.0
        begun = time.perf_counter()
        run.feed.start(self.position.stage_epoch)
        with forked_rng(self.device):
            x, y = run.feed.draw(0)[0]
        batches = [Batch(x=x, y=y, step=step, steps=run.steps) for step in range(3)]
        for told in slow_options(run.updates, batches, self.model, self.device):
            self.emit(Noticed(message=f"stage '{run.stage.name}': {told}"))
        return time.perf_counter() - begun

    # --- an epoch

    def _epoch(self, run: StageRun, should_stop: Callable[[], bool]) -> None:
        at = self.position
        run.start_epoch(at.stage_epoch)
        self._start_clock()
        clock = time.perf_counter
        while at.iteration < run.feed.steps:
            run.iterate(at.stage_epoch, at.iteration, at.step + 1)
            at.iteration += 1
            at.step += 1
            now = clock()
            if at.iteration % ROWS == 0 or now - self._read_at > READ_S:
                self._read(run)
                self._read_at = now
            if should_stop():
                self._pause(run)
                raise InterruptedRunError(
                    f"interrupted at step {at.step}; a checkpoint was written",
                    hint="To resume: genbench resume RUN",
                )
            if self.recovery.age > self.checkpoint_s:
                self._pause(run)

    def _end_epoch(self, run: StageRun) -> EpochDone:
        """Read the last losses, stop the clock, validate, and emit EpochDone."""
        self._read(run, epoch_ends=True)
        end_epoch(run, self.model, self.spec.seed, self.position.stage_epoch + 1, self.device)
        self._check_alike()
        self._stop_clock()
        return self._report(run)

    def _report(self, run: StageRun) -> EpochDone:
        """Validate, and emit EpochDone; the clock has stopped."""
        at = self.position
        train_s, began = at.train_s, time.perf_counter()
        scores = validation(
            run.stage, self.model, self.test_samples, self.spec, at.epoch + 1, self.device
        )
        ended = time.perf_counter()
        at.epoch += 1
        at.stage_epoch += 1
        at.iteration = 0
        done = EpochDone(
            stage=run.stage.name,
            stage_epoch=at.stage_epoch,
            epoch=at.epoch,
            step=at.step,
            images=run.feed.images,
            train_s=train_s,
            eval_s=ended - began,
            wall_s=at.wall_s + self.share * (ended - self._epoch_began),
            peak_mem=peak_memory(self.device),
            losses={**run.losses.end_epoch(), **scores},
            execution=run.execution(),
            cpu_s=at.cpu_s,
            load=load_average(),
        )
        at.train_s = at.wall_s = at.cpu_s = 0.0
        self._epoch_began = ended
        self.recovery.wait_for(done)
        self.emit(done)
        self._tell_of_uncaptured(done)
        return done

    def _tell_of_uncaptured(self, done: EpochDone) -> None:
        """Say once in a stage which of its moves are not captured, unless none can be."""
        if self.graphs is None or done.stage_epoch > 1:
            return
        for name, execution in done.execution.items():
            if execution.reason:
                what = name if name == BATCHES else f"phase '{name}'"
                self.emit(
                    Noticed(
                        message=f"stage '{done.stage}': {what} is not captured as a CUDA graph, "
                        f"since {execution.reason}; its steps run as usual"
                    )
                )

    def _show(self, done: EpochDone, between_epochs: Callable[[EpochDone], None] | None) -> None:
        """Call ``between_epochs`` with the weights that are sampled from."""
        if between_epochs is not None:
            with self.ema.swapped_in(), evaluation(self.model, self.device):
                between_epochs(done)

    def _check_alike(self) -> None:
        """Wait for the other processes of the run, which must be where this one is."""
        if self.shards is not None:
            at = self.position
            self.shards.check_alike(self.model.nets, at.stage, at.epoch, at.step)

    # --- losses and clocks

    def _read(self, run: StageRun, *, epoch_ends: bool = False) -> None:
        at = self.position
        series, diverged = run.losses.read(at.step, epoch_ends=epoch_ends)
        if series:
            seconds = at.train_s + self.share * (time.perf_counter() - self._resumed_at)
            self.emit(
                StepsDone(
                    stage=run.stage.name,
                    epoch=at.epoch + 1,
                    step=at.step,
                    series=series,
                    seconds=seconds,
                )
            )
        if diverged is not None:
            raise diverged

    def _start_clock(self) -> None:
        self._resumed_at = self._read_at = time.perf_counter()
        self._cpu_at = time.process_time()

    def _stop_clock(self) -> None:
        synchronize(self.device)
        now, cpu = time.perf_counter(), time.process_time()
        at = self.position
        at.train_s += self.share * (now - self._resumed_at)
        if at.cpu_s is not None:
            at.cpu_s += self.share * (cpu - self._cpu_at)
        self._resumed_at, self._cpu_at = now, cpu

    # --- checkpoints

    def _pause(self, run: StageRun) -> None:
        """Write a checkpoint within an epoch; its seconds don't count as training."""
        self._read(run)
        self._stop_clock()
        self._save(run)
        self._start_clock()

    def _save(self, run: StageRun) -> None:
        wall_s = self.position.wall_s + self.share * (time.perf_counter() - self._epoch_began)
        self.recovery.save(self.position, run, wall_s=wall_s)

    def _restore(self) -> Mapping[str, Any]:
        snapshot = self.recovery.read()
        if isinstance(self.model, Reshapes):
            self._own_nets()
            self.recovery.follow(self.optimizers, self.ema)
        self.position, sums = self.recovery.restore(snapshot)
        at = self.position
        if at.stage_epoch == stage_epochs(self.stages[at.stage], self.spec):
            at.stage, at.stage_epoch = at.stage + 1, 0
        return sums
