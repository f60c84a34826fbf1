"""The page on the store: every query runs and finds something, every table and view is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from genbench.store import Store
from genbench.store.schema import metadata
from genbench.store.views import VIEWS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "store.md").read_text()
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def filled(make, tmp_path_factory):
    """Runs of two models and two seeds, one that failed, one with another protocol."""
    with Store.open(tmp_path_factory.mktemp("page") / "runs.db", mode="create") as store:
        for model in ("gan", "vaegan"):
            for seed in (0, 1):
                make.fill(store, make.create(store, make.spec(model=model, seed=seed)))
        store.fail(make.create(store).id, "out of memory")
        other = make.evaluation(3, 9.0, protocol={"extractor": "another"})
        store.add_evaluation(store.resolve("@2"), other)
        yield store


def test_there_are_at_least_ten_queries():
    assert len(QUERIES) >= 10


@pytest.mark.parametrize("number", range(len(QUERIES)))
def test_every_query_of_the_page_runs_and_finds_something(filled, number):
    columns, rows = filled.query(QUERIES[number])
    assert len(columns) >= 3
    assert rows


@pytest.mark.parametrize("name", [*metadata.tables, *VIEWS])
def test_every_table_and_view_is_on_the_page(name):
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize("view", VIEWS)
def test_every_column_of_a_view_is_on_the_page(filled, view):
    columns, _ = filled.query(f"SELECT * FROM {view}")
    head = ["id", "name", "model", "dataset", "preset", "seed", "experiment", "status"]
    (row,) = re.findall(rf"^\| `{view}` .*$", PAGE, re.MULTILINE)
    told = set(re.findall(r"\w+", row))
    assert set(columns) - set(head) <= told


def test_a_score_that_is_not_finite_is_ranked_last(store, create, make):
    for seed, value in enumerate((float("nan"), 7.0, float("inf"), 3.0)):
        run = create(make.spec(seed=seed))
        store.add_evaluation(run.id, make.evaluation(3, value))
        store.finish(run.id)
    _, rows = store.query(QUERIES[0])
    assert [row[4] for row in rows] == [3.0, 7.0, None, None]
