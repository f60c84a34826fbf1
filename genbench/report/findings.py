"""The main results of a comparison, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from genbench.compare import Column, Row, Table
from genbench.formatting import duration, number, plus_minus
from genbench.report.cells import parent_models, timed
from genbench.report.pareto import Front

NUMBERS = ("No", "One", "Two")

MOST_SPEEDUPS = 3
"""The maximum number of sentences about speed-ups, for the rows with the fastest epochs."""


def findings(table: Table, fronts: Sequence[Front] = ()) -> list[str]:
    """Sentences about one data set: the best row in each metric, the front, the speed-ups."""
    return [*_scores(table), *_fronts(fronts), *_seconds(table)]


def _scores(table: Table) -> Iterator[str]:
    first: Row | None = None
    also = []
    for column in table.shown:
        best = table.bests.get(column.metric)
        if best is None:
            continue
        tied = list(dict.fromkeys(r.title for r in table.rows if column.metric in r.best))
        if len(tied) > 1:
            yield _tie(tied, best, column, table)
        elif best is first:
            also.append(f"{column.metric} ({_value(best, column)}{_doubt(column, table)})")
        else:
            yield _best(best, column, table)
            first = first or best
    if first is not None and also:
        yield f"{first.title} is also the best in {' and '.join(also)}."


def _tie(tied: Sequence[str], best: Row, column: Column, table: Table) -> str:
    value = number(best.scores[column.metric].mean)
    if {row.title for row in table.rows if column.metric in row.scores} == {*tied}:
        return f"All rows have the same mean {column.metric}, {value}."
    kind = {"min": "lowest", "max": "highest"}.get(column.direction)
    names = f"{', '.join(tied[:-1])} and {tied[-1]}"
    text = f"{names} share the {kind} mean {column.metric}, {value}"
    if kind is None:
        text = f"{names} are equally close to the floor of {column.metric}"
    return f"{text}. {_runner_up(best, column, table)}".rstrip()


def _fronts(fronts: Sequence[Front]) -> Iterator[str]:
    """Which rows trade score for time, in the metric that ranks them."""
    for front in [front for front in fronts if front.cost is None][:1]:
        names = [dot.label for dot in front.best]
        if len(front.dots) > 1 and len(names) == 1:
            yield (
                f"{names[0]} has the best mean {front.column.metric} and the shortest mean "
                "training time."
            )
        elif len(front.dots) > 1:
            others = len(names) < len(front.dots)
            yield (
                f"From {' to '.join(names)}, a longer training comes with a better mean "
                f"{front.column.metric}"
                f"{'; each of the other rows is beaten in both by another' if others else ''}."
            )


def _value(row: Row, column: Column) -> str:
    measure = row.scores[column.metric]
    return plus_minus(measure.mean, measure.sd)


def _best(best: Row, column: Column, table: Table) -> str:
    kind = {"min": "lowest", "max": "highest"}.get(column.direction)
    text = f"{best.title} has the {kind} {column.metric}, {_value(best, column)}"
    if kind is None:
        text = (
            f"The {column.metric} of {best.title}, {_value(best, column)}, is closest to its floor"
        )
    ratio = best.ratio(column.metric)
    if ratio is not None:
        text += f": {number(ratio, 3)} times the score of real data against real data"
    if not any(row.key == best.key for row in table.rows):
        text += "; the table doesn't show this row"
    return f"{text}. {_runner_up(best, column, table)}".rstrip()


def _runner_up(best: Row, column: Column, table: Table) -> str:
    second = _second(column, table)
    if second is None:
        return ""
    text = f"Next is {second.title} with {_value(second, column)}"
    difference = second.differences[column.metric]
    if difference.interval is None:
        fewer = min(c.scores[column.metric].n for c in (best, second))
        seeds = f"{NUMBERS[fewer]} seed{'s do' if fewer != 1 else ' does'}"
        return f"{text}. {seeds} not show how certain this order is."
    low, high = (number(end, 3) for end in difference.interval)
    interval = f"the interval of the difference, {low} to {high},"
    if difference.distinguishable:
        return f"{text}: {interval} does not contain 0."
    return f"{text}: not distinguishable, {interval} contains 0."


def _second(column: Column, table: Table) -> Row | None:
    """The best of the rows that differ from the best row."""
    metric = column.metric
    others = [row for row in table.rows if metric in row.differences and metric not in row.best]
    return min(others, key=lambda row: column.better(row.ranked(metric)), default=None)


def _doubt(column: Column, table: Table) -> str:
    """An addition if the next row isn't distinguishable from the best one."""
    second = _second(column, table)
    if second is None or second.differences[column.metric].distinguishable:
        return ""
    return f", not distinguishable from {second.title}"


def _seconds(table: Table) -> Iterator[str]:
    faster = [row for row in table.rows if (row.epoch_speedup or 0.0) > 1.0]
    for row in sorted(faster, key=lambda row: -(row.epoch_speedup or 0.0))[:MOST_SPEEDUPS]:
        yield _speedup(row, table)


def _speedup(row: Row, table: Table) -> str:
    many = len(row.stages) > 1
    main = row.first.main_stage
    where = f"stage '{row.stages[main]}' of " if many else ""
    own = duration(row.epoch_s.mean)
    assert row.epoch_speedup is not None
    times = _times(row.epoch_speedup, row.epoch_speedup_sd)
    text = f"An epoch of {where}{row.title} takes {own}, {times} one of {table.baseline}."
    total = duration(row.total_s.mean)
    parts = [
        f"{duration(row.stage(i, 'total_s').mean)} of stage '{name}'"
        for i, name in enumerate(row.stages)
        if i != main
    ]
    if row.parents_s.mean and not row.parents_elsewhere:
        parts.append(f"{duration(row.parents_s.mean)} of {parent_models(row)}")
    others = f" With {' and '.join(parts)}," if parts else " In total,"
    text += f"{others} training takes {total}"
    if row.total_speedup is not None:
        text += f", {_times(row.total_speedup, row.total_speedup_sd)} {table.baseline}"
    busy = f" Other processes used the machine ({row.busy}), so this is unreliable."
    return f"{text}.{busy if row.busy else ''}"


def _times(speedup: float, sd: float | None) -> str:
    """'8.1 ± 0.3 times as fast as', or '1.4 times as long as'."""
    word = "fast" if speedup >= 1 else "long"
    times = speedup if speedup >= 1 else 1 / speedup
    # To first order, the inverse of a quotient has the same relative standard deviation.
    return f"{timed(times, sd and sd / speedup * times)} times as {word} as"
