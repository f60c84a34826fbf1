"""Who is best among all selected experiments, read from the final scores alone.

With ten thousand runs in the store only the experiments that will be shown are read in full. Which
those are, which is the best one in each metric and from how many rows it was chosen is told here,
by one pass over the final scores, so that a limit changes no mark and no claim.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from genbench.compare.certainty import MIN_SEEDS
from genbench.store import Store

TableKey = tuple[str, str]
"""A data set and its settings: what one table is of."""


class Head(NamedTuple):
    """What is read of every selected run. ``observation`` is equal for repeats of one seed."""

    run: int
    experiment: str
    table: TableKey
    on_data: bool
    observation: Any


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One metric over all selected rows: its protocol, its best experiments, its tested rows."""

    protocol_hash: str
    best: frozenset[str]
    rows: int


@dataclass(frozen=True, kw_only=True)
class Standings:
    """All metrics of one table: experiments in order, the best first in what ranks them."""

    order: tuple[str, ...]
    metrics: Mapping[str, Standing]

    @property
    def bests(self) -> list[frozenset[str]]:
        """The best experiments of each metric."""
        return [standing.best for standing in self.metrics.values()]


@dataclass
class _Pile:
    """The final scores of one table under one protocol of one metric.

    ``rows``: (experiment, sampler) -> the mean over its seeds, lower is better, and their number.
    """

    rows: dict[tuple[str, str], tuple[float, int]] = field(default_factory=dict)
    on_data: bool = False
    newest: int = 0

    def weight(self) -> tuple[bool, int, int]:
        """As `genbench.compare.columns` weighs protocols: of the data, of many rows, new."""
        return self.on_data, len(self.rows), self.newest


_Piles = dict[str, dict[str, _Pile]]
"""Metric -> protocol -> the scores that may be ranked together."""


def standings(
    store: Store,
    heads: Sequence[Head],
    ranking: str | None = None,
    samplers: Sequence[str] = (),
) -> dict[TableKey, Standings]:
    """Every table's standings; ``ranking`` orders, or the metric that most experiments have."""
    piles = _piles(store, heads, samplers)
    return {table: _standings(of_table, ranking) for table, of_table in piles.items()}


def _piles(store: Store, heads: Sequence[Head], samplers: Sequence[str]) -> dict[TableKey, _Piles]:
    metrics = {
        key: (str(name), direction)
        for key, name, direction in store.rows("SELECT key, name, direction FROM metric_keys")
    }
    first: dict[str, Head] = {}
    for head in heads:
        first.setdefault(head.experiment, head)
    found: dict[TableKey, _Piles] = {}
    for group, scored in _grouped(store, heads, metrics).items():
        experiment, key, protocol, sampler, settings = group
        if samplers and sampler and sampler not in samplers:
            continue
        metric, head = metrics[key][0], first[experiment]
        pile = found.setdefault(head.table, {}).setdefault(metric, {}).setdefault(protocol, _Pile())
        pile.on_data = pile.on_data or head.on_data
        pile.newest = max(pile.newest, head.run)
        mean = sum(scored.values()) / len(scored)
        pile.rows[experiment, sampler and sampler + settings] = mean, len(scored)
    return found


_Group = tuple[str, int, str, str, str]
"""Experiment, key of a metric, protocol, sampler and its settings."""


def _grouped(
    store: Store, heads: Sequence[Head], metrics: Mapping[int, tuple[str, str | None]]
) -> dict[_Group, dict[Any, float]]:
    """Observation -> merit of all final scores, by what may be averaged.

    Ten thousand runs have tens of thousands of scores, so this loop does the least it can.
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
    """A score so that lower is better; what is not finite is worst."""
    if value is None or (direction == "floor" and floor is None):
        return math.inf
    if direction == "floor":
        return abs(value - (floor or 0.0))
    return -value if direction == "max" else value


def _standings(piles: _Piles, ranking: str | None) -> Standings:
    metrics, merits = {}, {}
    for metric, protocols in piles.items():
        protocol, pile = max(protocols.items(), key=lambda item: item[1].weight())
        merits[metric] = found = pile.rows
        least = min(mean for mean, _ in found.values())
        best = (row[0] for row, (mean, _) in found.items() if mean <= least < math.inf)
        tested = sum(mean < math.inf and n >= MIN_SEEDS for mean, n in found.values())
        metrics[metric] = Standing(protocol_hash=protocol, best=frozenset(best), rows=tested)
    if ranking is None or ranking not in piles:
        having = {
            metric: len({row[0] for pile in protocols.values() for row in pile.rows})
            for metric, protocols in piles.items()
        }
        ranking = min(having, key=lambda metric: (-having[metric], metric))
    place: dict[str, float] = {}
    for (experiment, _), (mean, _) in merits[ranking].items():
        place[experiment] = min(place.get(experiment, math.inf), mean)
    return Standings(order=tuple(sorted(place, key=lambda e: place[e])), metrics=metrics)
