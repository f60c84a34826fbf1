"""How sure an order is: the test's own promises, by simulation and against scipy."""

from __future__ import annotations

import math
import random

import pytest

from genbench.compare.certainty import FAMILY_LEVEL, against_best, pairs
from genbench.compare.measure import Measure
from genbench.compare.student import critical, two_sided

PAIRS = 1_000


def measure(*values: float) -> Measure:
    return Measure(values=values)


def drawn(draw: random.Random, n: int, mean: float = 0.0) -> Measure:
    return Measure(values=tuple(draw.gauss(mean, 1.0) for _ in range(n)))


def orders(rows: list[Measure]) -> int:
    """How many rows are called worse than the best one, which the data choose."""
    best = min(range(len(rows)), key=lambda i: rows[i].mean)
    others = {i: row for i, row in enumerate(rows) if i != best}
    return sum(d.distinguishable for d in against_best(rows[best], others, len(rows)).values())


@pytest.mark.parametrize("rows", [2, 5, 10])
@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_no_more_than_5_percent_of_columns_without_a_difference_have_an_order(n, rows):
    draw = random.Random(f"{n} {rows}")
    false = sum(orders([drawn(draw, n) for _ in range(rows)]) > 0 for _ in range(PAIRS))
    assert false <= 0.05 * PAIRS
    assert n > 2 or false == 0


@pytest.mark.parametrize("n", [3, 5, 10])
def test_spreads_that_differ_make_no_false_orders(n):
    draw = random.Random(n)
    false = 0
    for _ in range(PAIRS):
        narrow = Measure(values=tuple(draw.gauss(0, 0.1) for _ in range(n)))
        false += orders([narrow, drawn(draw, n)])
    assert false <= 0.05 * PAIRS


def test_a_shift_of_one_and_a_half_deviations_is_found_in_most_pairs_of_ten_seeds():
    draw = random.Random(0)
    found = sum(orders([drawn(draw, 10), drawn(draw, 10, 1.5)]) for _ in range(PAIRS))
    assert found >= 0.8 * PAIRS


def test_tails_and_critical_values_are_those_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    for df in (0.5, 1, 2, 2.7, 4.4, 9, 18, 37.3, 1e3, 1e5):
        for t in (1e-3, 0.1, 0.5, 1, 2, 5, 10, 40):
            assert two_sided(t, df) == pytest.approx(2 * stats.t.sf(t, df), rel=1e-10)
            assert two_sided(-t, df) == two_sided(t, df)
        for p in (0.9, 0.5, 0.05, 0.04, 1e-4, 1e-8):
            assert critical(p, df) == pytest.approx(stats.t.isf(p / 2, df), rel=1e-9)


def test_the_interval_is_welchs_and_holds_0_exactly_where_nothing_is_told_apart():
    stats = pytest.importorskip("scipy.stats")
    best, other = measure(1.0, 2.0, 4.0), measure(5.0, 9.0, 6.5, 7.0)
    (found,) = against_best(best, {"other": other}, 2).values()
    known = stats.ttest_ind(other.values, best.values, equal_var=False)
    assert found.p == pytest.approx(known.pvalue)
    assert found.interval == pytest.approx(tuple(known.confidence_interval(FAMILY_LEVEL)))
    assert found.distinguishable
    for rows in range(2, 60):
        (found,) = against_best(best, {"other": other}, rows).values()
        assert found.interval is not None
        assert found.distinguishable == (found.interval[0] > 0)


def test_the_level_is_holms_over_all_pairs_of_rows():
    best = measure(0.0, 0.1, 0.2)
    others = {
        name: measure(*(mean + d for d in (0, 0.1, 0.2)))
        for name, mean in (("far", 9.0), ("near", 5.0), ("equal", 0.05))
    }
    found = against_best(best, others, 4)
    alphas = {name: 1.0 - (one.level or 0.0) for name, one in found.items()}
    assert pairs(4) == 6
    assert alphas["far"] == pytest.approx((1 - FAMILY_LEVEL) / 6)
    assert alphas["near"] == pytest.approx((1 - FAMILY_LEVEL) / 5)
    assert alphas["equal"] == pytest.approx((1 - FAMILY_LEVEL) / 4)
    assert [one.distinguishable for one in found.values()] == [True, True, False]


@pytest.mark.parametrize(
    ("best", "other", "told_apart"),
    [
        ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), False),
        ((1.0, 1.0, 1.0), (2.0, 2.0, 2.0), True),
        ((0.1 + 0.2,) * 3, (0.3,) * 3, False),
        ((1e-200, 2e-200, 3e-200), (7e-200, 8e-200, 9e-200), True),
        ((1e200, 2e200, 3e200), (2e200, 3e200, 4e200), False),
    ],
    ids=["equal", "without spread", "rounding alone", "tiny", "huge"],
)
def test_values_without_a_spread_and_of_any_size_are_compared(best, other, told_apart):
    (found,) = against_best(measure(*best), {"other": measure(*other)}, 2).values()
    assert found.distinguishable == told_apart
    assert found.interval is not None
    assert (found.interval[0] <= 0 <= found.interval[1]) != told_apart


@pytest.mark.parametrize("n", [1, 2])
def test_fewer_than_three_seeds_of_either_row_tell_nothing_apart(n):
    few, many = measure(*[0.0, 0.001][:n]), measure(9.0, 9.001, 9.002)
    for best, other in ((few, many), (many, few)):
        (found,) = against_best(best, {"other": other}, 2).values()
        assert not found.distinguishable
        assert found.interval is None
        assert found.p is None


def test_a_row_that_is_not_finite_has_no_difference():
    found = against_best(measure(1.0, 2.0, 3.0), {"other": measure(1.0, math.nan, 2.0)}, 2)
    assert found == {}
