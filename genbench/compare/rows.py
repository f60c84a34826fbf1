"""What is asked of a comparison, and what it answers: frozen records."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genbench.compare.experiments import Contender, Measure

SORTS = ("model", "epoch", "total", "speedup", "target")
"""What rows can be sorted by, besides the name of a metric."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of the trials.

    ``baseline`` is a model, an experiment (or its beginning), or a run's id or name. ``target``
    is a score of the first of ``metrics``, or of the metric that ranks. Empty means all.
    """

    baseline: str | None = None
    metrics: tuple[str, ...] = ()
    samplers: tuple[str, ...] = ()
    target: float | None = None
    sort: str | None = None


@dataclass(frozen=True, kw_only=True)
class Column:
    """A metric of a table and the protocol under which all its values were taken."""

    metric: str
    direction: str
    unit: str
    protocol_hash: str
    protocol: Mapping[str, Any]
    n: int

    def better(self, value: float) -> float:
        """A key that sorts the better value first and what is not finite last."""
        if not math.isfinite(value):
            return math.inf
        return value if self.direction == "min" else -value


@dataclass(frozen=True, kw_only=True)
class Row:
    """A contender with what only the table knows of it.

    ``epoch_speedup``: an epoch of the baseline's last stage in epochs of this one's last stage;
    ``total_speedup``: the same of all training seconds; None where seconds can't be compared.
    ``best`` names the metrics in which no row is better. ``to_target`` are the seconds of the
    ``reached`` trials that reached the target, None where none did.
    """

    contender: Contender
    epoch_speedup: float | None = None
    total_speedup: float | None = None
    is_baseline: bool = False
    best: frozenset[str] = frozenset()
    to_target: Measure | None = None
    reached: int = 0


@dataclass(frozen=True, kw_only=True)
class Table:
    """The comparison on one data set. ``warnings`` are of numbers that are not shown."""

    dataset: str
    settings: Mapping[str, Any]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    baseline: str | None = None
    target: float | None = None
    devices: tuple[str, ...] = ()

    @property
    def ranking(self) -> Column | None:
        """The metric that ranks the rows: the first column."""
        return self.columns[0] if self.columns else None
