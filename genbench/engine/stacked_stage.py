"""A stage of N runs that are trained together: their batches, updates and losses as one.

The runs have the same stage and the same data, each with its own seed. Each of them sees its
samples in the order in which it sees them alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from genbench.engine.capture import Move
from genbench.engine.feed import Feed, Pair, Samples
from genbench.engine.graphs import Graphs
from genbench.engine.loss_accumulator import ROWS
from genbench.engine.stack import Stack, StackedEMA, StackedOptimizer
from genbench.engine.stacked_update import StackedUpdate
from genbench.engine.stage import Iterations, StageRun
from genbench.engine.update import Update
from genbench.spec import RunSpec


class StackedSamples(Samples):
    """The samples of N models: the same ones, or those that each model has prepared."""

    def __init__(self, parts: Sequence[Samples]) -> None:
        first = parts[0]
        super().__init__(first._x, first._y, first._device, first._augment)
        self._parts, self._whole = parts, first
        offsets = torch.zeros(len(parts), dtype=torch.int64)
        if any(part is not first for part in parts):
            xs = [part._x for part in parts if isinstance(part._x, Tensor)]
            ys = [part._y for part in parts if part._y is not None]
            self._whole = Samples(torch.cat(xs), torch.cat(ys) if ys else None, first._device)
            offsets = torch.arange(len(parts)) * len(first)
        self._offsets = offsets.to(first.index_device)

    def take(self, index: Tensor) -> Pair:
        """The samples at ``index`` (B, N): x (B, N, ...), y (B, N), gathered at once if possible.

        Samples are augmented one model after the other, since an augmentation may mix a batch.
        """
        if self._augment is not None:
            pairs = [part.take(own) for part, own in zip(self._parts, index.t(), strict=True)]
            labels = [y for _, y in pairs if y is not None]
            return torch.stack([x for x, _ in pairs], 1), torch.stack(labels, 1) if labels else None
        size, n = index.shape
        x, y = self._whole.take((index + self._offsets).t().reshape(-1))
        x = x.view(n, size, *x.shape[1:]).transpose(0, 1)
        return x, None if y is None else y.view(n, size).t()


class StackedFeed(Feed):
    """The batches of N feeds as one; `StackedSamples.take` gives their shapes."""

    def __init__(
        self,
        feeds: Sequence[Feed],
        spec: RunSpec,
        *,
        width: int,
        stage: int,
        move: Move[None] | None,
    ) -> None:
        super().__init__(
            StackedSamples([feed._samples for feed in feeds]),
            batch_size=spec.batch_size,
            width=width,
            seed=spec.seed,
            stage=stage,
            limit=spec.epoch_images,
            move=move,
        )
        self._feeds = feeds

    def start(self, epoch: int) -> None:
        """Shuffle for an epoch of the stage, counted from 0: for each seed as if it were alone."""
        super().start(epoch)
        for feed in self._feeds:
            feed.start(epoch)
        self._order = torch.stack([feed._order for feed in self._feeds], 1)


class StackedLosses:
    """The values of N runs, recorded as one row for each update and handed out before a read."""

    def __init__(self, n: int, device: torch.device) -> None:
        self._n, self._device = n, device
        self._pages: dict[tuple[str, bool], _Page] = {}

    @torch.no_grad()
    def record(self, update: Update, step: int, values: list[Tensor]) -> None:
        """Record the values (N,) of one update without waiting for the device."""
        assert update.layout is not None
        width = sum(map(len, update.layout.values()))
        for norms, part in ((False, values[:width]), (True, values[width:])):
            if part:
                key = (update.phase.name, norms)
                if key not in self._pages:
                    rows = ROWS * update.phase.repeat
                    shape = (rows, self._n, len(part))
                    self._pages[key] = _Page(update, [], torch.empty(shape, device=self._device))
                page = self._pages[key]
                torch.stack(part, dim=1, out=page.rows[len(page.steps)])
                page.steps.append(step)

    def hand_out(self, runs: Iterable[tuple[int, StageRun]]) -> None:
        """Give the rows since the last time to the runs with these places in the stack.

        This waits for the device, once for each phase.
        """
        runs = tuple(runs)
        for (_, norms), page in self._pages.items():
            values = page.rows[: len(page.steps)].cpu()
            for index, run in runs:
                run.losses.accept(page.update, page.steps, values[:, index], norms=norms)
            page.steps.clear()


@dataclass(frozen=True)
class _Page:
    """The rows (updates, N, values) of one phase that were not handed out yet."""

    update: Update
    steps: list[int]
    rows: Tensor


@dataclass(frozen=True, kw_only=True)
class StackedStage(Iterations):
    """The stage of all runs as one; ``runs`` are the stages of the runs."""

    losses: StackedLosses
    runs: tuple[StageRun, ...]

    def start_epoch(self, stage_epoch: int) -> None:
        """Shuffle for an epoch of the stage, counted from 0."""
        self.runs[0].start_epoch(stage_epoch)  # which has the feed and the updates of all


def stacked_stage(
    runs: Sequence[StageRun],
    stack: Stack,
    optimizers: Mapping[str, StackedOptimizer],
    ema: StackedEMA,
    spec: RunSpec,
    device: torch.device,
    graphs: Graphs | None,
) -> StackedStage:
    """The stage of N runs that are ready for it. The EMA begins to follow the nets of the stage.

    With ``graphs``, its moves are captured where they can be.
    """

    def new_move() -> Move[Any] | None:
        return None if graphs is None else Move(graphs, device, stack.nets)

    stack.refresh()
    first = runs[0]
    ema.follow(first.learning)
    phases = first.stage.phases
    updates = tuple(
        StackedUpdate(phase, optimizers, stack, spec, device, new_move()) for phase in phases
    )
    feed = StackedFeed(
        [run.feed for run in runs],
        spec,
        width=max((phase.repeat for phase in phases), default=0),
        stage=first.index,
        move=new_move(),
    )
    average = new_move()
    uncaptured = "" if graphs is not None else first.uncaptured
    return StackedStage(
        epochs=first.epochs,
        feed=feed,
        updates=updates,
        losses=StackedLosses(len(stack), device),
        average=ema.update if average is None else partial(average, "average", ema.update),
        # Each run tells how it was executed: as all of them.
        runs=tuple(replace(r, feed=feed, updates=updates, uncaptured=uncaptured) for r in runs),
    )
