"""What a comparison says, in sentences: the reader's first minute."""

from __future__ import annotations

from collections.abc import Iterator

from genbench.compare import Column, Contender, Row, Table
from genbench.formatting import duration, number, plus_minus
from genbench.report.cells import lent, timed

NUMBERS = ("No", "One", "Two")

MOST_SPEEDUPS = 3
"""Sentences about seconds: of the rows whose epochs are the fastest."""


def findings(table: Table) -> list[str]:
    """Sentences about one data set: the best in each metric, then what the seconds bought."""
    return [*_scores(table), *_seconds(table)]


def _scores(table: Table) -> Iterator[str]:
    told: Contender | None = None
    also = []
    for column in table.shown:
        best = table.bests.get(column.metric)
        if best is not None and best is told:
            also.append(f"{column.metric} ({_value(best, column)}{_doubt(column, table)})")
        elif best is not None:
            yield _best(best, column, table)
            told = told or best
    if told is not None and also:
        yield f"{told.title} is also the best in {' and '.join(also)}."


def _value(contender: Contender, column: Column) -> str:
    measure = contender.scores[column.metric]
    return plus_minus(measure.mean, measure.sd)


def _best(best: Contender, column: Column, table: Table) -> str:
    words = {"min": "the lowest", "max": "the highest"}
    text = f"{best.title} has {words.get(column.direction, 'the most floor-like')} {column.metric}"
    text += f", {_value(best, column)}"
    ratio = best.ratio(column.metric)
    if ratio is not None:
        text += f": {number(ratio, 3)} times what real images get against real images"
    if not any(row.contender is best for row in table.rows):
        text += "; it is not among the rows shown here"
    return f"{text}. {_runner_up(best, column, table)}".rstrip()


def _runner_up(best: Contender, column: Column, table: Table) -> str:
    second = _second(column, table)
    if second is None:
        return ""
    text = f"Next is {second.contender.title} with {_value(second.contender, column)}"
    difference = second.differences[column.metric]
    if difference.interval is None:
        fewer = min(c.scores[column.metric].n for c in (best, second.contender))
        seeds = f"{NUMBERS[fewer]} seed{'s do' if fewer != 1 else ' does'}"
        return f"{text}. {seeds} not say how sure that order is."
    low, high = (number(end, 3) for end in difference.interval)
    interval = f"the interval of the difference, {low} to {high},"
    if difference.distinguishable:
        return f"{text}: {interval} is away from 0."
    return f"{text}: not distinguishable, {interval} holds 0."


def _second(column: Column, table: Table) -> Row | None:
    """The best of the rows that have a difference to the best one."""
    others = [row for row in table.rows if column.metric in row.differences]
    return min(others, key=lambda r: column.better(r.contender.ranked(column.metric)), default=None)


def _doubt(column: Column, table: Table) -> str:
    """What is to be added where the next row can't be told from the best one."""
    second = _second(column, table)
    if second is None or second.differences[column.metric].distinguishable:
        return ""
    return f", not distinguishable from {second.contender.title}"


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
    times = _times(row.epoch_speedup, row.epoch_speedup_sd)
    text = f"An epoch of {contender.title}{where} takes {own}, {times} one of {table.baseline}."
    total = duration(contender.total_s.mean)
    parts = [
        f"{duration(contender.stage(i, 'total_s').mean)} of stage '{name}'"
        for i, name in enumerate(contender.stages)
        if i != main
    ]
    if contender.parents_s.mean and not contender.parents_elsewhere:
        parts.append(f"{duration(contender.parents_s.mean)} of {lent(contender)}")
    others = f" With {' and '.join(parts)}," if parts else " In all,"
    text += f"{others} training takes {total}"
    if row.total_speedup is not None:
        text += f", {_times(row.total_speedup, row.total_speedup_sd)} {table.baseline}"
    busy = f" Other work was on the machine ({row.busy}), so this says little." if row.busy else ""
    return f"{text}.{busy}"


def _times(speedup: float, sd: float | None) -> str:
    """'8.1 ± 0.3 times as fast as', or '1.4 times as long as'."""
    word = "fast" if speedup >= 1 else "long"
    times = speedup if speedup >= 1 else 1 / speedup
    # To first order the quotient turned over has the same spread, relative to itself.
    return f"{timed(times, sd and sd / speedup * times)} times as {word} as"
