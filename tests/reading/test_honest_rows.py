"""What a row may say: seeds and no repeats, seconds of one place, one baseline, the best of all."""

from __future__ import annotations

import pytest

from genbench.compare import Question, Row, Selection, Table, baseline_of, select, tabulate

HERE = {"cpu": "a CPU", "threads": 1, "cpus": 2}
THERE = {"cpu": "another CPU", "threads": 1, "cpus": 2}


def compared(bench, limit=None, metric=None, **question) -> Table:
    if question.get("baseline"):
        question["baseline"] = baseline_of(bench.store, question["baseline"])
    asked = Selection(baseline=question.get("baseline"), limit=limit, metric=metric)
    (table,) = tabulate(select(bench.store, asked), Question(**question))
    return table


def row(table: Table, title: str) -> Row:
    (found,) = [r for r in table.rows if r.title == title]
    return found


def plan(*seconds: float):
    from tests.reading.conftest import Plan

    return (Plan(name="train", epochs=len(seconds), epoch_s=0.0, seconds=seconds),)


# --- repeats are no seeds


def test_runs_of_one_seed_are_one_observation(bench, genbench):
    for score in (10.0, 11.0, 12.0):
        bench.add("gan", seed=0, score=score)
    (table,) = [compared(bench)]
    scores = row(table, "gan").scores["fd_clf"]
    assert (scores.n, scores.mean, scores.sd) == (1, 11.0, None)
    assert any("gan: 3 runs, 1 seed:" in note for note in table.notes)
    assert "1 (3 runs)" in genbench("compare").out
    (told,) = genbench("compare", "--json").json["datasets"][0]["rows"]
    assert (told["seeds"], len(told["runs"]), len(told["repeats"][0])) == ([0], 3, 3)


def test_a_graft_on_repeats_of_one_parent_repeats_it_and_one_on_another_seed_does_not(bench):
    parents = [bench.add("vae", seed=seed, score=9.0) for seed in (0, 0, 1)]
    experiment = bench.store.run(parents[0]).experiment
    for parent in parents:
        bench.add(
            "gan", dataset="latents", score=5.0, parents=(parent,), parent_experiments=(experiment,)
        )
    tables = tabulate(select(bench.store, Selection()), Question())
    (graft,) = [r for t in tables for r in t.rows if r.first.model == "gan"]
    assert [len(repeats) for repeats in graft.seeds] == [2, 1]


# --- seconds


def test_seconds_are_never_averaged_over_machines_and_the_row_says_which_it_tells(bench, genbench):
    bench.add("vae", stages=plan(10.0, 10.0, 10.0), score=9.0, machine=HERE)
    # 5 s where the baseline ran too, 100 s on a machine that is 20 times as slow.
    bench.add("gan", seed=0, stages=plan(100.0, 100.0, 100.0), score=9.0, machine=THERE)
    bench.add("gan", seed=1, stages=plan(5.0, 5.0, 5.0), score=9.0, machine=HERE)
    table = compared(bench, baseline="vae")
    assert row(table, "gan").epoch_speedup == pytest.approx(2.0)
    assert row(table, "gan").epoch_s.values == (5.0,)
    (note,) = [note for note in table.notes if "seconds" in note]
    assert "gan: seconds are from 1 of 2 runs, on cpu (a CPU, 1 thread)" in note
    assert "cpu (another CPU, 1 thread)" in note


def test_rows_of_several_machines_say_where_each_ran(bench, genbench):
    bench.add("vae", score=9.0, machine=HERE)
    bench.add("gan", score=9.0, machine=THERE)
    out = genbench("compare").out
    assert "seconds on" in out
    assert "cpu (another CPU, 1 thread)" in out


def test_the_seconds_of_an_epoch_are_the_median_without_the_first(bench):
    bench.add("gan", stages=plan(90.0, 1.0, 2.0, 300.0), score=9.0)
    assert row(compared(bench), "gan").epoch_s.mean == 2.0
    bench.add("vae", stages=plan(90.0, 1.0, 2.0, 3.0, 300.0), score=9.0)
    assert row(compared(bench), "vae").epoch_s.mean == 2.5
    bench.add("aae", stages=plan(7.0), score=9.0)
    assert row(compared(bench), "aae").epoch_s.mean == 7.0


def test_seconds_and_speed_ups_have_a_spread_over_runs(bench, genbench):
    for seed, (slow, fast) in enumerate(((10.0, 1.0), (12.0, 1.1))):
        bench.add("vae", seed=seed, stages=plan(slow, slow), score=9.0)
        bench.add("gan", seed=seed, stages=plan(fast, fast), score=9.0)
    gan = row(compared(bench, baseline="vae"), "gan")
    assert gan.epoch_speedup == pytest.approx(11 / 1.05)
    # To first order: the relative deviations of both, added in squares.
    assert gan.epoch_speedup_sd == pytest.approx(11 / 1.05 * (0.1286**2 + 0.0673**2) ** 0.5, 1e-2)
    lines = genbench("compare", "--baseline", "vae").out.splitlines()
    (line,) = [line for line in lines if "gan" in line]
    assert "10.5 ± 1.5×" in line
    assert "2.10 ± 0.14" in line


def test_a_speed_up_on_a_busy_machine_is_never_told_without_saying_so(bench, genbench):
    bench.cpu_share = 1.0
    bench.add("gan", stages=plan(1.0, 1.0), score=9.0, machine=HERE)
    bench.cpu_share = 0.2146
    bench.add("vae", stages=plan(4.66, 4.66), score=9.0, machine=HERE)
    said = genbench("compare", "--baseline", "vae")
    assert "4.66× (busy)" in said.out
    assert "vae (seconds are 4.7 × CPU seconds)" in said.err
    assert genbench("report", "--baseline", "vae").code == 0
    page = (bench.path.parent / "genbench-report.html").read_text()
    assert "4.66 times as fast as" in page
    assert "Other processes used the machine" in page


def test_a_load_above_the_cores_is_told_and_one_thread_of_its_own_is_not(bench):
    bench.cpu_share, bench.load = 1.0, 1.1
    bench.add("gan", score=9.0, machine=HERE)
    assert row(compared(bench), "gan").busy is None
    bench.load = 7.0
    bench.add("vae", score=9.0, machine=HERE)
    assert row(compared(bench), "vae").busy == "load 7 on 2 cores"


def test_the_total_of_a_graft_names_its_parents_seconds_and_leaves_out_those_of_elsewhere(
    bench, genbench
):
    near = bench.add("vae", stages=plan(5.0, 5.0), score=9.0, machine=HERE)
    far = bench.add("vae", seed=1, stages=plan(50.0, 50.0), score=9.0, machine=THERE)
    bench.add("gan", stages=plan(1.0, 1.0), score=9.0, machine=HERE, parents=(near,))
    bench.add("dcgan", stages=plan(1.0, 1.0), score=9.0, machine=HERE, parents=(far,))
    lines = genbench("compare").out.splitlines()
    assert any("12 (10 of vae)" in line for line in lines if line.startswith("gan"))
    table = compared(bench, baseline="gan")
    assert row(table, "dcgan").total_s.mean == 2.0
    assert row(table, "dcgan").total_speedup is None
    assert any("dcgan: its total excludes" in note for note in table.notes)


# --- one baseline


def test_a_baseline_that_is_several_experiments_is_asked_for(bench, genbench):
    bench.add("vae", stages=plan(10.0, 10.0), score=9.0, settings={"beta": 1.0})
    run = bench.add("vae", stages=plan(30.0, 30.0), score=9.0, settings={"beta": 4.0})
    bench.add("gan", stages=plan(1.0, 1.0), score=9.0)
    for command in ("compare", "report"):
        said = genbench(command, "--baseline", "vae")
        assert said.code == 2
        assert "'vae (beta=1)'" in said.err
        assert f"'vae (beta=4)' (run {run})" in said.err
    names = ("beta=4", "vae (beta=4)", run, "@2", bench.store.run(run).experiment[:8])
    for name in names:
        (table,) = genbench("compare", "--baseline", name, "--json").json["datasets"]
        assert table["baseline"] == "vae (beta=4)"
        assert sum(r["is_baseline"] for r in table["rows"]) == 1
        (gan,) = [r for r in table["rows"] if r["model"] == "gan"]
        assert gan["epoch_speedup"] == pytest.approx(30.0)


def test_a_baseline_beyond_the_limit_or_the_filter_is_found_by_its_title(bench):
    for i in range(5):
        bench.add("vae", score=10.0 + i, settings={"beta": float(i)})
    bench.add("gan", score=1.0)
    table = compared(bench, limit=2, baseline="vae (beta=4)")
    assert table.baseline == "vae (beta=4)"
    assert sorted(r.title for r in table.rows) == ["gan", "vae (beta=0)", "vae (beta=4)"]


def test_a_baseline_of_another_data_set_is_said_to_be_missing(bench):
    bench.add("vae", dataset="digits", score=9.0)
    bench.add("gan", score=9.0)
    name = baseline_of(bench.store, "vae")
    tables = tabulate(select(bench.store, Selection(baseline=name)), Question(baseline=name))
    warnings = [warning for table in tables for warning in table.warnings]
    assert warnings == ["the baseline vae has no finished run on mnist, so there is no speed-up"]


# --- the best of all that was selected


def test_a_limit_changes_neither_the_mark_of_the_best_nor_what_is_told_of_it(bench, genbench):
    for i in range(4):
        scores = {"fd_clf": 10.0 + i, "fd_pixel": 9.0 - i}
        bench.add("vae", scores=scores, settings={"beta": float(i)})
    table = compared(bench, limit=2)
    assert [r.title for r in table.rows] == ["vae (beta=0)", "vae (beta=1)"]
    assert [r.best for r in table.rows] == [{"fd_clf"}, frozenset()]
    assert any(
        "fd_pixel: the best of all rows, vae (beta=3) with 6, is not shown" in note
        for note in table.notes
    )
    assert genbench("report", "--limit", "2").code == 0
    page = (bench.path.parent / "genbench-report.html").read_text()
    assert "vae (beta=3) has the lowest fd_pixel, 6" in page


def test_the_best_row_is_marked_where_a_limit_leaves_it_alone(bench):
    for i in range(3):
        bench.add("vae", scores={"fd_clf": 10.0 + i}, settings={"beta": float(i)})
    bench.add("gan", scores={"fd_pixel": 5.0})
    [alone] = compared(bench, limit=1).rows
    assert alone.best == {"fd_clf"}


def test_the_family_of_claims_is_that_of_all_selected_rows(bench):
    for seed in range(3):
        for i in range(5):
            bench.add("vae", seed=seed, score=10.0 + 9 * i + seed / 10, settings={"beta": float(i)})
    whole = {r.title: r.differences for r in compared(bench).rows}
    for r in compared(bench, limit=2).rows:
        for metric, difference in r.differences.items():
            assert difference.level is not None
            full = whole[r.title][metric]
            assert difference.level >= (full.level or 0.0)


def test_the_limit_keeps_the_best_on_every_data_set(bench):
    for dataset, protocol in (("mnist", {"n": 1}), ("digits", {"n": 2})):
        for i in range(4):
            bench.add("vae", dataset=dataset, score=10.0 - i, settings={"b": i}, protocol=protocol)
    selected = select(bench.store, Selection(limit=1))
    assert [(t.dataset, t.spec["model_settings"]["b"]) for t in selected.runs] == [
        ("mnist", 3),
        ("digits", 3),
    ]
    assert selected.hidden == {"mnist": 3, "digits": 3}


def test_a_metric_that_is_best_at_its_floor_ranks_by_the_distance_from_it(bench, genbench):
    bench.directions = {"spread": "floor"}
    for i, value in enumerate((0.1, 1.8, 2.1, 9.0)):  # the floor is 2
        bench.add("vae", scores={"spread": value}, settings={"b": i}, curve=())
    table = compared(bench, metric="spread", limit=3, metrics=("spread",))
    assert [r.first.spec["model_settings"]["b"] for r in table.rows] == [2, 1, 0]
    assert [r.best for r in table.rows] == [{"spread"}, frozenset(), frozenset()]
    said = genbench("compare", "--metric", "spread", "--target", "1.85")
    reached = {line.split()[1]: "≤" in line for line in said.out.splitlines() if "(b=" in line}
    assert reached == {"(b=0)": False, "(b=1)": False, "(b=2)": True, "(b=3)": False}


def test_columns_that_few_rows_have_are_named_and_shown_when_asked_for(bench, genbench):
    for i in range(3):
        bench.add("vae", scores={"fd_clf": 9.0}, settings={"b": i})
    bench.add("gan", scores={"fd_clf": 9.0, "nll": 3.0})
    said = genbench("compare")
    assert "nll" not in said.out
    assert "not shown, since most rows don't have it: nll (--all-metrics)" in said.err
    assert "nll" in genbench("compare", "--all-metrics").out
    assert "nll" in genbench("compare", "--metric", "nll").out
    metrics = genbench("compare", "--json").json["datasets"][0]["metrics"]
    assert [(m["metric"], m["shown"]) for m in metrics] == [("fd_clf", True), ("nll", False)]


def test_a_target_is_told_with_the_interval_that_evaluations_allow(bench, genbench):
    # Epochs of 20, 10, 10 and 10 s, evaluated after the second, third and fourth.
    bench.add("gan", score=30.0, curve=(50.0, 40.0))
    said = genbench("compare", "--target", "45")
    assert "≤ 40 s (evaluated every 10 s)" in said.out


def test_default_settings_of_a_data_set_need_no_words(bench, genbench):
    for size in (28, 16):
        bench.add("gan", score=1.0, dataset_settings={"size": size, "limit": 0})
    titles = [line for line in genbench("compare").out.splitlines() if "·" in line]
    assert [title.partition(" · ")[0] for title in titles] == ["mnist (size 16)", "mnist"]


def test_missing_scores_are_looked_for_in_every_sampler(bench):
    from genbench.cli.sampling import _lacking
    from genbench.planning.choices import Choices
    from genbench.spec import Part, RunSpec

    identity = bench.add("gan", score=40.0)  # fd_clf of the sampler plain
    spec = RunSpec.from_json(bench.store.run(identity).spec)
    plain, drs, fd, kid = (Part(name=name) for name in ("plain", "drs", "fd_clf", "kid"))

    def lacking(*metrics):
        given = Choices(samplers=(plain, drs), metrics=metrics)
        return _lacking(bench.store, identity, spec, given)

    assert lacking(fd) == Choices(samplers=(drs,), metrics=(fd,))
    assert lacking(fd, kid) == Choices(samplers=(plain, drs), metrics=(fd, kid))
