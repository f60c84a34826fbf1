"""The training of several runs of one experiment at once, each with its own seed.

Read `Group.train` from top to bottom: it is `Trainer.train`, but each iteration is one step of a
stack of all models. Each run keeps its own model, optimizers, average, order of the data, losses,
events and checkpoints, so it can be resumed alone.

Noise is drawn for all runs from one generator, so a run draws other noise than it does alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from genbench.contracts import Data, Model
from genbench.engine.checkpoint import RunIdentity, has_checkpoint
from genbench.engine.graphs import Graphs
from genbench.engine.loop import CHECKPOINT_S, READ_S, Trainer
from genbench.engine.loss_accumulator import ROWS
from genbench.engine.randomness import derive_seed, forked_rng, seed_everything
from genbench.engine.stack import Stack, StackedEMA, stacked_optimizers
from genbench.engine.stacked_stage import StackedStage, stacked_stage
from genbench.engine.stage import StageRun, end_epoch
from genbench.errors import DivergedError, InterruptedRunError
from genbench.events import EpochDone, Listener, ShouldStop
from genbench.spec import RunSpec


@dataclass(frozen=True, kw_only=True)
class GroupedRun:
    """One run of a group, with what `genbench.engine.train` gets for a run alone.

    ``failed`` is called when an error ends this run only; it gets no more events then.
    """

    model: Model
    spec: RunSpec
    folder: Path
    emit: Listener
    failed: Callable[[Exception], None]
    between_epochs: Callable[[EpochDone], None] | None = None
    identity: RunIdentity | None = None


def train_together(
    runs: Sequence[GroupedRun],
    data: Data,
    *,
    device: torch.device,
    should_stop: ShouldStop,
    checkpoint_s: float = CHECKPOINT_S,
    graphs: Graphs | None = None,
) -> None:
    """Train newly built models of one experiment, which differ in their seed only, as one stack.

    An error of one run, such as a loss that is not finite, ends that run only: the others go on,
    with the same numbers as if it had gone on. The seconds of each run are its share of the whole.
    A run that is resumed alone draws noise of its own from then on.

    Raises InterruptedRunError (after checkpoints of all runs), and errors of a step, which end all
    runs. `try_together` says beforehand whether models can be trained in this way.
    """
    Group(runs, data, device, checkpoint_s, graphs).train(should_stop)


class Group:
    """The runs that are trained together; ``going_on`` are those that have not failed."""

    def __init__(
        self,
        runs: Sequence[GroupedRun],
        data: Data,
        device: torch.device,
        checkpoint_s: float,
        graphs: Graphs | None,
    ) -> None:
        self.members = [Member(i, run, data, device, checkpoint_s) for i, run in enumerate(runs)]
        for member in self.members:
            member.train_samples = self.members[0].train_samples
            member.test_samples = self.members[0].test_samples
            # What is captured is the step of the stack.
            self.graphs, member.graphs = graphs or member.graphs, None
        self.going_on = list(self.members)
        self.stack = Stack([run.model for run in runs])
        self.optimizers = stacked_optimizers([m.optimizers for m in self.members], self.stack)
        self.ema = StackedEMA([m.ema for m in self.members], self.stack)
        self.spec, self.device, self.checkpoint_s = runs[0].spec, device, checkpoint_s

    @property
    def leader(self) -> Member:
        """The first run that goes on; all of them are at the same position."""
        return self.going_on[0]

    def train(self, should_stop: ShouldStop) -> None:
        """Train all stages, until every run has ended."""
        seeds = [member.spec.seed for member in self.members]
        seed_everything(derive_seed(seeds[0], "together", *seeds))
        try:
            self._each(Member.begin)
            for _ in self.members[0].stages:
                run = self._start_stage()
                while self.leader.position.stage_epoch < run.epochs:
                    self._epoch(run, should_stop)
                    self._end_epoch(run)
                self._each(Member.end_stage)
        except _NoneLeftError:
            return

    def _start_stage(self) -> StackedStage:
        self._each(Member.start_stage)
        # A run that has failed keeps its place, so that the noise of the others stays the same.
        runs = [(m if m in self.going_on else self.leader).run for m in self.members]
        stage = stacked_stage(
            runs, self.stack, self.optimizers, self.ema, self.spec, self.device, self.graphs
        )
        for member in self.going_on:
            member.run = stage.runs[member.index]
        return stage

    # --- an epoch

    def _epoch(self, run: StackedStage, should_stop: ShouldStop) -> None:
        run.start_epoch(self.leader.position.stage_epoch)
        self._each(Member.start_clock)
        clock = time.perf_counter
        read_at = clock()
        while (at := self.leader.position).iteration < run.feed.steps:
            run.iterate(at.stage_epoch, at.iteration, at.step + 1)
            for member in self.going_on:
                member.position.iteration += 1
                member.position.step += 1
            now = clock()
            if at.iteration % ROWS == 0 or now - read_at > READ_S:
                self._read(run)
                read_at = now
            if should_stop():
                self._pause(run)
                raise InterruptedRunError(
                    f"interrupted at step {at.step}; checkpoints were written",
                    hint="To resume: genbench resume RUN",
                )
            if self.leader.recovery.age > self.checkpoint_s:
                self._pause(run)

    def _end_epoch(self, run: StackedStage) -> None:
        self._read(run, epoch_ends=True)
        self._each(Member.end_epoch)
        self.stack.refresh()
        self._each(Member.stop_clock)
        self._each(Member.report)
        leader = self.leader
        if leader.recovery.is_due(leader.position, leader.run, runs=len(self.going_on)):
            self._save()

    def _read(self, run: StackedStage, *, epoch_ends: bool = False) -> None:
        run.losses.hand_out((member.index, member.run) for member in self.going_on)
        self._each(lambda member: member.read(epoch_ends=epoch_ends))

    # --- checkpoints

    def _pause(self, run: StackedStage) -> None:
        """Write checkpoints within an epoch; their seconds don't count as training."""
        self._read(run)
        self._each(Member.stop_clock)
        self._save()
        self._each(Member.start_clock)

    def _save(self) -> None:
        for optimizer in self.optimizers.values():
            optimizer.hand_back()
        self._each(Member.save)

    # --- the runs

    def _each(self, action: Callable[[Member], None]) -> None:
        """Do something for every run that goes on; an error ends its own run only."""
        for member in tuple(self.going_on):
            try:
                action(member)
            except InterruptedRunError:
                raise
            except Exception as error:  # whatever it is, the other runs don't depend on it
                if isinstance(error, DivergedError):
                    error.kept = has_checkpoint(member.folder)
                self.going_on.remove(member)
                member.failed(error)
        if not self.going_on:
            raise _NoneLeftError
        for member in self.going_on:
            member.share = 1 / len(self.going_on)


class _NoneLeftError(Exception):
    """Every run of the group has failed."""


class Member(Trainer):
    """One run of a group: all of a run but its steps. ``index`` is its place in the stack."""

    run: StageRun

    def __init__(
        self, index: int, run: GroupedRun, data: Data, device: torch.device, checkpoint_s: float
    ) -> None:
        super().__init__(
            run.model,
            data,
            run.spec,
            device,
            run.folder,
            run.emit,
            checkpoint_s,
            run.identity,
            None,
        )
        self.index, self.failed = index, run.failed
        self._between_epochs = run.between_epochs

    def begin(self) -> None:
        """Start the clock of the first epoch."""
        self._epoch_began = time.perf_counter()

    def start_stage(self) -> None:
        """Prepare the data of the next stage, by the model of this run."""
        self.run = self._start_stage(self.stages[self.position.stage], {})

    def end_stage(self) -> None:
        """Move on to the next stage."""
        self.position.stage += 1
        self.position.stage_epoch = 0

    def start_clock(self) -> None:
        """Start or restart the clock of the training."""
        self._start_clock()

    def stop_clock(self) -> None:
        """Add the share of the seconds since the start of the clock."""
        self._stop_clock()

    def read(self, *, epoch_ends: bool) -> None:
        """Read the losses that the group has handed out. Raises DivergedError."""
        self._read(self.run, epoch_ends=epoch_ends)

    def end_epoch(self) -> None:
        """Call what the stage does after an epoch."""
        end_epoch(self.run, self.model, self.spec.seed, self.position.stage_epoch + 1, self.device)

    def report(self) -> None:
        """Validate, emit EpochDone, and score or draw what is due."""
        self._show(self._report(self.run), self._between_epochs)

    def save(self) -> None:
        """Write a checkpoint, from which the run draws its own noise.

        All runs share the generator; resumed from its state, they would draw the same noise.
        """
        with forked_rng(self.device):
            seed_everything(derive_seed(self.spec.seed, "alone", self.position.step))
            self._save(self.run)
