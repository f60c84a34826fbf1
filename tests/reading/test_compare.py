"""What the comparison promises."""

from __future__ import annotations

import math

import pytest

from genbench.compare import (
    Question,
    Row,
    Selection,
    Table,
    baseline_of,
    reached,
    sampler_titles,
    select,
    tabulate,
)
from genbench.errors import NoSuchRunError, UnknownNameError
from genbench.store import Filter


def compared(bench, selection=None, **question) -> list[Table]:
    if question.get("baseline"):
        question["baseline"] = baseline_of(bench.store, question["baseline"])
    selected = select(bench.store, selection or Selection(baseline=question.get("baseline")))
    times = {}
    if question.get("target") is not None:
        times = reached(bench.store, selected.runs, question["target"])
    return tabulate(selected, Question(**question), times)


def row(table: Table, model: str) -> Row:
    (found,) = [r for r in table.rows if r.first.model == model]
    return found


def test_an_experiment_is_the_mean_and_spread_of_its_seeds(filled):
    (table,) = compared(filled)
    gan = row(table, "gan").scores["fd_clf"]
    assert (gan.mean, gan.sd, gan.n) == (41.0, 1.0, 3)
    assert row(table, "gan").ratio("fd_clf") == pytest.approx(20.5)


def test_the_best_row_is_first_and_marked(filled):
    (table,) = compared(filled)
    assert [r.first.model for r in table.rows] == ["vaegan", "gan"]
    assert [r.best for r in table.rows] == [{"fd_clf"}, frozenset()]


def test_the_speed_up_is_of_an_epoch_of_the_last_stage_and_of_all_seconds(filled):
    (table,) = compared(filled, baseline="gan")
    vaegan, gan = row(table, "vaegan"), row(table, "gan")
    assert gan.is_baseline
    assert gan.epoch_speedup is None
    assert vaegan.epoch_speedup == pytest.approx(10.0)
    assert vaegan.stage(0, "total_s").mean == pytest.approx(16.0)
    assert vaegan.total_s.mean == pytest.approx(16.0 + 2.0 + 6.0)
    assert gan.total_s.mean == pytest.approx(50.0)
    assert vaegan.total_speedup == pytest.approx(50.0 / 24.0)


def test_the_first_epoch_of_a_stage_is_left_out_of_its_epoch_seconds(filled):
    (table,) = compared(filled)
    assert row(table, "gan").epoch_s.mean == pytest.approx(10.0)


@pytest.mark.parametrize(
    "other",
    [
        {"machine": {"cpu": "another CPU", "threads": 2}},
        {"machine": {"cpu": "a CPU", "threads": 8}},
        {"images": 1_000},
        {"device": "cuda"},
    ],
    ids=["another machine", "other threads", "other images", "another device"],
)
def test_seconds_under_other_conditions_give_no_speed_up_but_a_warning(bench, other):
    bench.add("gan", score=40.0)
    bench.add("vae", score=30.0, **other)
    (table,) = compared(bench, baseline="gan")
    assert row(table, "vae").epoch_speedup is None
    assert row(table, "vae").total_speedup is None
    assert any("no speed-up for vae" in warning for warning in table.warnings)


def test_a_score_of_another_protocol_is_a_warning_and_no_number(filled):
    other = {"extractor": "lenet", "weights": "90bc", "n": 1000, "reference": "test"}
    filled.add("vae", score=1.0, protocol=other)
    (table,) = compared(filled)
    vae = row(table, "vae")
    assert "fd_clf" not in vae.scores
    assert vae is table.rows[-1]
    (warning,) = table.warnings
    assert "weights 90bc, not 3fa1" in warning
    assert "genbench evaluate" in warning


def test_the_protocol_of_most_rows_ranks_and_among_equals_the_newest(bench):
    bench.add("gan", score=40.0, protocol={"n": 100})
    bench.add("vae", score=30.0, protocol={"n": 200})
    (table,) = compared(bench)
    assert table.columns[0].protocol["n"] == 200
    bench.add("dcgan", score=20.0, protocol={"n": 100})
    (table,) = compared(bench)
    assert table.columns[0].protocol["n"] == 100


def test_values_that_are_not_finite_rank_last_and_are_never_best(bench):
    bench.add("gan", score=math.nan)
    bench.add("vae", score=math.inf)
    bench.add("dcgan", score=1e6)
    (table,) = compared(bench)
    assert table.rows[0].first.model == "dcgan"
    assert [bool(r.best) for r in table.rows] == [True, False, False]


def test_a_seed_that_is_not_finite_is_not_averaged_away(bench):
    for seed, score in enumerate((1.0, math.nan)):
        bench.add("gan", seed=seed, score=score)
    (table,) = compared(bench)
    assert math.isnan(row(table, "gan").scores["fd_clf"].mean)


def test_unfinished_runs_are_left_out_and_counted(filled):
    filled.add("gan", seed=7, score=0.1, end="fail")
    filled.add("gan", seed=8, score=0.1, end=None)
    selected = select(filled.store, Selection())
    assert selected.left_out == {"failed": 1, "running": 1}
    assert len(selected.runs) == 6


def test_one_run_has_no_spread_and_the_table_says_so(bench):
    bench.add("gan", score=40.0)
    (table,) = compared(bench)
    assert row(table, "gan").scores["fd_clf"].sd is None
    bench.add("vae", score=30.0)
    (table,) = compared(bench)
    (note,) = [note for note in table.notes if "seeds" in note]
    assert note.startswith("fewer than 3 seeds, so no order is certain: every row")


def test_a_row_that_can_not_be_told_from_the_best_is_noted_with_the_interval(bench):
    for seed in range(3):
        bench.add("gan", seed=seed, score=40.0 + seed)
        bench.add("vae", seed=seed, score=39.5 + seed)
        bench.add("aae", seed=seed, score=90.0 + seed)
    (table,) = compared(bench)
    (note,) = table.notes
    assert "fd_clf: not distinguishable at n = 3 from the best, vae," in note
    assert "gan (-" in note
    assert "aae" not in note
    difference = row(table, "gan").differences["fd_clf"]
    assert difference.estimate == pytest.approx(0.5)
    assert not difference.distinguishable
    assert row(table, "aae").differences["fd_clf"].distinguishable
    assert "fd_clf" not in row(table, "vae").differences


def test_time_to_a_score_is_the_training_seconds_until_it_was_first_reached(filled):
    (table,) = compared(filled, target=60.0)
    # Epochs of 20, 10, 10 and 10 s: 60 was reached after the second.
    gan = row(table, "gan")
    assert gan.to_target is not None
    assert (gan.to_target.mean, gan.reached) == (30.0, 3)
    # And the evaluation before was after the first.
    assert gan.target_gap_s == pytest.approx(10.0)


def test_a_score_that_was_never_reached_has_no_time(filled):
    (table,) = compared(filled, target=1.0)
    assert row(table, "gan").to_target is None


def test_the_seconds_of_the_runs_it_builds_upon_are_counted_once(bench, vaegan_stages):
    grand = bench.add("vae", score=30.0)
    parent = bench.add("gan", score=30.0, parents=(grand,))
    bench.add("dcgan", score=30.0, parents=(parent, grand))
    (table,) = compared(bench)
    assert row(table, "dcgan").total_s.mean == pytest.approx(150.0)


def test_experiments_of_one_model_are_told_apart_by_what_differs(bench):
    bench.add("gan", score=40.0, settings={"lr": 1e-3, "width": 64})
    bench.add("gan", score=30.0, settings={"lr": 1e-4, "width": 64})
    bench.add("vae", score=30.0, preset="guo2023")
    (table,) = compared(bench)
    titles = {r.title for r in table.rows}
    assert titles == {"gan (lr=0.001)", "gan (lr=0.0001)", "vae (guo2023)"}


def test_samplers_of_one_experiment_are_rows_of_their_own(bench):
    run = bench.add("gan", score=40.0)
    bench.store.add_evaluation(run, bench._evaluated(4, "train", {"fd_clf": 30.0}, "drs"))
    (table,) = compared(bench)
    assert [r.sampler for r in table.rows] == ["drs", "plain"]
    (table,) = compared(bench, samplers=("plain",))
    assert [r.sampler for r in table.rows] == ["plain"]


def test_a_remark_names_the_sampler_where_one_model_has_several(bench):
    for seed in range(3):
        run = bench.add("gan", seed=seed, score=40.0 + seed)
        drawn = bench._evaluated(4, "train", {"fd_clf": 39.5 + seed}, "drs")
        bench.store.add_evaluation(run, drawn)
    (table,) = compared(bench)
    assert any("the best, gan (drs)," in note and "gan (plain) (" in note for note in table.notes)


def test_a_score_of_the_model_itself_stands_in_every_row(bench):
    run = bench.add("vae", score=40.0)
    bench.store.add_evaluation(run, bench._evaluated(4, "train", {"reconstruction": 3.0}, ""))
    (table,) = compared(bench)
    (only,) = table.rows
    assert only.sampler == "plain"
    assert set(only.scores) == {"fd_clf", "reconstruction"}


def test_each_data_set_and_each_of_its_settings_is_a_table_of_its_own(bench):
    bench.add("gan", score=1.0)
    bench.add("gan", dataset="digits", score=1.0)
    bench.add("gan", dataset="digits", score=1.0, dataset_settings={"size": 16})
    assert len(compared(bench)) == 3


def test_the_limit_keeps_the_best_and_the_baseline(bench):
    for i in range(6):
        bench.add("vae", score=10.0 + i, settings={"z_dim": i})
    bench.add("gan", score=99.0)
    selected = select(bench.store, Selection(limit=2, baseline="gan"))
    kept = sorted((t.model, t.spec["model_settings"].get("z_dim")) for t in selected.runs)
    assert kept == [("gan", None), ("vae", 0), ("vae", 1)]
    assert selected.hidden == {"mnist": 5}


def test_a_baseline_is_a_model_an_experiment_or_a_run(filled):
    run = filled.store.run("@2")
    assert baseline_of(filled.store, "gan") == "gan"
    assert baseline_of(filled.store, run.experiment[:6]) == run.experiment
    assert baseline_of(filled.store, run.id) == run.id
    assert baseline_of(filled.store, "@2") == run.id
    with pytest.raises(UnknownNameError, match="did you mean 'vaegan'"):
        baseline_of(filled.store, "vegan")


def test_nothing_matched_says_what_there_is(filled):
    filled.add("dcgan", end="fail")
    with pytest.raises(NoSuchRunError, match="1 failed"):
        select(filled.store, Selection(where=(Filter("model", "=", ("dcgan",)),)))
    with pytest.raises(NoSuchRunError, match="genbench runs"):
        select(filled.store, Selection(where=(Filter("dataset", "=", ("celeba",)),)))


def test_unknown_metrics_and_sorts_are_errors_with_the_nearest_name(filled):
    with pytest.raises(UnknownNameError, match="fd_clf"):
        compared(filled, metrics=("fd_cfl",))
    with pytest.raises(UnknownNameError, match="total"):
        compared(filled, sort="totl")


@pytest.mark.parametrize(
    ("sort", "first"),
    [("model", "gan"), ("epoch", "vaegan"), ("total", "vaegan"), ("fd_clf", "vaegan")],
)
def test_rows_are_sorted_by_what_is_asked(filled, sort, first):
    (table,) = compared(filled, sort=sort)
    assert table.rows[0].first.model == first


def test_samplers_are_told_apart_by_the_settings_in_which_they_differ_and_no_others():
    labels = ["plain", "drs (gamma=None, p=80, eps=1)", "drs (gamma=None, p=95, eps=1)"]
    labels += ["mh (real=[1, 2], n=640)", "ddls (eps=1)", ""]
    titles = ["plain", "drs (p=80)", "drs (p=95)", "mh", "ddls", ""]
    assert [sampler_titles(labels)[label] for label in labels] == titles
