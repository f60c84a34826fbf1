"""Score against function evaluations: what each step of a draw buys."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from genbench.compare import Column, Table, sampler_titles
from genbench.report.cells import several_evaluations
from genbench.report.charts import Curve

_STEPS = re.compile(r"(?<=[(,\s])steps=\d+(, )?")


@dataclass(frozen=True, kw_only=True)
class Evaluations:
    """The draws of a table in one metric: a curve for each experiment and kind of draw.

    The draws of a curve differ in the number of their steps only.
    """

    column: Column
    curves: tuple[Curve, ...]
    floor: float | None


def evaluations(table: Table, colours: Mapping[str, int]) -> list[Evaluations]:
    """The curves of each metric that the table shows; none if all samples take one evaluation."""
    if not several_evaluations(table.rows):
        return []
    made = []
    for column in table.shown:
        curves = _curves(table, column, colours)
        floors = [row.floors[column.metric] for row in table.rows if column.metric in row.floors]
        if curves:
            floor = math.fsum(floors) / len(floors) if floors else None
            made.append(Evaluations(column=column, curves=curves, floor=floor))
    return made


def _curves(table: Table, column: Column, colours: Mapping[str, int]) -> tuple[Curve, ...]:
    metric = column.metric
    kinds = {row.sampler: _kind(row.sampler) for row in table.rows}
    names = sampler_titles(kinds.values())
    groups: dict[tuple[object, str], list[int]] = {}
    for index, row in enumerate(table.rows):
        known = metric in row.scores and row.nfe is not None and metric not in row.of_model
        if known and math.isfinite(row.scores[metric].mean):
            groups.setdefault((row.first.variant, kinds[row.sampler]), []).append(index)
    several = len({kind for _, kind in groups}) > 1
    made = []
    for (_, kind), indices in groups.items():
        rows = sorted((table.rows[i] for i in indices), key=lambda row: row.nfe or 0)
        title = rows[0].title
        made.append(
            Curve(
                label=f"{title}, {names[kind]}" if several else title,
                points=[(row.nfe or 0.0, row.scores[metric].mean) for row in rows],
                spread=[row.scores[metric].sd for row in rows],
                colour=colours[title],
                seeds=min(row.scores[metric].n for row in rows),
                rows=indices,
            )
        )
    return tuple(made)


def _kind(sampler: str) -> str:
    """A sampler's label without its number of steps.

    >>> [_kind("ode (rho=7.0, steps=5)"), _kind("ode (rho=7.0)"), _kind("sde (eta=1, steps=5)")]
    ['ode (rho=7.0)', 'ode (rho=7.0)', 'sde (eta=1)']
    """
    return _STEPS.sub("", sampler).replace(", )", ")").replace(" ()", "")
