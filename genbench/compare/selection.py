"""Select the finished runs to compare, and apply a limit."""

from __future__ import annotations

import gc
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from genbench.compare.baseline import SHORTEST, named, only
from genbench.compare.lineage import compared_data, lineages, sources
from genbench.compare.pareto import contenders
from genbench.compare.read_results import quoted, read_results
from genbench.compare.run_results import RunResult
from genbench.compare.standings import Head, Standings, TableKey, standings
from genbench.errors import GenbenchError, NoSuchRunError, UnknownNameError
from genbench.store import Filter, Store
from genbench.store.filters import shows_archived

_SHOWN = (
    "(r.archived_at IS NULL OR NOT EXISTS (SELECT 1 FROM runs o WHERE o.experiment = r.experiment "
    "AND o.status = 'finished' AND o.archived_at IS NULL))"
)
"""The runs of an experiment without its archived ones, or all of them if all are archived."""

MANY = 50
"""Experiments of a table up to which all of them are read for a Pareto front."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which runs to compare: the finished ones that meet all filters.

    ``limit`` is the number of experiments per table; None means all. ``metric`` ranks the
    experiments for it; if it is not the name of a score, there is no limit. With ``pareto``, only
    experiments that may be on the Pareto front of this metric are read. The ``baseline`` is
    kept even if it meets neither filters nor limit, or is archived; other archived runs are left
    out unless ``archived`` is set or a filter names them.
    """

    where: tuple[Filter, ...] = ()
    baseline: str | None = None
    metric: str | None = None
    samplers: tuple[str, ...] = ()
    archived: bool = False
    limit: int | None = None
    pareto: bool = False


@dataclass(frozen=True, kw_only=True)
class Selected:
    """The finished runs that were found; ``left_out`` counts the others by status.

    ``hidden`` counts the experiments over the limit, by data set. For a table over the limit,
    ``shown`` has the experiments within it and ``standings`` the ranking of all; ``runs`` then also
    has the best experiment in each metric, even if it isn't shown. ``partial`` has the number of
    finished runs of each experiment of which the filters left some out. ``others`` has one run of
    each experiment that a Pareto front leaves out, from which titles tell those on it apart.
    """

    runs: tuple[RunResult, ...]
    left_out: Mapping[str, int]
    hidden: Mapping[str, int]
    shown: Mapping[TableKey, frozenset[str]] = field(default_factory=dict)
    standings: Mapping[TableKey, Standings] = field(default_factory=dict)
    partial: Mapping[str, int] = field(default_factory=dict)
    others: tuple[RunResult, ...] = ()


@contextmanager
def _without_collections() -> Iterator[None]:
    """Pause Python's search for cycles, which looks at all rows again and again.

    Rows have none [0.9 s of 3.5 s of CPU time at 120,000 runs].
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@_without_collections()
def select(store: Store, selection: Selection) -> Selected:
    """The finished runs of a selection.

    Raises NoSuchRunError if there are none, UsageError for a baseline with several meanings.
    """
    filters = list(selection.where)
    if not selection.archived and not shows_archived(filters):
        filters.append(Filter("archived", "=", ("none",)))
    where, parameters = store.condition(filters)
    heads = _heads(store, where, parameters)
    counted = store.rows(
        "SELECT r.status, count(*) FROM runs r "
        f"WHERE r.status <> 'finished' AND {where} GROUP BY r.status ORDER BY r.status",
        parameters,
    )
    left_out = {str(status): int(count) for status, count in counted}
    if not heads:
        raise NoSuchRunError(_nothing(store, left_out), hint="See: genbench runs")
    baselines = _baselines(store, heads, selection.baseline) if selection.baseline else {}
    if baselines:
        named_ones = f"r.experiment IN ({quoted(baselines.values())}) AND {_SHOWN}"
        heads += _heads(store, named_ones, {})
        heads = list({head.run: head for head in heads}.values())
    shown, hidden, found = _limited(store, heads, selection, baselines)
    # The best in each metric is read too, so that a limit doesn't change the remarks about it.
    wanted = {table: kept.union(*found[table].bests) for table, kept in shown.items()}
    runs = [h.run for h in heads if h.table not in wanted or h.experiment in wanted[h.table]]
    others = _others(heads, runs) if selection.pareto else []
    return Selected(
        runs=tuple(read_results(store, runs)),
        others=tuple(read_results(store, others)),
        left_out=left_out,
        hidden=hidden,
        shown=shown,
        standings={table: found[table] for table in shown},
        partial=_partial(store, heads) if selection.where else {},
    )


# --- which runs


def _others(heads: Sequence[Head], runs: Sequence[int]) -> list[int]:
    """One run of each experiment that has no run among these."""
    first = {head.experiment: head.run for head in reversed(heads)}
    return sorted(set(first.values()).difference(runs))


def _partial(store: Store, heads: Sequence[Head]) -> dict[str, int]:
    selected = Counter(head.experiment for head in heads)
    rows = store.rows(
        "SELECT experiment, count(*) FROM runs WHERE status = 'finished' AND archived_at IS NULL "
        "GROUP BY experiment"
    )
    return {name: count for name, count in rows if 0 < selected[name] < count}


def _heads(store: Store, where: str, parameters: Mapping[str, Any]) -> list[Head]:
    """The finished runs, each with the table of the data that its samples are compared with."""
    rows = store.rows(
        "SELECT r.run, r.experiment, r.dataset, r.seed FROM runs r "
        f"WHERE r.status = 'finished' AND {where} ORDER BY r.run",
        parameters,
    )
    settings = _settings(store)
    made_of, ancestry = sources(store), lineages(store)
    tables: dict[str, TableKey] = {}
    heads = []
    for run, experiment, dataset, seed in rows:
        source = made_of.get(run) if made_of else None
        if source:
            table = (source.dataset, settings_text(source.settings))
            lineage = ancestry.get(run, ())
            heads.append(Head(run, experiment, table, not source.sources, (seed, lineage)))
            continue
        if experiment not in tables:
            tables[experiment] = (dataset, settings.get(experiment, _NONE))
        heads.append(Head(run, experiment, tables[experiment], True, seed))
    return heads


def _settings(store: Store) -> dict[str, str]:
    """Experiment -> the settings of its data set and its split, unless both are the defaults."""
    rows = store.rows(
        "SELECT r.experiment, r.spec FROM runs r WHERE r.run IN "
        "(SELECT max(n.run) FROM runs n WHERE n.status = 'finished' GROUP BY n.experiment) "
        "AND (r.spec NOT LIKE '%\"dataset_settings\":{}%' "
        'OR (r.spec LIKE \'%"scored_on":"%\' AND r.spec NOT LIKE \'%"scored_on":"test"%\'))'
    )
    return {name: settings_text(compared_data(json.loads(spec))) for name, spec in rows}


def settings_text(settings: Mapping[str, Any]) -> str:
    """The settings of a data set as part of a `TableKey`; that of the test split sorts first."""
    in_order = sorted(settings.items(), key=lambda item: (item[0] == "scored_on", item[0]))
    return "; ".join(map(repr, in_order))


def table_of(run: RunResult) -> TableKey:
    """The table that a run belongs to."""
    return run.dataset, settings_text(run.data_settings)


_NONE = settings_text({})


def _nothing(store: Store, left_out: Mapping[str, int]) -> str:
    if left_out:
        counts = ", ".join(f"{count} {status}" for status, count in left_out.items())
        return f"no finished run matches ({counts})"
    return f"no finished run in {store.url} matches"


def _metrics(store: Store) -> list[str]:
    return [name for (name,) in store.rows("SELECT name FROM metric_keys WHERE kind = 'score'")]


def _limited(
    store: Store,
    heads: Sequence[Head],
    selection: Selection,
    baselines: Mapping[TableKey, str],
) -> tuple[dict[TableKey, frozenset[str]], dict[str, int], dict[TableKey, Standings]]:
    """For tables over the limit: the experiments to show, the number hidden, and the standings."""
    experiments: dict[TableKey, dict[str, None]] = defaultdict(dict)
    for head in heads:
        experiments[head.table][head.experiment] = None
    limit = selection.limit if selection.metric in (None, *_metrics(store)) else None
    least = MANY if selection.pareto else limit
    over = {table for table, found in experiments.items() if least and len(found) > least}
    if not over:
        return {}, {}, {}
    among = [head for head in heads if head.table in over]
    found = standings(store, among, selection.metric, selection.samplers)
    if selection.pareto:
        # A table without the metric that was asked for is ranked by another one, and read whole.
        asked = selection.metric
        ranked = {t: s for t, s in found.items() if asked in (None, s.ranking)}
        return _contenders(store, among, ranked, baselines), {}, found
    assert limit is not None
    shown: dict[TableKey, frozenset[str]] = {}
    hidden: Counter[str] = Counter()
    for table in over:
        standing = found.setdefault(table, Standings(order=(), metrics={}))
        # Experiments without a score in the ranking metric come last, the oldest first.
        order = list(dict.fromkeys((*standing.order, *experiments[table])))
        baseline = {baselines[table]} if table in baselines else set()
        shown[table] = frozenset(order[:limit]) | baseline
        hidden[table[0]] += len(order) - limit
    return shown, dict(hidden), found


def _contenders(
    store: Store,
    heads: Sequence[Head],
    found: Mapping[TableKey, Standings],
    baselines: Mapping[TableKey, str],
) -> dict[TableKey, frozenset[str]]:
    """The experiments that may be on the front of each table; tables without one are read whole."""
    by_table: dict[TableKey, list[Head]] = defaultdict(list)
    for head in heads:
        by_table[head.table].append(head)
    shown = {}
    for table, standing in found.items():
        if kept := contenders(store, by_table[table], standing):
            shown[table] = kept.union({baselines[table]} if table in baselines else ())
    return shown


# --- the baseline


def baseline_of(store: Store, given: str) -> str:
    """The name of a baseline as `rows_named` takes it: a reference to a run becomes the run's id.

    Raises UnknownNameError, with the models that have finished runs, if nothing has that name.
    """
    if _named_plainly(store, given):
        of = "substr(experiment, 1, :length) = :name"
        hashes = store.rows(
            f"SELECT DISTINCT experiment FROM runs WHERE status = 'finished' AND {of}",
            {"name": given, "length": max(len(given), SHORTEST)},
        )
        return str(hashes[0][0]) if len(hashes) == 1 else given
    try:
        return store.run(given).id
    except GenbenchError:
        if _candidates(store, given):
            return given
        models = store.rows("SELECT DISTINCT model FROM runs WHERE status = 'finished'")
        raise UnknownNameError("baseline", given, [model for (model,) in models]) from None


def _baselines(store: Store, heads: Sequence[Head], name: str) -> dict[TableKey, str]:
    """The baseline's experiment in each table, among the selected ones or else among all.

    Raises UsageError if the name has several meanings.
    """
    selected = {(head.table, head.experiment) for head in heads}
    by_table: dict[TableKey, list[RunResult]] = defaultdict(list)
    for run in _candidates(store, name):
        by_table[table_of(run)].append(run)
    found = {}
    for table in {head.table for head in heads}:
        runs = by_table[table]
        inside = [run for run in runs if (table, run.experiment) in selected]
        one = only(named(inside or runs, name), name, table[0])
        if one:
            found[table] = one.experiment
    return found


def _candidates(store: Store, name: str) -> list[RunResult]:
    """The newest finished run of each experiment that a name may refer to."""
    runs = _named_plainly(store, name) or _newest(store, "1 = 1", {})
    return named(list(read_results(store, runs)), name) if runs else []


def _named_plainly(store: Store, name: str) -> list[int]:
    """The runs with a model, id, name, hash or preset of that name; titles are not considered."""
    parameters = {"name": name, "length": max(len(name), SHORTEST)}
    for condition in (
        "model = :name",
        "id = :name OR name = :name",
        "substr(experiment, 1, :length) = :name",
        "preset = :name",
    ):
        used = {key: value for key, value in parameters.items() if f":{key}" in condition}
        if runs := _newest(store, condition, used):
            return runs
    return []


def _newest(store: Store, condition: str, parameters: Mapping[str, Any]) -> list[int]:
    rows = store.rows(
        f"SELECT max(run) FROM runs WHERE status = 'finished' AND ({condition}) "
        "GROUP BY experiment",
        parameters,
    )
    return [int(run) for (run,) in rows]
