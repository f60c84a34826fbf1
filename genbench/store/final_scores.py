"""Final scores for lists of runs: one metric for each data set, as one number per run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from genbench.contracts import COST_UNITS
from genbench.store.reader import RowSource
from genbench.store.records import Run


class Final(NamedTuple):
    """A run's final score in one metric, by its first sampler."""

    value: float | None
    direction: str
    is_cost: bool = False


Scores = Mapping[str, Mapping[str, Final]]
"""Final scores by run and metric."""


def final_scores(store: RowSource, runs: Sequence[Run]) -> Scores:
    """The final scores of some runs; of several samplers, the first one counts."""
    names = {f"r{i}": run.id for i, run in enumerate(runs)}
    wanted = ", ".join(f":{name}" for name in names)
    found: dict[str, dict[str, Final]] = defaultdict(dict)
    for run, metric, direction, unit, value in store.rows(
        f"SELECT id, metric, direction, unit, value FROM v_scores WHERE id IN ({wanted}) "
        "ORDER BY origin DESC, created_at",
        names,
    ):
        final = Final(value, direction or "min", unit in COST_UNITS)
        found[run].setdefault(metric, final)
    return found


def shown_metrics(runs: Sequence[Run], scores: Scores) -> dict[str, str]:
    """The metric that is shown for each data set, one column each, with its direction."""
    chosen = {}
    for dataset in dict.fromkeys(run.dataset for run in runs):
        metric = _metric_of([run for run in runs if run.dataset == dataset], scores)
        if metric:
            ways = [found[metric].direction for found in scores.values() if metric in found]
            chosen[metric] = ways[0]
    return chosen


def _metric_of(runs: Sequence[Run], scores: Scores) -> str | None:
    """The metric that most of these runs have, as in `compare`; None without any."""
    counted = Counter(metric for run in runs for metric in scores.get(run.id, ()))
    costs = {m for run in runs for m, score in scores.get(run.id, {}).items() if score.is_cost}
    return min(counted, key=lambda m: (m in costs, -counted[m], m), default=None)
