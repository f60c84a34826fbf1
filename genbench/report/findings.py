"""What a comparison says, in sentences: the reader's first minute."""

from __future__ import annotations

import math
from collections.abc import Iterator

from genbench.compare import Column, Row, Table
from genbench.numbers import duration, number, plus_minus

MOST_SPEEDUPS = 3
"""Sentences about seconds: of the rows whose epochs are the fastest."""


def findings(table: Table) -> list[str]:
    """Sentences about one data set: the best in each metric, then what the seconds bought."""
    return [*_scores(table), *_seconds(table)]


def _scores(table: Table) -> Iterator[str]:
    told: Row | None = None
    also = []
    for column in table.columns:
        best = next((row for row in table.rows if column.metric in row.best), None)
        if best is not None and best is told:
            measure = best.contender.scores[column.metric]
            also.append(f"{column.metric} ({plus_minus(measure.mean, measure.sd)})")
        elif best is not None:
            yield _best(best, column, table)
            told = told or best
    if told is not None and also:
        yield f"{told.contender.title} is also the best in {' and '.join(also)}."


def _best(best: Row, column: Column, table: Table) -> str:
    contender = best.contender
    measure = contender.scores[column.metric]
    word = "lowest" if column.direction == "min" else "highest"
    text = f"{contender.title} has the {word} {column.metric}, "
    text += plus_minus(measure.mean, measure.sd)
    ratio = contender.ratio(column.metric)
    if ratio is not None:
        text += f": {number(ratio, 3)} times what real images get against real images"
    text += f". {_runner_up(best, column, table)}" if len(table.rows) > 1 else "."
    return text


def _runner_up(best: Row, column: Column, table: Table) -> str:
    others = [
        row.contender
        for row in table.rows
        if row is not best and column.metric in row.contender.scores
    ]
    finite = [c for c in others if math.isfinite(c.scores[column.metric].mean)]
    if not finite:
        return ""
    second = min(finite, key=lambda c: column.better(c.scores[column.metric].mean))
    measure = second.scores[column.metric]
    text = f"Next is {second.title} with {plus_minus(measure.mean, measure.sd)}"
    own = best.contender.scores[column.metric]
    if measure.sd is None or own.sd is None:
        return f"{text}. One seed does not say how sure that order is."
    if measure.overlaps(own):
        return f"{text}: their spreads over seeds overlap, so the order is not certain."
    return f"{text}, outside the spread over seeds."


def _seconds(table: Table) -> Iterator[str]:
    faster = [row for row in table.rows if (row.epoch_speedup or 0.0) > 1.0]
    for row in sorted(faster, key=lambda row: -(row.epoch_speedup or 0.0))[:MOST_SPEEDUPS]:
        yield _speedup(row, table)


def _speedup(row: Row, table: Table) -> str:
    contender = row.contender
    many = len(contender.stages) > 1
    main = contender.first.main_stage
    where = f" of its stage '{contender.stages[main]}'" if many else ""
    own = duration(contender.epoch_s.mean)
    assert row.epoch_speedup is not None
    assert row.total_speedup is not None
    text = (
        f"An epoch of {contender.title}{where} takes {own}, {_times(row.epoch_speedup)} "
        f"one of {table.baseline}."
    )
    total = duration(contender.total_s.mean)
    parts = [
        f"{duration(contender.stage(i, 'total_s').mean)} of stage '{name}'"
        for i, name in enumerate(contender.stages)
        if i != main
    ]
    if contender.first.parents_s:
        parts.append(f"{duration(contender.first.parents_s)} of the runs it builds upon")
    others = f" With {' and '.join(parts)}," if parts else " In all,"
    return f"{text}{others} training takes {total}, {_times(row.total_speedup)} {table.baseline}."


def _times(speedup: float) -> str:
    """'8.1 times as fast as', or '1.4 times as long as'."""
    if speedup >= 1:
        return f"{number(speedup, 3)} times as fast as"
    return f"{number(1 / speedup, 3)} times as long as"
