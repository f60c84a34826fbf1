"""``export`` and ``import`` on the command line, and the store as tables for other tools."""

from __future__ import annotations

import csv
import json

import pytest

from genbench.store import Store
from genbench.store.about import COLUMNS, QUERIES, TABLES
from genbench.store.schema import metadata
from genbench.store.views import VIEWS


def test_a_run_goes_from_one_store_to_another(filled, genbench, tmp_path):
    said = genbench("export", "two.zip", "@1", "@2", "--json")
    ids = [run.id for run in filled.store.runs(limit=2)]
    assert said.json["runs"] == ids
    (tmp_path / "new").mkdir()
    said = genbench("import", "two.zip", "--store", "new/runs.db", "--json")
    assert said.json["imported"] == ids
    assert genbench("import", "two.zip", "--store", "new/runs.db", "--json").json["known"] == ids
    shown = [
        genbench("show", ids[0], "--store", store, "--json").json["scores"]
        for store in ("runs.db", "new/runs.db")
    ]
    for scores in shown:
        for score in scores:
            score.pop("draw")
    assert shown[0] == shown[1]


def test_export_needs_a_file_and_runs_and_overwrites_nothing_of_value(filled, genbench):
    for arguments in (("export",), ("export", "two.zip"), ("export", "runs.db", "@1")):
        assert genbench(*arguments).code == 2
    assert genbench("export", "runs/x.zip", "@1").code == 2
    assert genbench("export", "two.zip", "unknown").code == 3


def test_a_damaged_file_is_one_sentence_with_exit_code_2(filled, genbench, tmp_path):
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04 nothing")
    said = genbench("import", "bad.zip")
    assert said.code == 2
    assert "bad.zip is not a zip file, or is damaged" in said.err
    assert genbench("import", "absent.zip").code == 2


def test_csv_has_all_tables_and_every_digit_and_escapes_formulas(filled, genbench, tmp_path):
    genbench("edit", "@1", "--note", "=1+1")
    assert genbench("export", "--csv", "tables").code == 0
    for name in VIEWS:
        with (tmp_path / "tables" / f"{name}.csv").open(newline="") as file:
            columns, *rows = csv.reader(file)
        expected = filled.store.query(f"SELECT * FROM {name}")
        assert (columns, len(rows)) == (expected[0], len(expected[1])), name
    with (tmp_path / "tables" / "v_scores.csv").open(newline="") as file:
        values = [float(row["value"]) for row in csv.DictReader(file)]
    assert sorted(values) == sorted(
        v for (v,) in filled.store.query("SELECT value FROM v_scores")[1]
    )
    assert "'=1+1" in (tmp_path / "tables" / "runs.csv").read_text()


def test_csv_of_some_runs_has_only_their_rows(filled, genbench, tmp_path):
    run = filled.store.runs(limit=1)[0].id
    genbench("export", "--csv", "tables", run)
    with (tmp_path / "tables" / "v_losses.csv").open(newline="") as file:
        assert {row["id"] for row in csv.DictReader(file)} == {run}
    with (tmp_path / "tables" / "experiments.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 1


def test_parquet_holds_the_types_and_values_of_the_store(filled, genbench, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pip install 'genbench[parquet]'")
    assert genbench("export", "--parquet", "tables").code == 0
    for name in ("v_scores", "points", "runs", "warnings"):
        columns, rows = filled.store.query(f"SELECT * FROM {name}")
        table = parquet.read_table(tmp_path / "tables" / f"{name}.parquet")
        assert table.column_names == columns
        found = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
        assert found == rows
    schema = parquet.read_schema(tmp_path / "tables" / "v_scores.parquet")
    assert [str(schema.field(c).type) for c in ("value", "n", "id")] == [
        "double",
        "int64",
        "string",
    ]


def test_parquet_without_pyarrow_says_what_to_install(filled, genbench, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    said = genbench("export", "--parquet", "tables")
    assert said.code == 2
    assert "pip install 'genbench[parquet]'" in said.err


def test_datasette_metadata_explains_every_table_and_its_queries_run(filled, genbench, tmp_path):
    assert set(TABLES) == {*metadata.tables, *VIEWS}
    assert genbench("export", "--datasette", "metadata.json").code == 0
    written = json.loads((tmp_path / "metadata.json").read_text())["databases"]["runs"]
    with Store.open(tmp_path / "runs.db", mode="read") as store:
        used = set()
        for table, about in written["tables"].items():
            columns = store.query(f"SELECT * FROM {table} LIMIT 0")[0]
            assert set(about["columns"]) <= set(columns)
            used |= set(about["columns"])
        assert used == set(COLUMNS)
        values = {"dataset": "mnist", "metric": "fd_clf", "id": store.resolve("@1")}
        for name, (_, sql) in QUERIES.items():
            series = {"series": store.keys(values["id"])[0]}
            asked = {k: v for k, v in {**values, **series}.items() if f":{k}" in sql}
            assert store.rows(sql, asked) or name == "unfinished"


def test_the_query_for_the_best_scores_knows_what_is_better(bench):
    bench.directions = {"density": "max"}
    for seed in range(3):
        bench.add("gan", seed=seed, scores={"fd_clf": 40.0 + seed, "density": 0.5 + 0.1 * seed})
    for metric, best in (("fd_clf", 40.0), ("density", 0.7)):
        rows = bench.store.rows(QUERIES["best_scores"][1], {"dataset": "mnist", "metric": metric})
        assert rows[0][4] == pytest.approx(best)
