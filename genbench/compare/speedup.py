"""Seconds against a baseline: only where epochs see the same data on the same kind of machine."""

from __future__ import annotations

import math
from collections.abc import Sequence

from genbench.compare.experiments import Contender, Measure


def is_named(row: Contender, name: str) -> bool:
    """Whether a baseline's name means this row: its model, experiment, or one of its runs."""
    first = row.first
    is_experiment = len(name) >= 4 and first.experiment.startswith(name)
    return name == first.model or is_experiment or any(name in (t.run, t.name) for t in row.trials)


def baseline_for(row: Contender, baselines: Sequence[Contender]) -> Contender | None:
    """The newest baseline whose epochs see the same data on the same kind of machine."""
    conditions = row.first.conditions
    fit = [b for b in baselines if b.first.conditions == conditions and _same_images(b, row)]
    return max(fit, key=lambda b: b.first.created_at) if fit else None


def _same_images(a: Contender, b: Contender) -> bool:
    if not (a.first.stages and b.first.stages):
        return False
    mine, others = (row.first.stages[row.first.main_stage].images for row in (a, b))
    # Batches of another size leave out another rest of the data at an epoch's end.
    return math.isclose(mine, others, rel_tol=0.02)


def quotient(baseline: Measure, own: Measure) -> float | None:
    """How many times as fast ``own`` is; None where either isn't known."""
    return baseline.mean / own.mean if own.mean > 0 and math.isfinite(baseline.mean) else None
