"""What is said beside the table: numbers that are not shown, and how sure the others are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from genbench.compare.certainty import ADJUSTMENT, FAMILY_LEVEL, MIN_SEEDS, TEST, Difference
from genbench.compare.experiments import Contender, scores_of
from genbench.compare.rows import Column, Row, Table
from genbench.compare.samplers import sampler_titles
from genbench.compare.speedup import busy
from genbench.formatting import counted, number, plus_minus

NAMED = 3
"""Rows that a sentence names; the others are counted."""

OF_THE_DATA = frozenset(("reference", "reference_digest"))
"""What a model's own data decide of a protocol: no other evaluation changes it."""


def protocol_warnings(rows: Sequence[Contender], columns: Sequence[Column]) -> Iterator[str]:
    """A sentence for each metric and each other way in which all values of some rows were taken."""
    for column in columns:
        others: dict[tuple[str, bool], list[Contender]] = {}
        for row in rows:
            scores = [s for t in row.trials for s in scores_of(t, row) if s.metric == column.metric]
            if scores and all(s.protocol_hash != column.protocol_hash for s in scores):
                given = scores[-1].protocol
                own_data = set(differing(given, column.protocol)) <= OF_THE_DATA
                difference = protocol_difference(given, column.protocol)
                others.setdefault((difference, own_data), []).append(row)
        for (difference, own_data), found in others.items():
            run = found[0].first.run
            hint = "it is of other data" if own_data else f"genbench evaluate {run} takes it again"
            yield (
                f"{listed([row.title for row in found])}: {column.metric} was taken under another "
                f"protocol ({difference}) and is not compared; {hint}"
            )


def protocol_difference(given: Mapping[str, Any], ranked: Mapping[str, Any]) -> str:
    """'n 1000, not 10000; weights 3fa1, not 90bc': what differs in two protocols."""
    parts = [
        f"{key} {_brief(given.get(key))}, not {_brief(ranked.get(key))}"
        for key in differing(given, ranked)
    ]
    return "; ".join(parts) or "an unnamed difference"


def differing(given: Mapping[str, Any], ranked: Mapping[str, Any]) -> list[str]:
    """The keys in which two protocols differ."""
    keys = [*ranked, *(key for key in given if key not in ranked)]
    return [key for key in keys if given.get(key) != ranked.get(key)]


def _brief(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 24 else text[:12] + "…"


def speed_warnings(
    rows: Sequence[Row], baselines: Sequence[Contender], name: str | None, dataset: str
) -> Iterator[str]:
    """A sentence where seconds can't be set against the baseline's, or were those of others too."""
    if name and not baselines:
        yield f"the baseline {name} has no finished run on {dataset}, so there is no speed-up"
    alone = [r.contender.title for r in rows if not r.is_baseline and r.epoch_speedup is None]
    if baselines and alone:
        yield (
            f"no speed-up for {listed(_once(alone))}: epochs that saw other data than those of the "
            f"baseline {baselines[0].title}, or ran on another device or machine"
        )
    at_work = [f"{row.contender.title} ({why})" for row in rows if (why := busy(row.contender))]
    if at_work:
        yield (
            "other work was on the machine while these trained, so their seconds, and speed-ups "
            f"with them, say little: {listed(_once(at_work))}"
        )


def notes(
    rows: Sequence[Row], columns: Sequence[Column], bests: Mapping[str, Contender]
) -> Iterator[str]:
    """What isn't certain, what isn't shown, and where seconds are from."""
    name = _namer([*(row.contender for row in rows), *bests.values()])
    yield from _of_seeds(rows)
    for column in columns:
        if column.shown and (best := bests.get(column.metric)):
            yield from _of_order(rows, column, best, name)
    hidden = [column.metric for column in columns if not column.shown]
    if hidden:
        yield (
            f"not shown, since most rows don't have {'it' if len(hidden) == 1 else 'them'}: "
            f"{', '.join(hidden)} (--all-metrics)"
        )
    yield from _of_places(rows)


def _of_seeds(rows: Sequence[Row]) -> Iterator[str]:
    """How many seeds there are, once for all columns."""
    few = _once(r.contender.title for r in rows if len(r.contender.seeds) < MIN_SEEDS)
    if few:
        every = all(len(row.contender.seeds) < MIN_SEEDS for row in rows)
        which = "every row" if every and len(few) > 1 else listed(few)
        yield (
            f"fewer than {MIN_SEEDS} seeds, so no order is certain: {which} "
            "(more: genbench run ... --seed N)"
        )
    for row in {row.contender.first.variant: row.contender for row in rows}.values():
        runs, seeds = len(row.trials), len(row.seeds)
        if runs > seeds:
            yield (
                f"{row.title}: {counted(runs, 'run')}, {counted(seeds, 'seed')}: runs of one seed "
                "repeat one another and count once, as their mean"
            )


def _of_order(
    rows: Sequence[Row], column: Column, best: Contender, name: Callable[[Contender], str]
) -> Iterator[str]:
    """Which rows can't be told from the best one, and the best one itself where it isn't there."""
    if not any(column.metric in row.best for row in rows):
        measure = best.scores[column.metric]
        yield (
            f"{column.metric}: the best of all, {name(best)} with "
            f"{plus_minus(measure.mean, measure.sd)}, is not among the rows shown (--limit)"
        )
    pairs = [(row.contender, row.differences.get(column.metric)) for row in rows]
    found = [(row, d) for row, d in pairs if d and d.level and not d.distinguishable]
    if found:
        # An interval takes as long as a hundred rows: only those of the rows that are named.
        close = [f"{name(row)} ({_ends(d)})" for row, d in found[:NAMED]]
        close += [name(row) for row, _ in found[NAMED:]]
        of = "distances from the floor" if column.direction == "floor" else "the difference"
        yield (
            f"{column.metric}: not distinguishable from the best, {name(best)}, by the interval of "
            f"{of}: {listed(close)}"
        )


def _ends(difference: Difference) -> str:
    low, high = difference.interval or (math.nan, math.nan)
    return f"{number(low, 2)} to {number(high, 2)}"


def _of_places(rows: Sequence[Row]) -> Iterator[str]:
    """Rows of which some runs were elsewhere, or the runs that they build upon."""
    for row in {row.contender.first.variant: row.contender for row in rows}.values():
        here, others = row.timed[0].place, [t for t in row.trials if t not in row.timed]
        if others:
            elsewhere = _once(str(trial.place) for trial in others)
            yield (
                f"{row.title}: seconds are those of {len(row.timed)} of {len(row.trials)} runs, on "
                f"{here}; the rest ran on {listed(elsewhere)}"
            )
        if row.parents_elsewhere:
            found = _once(str(p.place) for t in row.timed for p in t.parents if p.place != here)
            yield (
                f"{row.title}: its total is without the seconds of what it builds upon, which ran "
                f"on {listed(found)}"
            )


def method(tables: Sequence[Table]) -> str | None:
    """How an order was tested, in one sentence for all tables; None where nothing was."""
    found = (one for table in tables for row in table.rows for one in row.differences.values())
    if all(one.level is None for one in found):
        return None
    return (
        f"an order is called certain by a {TEST}, {FAMILY_LEVEL:.0%} for each column, {ADJUSTMENT}"
    )


def _namer(rows: Sequence[Contender]) -> Callable[[Contender], str]:
    """Rows by their title, and by their sampler too where one model stands there with several."""
    if len({row.sampler for row in rows if row.sampler}) < 2:
        return lambda contender: contender.title
    titles = sampler_titles(row.sampler for row in rows)
    return lambda contender: f"{contender.title} ({titles[contender.sampler]})"


def _once(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def listed(titles: Sequence[str]) -> str:
    """'a, b, c and 12 others'."""
    text, more = ", ".join(titles[:NAMED]), len(titles) - NAMED
    return text if more <= 0 else f"{text} and {counted(more, 'other')}"
