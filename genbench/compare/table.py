"""What is asked of a comparison, and the table that answers it: frozen records."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from genbench.compare.measure import Measure
from genbench.compare.row import Row
from genbench.compare.run_results import RunResult

SORTS = ("model", "seeds", "epoch", "total", "speedup", "target")
"""What rows can be sorted by, besides the name of a metric or of a setting."""
OF_SECONDS = ("epoch", "total", "target")
"""Those of `SORTS` that are seconds of training."""


def _no_defaults(dataset: str) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a comparison shows, and in which order.

    ``baseline`` names a row (see `genbench.compare.baseline`). ``target`` is a score in the first
    of ``metrics``, or in the metric that ranks the rows. An empty ``metrics`` or ``samplers`` means
    all of them. Unless ``all_metrics`` is set, a table shows the metrics that most rows have.
    ``defaults`` maps a data set to its default settings, which titles leave out. ``by`` names
    settings: each combination of their values is a row, and the others are pooled. ``pareto``
    leaves out rows that another row beats in both score and seconds; or in score and ``cost``,
    another metric. With ``parents`` (`genbench.compare.parents.parents_of`), scores of compressed
    runs are also shown as shares of those of the runs that they compress. "-" before ``sort``
    turns the order round.
    """

    baseline: str | None = None
    metrics: tuple[str, ...] = ()
    samplers: tuple[str, ...] = ()
    target: float | None = None
    sort: str | None = None
    by: tuple[str, ...] = ()
    pareto: bool = False
    cost: str | None = None
    parents: Mapping[str, RunResult] | None = None
    all_metrics: bool = False
    defaults: Callable[[str], Mapping[str, Any]] = _no_defaults


@dataclass(frozen=True, kw_only=True)
class Column:
    """A metric of a table, and the protocol under which all its values were computed.

    ``rows`` is the number of rows from which the best one was chosen; ``shown`` is false for a
    column that is in the JSON output only.
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
        """A sort key: better rows come first, values that are not finite last.

        ``measure`` is what the metric ranks by (`Row.ranked`): the distance from the floor for
        metrics that are best at their floor.
        """
        if measure is None or not math.isfinite(measure.mean):
            return math.inf
        return -measure.mean if self.direction == "max" else measure.mean


_UNKNOWN = object()
"""Equal to no setting's value."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """The comparison on one data set. ``warnings`` are about numbers that are not shown.

    ``bests`` has the best of all selected rows in each metric, even if a limit hides it.
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
    bests: Mapping[str, Row] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """'mnist', or 'celeba (size 64)': the data set and its settings that are not defaults."""
        own = {k: v for k, v in self.settings.items() if self.defaults.get(k, _UNKNOWN) != v}
        words = {key: "scored on" if key == "scored_on" else key for key in own}
        text = ", ".join(f"{words[key]} {value}" for key, value in own.items())
        return f"{self.dataset} ({text})" if text else self.dataset

    @property
    def shown(self) -> tuple[Column, ...]:
        """The columns that a table shows; the others are in the JSON output."""
        return tuple(column for column in self.columns if column.shown)

    @property
    def ranking(self) -> Column | None:
        """The metric that ranks the rows: the first column."""
        return self.columns[0] if self.columns else None
