"""Small parts of `compare` at their edges, without a store."""

from __future__ import annotations

import math

import pytest

from genbench.compare import Measure
from genbench.compare.remarks import differing, listed, protocol_difference
from genbench.compare.row_labels import short
from genbench.compare.sampler_labels import sampler_label, sampler_titles
from genbench.compare.speedup import quotient
from genbench.compare.standings import _merit
from genbench.compare.table import Column


def measure(*values):
    return Measure(values=values)


def column(direction):
    return Column(
        metric="m", direction=direction, unit="", protocol_hash="h", protocol={}, n=1, rows=1
    )


def test_a_spread_needs_two_finite_values_and_divides_by_n_minus_1():
    assert measure(3.0).sd is None
    assert measure(1.0, 3.0).sd == pytest.approx(math.sqrt(2.0))
    assert measure(1.0, 2.0, 6.0).sd == pytest.approx(math.sqrt(7.0))
    assert measure(1.0, math.inf).sd is None
    assert math.isnan(measure(1.0, math.nan).mean)
    assert (measure(1.0, 2.0, 6.0).mean, measure(1.0, 2.0, 6.0).n) == (3.0, 3)


@pytest.mark.parametrize(("direction", "better"), [("min", 2.0), ("max", -2.0), ("floor", 2.0)])
def test_better_values_come_first_and_unknown_ones_last(direction, better):
    assert column(direction).better(measure(2.0)) == better
    assert column(direction).better(measure(math.nan)) == math.inf
    assert column(direction).better(None) == math.inf


@pytest.mark.parametrize(
    ("value", "floor", "direction", "merit"),
    [
        (3.0, 1.0, "min", 3.0),
        (3.0, 1.0, None, 3.0),
        (3.0, 1.0, "max", -3.0),
        (3.0, 1.0, "floor", 2.0),
        (-1.0, 1.0, "floor", 2.0),
        (3.0, None, "floor", math.inf),
        (None, 1.0, "min", math.inf),
        (None, 1.0, "max", math.inf),
    ],
)
def test_lower_merits_are_better_whatever_the_direction(value, floor, direction, merit):
    assert _merit(value, floor, direction) == merit


def test_a_speed_up_is_a_quotient_with_the_spread_of_both():
    assert quotient(measure(6.0), measure(2.0)) == (3.0, None)
    value, sd = quotient(measure(9.0, 11.0), measure(1.9, 2.1))
    assert value == pytest.approx(5.0)
    assert sd == pytest.approx(5.0 * math.hypot(math.sqrt(2.0) / 10, math.sqrt(0.02) / 2))
    assert quotient(measure(6.0), measure(0.0)) == (None, None)
    assert quotient(measure(math.nan), measure(1.0)) == (None, None)
    assert quotient(measure(0.0, 0.0), measure(1.0, 2.0)) == (0.0, None)


def test_a_sentence_names_three_and_counts_the_others():
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b, c"
    assert listed(["a", "b", "c", "d"]) == "a, b, c and 1 other"
    assert listed(list("abcdef")) == "a, b, c and 3 others"


def test_protocols_differ_in_named_keys_and_long_values_are_cut():
    assert differing({"a": 1, "b": 2}, {"a": 1, "c": None, "b": 3}) == ["b"]
    assert differing({"x": 1}, {"a": 1}) == ["a", "x"]
    assert protocol_difference({"n": 1}, {"n": 2}) == "n 1, not 2"
    assert protocol_difference({}, {"w": "y" * 25}) == f"w none, not {'y' * 12}…"
    assert protocol_difference({}, {"w": "y" * 24}) == f"w none, not {'y' * 24}"
    assert protocol_difference({"n": 1}, {"n": 1}) == "an unnamed difference"


def test_values_of_settings_are_short():
    values = (1e-4, 20, True, False, None, (400, 400), "Adam", 0.30000000000000004)
    assert [short(value) for value in values] == [
        *("0.0001", "20", "true", "false", "none", "400-400", "Adam", "0.3")
    ]


def test_labels_of_samplers_hold_what_differs():
    assert sampler_label("drs", '{"gamma": 80, "eps": 1}') == "drs (gamma=80, eps=1)"
    assert sampler_label("plain", "") == sampler_label("plain", "{}") == "plain"
    labels = ["drs (p=80, eps=1)", "drs (p=95, eps=1)", "mh (n=640)", "a (x=1, 2, y=3)", "a (y=3)"]
    titles = list(sampler_titles(labels).values())
    assert titles == ["drs (p=80)", "drs (p=95)", "mh", "a (x=1, 2)", "a"]
