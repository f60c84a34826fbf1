"""Scores over several draws: their seeds, and mean and standard deviation as one record."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean, stdev

from genbench.contracts import Score
from genbench.events import Evaluated
from genbench.spec import canonical_json


def repeat_seeds(seed: int, repeats: int) -> list[int]:
    """The seeds of the draws; the first is ``seed`` itself: one draw is as it always was."""
    return [seed, *(_derived(f"genbench draw {seed} {number}") for number in range(1, repeats))]


def mean_of_repeats(draws: Sequence[Evaluated]) -> Evaluated:
    """One record of all draws of a sampler: of each score the mean, standard deviation and count.

    Scores belong together where metric and protocol are equal. What a draw could not take is
    skipped in the record too, unless another draw took it. Pictures are the first draw's.
    """
    if len(draws) == 1:
        return draws[0]
    together: dict[tuple[str, str], list[Score]] = {}
    for draw in draws:
        for score in draw.scores:
            key = (score.metric, canonical_json(dict(score.protocol)))
            together.setdefault(key, []).append(score)
    scores = [_mean(group) for group in together.values()]
    taken = dict.fromkeys(name for draw in draws for name in draw.taken)
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
        taken=tuple(taken),
    )


def _mean(scores: Sequence[Score]) -> Score:
    values = [score.value for score in scores]
    if len(values) == 1:
        return scores[0]
    return replace(scores[0], value=fmean(values), std=stdev(values), draws=len(values))


def _means(tables: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for table in tables for name in table)
    return {name: fmean(t[name] for t in tables if name in t) for name in names}


def _derived(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6])
