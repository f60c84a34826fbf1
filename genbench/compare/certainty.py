"""Whether a row differs from the best one: Welch's t interval of the difference, after Holm.

The best row is chosen by looking at the scores, so a test of it against each other row would be
fooled by chance: the best of ten equal rows looks far better than the worst of them. Every claim is
therefore one of the family of *all pairs* of rows, and Holm's correction (1979) over that family
bounds the chance of any false order in a column, whichever row the data put first. Only the pairs
with the best row are taken: of the p-values of all pairs, the r-th smallest of these is never a
smaller one than the r-th smallest of all, so nothing is claimed that Holm's procedure over all
pairs wouldn't claim.

The level is 96 %, not 95 %: Welch's interval is an approximation, and at 96 % no more than 5 % of
orders are false with 3 seeds or more of normal scores whatever the ratio of their spreads (4.9 %
at worst; docs/compare.md has the simulated rates).
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
"""Chance, at least, that a column claims no false order."""

MIN_SEEDS = 3
"""With fewer seeds of either row no order is claimed."""

TEST = "Welch t interval of the difference to the best"
ADJUSTMENT = "Holm over all pairs of rows"

_ROUNDING = 1e-12
"""Differences and spreads below so many times the values are those of rounding."""

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A row's mean less that of the best row, and how sure it is.

    ``level`` is that of the interval after Holm's correction. ``level``, ``p`` and the interval are
    None where one of the two has fewer than `MIN_SEEDS` seeds.
    """

    estimate: float
    error: float = 0.0
    df: float = math.inf
    p: float | None = None
    level: float | None = None
    distinguishable: bool = False

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """The ends of the interval; 0 is within it exactly where nothing can be told apart."""
        if self.level is None:
            return None
        half = self.error and self.error * critical(1.0 - self.level, self.df)
        return self.estimate - half, self.estimate + half


def pairs(rows: int) -> int:
    """The size of the family: the pairs of so many rows."""
    return rows * (rows - 1) // 2


def is_tested(measure: Measure) -> bool:
    """Whether an order can be claimed of it at all: enough seeds, all of them finite."""
    return measure.n >= MIN_SEEDS and math.isfinite(measure.mean)


def against_best(best: Measure, others: Mapping[Key, Measure], rows: int) -> dict[Key, Difference]:
    """Each of the other rows against the best one; ``rows`` is the number of rows to choose from.

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
    """Welch's test, not yet corrected."""
    scale = _ROUNDING * max(abs(best.mean), abs(other.mean))
    estimate = other.mean - best.mean
    estimate = 0.0 if abs(estimate) <= scale else estimate
    if not (is_tested(best) and is_tested(other)):
        return Difference(estimate=estimate)
    errors = [(m.sd or 0.0) / math.sqrt(m.n) for m in (best, other)]
    error = math.hypot(*errors)
    if error <= scale:
        return Difference(estimate=estimate, p=0.0 if estimate else 1.0)
    # Welch and Satterthwaite's degrees of freedom, in shares so that no power overflows.
    shares = [
        (each / error) ** 4 / (m.n - 1) for each, m in zip(errors, (best, other), strict=True)
    ]
    df = 1.0 / math.fsum(shares)
    p = two_sided(estimate / error, df)
    return Difference(estimate=estimate, error=error, df=df, p=p)
