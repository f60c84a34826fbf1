"""Whether a row differs from the best one: Welch's t interval with Holm's correction.

The best row is selected by its score, so testing it against each other row would ignore that
selection: the best of ten equal rows looks far better than the worst of them. Every comparison is
therefore treated as one of the family of *all pairs* of rows. Holm's correction (1979) over that
family bounds the probability of any false order in a column, no matter which row comes first. Only
the pairs with the best row are tested. The r-th smallest p-value of these pairs is never smaller
than the r-th smallest of all pairs, so every order claimed here would also be claimed by Holm's
procedure over all pairs.

The level is 96 %, not 95 %: Welch's interval is an approximation, and at 96 % at most 5 % of orders
are false for normal scores with 3 seeds or more, at any ratio of their standard deviations (4.9 %
in the worst case; docs/compare.md has the simulated rates).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from genbench.compare.measure import Measure
from genbench.compare.student import critical, two_sided

FAMILY_LEVEL = 0.96
"""The minimum probability that a column claims no false order."""

MIN_SEEDS = 3
"""If either row has fewer seeds, no order is claimed."""

TEST = "Welch t interval of the difference to the best"
ADJUSTMENT = "Holm over all pairs of rows"

_ROUNDING = 1e-12
"""Differences and standard deviations below this fraction of the values are rounding errors."""

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The mean of a row minus that of the best row, with the result of the test.

    ``level`` is the confidence level of the interval after Holm's correction. ``level``, ``p`` and
    the interval are None if either row has fewer than `MIN_SEEDS` seeds.
    """

    estimate: float
    error: float = 0.0
    df: float = math.inf
    p: float | None = None
    level: float | None = None
    distinguishable: bool = False

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """The ends of the interval; it contains 0 exactly if the rows aren't distinguishable."""
        if self.level is None:
            return None
        half = self.error and self.error * critical(1.0 - self.level, self.df)
        return self.estimate - half, self.estimate + half


def pairs(rows: int) -> int:
    """The size of the family: the number of pairs of ``rows`` rows."""
    return rows * (rows - 1) // 2


def is_tested(measure: Measure) -> bool:
    """Whether an order can be claimed at all: enough seeds, and all values finite."""
    return measure.n >= MIN_SEEDS and math.isfinite(measure.mean)


def against_best(best: Measure, others: Mapping[Key, Measure], rows: int) -> dict[Key, Difference]:
    """Compare each of the other rows with the best of ``rows`` rows.

    Values that are not finite have no difference and are left out.
    """
    found = {key: _difference(best, other) for key, other in others.items()}
    found = {key: one for key, one in found.items() if math.isfinite(one.estimate)}
    tested = [key for key, one in found.items() if one.p is not None]
    tested.sort(key=lambda key: found[key].p or 0.0)
    left, rejecting = max(pairs(rows), len(tested), 1), True
    for key in tested:
        one = found[key]
        level = 1.0 - (1.0 - FAMILY_LEVEL) / left
        assert one.p is not None
        rejecting = rejecting and one.p <= 1.0 - level
        found[key] = Difference(
            estimate=one.estimate,
            error=one.error,
            df=one.df,
            p=one.p,
            level=level,
            distinguishable=rejecting,
        )
        left -= rejecting
    return found


def _difference(best: Measure, other: Measure) -> Difference:
    """Welch's test, without correction."""
    scale = _ROUNDING * max(abs(best.mean), abs(other.mean))
    estimate = other.mean - best.mean
    estimate = 0.0 if abs(estimate) <= scale else estimate
    if not (is_tested(best) and is_tested(other)):
        return Difference(estimate=estimate)
    errors = [(m.sd or 0.0) / math.sqrt(m.n) for m in (best, other)]
    error = math.hypot(*errors)
    if error <= scale:
        return Difference(estimate=estimate, p=0.0 if estimate else 1.0)
    # The degrees of freedom of Welch and Satterthwaite, from shares so that no power overflows.
    shares = [
        (each / error) ** 4 / (m.n - 1) for each, m in zip(errors, (best, other), strict=True)
    ]
    df = 1.0 / math.fsum(shares)
    p = two_sided(estimate / error, df)
    return Difference(estimate=estimate, error=error, df=df, p=p)
