"""Student's t distribution: tail probabilities and critical values, without scipy.

`genbench compare` must finish within 350 ms, and importing scipy takes longer than that. A tail
probability of t is a regularised incomplete beta function (DLMF 8.17), computed by Lentz's
continued fraction. The tests compare both functions with scipy's, to 10 digits.
"""

from __future__ import annotations

import math

_TINY = 1e-300
_EXACT = 1e-15
_MOST_TERMS = 10_000
_MOST_STEPS = 1_000
_NEAR = 1e-13


def two_sided(t: float, df: float) -> float:
    """The probability that abs(T) >= abs(t); ``df`` degrees of freedom, any positive number."""
    if math.isinf(t):
        return 0.0
    return _incomplete_beta(df / (df + t * t), df / 2.0, t * t / (df + t * t))


def critical(probability: float, df: float) -> float:
    """The t > 0 with two-sided tail ``probability`` in (0, 1).

    Uses Newton's method on the logarithms of both, in which a tail is nearly linear, and bisection
    when a step would leave the bounds.
    """
    low, high, t = 0.0, math.inf, 2.0
    for _ in range(_MOST_STEPS):
        tail = two_sided(t, df)
        low, high = (t, high) if tail > probability else (low, t)
        slope = 2.0 * _density(t, df) * t / tail if tail > 0.0 else 0.0
        step = t * math.exp(math.log(tail / probability) / slope) if slope > 0.0 else math.inf
        if not low < step < high:
            step = 2.0 * t if math.isinf(high) else 0.5 * (low + high)
        if abs(step - t) <= _NEAR * t:
            return step
        t = step
    return t


def _density(t: float, df: float) -> float:
    log = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)
    return math.exp(log - (df + 1) / 2 * math.log1p(t * t / df))


def _incomplete_beta(x: float, a: float, rest: float) -> float:
    """I_x(a, 1/2). ``rest`` is 1 - x, passed in so that no digit is lost if x is near 1."""
    b = 0.5
    if x <= 0.0 or rest <= 0.0:
        return 0.0 if x <= 0.0 else 1.0
    log = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x)
    front = math.exp(log + b * math.log(rest))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1.0 - front * _fraction(rest, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of I_x(a, b) (DLMF 8.17.22) by Lentz's method."""
    c, d = 1.0, 1.0 / _safe(1.0 - (a + b) * x / (a + 1.0))
    value = d
    for m in range(1, _MOST_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 / _safe(1.0 + term * d)
            c = _safe(1.0 + term / c)
            value *= c * d
        if abs(c * d - 1.0) < _EXACT:
            break
    return value


def _safe(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
