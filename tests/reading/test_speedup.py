"""Where seconds are taken from, and when they can't be trusted."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from genbench.compare import Selection, select
from genbench.compare.row import Row
from genbench.compare.run_results import Effort, Place
from genbench.compare.speedup import FULL_LOAD, IDLE_SHARE, busy, with_place

A, B = Place("cpu", "a"), Place("cpu", "b")


@pytest.fixture(scope="module")
def run(tmp_path_factory, new_bench):
    bench = new_bench(tmp_path_factory.mktemp("speedup") / "runs.db")
    bench.add("gan", score=1.0)
    (only,) = select(bench.store, Selection()).runs
    bench.store.close()
    return only


def row(run, *places: Place, **changes) -> Row:
    runs = (replace(run, id=str(i), seed=i, place=p, **changes) for i, p in enumerate(places))
    return Row(runs=tuple(runs), sampler="plain")


@pytest.mark.parametrize(
    ("rows", "baseline", "wanted"),
    [
        ([(B,), (A,), (A, B)], (), [B, A, A]),
        ([(A, B, B), (A, B)], (), [B, B]),
        ([(A, B, B, B), (A,), (A, B)], (), [A, A, A]),
        ([(A, B), (A, B)], (B,), [B, B]),
        ([(A, B), (A,), (A,)], (B,), [B, A, A]),
    ],
    ids=["the first of equals", "most runs", "most rows", "the baseline", "the baseline alone"],
)
def test_seconds_are_taken_where_the_baseline_most_rows_and_then_most_runs_trained(
    run, rows, baseline, wanted
):
    made = with_place(
        [row(run, *places) for places in rows], [row(run, *baseline)] if baseline else []
    )
    assert [one.place for one in made] == wanted
    assert [{t.place for t in one.timed} for one in made] == [{place} for place in wanted]


def below(bound: float) -> float:
    return math.nextafter(bound, 0.0)


def above(bound: float) -> float:
    return math.nextafter(bound, math.inf)


@pytest.mark.parametrize(
    ("effort", "device", "text"),
    [
        (Effort(cpu_share=IDLE_SHARE), "cpu", None),
        (Effort(cpu_share=below(IDLE_SHARE)), "cpu", "seconds are 1.2 × CPU seconds"),
        (Effort(cpu_share=0.25), "cpu", "seconds are 4 × CPU seconds"),
        (Effort(cpu_share=0.25), "cuda", None),
        (Effort(cpu_share=None), "cpu", None),
        (Effort(cpu_share=0.0), "cpu", None),
        (Effort(load=4 * FULL_LOAD, cpus=4), "cpu", None),
        (Effort(load=above(4 * FULL_LOAD), cpus=4), "cpu", "load 5 on 4 cores"),
        (Effort(load=9.0, cpus=4), "cuda", "load 9 on 4 cores"),
        (Effort(load=9.0, cpus=None), "cpu", None),
        (Effort(load=None, cpus=4), "cpu", None),
        (Effort(cpu_share=0.25, load=9.0, cpus=4), "cuda", "load 9 on 4 cores"),
    ],
)
def test_a_machine_is_busy_only_beyond_the_bounds(run, effort, device, text):
    assert busy(row(run, Place(device, "a"), effort=effort)) == text


def test_only_the_runs_that_the_seconds_are_of_can_be_busy(run):
    one = row(run, A, B)
    spoiled = replace(one.runs[1], effort=Effort(cpu_share=0.1))
    mixed = replace(one, runs=(one.runs[0], spoiled))
    assert busy(replace(mixed, place=A)) is None
    assert busy(replace(mixed, place=B)) == "seconds are 10 × CPU seconds"
