"""Repeats of an evaluation: their seeds, and the mean and standard deviation of their scores."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean, stdev

from genbench.contracts import Score
from genbench.events import Evaluated
from genbench.spec import canonical_json


def repeat_seeds(seed: int, repeats: int) -> list[int]:
    """The seeds of the repeats; the first is ``seed`` itself."""
    return [seed, *(seed_from(f"genbench draw {seed} {number}") for number in range(1, repeats))]


def seed_from(text: str) -> int:
    """A seed of 48 bits, derived from a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6])


def mean_of_repeats(draws: Sequence[Evaluated]) -> Evaluated:
    """One record for all repeats with a sampler: mean, standard deviation and number of scores.

    Scores with equal metric and protocol are averaged. A metric is skipped in the record only if
    it was skipped in all repeats. Pictures are those of the first repeat.
    """
    if len(draws) == 1:
        return draws[0]
    together: dict[tuple[str, str], list[Score]] = {}
    for draw in draws:
        for score in draw.scores:
            key = (score.metric, canonical_json(dict(score.protocol)))
            together.setdefault(key, []).append(score)
    scores = [_mean(group) for group in together.values()]
    taken = dict.fromkeys(name for draw in draws for name in draw.computed)
    skipped = {
        name: why for draw in draws for name, why in draw.skipped.items() if name not in taken
    }
    traces = {name: text for draw in draws for name, text in draw.traces.items() if name in skipped}
    return replace(
        draws[0],
        scores=tuple(scores),
        seconds=_means([draw.seconds for draw in draws]),
        diagnostics=_means([draw.diagnostics for draw in draws]),
        skipped=skipped,
        traces=traces,
        computed=tuple(taken),
    )


def _mean(scores: Sequence[Score]) -> Score:
    values = [score.value for score in scores]
    if len(values) == 1:
        return scores[0]
    return replace(scores[0], value=fmean(values), std=stdev(values), draws=len(values))


def _means(tables: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for table in tables for name in table)
    return {name: fmean(t[name] for t in tables if name in t) for name in names}
