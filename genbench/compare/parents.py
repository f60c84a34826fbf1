"""Compressed runs beside the runs that they compress: each score as a share of the parent's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from genbench.compare.measure import Measure
from genbench.compare.read_results import quoted, read_results
from genbench.compare.row import Row
from genbench.compare.run_results import RunResult, Scored, scores_of
from genbench.compare.table import Column
from genbench.store import Store

SIZE = "size"
"""What ``compare --by`` takes, besides settings, for rows in the order of their size."""
WEIGHTS = "weights"
"""The score that is the size of a model."""
COSTS = ("bytes", "samples_per_second", "samples_per_second_at_100")
"""Scores that a quality is weighed against, in this order."""


def parents_of(store: Store, runs: Iterable[RunResult]) -> dict[str, RunResult]:
    """The id of each run that compresses another one -> that other run, if it is in the store."""
    compressed = [run.id for run in runs if run.spec.get("compressors")]
    if not compressed:
        return {}
    pairs = store.rows(
        "SELECT r.id, p.parent, o.run FROM runs r JOIN run_parents p ON p.run = r.run "
        "JOIN runs o ON o.id = p.parent "
        f"WHERE p.position = 0 AND o.status = 'finished' AND r.id IN ({quoted(compressed)})"
    )
    numbers = sorted({int(number) for _, _, number in pairs})
    found = {run.id: run for run in read_results(store, numbers)}
    return {str(run): found[str(parent)] for run, parent, _ in pairs}


def beside_parents(row: Row, columns: Sequence[Column], parents: Mapping[str, RunResult]) -> Row:
    """The row with each of its scores divided by that of the run that it compresses.

    There is one quotient for each seed, of two runs with the same protocol. A parent without the
    score has none.
    """
    against: dict[str, Measure] = {}
    for column in columns:

        def quotient(run: RunResult, column: Column = column) -> float | None:
            parent = parents.get(run.id)
            own = _value(run, column, row.sampler)
            other = _value(parent, column, row.sampler) if parent else None
            return own / other if own is not None and other else None

        measure = row.over_seeds(quotient)
        if measure is not None:
            against[column.metric] = measure
    return replace(row, against_parent=against)


def _value(run: RunResult, column: Column, sampler: str) -> float | None:
    found: list[Scored] = [
        score
        for score in scores_of(run, sampler)
        if (score.metric, score.protocol_hash) == (column.metric, column.protocol_hash)
    ]
    return found[-1].value if found else None
