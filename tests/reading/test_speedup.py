"""Where seconds are taken from, and when they can't be trusted."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from genbench.compare import Question, Selection, select, tabulate
from genbench.compare.row import Row
from genbench.compare.run_results import MachineUse, Place
from genbench.compare.speedup import FULL_LOAD, IDLE_SHARE, busy, with_place
from genbench.report.rerun_command import rerun_command
from tests.reading.conftest import MACHINE, Plan

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
        (MachineUse(cpu_share=IDLE_SHARE), "cpu", None),
        (MachineUse(cpu_share=below(IDLE_SHARE)), "cpu", "seconds are 1.2 × CPU seconds"),
        (MachineUse(cpu_share=0.25), "cpu", "seconds are 4 × CPU seconds"),
        (MachineUse(cpu_share=0.25), "cuda", None),
        (MachineUse(cpu_share=None), "cpu", None),
        (MachineUse(cpu_share=0.0), "cpu", None),
        (MachineUse(load=4 * FULL_LOAD, cpus=4), "cpu", None),
        (MachineUse(load=above(4 * FULL_LOAD), cpus=4), "cpu", "load 5 on 4 cores"),
        (MachineUse(load=9.0, cpus=4), "cuda", "load 9 on 4 cores"),
        (MachineUse(load=9.0, cpus=None), "cpu", None),
        (MachineUse(load=None, cpus=4), "cpu", None),
        (MachineUse(cpu_share=0.25, load=9.0, cpus=4), "cuda", "load 9 on 4 cores"),
    ],
)
def test_a_machine_is_busy_only_beyond_the_bounds(run, effort, device, text):
    assert busy(row(run, Place(device, "a"), effort=effort)) == text


def test_only_the_runs_that_the_seconds_are_of_can_be_busy(run):
    one = row(run, A, B)
    spoiled = replace(one.runs[1], effort=MachineUse(cpu_share=0.1))
    mixed = replace(one, runs=(one.runs[0], spoiled))
    assert busy(replace(mixed, place=A)) is None
    assert busy(replace(mixed, place=B)) == "seconds are 10 × CPU seconds"


# --- seeds that were trained together

TOGETHER = {**MACHINE, "together": [0, 1, 2]}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory, new_bench):
    """Three seeds of gan together at a third of the seconds, and each of vae alone."""
    bench = new_bench(tmp_path_factory.mktemp("together") / "runs.db")
    for seed in range(3):
        stages = (Plan(name="train", epochs=4, epoch_s=1.0),)
        bench.add("gan", seed=seed, score=1.0, machine=TOGETHER, stages=stages)
        bench.add("vae", seed=seed, score=2.0 + seed)
        bench.add("wgan", seed=seed, score=3.0 + seed, stages=(replace(stages[0], epoch_s=2.0),))
    yield bench
    bench.store.close()


def table_of(bench, **question):
    [table] = tabulate(select(bench.store, Selection()).runs, Question(**question))
    return table


def test_the_share_of_a_run_has_no_speed_up_over_runs_alone_and_is_not_ordered_among_them(mixed):
    table = table_of(mixed, baseline="vae", sort="total")
    gan = next(row for row in table.rows if row.title == "gan")
    wgan = next(row for row in table.rows if row.title == "wgan")
    assert (gan.epoch_speedup, gan.total_speedup) == (None, None)
    assert wgan.epoch_speedup == pytest.approx(5.0)
    assert [row.title for row in table.rows] == ["wgan", "vae", "gan"]
    assert str(gan.timed[0].place) == "cpu (a CPU, 2 threads, 3 seeds together)"


def test_the_shares_of_one_group_are_one_observation_of_seconds(mixed):
    table = table_of(mixed)
    rows = {row.title: row for row in table.rows}
    assert (rows["gan"].total_s.n, rows["gan"].total_s.sd) == (1, None)
    assert (rows["vae"].total_s.n, rows["vae"].scores["fd_clf"].n) == (3, 3)
    assert rows["gan"].scores["fd_clf"].n == 3


def test_seeds_that_were_trained_together_are_repeated_together(mixed):
    table = table_of(mixed)
    commands = {row.title: rerun_command(row) for row in table.rows}
    assert commands["gan"].endswith(" --seeds 0,1,2 --together")
    assert "--together" not in commands["vae"]
