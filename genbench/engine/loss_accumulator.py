"""The losses of a stage: kept on the device, and read by the host once every many steps.

Each update of a phase writes one row into a tensor on the device; a read copies all rows at once.
The host adds them one by one in float64, so that the sums, and all reported values, don't depend on
when the reads happen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from genbench.contracts import MONITOR, Stage
from genbench.engine.update import Layout, Update
from genbench.errors import DivergedError, PluginError

ROWS = 100
"""The maximum number of iterations between two reads of the losses."""

Series = dict[str, list[tuple[int, float]]]


@dataclass
class Mean:
    """A running mean in float64: its sums are part of a checkpoint."""

    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        """Add one value."""
        self.total += value
        self.count += 1

    @property
    def value(self) -> float:
        """The mean of all values."""
        return self.total / self.count


class LossAccumulator:
    """The losses of one stage, by step.

    Windows end at multiples of ``log_every`` steps, counted over the whole run; the last window of
    an epoch ends with the epoch. Keys are ``optimizer/term``, ``optimizer/loss`` for the sum, and
    ``monitor/name``; for an optimizer in several phases, ``optimizer/phase.term``. Gradient norms,
    which are measured once per window, are monitors too: ``monitor/d_grad_norm``, or
    ``monitor/phase.d_grad_norm``.
    """

    def __init__(self, stage: Stage, *, log_every: int, device: torch.device) -> None:
        self._stage, self._log_every, self._device = stage, log_every, device
        updates = [name for phase in stage.phases for name in phase.updates]
        self._shared = {name for name in updates if updates.count(name) > 1}
        self._pages: dict[str, _Page] = {}
        self._norms: dict[str, _Page] = {}
        self._epoch: dict[str, Mean] = {}
        self._window: dict[str, Mean] = {}
        self._window_end: dict[str, int] = {}

    @torch.no_grad()
    def record(self, update: Update, step: int, values: list[Tensor]) -> None:
        """Record the values of one update at a step of the run, without waiting for the device."""
        page = self._pages.get(update.phase.name) or self._open(update)
        page.add(step, values[: page.width])
        if len(values) > page.width:
            norms = self._norms.get(update.phase.name) or self._open_norms(update)
            norms.add(step, values[page.width :])

    def accept(
        self, update: Update, steps: Sequence[int], values: Tensor, *, norms: bool = False
    ) -> None:
        """Take rows (len(steps), width) that were recorded elsewhere, before the next `read`."""
        pages, open_page = (self._norms, self._open_norms) if norms else (self._pages, self._open)
        page = pages.get(update.phase.name) or open_page(update)
        page.steps, page.rows = [*steps], values

    def read(self, step: int, *, epoch_ends: bool = False) -> tuple[Series, DivergedError | None]:
        """Read all rows up to ``step``; return the series of the windows that are complete.

        If a loss is not finite, the series end before its step, and the error to raise is returned
        too. Monitors need not be finite.
        """
        pages = (*self._pages.values(), *self._norms.values())
        rows = [(page, page.take()) for page in pages if page.steps]
        found = [first for page, taken in rows for first in page.first_nonfinite(taken)]
        bad = min(found, key=lambda error: error[0], default=None)
        series: Series = {}
        for page, taken in rows:
            for row_step, row in taken:
                if bad is not None and row_step >= bad[0]:
                    break
                end = -(-row_step // self._log_every) * self._log_every
                for key, value in page.keyed(row):
                    self._add(key, end, value, series)
        for key in list(self._window):
            if epoch_ends or self._window_end[key] <= step:
                self._close(key, min(step, self._window_end[key]), series)
        return series, None if bad is None else self._diverged(*bad)

    def end_epoch(self) -> dict[str, float]:
        """The means over the epoch, to be called after the last read; the sums start again."""
        means = {key: mean.value for key, mean in self._epoch.items()}
        self._epoch.clear()
        return means

    def state(self) -> dict[str, Any]:
        """The state for a checkpoint, after a read: the sums of the open epoch and windows."""
        return {
            "epoch": {key: asdict(mean) for key, mean in self._epoch.items()},
            "window": {key: asdict(mean) for key, mean in self._window.items()},
            "window_end": dict(self._window_end),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the sums from `state`."""
        self._epoch = {key: Mean(**mean) for key, mean in state["epoch"].items()}
        self._window = {key: Mean(**mean) for key, mean in state["window"].items()}
        self._window_end = dict(state["window_end"])

    def _diverged(self, step: int, phase: str, term: str, value: float) -> DivergedError:
        return DivergedError(stage=self._stage.name, phase=phase, term=term, step=step, value=value)

    def _open(self, update: Update) -> _Page:
        assert update.layout is not None
        phase = update.phase
        page = _Page(phase.name, update.layout, self._shared, ROWS * phase.repeat, self._device)
        for other in self._pages.values():
            for key in page.keys & other.keys:
                raise PluginError(
                    f"the phases '{other.phase}' and '{phase.name}' both record '{key}'; "
                    f"give them different names"
                )
        self._pages[phase.name] = page
        return page

    def _open_norms(self, update: Update) -> _Page:
        phase = update.phase
        names = tuple(
            f"{phase.name}.{norm}" if owner in self._shared else norm
            for owner, norm in zip(phase.updates, update.norms, strict=True)
        )
        page = _Page(phase.name, {MONITOR: names}, set(), ROWS * phase.repeat, self._device)
        self._norms[phase.name] = page
        return page

    def _add(self, key: str, end: int, value: float, series: Series) -> None:
        """Add a value to the epoch and to the window that ends at step ``end``."""
        if self._window_end.get(key) != end:
            if key in self._window_end:
                self._close(key, self._window_end[key], series)
            self._window_end[key] = end
            self._window[key] = Mean()
            self._epoch.setdefault(key, Mean())
        self._window[key].add(value)
        self._epoch[key].add(value)

    def _close(self, key: str, step: int, series: Series) -> None:
        series.setdefault(key, []).append((step, self._window.pop(key).value))
        del self._window_end[key]


class _Page:
    """The rows of one phase that the host has not read yet."""

    def __init__(
        self, phase: str, layout: Layout, shared: set[str], rows: int, device: torch.device
    ) -> None:
        self.phase = phase
        self.steps: list[int] = []
        self._columns = [(owner, name) for owner, names in layout.items() for name in names]
        self._terms = sum(owner != MONITOR for owner, _ in self._columns)
        self._prefix = {
            owner: f"{owner}/{phase}." if owner in shared else f"{owner}/" for owner in layout
        }
        self._sums = {
            f"{self._prefix[owner]}loss": [self._columns.index((owner, name)) for name in names]
            for owner, names in layout.items()
            if owner != MONITOR
        }
        self._names = [self._prefix[owner] + name for owner, name in self._columns]
        self.keys = {*self._names, *self._sums}
        self.width = len(self._columns)
        self.rows = torch.empty(rows, self.width, device=device)

    def add(self, step: int, values: list[Tensor]) -> None:
        """Write one row on the device."""
        torch.stack(values, out=self.rows[len(self.steps)])
        self.steps.append(step)

    def take(self) -> list[tuple[int, list[float]]]:
        """The unread rows with their steps; this waits for the device."""
        values = self.rows[: len(self.steps)].tolist()
        taken = list(zip(self.steps, values, strict=True))
        self.steps = []
        return taken

    def first_nonfinite(
        self, taken: list[tuple[int, list[float]]]
    ) -> Iterator[tuple[int, str, str, float]]:
        """The step, phase, term and value of the first loss term that is not finite, if any."""
        for step, row in taken:
            for name, value in zip(self._names[: self._terms], row, strict=False):
                if not math.isfinite(value):
                    yield step, self.phase, name, value
                    return

    def keyed(self, row: list[float]) -> Iterator[tuple[str, float]]:
        """The values of a row by key, the sums of each optimizer included."""
        yield from zip(self._names, row, strict=True)
        for key, columns in self._sums.items():
            if key not in self._names:
                yield key, math.fsum(row[column] for column in columns)
