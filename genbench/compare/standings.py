"""The ranking of all selected experiments, from their final scores alone.

With ten thousand runs in a store, only the experiments that will be shown are read in full. One
pass over the final scores finds these, the best experiment in each metric, and the number of rows
it was chosen from, so that a limit changes no mark and no claim.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from genbench.compare.certainty import MIN_SEEDS
from genbench.contracts import COST_UNITS
from genbench.store import Store

TableKey = tuple[str, str]
"""A data set and its settings, which identify a table."""


class Head(NamedTuple):
    """The columns read for every selected run. ``observation`` is equal for repeats of one seed."""

    run: int
    experiment: str
    table: TableKey
    on_data: bool
    observation: Any


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One metric over all selected rows: protocol, best experiments, numbers of rows.

    ``scored`` rows have the metric, and ``rows`` of them have enough seeds for a test.
    """

    protocol_hash: str
    best: frozenset[str]
    rows: int
    scored: int


@dataclass(frozen=True, kw_only=True)
class Standings:
    """All metrics of one table; ``order`` has its experiments, ranked by one metric.

    ``merits`` maps the rows (experiment, sampler) that have a score in this metric to their mean
    over seeds, where lower is better and infinite is not finite.
    """

    order: tuple[str, ...]
    metrics: Mapping[str, Standing]
    ranking: str = ""
    merits: Mapping[tuple[str, str], float] = field(default_factory=dict)

    @property
    def bests(self) -> list[frozenset[str]]:
        """The best experiments of each metric."""
        return [standing.best for standing in self.metrics.values()]


@dataclass
class _Scores:
    """The final scores of one table under one protocol of one metric.

    ``rows`` maps (experiment, sampler) to the mean over seeds, where lower is better, and the
    number of seeds.
    """

    rows: dict[tuple[str, str], tuple[float, int]] = field(default_factory=dict)
    on_data: bool = False
    newest: int = 0

    def weight(self) -> tuple[bool, int, int]:
        """The same order of protocols as in `genbench.compare.columns`."""
        return self.on_data, len(self.rows), self.newest


_ByMetric = dict[str, dict[str, _Scores]]
"""Metric -> protocol -> the scores that may be ranked together."""


def standings(
    store: Store,
    heads: Sequence[Head],
    ranking: str | None = None,
    samplers: Sequence[str] = (),
) -> dict[TableKey, Standings]:
    """The standings of every table, ranked by ``ranking`` or the metric most experiments have."""
    tables = _scores(store, heads, samplers)
    costs = {
        str(name)
        for name, unit in store.rows("SELECT name, unit FROM metric_keys WHERE kind = 'score'")
        if unit in COST_UNITS
    }
    return {table: _standings(scores, ranking, costs) for table, scores in tables.items()}


def _scores(
    store: Store, heads: Sequence[Head], samplers: Sequence[str]
) -> dict[TableKey, _ByMetric]:
    metrics = {
        key: (str(name), direction)
        for key, name, direction in store.rows("SELECT key, name, direction FROM metric_keys")
    }
    first: dict[str, Head] = {}
    for head in heads:
        first.setdefault(head.experiment, head)
    found: dict[TableKey, _ByMetric] = {}
    for group, scored in _grouped(store, heads, metrics).items():
        experiment, key, protocol, sampler, settings = group
        if samplers and sampler and sampler not in samplers:
            continue
        metric, head = metrics[key][0], first[experiment]
        by_protocol = found.setdefault(head.table, {}).setdefault(metric, {})
        scores = by_protocol.setdefault(protocol, _Scores())
        scores.on_data = scores.on_data or head.on_data
        scores.newest = max(scores.newest, head.run)
        mean = sum(scored.values()) / len(scored)
        scores.rows[experiment, sampler and sampler + settings] = mean, len(scored)
    return found


_Group = tuple[str, int, str, str, str]
"""Experiment, key of a metric, protocol, sampler and its settings."""


def _grouped(
    store: Store, heads: Sequence[Head], metrics: Mapping[int, tuple[str, str | None]]
) -> dict[_Group, dict[Any, float]]:
    """Group -> observation -> merit, for all final scores; each group may be averaged.

    Ten thousand runs have tens of thousands of scores, so the loop does as little as possible.
    """
    known = {head.run: (head.experiment, head.observation) for head in heads}
    floor = "floor" if any(way == "floor" for _, way in metrics.values()) else "NULL"
    plain = {key for key, (_, way) in metrics.items() if way not in ("max", "floor")}
    groups: dict[_Group, dict[Any, float]] = {}
    repeats: dict[tuple[_Group, Any], list[float]] = {}
    for run, key, protocol, sampler, settings, value, against in store.rows(
        f"SELECT run, key, protocol_hash, sampler, sampler_settings, value, {floor} FROM evals "
        "WHERE final = 1"
    ):
        if run not in known:
            continue
        experiment, observation = known[run]
        if value is None or key not in plain:
            value = _merit(value, against, metrics[key][1])
        group = (experiment, key, protocol, sampler, settings)
        seeds = groups.get(group)
        if seeds is None:
            groups[group] = {observation: value}
        elif observation in seeds:
            repeats.setdefault((group, observation), [seeds[observation]]).append(value)
        else:
            seeds[observation] = value
    for (group, observation), values in repeats.items():
        groups[group][observation] = sum(values) / len(values)
    return groups


def _merit(value: float | None, floor: float | None, direction: str | None) -> float:
    """A score as a number of which lower is better; infinite if it is not finite."""
    if value is None or (direction == "floor" and floor is None):
        return math.inf
    if direction == "floor":
        return abs(value - (floor or 0.0))
    return -value if direction == "max" else value


def _standings(scores: _ByMetric, ranking: str | None, costs: Collection[str]) -> Standings:
    metrics, merits = {}, {}
    for metric, protocols in scores.items():
        protocol, chosen = max(protocols.items(), key=lambda item: item[1].weight())
        merits[metric] = found = chosen.rows
        least = min(mean for mean, _ in found.values())
        best = (row[0] for row, (mean, _) in found.items() if mean <= least < math.inf)
        tested = sum(mean < math.inf and n >= MIN_SEEDS for mean, n in found.values())
        metrics[metric] = Standing(
            protocol_hash=protocol, best=frozenset(best), rows=tested, scored=len(found)
        )
    if ranking is None or ranking not in scores:
        having = {
            metric: len({row[0] for each in protocols.values() for row in each.rows})
            for metric, protocols in scores.items()
        }
        ranking = min(having, key=lambda metric: (metric in costs, -having[metric], metric))
    place: dict[str, float] = {}
    for (experiment, _), (mean, _) in merits[ranking].items():
        place[experiment] = min(place.get(experiment, math.inf), mean)
    return Standings(
        order=tuple(sorted(place, key=lambda e: place[e])),
        metrics=metrics,
        ranking=ranking,
        merits={row: mean for row, (mean, _) in merits[ranking].items()},
    )
