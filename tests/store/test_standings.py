"""All scores and seconds at once, and that ten thousand runs are no reason to wait."""

from __future__ import annotations

import math

import pytest


def test_the_scores_table_has_the_final_scores_of_all_runs(store, create, make):
    runs = [create(make.spec(seed=seed), tags=(f"s{seed}",)) for seed in (0, 1)]
    for run in runs:
        make.fill(store, run)
    rows = store.leaderboard()
    assert [(r.run, r.seed, r.value, r.epoch) for r in rows] == [
        (runs[0].id, 0, 10.0, 3),
        (runs[1].id, 1, 11.0, 3),
    ]
    first = rows[0]
    assert (first.model, first.dataset, first.status) == ("vaegan", "digits", "finished")
    assert (first.metric, first.direction, first.floor, first.score_s) == (
        "fd_clf",
        "min",
        0.5,
        0.5,
    )
    assert (first.experiment, first.train_s) == (runs[0].experiment, 6.0)
    assert rows[0].experiment == rows[1].experiment


@pytest.mark.parametrize(
    ("conditions", "count"),
    [
        ({"model": "gan"}, 1),
        ({"dataset": "mnist"}, 1),
        ({"tag": "x"}, 1),
        ({"metric": "fd_clf"}, 2),
        ({"metric": "kid"}, 0),
        ({"model": "gan", "dataset": "mnist"}, 0),
    ],
)
def test_the_scores_table_can_be_filtered(store, create, make, conditions, count):
    make.fill(store, create(make.spec(model="gan"), tags=("x",)))
    make.fill(store, create(make.spec(dataset="mnist")))
    assert len(store.leaderboard(**conditions)) == count
    conditions.pop("metric", None)
    if count:
        assert len(store.stage_seconds(**conditions)) == 2 * count


def test_the_seconds_of_an_epoch_leave_the_first_of_each_stage_out(store, create, make):
    run = create()
    for epoch, seconds in enumerate((9.0, 20.0, 4.0, 6.0), start=1):
        with store.transaction() as connection:
            from genbench.store import journal, lifecycle

            number = lifecycle.number_of(connection, run.id)
            journal.add_epoch(connection, number, make.epoch(epoch, train_s=seconds))
    first, second = store.stage_seconds()
    assert (first.stage, first.epochs_done, first.epoch_s) == ("autoencoder", 1, 9.0)
    assert (second.stage, second.train_s) == ("adversary", 30.0)
    assert math.isclose(second.epoch_s, 5.0)


def test_a_stage_without_epochs_has_no_seconds_of_an_epoch(store, create):
    create()
    assert [row.epoch_s for row in store.stage_seconds()] == [None, None]


def test_the_final_scores_are_found_by_their_index(store):
    plan = store.query("EXPLAIN QUERY PLAN SELECT * FROM v_scores WHERE metric = 'fd_clf'")[1]
    assert any("ix_evals_final" in row[3] for row in plan)


def test_one_curve_is_found_without_reading_the_others(store):
    sql = "SELECT step, value FROM points WHERE run = 1 AND key = 1 ORDER BY step"
    (row,) = store.query(f"EXPLAIN QUERY PLAN {sql}")[1]
    assert row[3] == "SEARCH points USING PRIMARY KEY (run=? AND key=?)"
