"""Speed-ups over a baseline, if epochs see the same data on the same kind of machine."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from genbench.compare.measure import Measure
from genbench.compare.row import Row
from genbench.compare.run_results import Place, RunResult
from genbench.formatting import counted, number

IDLE_SHARE = 0.8
"""A process with a smaller ratio of CPU seconds to seconds had less than one core to itself."""

FULL_LOAD = 1.25
"""With more runnable processes per core, a run had to wait for other processes."""


# --- the place where seconds were measured


def with_place(rows: Sequence[Row], baseline: Sequence[Row]) -> list[Row]:
    """The rows, each with the place of the seconds that it shows: the one that most rows share.

    Places where the baseline trained come first, since a speed-up is known there only.
    """
    with_it = Counter(place for row in rows for place in _places(row))
    of_baseline = {place for row in baseline for place in _places(row)}
    runs = Counter(run.place for row in rows for run in row.runs)
    order = sorted(with_it, key=lambda p: (p not in of_baseline, -with_it[p], -runs[p], p))
    return [replace(row, place=next(p for p in order if p in _places(row))) for row in rows]


def _places(row: Row) -> set[Place]:
    return {run.place for run in row.runs}


def busy(row: Row) -> str | None:
    """Why a row's seconds are too high ('seconds are 4.1 × CPU seconds'); None if they aren't.

    CPU seconds count only on a CPU: on a GPU, the process may wait while the device works.
    """
    for run in row.timed:
        effort = run.effort
        if run.place.device == "cpu" and effort.cpu_share and effort.cpu_share < IDLE_SHARE:
            return f"seconds are {number(1 / effort.cpu_share, 2)} × CPU seconds"
        if effort.load and effort.cpus and effort.load > FULL_LOAD * effort.cpus:
            return f"load {number(effort.load, 2)} on {counted(effort.cpus, 'core')}"
    return None


# --- over the baseline


def against(row: Row, baseline: Row) -> Row | None:
    """The baseline with its seconds at the row's place; None if their epochs can't be compared."""
    place = row.timed[0].place
    if place not in _places(baseline) or not _same_images(baseline.first, row.first):
        return None
    return replace(baseline, place=place)


def _same_images(a: RunResult, b: RunResult) -> bool:
    if not (a.stages and b.stages):
        return False
    mine, others = (run.stages[run.main_stage].images for run in (a, b))
    # The last short batch of an epoch is dropped, and its size depends on the batch size.
    return math.isclose(mine, others, rel_tol=0.02)


def quotient(baseline: Measure, own: Measure) -> tuple[float | None, float | None]:
    """How many times as fast ``own`` is, with its standard deviation; None if not known.

    The standard deviation is that of a quotient, to first order.
    """
    if not own.mean > 0 or not math.isfinite(baseline.mean):
        return None, None
    value = baseline.mean / own.mean
    if own.sd is None or baseline.sd is None or baseline.mean <= 0:
        return value, None
    return value, value * math.hypot(own.sd / own.mean, baseline.sd / baseline.mean)
