"""Which finished runs are compared, and what a baseline's name means.

With ten thousand runs in the store only the experiments that will be shown are read in full; which
those are is decided by one grouped statement over the final scores.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from genbench.compare.experiments import Trial
from genbench.compare.lineage import sources
from genbench.compare.trials import quoted, read_trials
from genbench.errors import GenbenchError, NoSuchRunError, UnknownNameError
from genbench.store import Store

Row = tuple[Any, ...]

_MADE_OF = (
    "WITH RECURSIVE made(run) AS (SELECT d.run FROM runs d WHERE d.dataset = :dataset UNION "
    "SELECT p.run FROM made JOIN runs m ON m.run = made.run "
    "JOIN run_parents p ON p.parent = m.id) SELECT run FROM made"
)
"""The runs on a data set, and those that build upon them: on their latents, say."""

SHORTEST = 4
"""Characters of an experiment's hash that name it, at least."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which runs are compared. ``limit`` is of experiments for each data set, None: all.

    ``runs`` are references to runs whose experiments are wanted; empty means all.
    """

    model: str | None = None
    dataset: str | None = None
    tag: str | None = None
    baseline: str | None = None
    metric: str | None = None
    runs: tuple[str, ...] = ()
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class Selected:
    """The finished runs that were found; ``left_out`` counts the others by status.

    ``hidden`` counts, for each data set, the experiments over the limit.
    """

    trials: tuple[Trial, ...]
    left_out: Mapping[str, int]
    hidden: Mapping[str, int]


def select(store: Store, selection: Selection) -> Selected:
    """The finished runs of a selection. Raises NoSuchRunError where there are none."""
    where, parameters = _where(store, selection)
    heads = store.rows(
        "SELECT r.run, r.experiment, r.dataset, r.model FROM runs r "
        f"WHERE r.status = 'finished' AND {where} ORDER BY r.run",
        parameters,
    )
    heads = _by_source(store, heads)
    counted = store.rows(
        "SELECT r.status, count(*) FROM runs r "
        f"WHERE r.status <> 'finished' AND {where} GROUP BY r.status ORDER BY r.status",
        parameters,
    )
    left_out = {str(status): int(count) for status, count in counted}
    if not heads:
        raise NoSuchRunError(_nothing(store, left_out))
    shown, hidden = _shown(store, heads, selection)
    runs = [run for run, experiment, dataset, _ in heads if (dataset, experiment) in shown]
    return Selected(trials=tuple(read_trials(store, runs)), left_out=left_out, hidden=hidden)


def baseline_of(store: Store, given: str) -> str:
    """The model or the experiment that a baseline's name means.

    ``given`` is a model, an experiment (or a beginning that fits one only) or a reference to a run.
    Raises UnknownNameError with the models that have finished runs.
    """
    finished = "r.status = 'finished' AND"
    of_model = f"SELECT 1 FROM runs r WHERE {finished} r.model = :given LIMIT 1"
    if store.rows(of_model, {"given": given}):
        return given
    found = store.rows(
        "SELECT e.experiment FROM experiments e WHERE substr(e.experiment, 1, :length) = :given "
        f"AND EXISTS (SELECT 1 FROM runs r WHERE {finished} r.experiment = e.experiment)",
        {"given": given, "length": len(given)},
    )
    if len(given) >= SHORTEST and len(found) == 1:
        return str(found[0][0])
    try:
        return store.run(given).experiment
    except GenbenchError:
        models = store.rows("SELECT DISTINCT model FROM runs WHERE status = 'finished'")
        raise UnknownNameError("baseline", given, [model for (model,) in models]) from None


# --- which runs


def _where(store: Store, selection: Selection) -> tuple[str, dict[str, Any]]:
    """The condition and its parameters; the baseline stays whatever model or tag is asked for."""
    wanted, parameters = ["1 = 1"], {}
    if selection.model:
        wanted.append("r.model = :model")
        parameters["model"] = selection.model
    if selection.tag:
        wanted.append("EXISTS (SELECT 1 FROM run_tags t WHERE t.run = r.run AND t.tag = :tag)")
        parameters["tag"] = selection.tag
    if selection.runs:
        experiments = {store.run(reference).experiment for reference in selection.runs}
        wanted.append(f"r.experiment IN ({quoted(sorted(experiments))})")
    condition = f"({' AND '.join(wanted)})"
    if selection.baseline and len(wanted) > 1:
        condition = f"({condition} OR r.model = :baseline OR r.experiment = :baseline)"
        parameters["baseline"] = selection.baseline
    if selection.dataset:
        condition += f" AND r.run IN ({_MADE_OF})"
        parameters["dataset"] = selection.dataset
    return condition, parameters


def _by_source(store: Store, heads: Sequence[Row]) -> list[Row]:
    """The heads with the data set that a run's samples are compared on in place of its own."""
    made_of = sources(store)
    return [
        (run, experiment, made_of[run].dataset if run in made_of else dataset, model)
        for run, experiment, dataset, model in heads
    ]


def _nothing(store: Store, left_out: Mapping[str, int]) -> str:
    if left_out:
        counts = ", ".join(f"{count} {status}" for status, count in left_out.items())
        return f"no finished run matches ({counts}); see: genbench runs"
    return f"no finished run in {store.url} matches; see: genbench runs"


def _shown(
    store: Store, heads: Sequence[Row], selection: Selection
) -> tuple[set[tuple[str, str]], dict[str, int]]:
    """The (data set, experiment) pairs to show, the best first, and how many are hidden."""
    experiments: dict[str, dict[str, None]] = defaultdict(dict)
    for _, experiment, dataset, _ in heads:
        experiments[dataset][experiment] = None
    shown, hidden = set(), {}
    order: dict[str, float] | None = None
    for dataset, found in experiments.items():
        kept = list(found)
        if selection.limit is not None and len(kept) > selection.limit:
            order = _order(store, heads, selection.metric) if order is None else order
            kept.sort(key=lambda experiment: order.get(experiment, math.inf))
            hidden[dataset] = len(kept) - selection.limit
            newest = _newest(heads, dataset, selection.baseline)
            kept = [*kept[: selection.limit], *newest]
        shown |= {(dataset, experiment) for experiment in kept}
    return shown, hidden


def _newest(heads: Sequence[Row], dataset: str, baseline: str | None) -> list[str]:
    """The newest experiment on a data set that the baseline names, if any."""
    named = (
        experiment
        for _, experiment, on, model in reversed(heads)
        if on == dataset and baseline in (model, experiment)
    )
    return list(islice(named, 1))


def _order(store: Store, heads: Sequence[Row], metric: str | None) -> dict[str, float]:
    """Experiment -> what to sort by, the best first, in the metric that most runs have.

    An experiment with a value that is not finite, or of another protocol only, has none.
    """
    # The count comes from the index alone; then one metric's rows are a third of all or less.
    counted = store.rows(
        "SELECT k.key, k.name, k.direction, c.n FROM metric_keys k JOIN "
        "(SELECT key, count(*) AS n FROM evals WHERE final = 1 GROUP BY key) c ON c.key = k.key"
    )
    possible = [row for row in counted if metric in (None, row[1])]
    if not possible:
        return {}
    key, _, direction, _ = min(possible, key=lambda row: (-row[3], row[1]))
    scores = store.rows(
        "SELECT run, protocol_hash, value FROM evals WHERE final = 1 AND key = :key", {"key": key}
    )
    protocols = Counter(protocol for _, protocol, _ in scores)
    usual = max(protocols, key=lambda protocol: (protocols[protocol], protocol))
    experiments = {run: experiment for run, experiment, _, _ in heads}
    values: dict[str, list[float]] = defaultdict(list)
    for run, protocol, value in scores:
        if protocol == usual and run in experiments:
            values[experiments[run]].append(math.inf if value is None else float(value))
    sign = -1.0 if direction == "max" else 1.0
    means = {experiment: sum(found) / len(found) for experiment, found in values.items()}
    return {name: sign * mean for name, mean in means.items() if mean < math.inf}
