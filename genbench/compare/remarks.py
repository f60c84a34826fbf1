"""The remarks below a table: what is not shown, and how certain the numbers are."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from genbench.compare.certainty import ADJUSTMENT, FAMILY_LEVEL, MIN_SEEDS, TEST, Difference
from genbench.compare.row import Row
from genbench.compare.row_labels import flat_settings
from genbench.compare.run_results import scores_of
from genbench.compare.sampler_labels import sampler_titles
from genbench.compare.speedup import busy
from genbench.compare.table import Column, Table
from genbench.formatting import counted, number, plus_minus

NAMED = 3
"""The number of rows that a sentence names; the others are counted."""

OF_THE_DATA = frozenset(("reference", "reference_digest"))
"""The keys of a protocol that depend on the model's own data, in every evaluation."""


def protocol_warnings(rows: Sequence[Row], columns: Sequence[Column]) -> Iterator[str]:
    """Sentences about rows with no score under a column's protocol, one for each difference."""
    for column in columns:
        others: dict[tuple[str, bool], list[Row]] = {}
        for row in rows:
            every = (score for run in row.runs for score in scores_of(run, row.sampler))
            scores = [score for score in every if score.metric == column.metric]
            if scores and all(s.protocol_hash != column.protocol_hash for s in scores):
                given = scores[-1].protocol
                own_data = set(differing(given, column.protocol)) <= OF_THE_DATA
                difference = protocol_difference(given, column.protocol)
                others.setdefault((difference, own_data), []).append(row)
        for (difference, own_data), found in others.items():
            run = found[0].first.id
            hint = (
                "it was computed on other data"
                if own_data
                else f"to compute it again: genbench evaluate {run}"
            )
            yield (
                f"{listed([row.title for row in found])}: {column.metric} was computed under "
                f"another protocol ({difference}) and is not compared; {hint}"
            )


def protocol_difference(given: Mapping[str, Any], ranked: Mapping[str, Any]) -> str:
    """The difference between two protocols: 'n 1000, not 10000; weights 3fa1, not 90bc'."""
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
    rows: Sequence[Row], baselines: Sequence[Row], name: str | None, dataset: str
) -> Iterator[str]:
    """Sentences about seconds that can't be compared with the baseline's or are unreliable."""
    if name and not baselines:
        yield f"the baseline {name} has no finished run on {dataset}, so there is no speed-up"
    alone = [r.title for r in rows if not r.is_baseline and r.epoch_speedup is None]
    if baselines and alone:
        yield (
            f"no speed-up for {listed(_once(alone))}: their epochs saw other data than those of "
            f"the baseline {baselines[0].title}, or ran on another device or machine"
        )
    disturbed = [f"{row.title} ({why})" for row in rows if (why := busy(row))]
    if disturbed:
        yield (
            "other processes used the machine while these trained, so their seconds and speed-ups "
            f"are unreliable: {listed(_once(disturbed))}"
        )


def notes(
    rows: Sequence[Row],
    columns: Sequence[Column],
    bests: Mapping[str, Row],
    partial: Mapping[str, int],
    hides: str = "--limit",
) -> Iterator[str]:
    """Sentences about what isn't certain, what isn't shown, and where seconds were measured.

    ``hides`` is the option that may hide the best row.
    """
    name = _namer([*(row for row in rows), *bests.values()])
    yield from _about_filters(rows, partial)
    yield from _about_pooling(rows)
    yield from _about_seeds(rows)
    for column in columns:
        if column.shown and (best := bests.get(column.metric)):
            yield from _about_order(rows, column, best, name, hides)
    hidden = [column.metric for column in columns if not column.shown]
    if hidden:
        yield (
            f"not shown, since most rows don't have {'it' if len(hidden) == 1 else 'them'}: "
            f"{', '.join(hidden)} (--all-metrics)"
        )
    yield from _about_places(rows)


def _about_filters(rows: Sequence[Row], partial: Mapping[str, int]) -> Iterator[str]:
    """A sentence about rows that have only those runs of an experiment that met the filters."""
    cut = {}
    for row in rows:
        runs = Counter(run.experiment for run in row.runs)
        count = sum(partial.get(name, runs[name]) for name in runs)
        if count > len(row.runs):
            cut[row.title] = f"{row.title} ({len(row.runs)} of {count})"
    if cut:
        yield (
            "the filters leave out finished runs of the same experiment: "
            f"{listed(list(cut.values()))}"
        )


def _about_pooling(rows: Sequence[Row]) -> Iterator[str]:
    """Sentences about rows that pool experiments, with the settings in which these differ."""
    for row in {row.title: row for row in rows if row.experiments > 1}.values():
        flat = [flat_settings(repeats[0]) for repeats in row.seeds]
        keys = dict.fromkeys(key for settings in flat for key in settings)
        differ = [k for k in keys if len({repr(settings.get(k)) for settings in flat}) > 1]
        yield (
            f"{row.title}: {row.experiments} experiments that differ in {listed(differ)} are "
            "pooled, and each counts once, as its mean"
        )


def _about_seeds(rows: Sequence[Row]) -> Iterator[str]:
    """Sentences about too few seeds and about repeats, once for all columns."""
    few = _once(r.title for r in rows if len(r.seeds) < MIN_SEEDS and r.experiments < 2)
    if few:
        every = all(len(row.seeds) < MIN_SEEDS for row in rows)
        which = "every row" if every and len(few) > 1 else listed(few)
        yield (
            f"fewer than {MIN_SEEDS} seeds, so no order is certain: {which} "
            "(more: genbench run ... --seed N)"
        )
    for row in {row.first.variant: row for row in rows}.values():
        runs, seeds = len(row.runs), len(row.seeds)
        if runs > seeds and row.experiments < 2:
            yield (
                f"{row.title}: {counted(runs, 'run')}, {counted(seeds, 'seed')}: runs with the "
                "same seed are repeats and count once, as their mean"
            )


def _about_order(
    rows: Sequence[Row], column: Column, best: Row, name: Callable[[Row], str], hides: str
) -> Iterator[str]:
    """Sentences about rows not distinguishable from the best, and about a best that is hidden."""
    if not any(column.metric in row.best for row in rows):
        measure = best.scores[column.metric]
        yield (
            f"{column.metric}: the best of all rows, {name(best)} with "
            f"{plus_minus(measure.mean, measure.sd)}, is not shown ({hides})"
        )
    # A row as good as the best one is marked as best itself.
    others = [row for row in rows if column.metric not in row.best]
    pairs = [(row, row.differences.get(column.metric)) for row in others]
    found = [(row, d) for row, d in pairs if d and d.level and not d.distinguishable]
    if found:
        # Computing one interval takes as long as a hundred rows, so only named rows get one.
        close = [f"{name(row)} ({_ends(d)})" for row, d in found[:NAMED]]
        close += [name(row) for row, _ in found[NAMED:]]
        what = "distances from the floor" if column.direction == "floor" else "the difference"
        compared = [best, *(row for row, _ in found)]
        counts = sorted({row.scores[column.metric].n for row in compared})
        n = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        yield (
            f"{column.metric}: not distinguishable at n = {n} from the best, {name(best)}, by the "
            f"interval for {what}: {listed(close)}"
        )


def _ends(difference: Difference) -> str:
    low, high = difference.interval or (math.nan, math.nan)
    return f"{number(low, 2)} to {number(high, 2)}"


def _about_places(rows: Sequence[Row]) -> Iterator[str]:
    """Sentences about rows with runs, or runs they build upon, on several machines."""
    for row in {row.first.variant: row for row in rows}.values():
        here = row.timed[0].place
        others = [run for run in row.runs if run.place != here]
        if others:
            elsewhere = _once(str(run.place) for run in others)
            yield (
                f"{row.title}: seconds are from {len(row.timed)} of {len(row.runs)} runs, on "
                f"{here}; the others ran on {listed(elsewhere)}"
            )
        if row.parents_elsewhere:
            found = _once(str(p.place) for t in row.timed for p in t.parents if p.place != here)
            yield (
                f"{row.title}: its total excludes the seconds of the runs it builds on, which "
                f"ran on {listed(found)}"
            )


def method(tables: Sequence[Table]) -> str | None:
    """How orders were tested, in one sentence for all tables; None if none was tested."""
    found = (one for table in tables for row in table.rows for one in row.differences.values())
    if all(one.level is None for one in found):
        return None
    return (
        f"an order is called certain by a {TEST}, {FAMILY_LEVEL:.0%} for each column, {ADJUSTMENT}"
    )


def _namer(rows: Sequence[Row]) -> Callable[[Row], str]:
    """A function from a row to its name: the title, with the sampler if there are several."""
    if len({row.sampler for row in rows if row.sampler}) < 2:
        return lambda row: row.title
    titles = sampler_titles(row.sampler for row in rows)
    return lambda row: f"{row.title} ({titles[row.sampler]})"


def _once(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def listed(titles: Sequence[str]) -> str:
    """'a, b, c and 12 others'."""
    text, more = ", ".join(titles[:NAMED]), len(titles) - NAMED
    return text if more <= 0 else f"{text} and {counted(more, 'other')}"
