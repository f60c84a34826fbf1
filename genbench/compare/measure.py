"""One quantity over several observations: its mean and standard deviation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One quantity over the seeds of an experiment (scores), or over its runs (seconds)."""

    values: tuple[float, ...]

    @property
    def n(self) -> int:
        """The number of observations."""
        return len(self.values)

    @cached_property
    def mean(self) -> float:
        """The mean; NaN where any value is not finite."""
        if not all(map(math.isfinite, self.values)):
            return math.nan
        return math.fsum(self.values) / self.n

    @cached_property
    def sd(self) -> float | None:
        """The standard deviation (with n - 1); None for a single observation."""
        if self.n < 2 or math.isnan(self.mean):
            return None
        # Not statistics.stdev: importing statistics takes 15 ms (decimal, fractions, random).
        return math.hypot(*(value - self.mean for value in self.values)) / math.sqrt(self.n - 1)
