"""What is asked of a comparison, and what it answers: frozen records."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from genbench.compare.certainty import Difference
from genbench.compare.experiments import Contender
from genbench.compare.measure import Measure

SORTS = ("model", "epoch", "total", "speedup", "target")
"""What rows can be sorted by, besides the name of a metric."""


def _no_defaults(dataset: str) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of the trials.

    ``baseline`` names a row (see `genbench.compare.baseline`). ``target`` is a score of the first
    of ``metrics``, or of the metric that ranks. Empty means all. Without ``all_metrics`` a table
    shows those that most rows have. ``defaults``: data set -> its default settings, which need no
    words.
    """

    baseline: str | None = None
    metrics: tuple[str, ...] = ()
    samplers: tuple[str, ...] = ()
    target: float | None = None
    sort: str | None = None
    all_metrics: bool = False
    defaults: Callable[[str], Mapping[str, Any]] = _no_defaults


@dataclass(frozen=True, kw_only=True)
class Column:
    """A metric of a table and the protocol under which all its values were taken.

    ``rows`` is the number of rows that its best one was chosen from, ``shown`` whether a table has
    room for it.
    """

    metric: str
    direction: str
    unit: str
    protocol_hash: str
    protocol: Mapping[str, Any]
    n: int
    rows: int = 0
    shown: bool = True

    def better(self, measure: Measure | None) -> float:
        """A key that sorts the better row first and what is not finite last.

        ``measure`` is what the metric ranks by (`Contender.ranked`): distances from the floor where
        that is the best value.
        """
        if measure is None or not math.isfinite(measure.mean):
            return math.inf
        return -measure.mean if self.direction == "max" else measure.mean


@dataclass(frozen=True, kw_only=True)
class Row:
    """A contender with what only the table knows of it.

    ``epoch_speedup``: an epoch of the baseline's last stage in epochs of this one's last stage;
    ``total_speedup``: the same of all training seconds; None where seconds can't be compared. Their
    ``_sd`` is None where one of the two has a single run. ``busy`` says why its seconds are not to
    be trusted. ``best`` names the metrics in which no selected row is better, ``differences`` has
    the difference to the best one in each metric.

    ``to_target`` are the seconds of the first evaluation at the target or better, of the
    ``reached`` trials that have one; ``target_gap_s`` those since the evaluation before.
    """

    contender: Contender
    epoch_speedup: float | None = None
    epoch_speedup_sd: float | None = None
    total_speedup: float | None = None
    total_speedup_sd: float | None = None
    is_baseline: bool = False
    busy: str | None = None
    best: frozenset[str] = frozenset()
    differences: Mapping[str, Difference] = field(default_factory=dict)
    to_target: Measure | None = None
    target_gap_s: float | None = None
    reached: int = 0


_UNKNOWN = object()
"""Equal to no setting's value."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """The comparison on one data set. ``warnings`` are of numbers that are not shown.

    ``bests``: the best of all selected rows in each metric, whether a limit left it or not.
    ``defaults`` are the default settings of the data set.
    """

    dataset: str
    settings: Mapping[str, Any]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    baseline: str | None = None
    target: float | None = None
    devices: tuple[str, ...] = ()
    bests: Mapping[str, Contender] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """'mnist', or 'celeba (size 64)': the data set with the settings that are no defaults."""
        own = {k: v for k, v in self.settings.items() if self.defaults.get(k, _UNKNOWN) != v}
        told = ", ".join(f"{key} {value}" for key, value in own.items())
        return f"{self.dataset} ({told})" if told else self.dataset

    @property
    def shown(self) -> tuple[Column, ...]:
        """The metrics that a table shows; the others are in the JSON."""
        return tuple(column for column in self.columns if column.shown)

    @property
    def ranking(self) -> Column | None:
        """The metric that ranks the rows: the first column."""
        return self.columns[0] if self.columns else None
