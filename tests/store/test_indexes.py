"""Ten thousand runs are no reason to wait: what is asked often is found by an index."""

from __future__ import annotations

from stores import SQLITE_ONLY

KINDS = SQLITE_ONLY


def test_the_final_scores_are_found_by_their_index(store):
    plan = store.query("EXPLAIN QUERY PLAN SELECT * FROM v_scores WHERE metric = 'fd_clf'")[1]
    assert any("ix_evals_final" in row[3] for row in plan)


def test_one_curve_is_found_without_reading_the_others(store):
    sql = "SELECT step, value FROM points WHERE run = 1 AND key = 1 ORDER BY step"
    (row,) = store.query(f"EXPLAIN QUERY PLAN {sql}")[1]
    assert row[3] == "SEARCH points USING PRIMARY KEY (run=? AND key=?)"
