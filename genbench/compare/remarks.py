"""What is said beside the table: numbers that are not shown, and how sure the others are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from genbench.compare.experiments import Contender, scores_of
from genbench.compare.rows import Column, Row
from genbench.compare.samplers import sampler_titles

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
            mend = "it is of other data" if own_data else f"genbench evaluate {run} takes it anew"
            yield (
                f"{listed([row.title for row in found])}: {column.metric} was taken under another "
                f"protocol ({difference}) and is not compared; {mend}"
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


def speed_warnings(rows: Sequence[Row], baselines: Sequence[Contender]) -> Iterator[str]:
    """A sentence where seconds can't be set against the baseline's."""
    alone = [r.contender.title for r in rows if not r.is_baseline and r.epoch_speedup is None]
    if baselines and alone:
        yield (
            f"no speed-up for {listed(alone)}: epochs that saw other data than those of the "
            f"baseline {baselines[0].title}, or ran on another device or machine"
        )


def notes(rows: Sequence[Row], columns: Sequence[Column]) -> Iterator[str]:
    """Which rows have no spread, and which best values are not certain."""
    single = [row.contender.title for row in rows if len(row.contender.trials) == 1]
    if single:
        which = "every row" if len(single) == len(rows) else listed(list(dict.fromkeys(single)))
        yield f"one run only, so no spread is known: {which} (more: genbench run ... --seed N)"
    for column in columns:
        best = next((row.contender for row in rows if column.metric in row.best), None)
        close = [row.contender for row in rows if best and _overlaps(row, best, column)]
        if best and close:
            name = _namer(rows)
            yield (
                f"{column.metric}: mean ± sd of the best, {name(best)}, overlaps that of "
                f"{listed([name(contender) for contender in close])}"
            )


def _namer(rows: Sequence[Row]) -> Callable[[Contender], str]:
    """Rows by their title, and by their sampler too where one model stands there with several."""
    if len({row.contender.sampler for row in rows if row.contender.sampler}) < 2:
        return lambda contender: contender.title
    titles = sampler_titles(row.contender.sampler for row in rows)
    return lambda contender: f"{contender.title} ({titles[contender.sampler]})"


def _overlaps(row: Row, best: Contender, column: Column) -> bool:
    measure = row.contender.scores.get(column.metric)
    if measure is None or row.contender is best:
        return False
    return measure.overlaps(best.scores[column.metric])


def listed(titles: Sequence[str]) -> str:
    """'a, b, c and 12 others'."""
    text = ", ".join(titles[:NAMED])
    return text if len(titles) <= NAMED else f"{text} and {len(titles) - NAMED} others"
