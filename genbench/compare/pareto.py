"""The Pareto front: the rows that no other row beats in both score and cost.

The cost is the training seconds, or another score: the bytes of a model, its samples per second.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from genbench.compare.row import Row
from genbench.compare.run_results import Place
from genbench.compare.standings import Head, Standings
from genbench.compare.table import Column
from genbench.store import Store

MARGIN = 1e-9
"""The share by which a mean may differ if its terms are summed in another order."""


def undominated(rows: Sequence[Row], column: Column, cost: Column | None = None) -> list[int]:
    """The indices of the rows on the front, the lowest cost first; None: the training seconds.

    A row is off the front if another one costs at most as much and is at least as good, and better
    in one of both. Means are compared. Seconds of two machines can't be compared, so each place has
    a front of its own; a score as ``cost`` has the machine in its protocol. Rows without a finite
    score or cost are on none.
    """
    keys = {}
    for i, row in enumerate(rows):
        spent = cost.better(row.ranked(cost.metric)) if cost else row.total_s.mean
        key = (spent, column.better(row.ranked(column.metric)))
        if all(map(math.isfinite, key)):
            keys[i] = key
    found: list[int] = []
    last: dict[Place | None, tuple[float, float]] = {}
    for i in sorted(keys, key=keys.__getitem__):
        place, key = None if cost else rows[i].timed[0].place, keys[i]
        if place not in last or key[1] < last[place][1] or key == last[place]:
            found.append(i)
            last[place] = key
    return found


def contenders(store: Store, heads: Sequence[Head], standing: Standings) -> frozenset[str]:
    """The experiments of one table that may have a row on its front, and few others.

    With ten thousand runs in a store, reading all of them takes two seconds. The scores of
    ``standing`` and the seconds of the stages show of nearly all experiments that another one is
    better in both. The front itself is found by `undominated` among the rest.
    """
    seconds = _seconds(store, heads)
    unsure = {head.experiment for head in heads} - set(seconds)
    by_place: dict[Any, list[tuple[float, float, str]]] = defaultdict(list)
    for (experiment, _), merit in standing.merits.items():
        if experiment in seconds and merit < math.inf:
            place, mean = seconds[experiment]
            by_place[place].append((mean, merit, experiment))
    found = {one for rows in by_place.values() for one in _unbeaten(rows)}
    scored = {experiment for (experiment, _), merit in standing.merits.items() if merit < math.inf}
    return frozenset(found | (unsure & scored))


def _unbeaten(rows: Sequence[tuple[float, float, str]]) -> Iterator[str]:
    """The names of rows (seconds, merit, name) unless one as fast is clearly better."""
    least = math.inf
    for _, merit, name in sorted(rows):
        least = min(least, merit)
        if merit - MARGIN * abs(merit) <= least:
            yield name


def _seconds(store: Store, heads: Sequence[Head]) -> Mapping[str, tuple[Any, float]]:
    """Experiment -> environment with device, and mean seconds.

    Left out are experiments that ran in several environments, that build on other runs, or that
    have several versions of a plugin, which makes them several rows.
    """
    stages: dict[int, list[float]] = defaultdict(list)
    for run, spent in store.rows(
        "SELECT run, prepare_s + train_s FROM stages ORDER BY run, position"
    ):
        stages[run].append(spent)
    where = {
        run: (environment, device)
        for run, environment, device in store.rows("SELECT run, environment, device FROM runs")
    }
    odd = store.rows(
        "SELECT r.experiment FROM run_parents p JOIN runs r ON r.run = p.run UNION "
        "SELECT r.experiment FROM run_environments e JOIN runs r ON r.run = e.run "
        "GROUP BY r.run, r.experiment HAVING count(DISTINCT e.environment) > 1 UNION "
        "SELECT r.experiment FROM run_plugins v JOIN runs r ON r.run = v.run "
        "GROUP BY r.experiment, v.distribution HAVING count(DISTINCT v.version) > 1"
    )
    left_out = {experiment for (experiment,) in odd}
    runs: dict[str, list[int]] = defaultdict(list)
    for head in heads:
        if head.experiment not in left_out:
            runs[head.experiment].append(head.run)
    return {
        experiment: (where[own[0]], math.fsum(sum(stages[run]) for run in own) / len(own))
        for experiment, own in runs.items()
        if len({where[run] for run in own}) == 1
    }
