"""The content of the page, read from the store: tables, charts, pictures and experiments."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genbench.compare import Question, Row, RunResult, Selection, Table, select, tabulate
from genbench.compare.read_results import quoted
from genbench.compare.row_labels import flat_settings
from genbench.report.album import Album, Shot
from genbench.report.curves import (
    Clock,
    Panel,
    Recorded,
    clocks,
    loss_panels,
    points_each,
    score_panels,
)
from genbench.report.evaluations import Evaluations, evaluations
from genbench.report.health_curves import health_panels, probe_panels
from genbench.report.pareto import Front, fronts
from genbench.report.searches import Search
from genbench.store import Store

Facts = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One experiment with its ``rows`` in the table, one for each sampler.

    ``settings`` are all that its training depends on, ``differing`` the names of those in which the
    experiments of the table differ. ``environments`` has distinct ones with the ids of their runs.
    ``shots`` are pictures of the run ``shown``.
    """

    first: Row
    rows: tuple[int, ...]
    colour: int
    settings: Facts
    differing: tuple[str, ...]
    environments: tuple[tuple[Facts, tuple[str, ...]], ...]
    warnings: tuple[str, ...]
    losses: tuple[Panel, ...]
    signs: tuple[Panel, ...]
    shown: RunResult
    shots: tuple[Shot, ...]

    @property
    def samples(self) -> tuple[Shot, ...]:
        """The sample grids by epoch."""
        return tuple(shot for shot in self.shots if shot.kind == "samples")


@dataclass(frozen=True, kw_only=True)
class Section:
    """The content for one data set. ``colours`` has the number of each row's title."""

    table: Table
    fronts: tuple[Front, ...]
    evaluations: tuple[Evaluations, ...]
    scores: tuple[Panel, ...]
    probes: tuple[Panel, ...]
    experiments: tuple[Experiment, ...]
    colours: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Report:
    """The content of the page; ``shrunk`` and ``left_out`` count pictures that had to be.

    ``searches`` are added by whoever knows the tunings of the store.
    """

    sections: tuple[Section, ...]
    unfinished: Mapping[str, int]
    hidden: Mapping[str, int]
    searches: tuple[Search, ...] = ()
    shrunk: int = 0
    left_out: int = 0

    @property
    def runs(self) -> frozenset[str]:
        """The ids of all runs in its tables."""
        rows = (row for section in self.sections for row in section.table.rows)
        return frozenset(run.id for row in rows for run in row.runs)


def read_report(store: Store, selection: Selection, question: Question) -> Report:
    """Read the content of a page. Raises NoSuchRunError if no run matches."""
    selected = select(store, selection)
    tables = tabulate(selected, question)
    runs = {run.id: run for table in tables for row in table.rows for run in row.runs}
    kept = _Runs(
        store, list(runs.values()), [shown for t in tables for shown in _shown(t).values()]
    )
    return Report(
        sections=tuple(_section(store, table, kept) for table in tables),
        unfinished=selected.left_out,
        hidden=selected.hidden,
        shrunk=kept.album.shrunk,
        left_out=kept.album.left_out,
    )


class _Runs:
    """What the page needs of its runs beyond the comparison, read in a few statements."""

    def __init__(self, store: Store, runs: Sequence[RunResult], shown: Sequence[RunResult]) -> None:
        ids = [run.id for run in runs]
        self.clocks: Mapping[str, Clock] = clocks(store, runs)
        self.album = Album(store, list(dict.fromkeys(run.id for run in shown)), self.clocks)
        self.environments = _environments(store, ids)
        self.warnings = _warnings(store, ids)
        self.points = points_each(len({run.variant for run in runs}))


def _section(store: Store, table: Table, runs: _Runs) -> Section:
    colours: dict[str, int] = {}
    for row in table.rows:
        colours.setdefault(row.title, len(colours))
    shown = _shown(table)
    groups: dict[Any, list[int]] = {}
    for index, row in enumerate(table.rows):
        groups.setdefault(row.first.variant, []).append(index)
    recorded = {
        variant: Recorded(store, table.rows[rows[0]], runs.clocks, runs.points)
        for variant, rows in groups.items()
    }
    differing = _differing([table.rows[rows[0]].first for rows in groups.values()])
    return Section(
        table=table,
        fronts=tuple(fronts(table, colours)),
        evaluations=tuple(evaluations(table, colours)),
        scores=tuple(score_panels(store, table, colours)),
        probes=tuple(
            probe_panels([(table.rows[r[0]], r, recorded[v]) for v, r in groups.items()], colours)
        ),
        experiments=tuple(
            _experiment(
                recorded[variant],
                table.rows[rows[0]],
                rows,
                colours,
                differing,
                shown[variant],
                runs,
            )
            for variant, rows in groups.items()
        ),
        colours=colours,
    )


def _experiment(
    recorded: Recorded,
    row: Row,
    rows: Sequence[int],
    colours: Mapping[str, int],
    differing: Sequence[str],
    shown: RunResult,
    runs: _Runs,
) -> Experiment:
    settings = flat_settings(row.first)
    places: dict[str, list[str]] = defaultdict(list)
    for run in row.runs:
        places[runs.environments.get(run.id, "{}")].append(run.id)
    return Experiment(
        first=row,
        rows=tuple(rows),
        colour=colours[row.title],
        settings=settings,
        differing=tuple(key for key in differing if key in settings),
        environments=tuple((json.loads(body), tuple(ids)) for body, ids in places.items()),
        warnings=tuple(
            f"seed {run.seed}, after epoch {epoch}: {message}"
            for run in row.runs
            for epoch, message in runs.warnings.get(run.id, ())
        ),
        losses=tuple(loss_panels(recorded, row)),
        signs=tuple(health_panels(recorded, row)),
        shown=shown,
        shots=tuple(runs.album.shots(shown)),
    )


def _shown(table: Table) -> dict[Any, RunResult]:
    """The run of each experiment that pictures are of: of the lowest seed that all of them have.

    The same seed means the same noise in models with a latent of the same shape.
    """
    firsts = {row.first.variant: row for row in table.rows}
    shared = set.intersection(*({run.seed for run in row.runs} for row in firsts.values()))
    seed = min(shared, default=None)
    return {
        variant: next((run for run in row.runs if run.seed == seed), row.first)
        for variant, row in firsts.items()
    }


def _differing(runs: Sequence[RunResult]) -> list[str]:
    """The settings that have several values among the experiments that have them."""
    values: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        for key, value in flat_settings(run).items():
            values[key].add(repr(value))
    return [key for key, found in values.items() if len(found) > 1]


def _environments(store: Store, runs: Sequence[str]) -> dict[str, str]:
    """Run -> what it ran on last, with the state of the code at its start, as JSON."""
    return {
        run: json.dumps({**json.loads(body), **({"git_commit": commit} if commit else {})})
        for run, body, commit in store.rows(
            "SELECT r.id, e.body, r.git_commit FROM runs r JOIN environments e "
            f"ON e.environment = r.environment WHERE r.id IN ({quoted(runs)})"
        )
    }


def _warnings(store: Store, runs: Sequence[str]) -> dict[str, list[tuple[int, str]]]:
    """Run -> epoch and message of its warnings."""
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for run, epoch, message in store.rows(
        f"SELECT id, epoch, message FROM v_warnings WHERE id IN ({quoted(runs)}) "
        "ORDER BY epoch, kind"
    ):
        found[run].append((int(epoch), message))
    return found
