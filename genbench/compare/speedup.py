"""Seconds against a baseline: only where epochs see the same data on the same kind of machine."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from genbench.compare.experiments import Contender, Place, Trial
from genbench.compare.measure import Measure
from genbench.formatting import counted, number

IDLE_SHARE = 0.8
"""CPU seconds over seconds below which a process had less than one core to itself."""

FULL_LOAD = 1.25
"""Runnable processes for each core above which others were in the way."""


# --- where seconds were spent


def placed(rows: Sequence[Contender], baseline: Sequence[Contender]) -> list[Contender]:
    """The rows with the place whose seconds each tells: one that most rows share.

    Places where the baseline ran go first, since only there a speed-up is known.
    """
    with_it = Counter(place for row in rows for place in _places(row))
    of_baseline = {place for row in baseline for place in _places(row)}
    trials = Counter(trial.place for row in rows for trial in row.trials)
    order = sorted(with_it, key=lambda p: (p not in of_baseline, -with_it[p], -trials[p], p))
    return [replace(row, place=next(p for p in order if p in _places(row))) for row in rows]


def _places(row: Contender) -> set[Place]:
    return {trial.place for trial in row.trials}


def busy(row: Contender) -> str | None:
    """Why the seconds of a row are too many: 'seconds are 4.1 × CPU seconds'; None if they aren't.

    CPU seconds count on a CPU alone: on a GPU the process may rest while the device works.
    """
    for trial in row.timed:
        effort = trial.effort
        if trial.place.device == "cpu" and effort.cpu_share and effort.cpu_share < IDLE_SHARE:
            return f"seconds are {number(1 / effort.cpu_share, 2)} × CPU seconds"
        if effort.load and effort.cpus and effort.load > FULL_LOAD * effort.cpus:
            return f"load {number(effort.load, 2)} on {counted(effort.cpus, 'core')}"
    return None


# --- over the baseline


def against(row: Contender, baseline: Contender) -> Contender | None:
    """The baseline by its seconds of the row's place, where epochs see as much of the same data."""
    place = row.timed[0].place
    if place not in _places(baseline) or not _same_images(baseline.first, row.first):
        return None
    return replace(baseline, place=place)


def _same_images(a: Trial, b: Trial) -> bool:
    if not (a.stages and b.stages):
        return False
    mine, others = (trial.stages[trial.main_stage].images for trial in (a, b))
    # Batches of another size leave out another rest of the data at an epoch's end.
    return math.isclose(mine, others, rel_tol=0.02)


def quotient(baseline: Measure, own: Measure) -> tuple[float | None, float | None]:
    """How many times as fast ``own`` is, with its standard deviation; None where not known.

    The deviation is that of a quotient of two runs, to first order.
    """
    if not own.mean > 0 or not math.isfinite(baseline.mean):
        return None, None
    value = baseline.mean / own.mean
    if own.sd is None or baseline.sd is None or baseline.mean <= 0:
        return value, None
    return value, value * math.hypot(own.sd / own.mean, baseline.sd / baseline.mean)
