"""The commands that read one run or list them: runs, show, diff, query."""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys

import pytest

from genbench.cli.output import print_table
from genbench.cli.session import answer
from genbench.cli.text_table import Best

COMMANDS = [
    ("runs",),
    ("show", "@1"),
    ("diff", "@1", "@2"),
    ("query", "select count(*) from runs"),
    ("compare",),
    ("report",),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_without_a_store_there_is_one_sentence_and_none_is_made(genbench, tmp_path, command):
    said = genbench(*command)
    assert said.code == 5
    assert said.out == ""
    assert said.err.startswith(f"genbench: error: no store at {tmp_path}/runs.db. ")
    assert "genbench run" in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_reading_changes_nothing_and_imports_nothing_heavy(filled, tmp_path, command):
    filled.store.close()
    before = (tmp_path / "runs.db").read_bytes()
    script = (
        "import sys; sys.argv[0] = 'genbench'\n"
        "from genbench.cli import main\n"
        "try: main()\n"
        "finally:\n"
        "    heavy = {'torch', 'numpy', 'alembic', 'sqlalchemy', 'matplotlib', 'PIL'}\n"
        "    print('heavy:', sorted(heavy & {*sys.modules}), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "GENBENCH_STORE": "runs.db"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("heavy: []\n")
    assert (tmp_path / "runs.db").read_bytes() == before


def test_runs_are_listed_newest_first_with_their_last_score(filled, genbench):
    said = genbench("runs")
    lines = said.out.splitlines()
    assert lines[0].split()[:4] == ["id", "model", "dataset", "seed"]  # no run has a name
    assert len(lines) == 2 + 6
    assert "vaegan" in lines[2]
    assert "8/8" in lines[2]
    assert lines[0].endswith("fd_clf ↓")
    assert lines[2].endswith(" 22")


def test_runs_show_names_and_presets_only_if_a_run_has_one(filled, genbench):
    every = "id,name,model,dataset,preset,seed"
    assert genbench("runs", "--format", "csv").out.startswith(every)
    run = filled.store.runs()[0].id
    assert genbench("edit", run, "--name", "best").code == 0
    heading = genbench("runs").out.splitlines()[0].split()
    assert heading[:5] == ["id", "name", "model", "dataset", "seed"]


def test_runs_json_has_heads(filled, genbench):
    said = genbench("runs", "--model", "gan", "--limit", "2", "--json").json
    assert said["schema_version"] == 1
    assert [run["seed"] for run in said["runs"]] == [2, 1]
    assert {"run", "status", "model", "dataset", "epochs_done", "train_s"} <= set(said["runs"][0])


def test_runs_that_match_nothing_exit_3(filled, genbench):
    said = genbench("runs", "--model", "stylegan")
    assert (said.code, said.out) == (3, "")
    assert said.err.count("\n") == 1
    assert genbench("runs", "--status", "finishd").code == 2


def test_show_json_holds_all_that_the_documentation_promises(filled, genbench):
    said = genbench("show", "@1", "--json").json
    promised = {"run", "status", "model", "dataset", "params", "stages", "epochs", "scores"}
    assert promised | {"artifacts", "environment", "diagnostics"} <= set(said)
    assert said["status"] == "finished"
    assert {"epoch", "stage", "train_s", "losses"} <= set(said["epochs"][0])
    assert [stage["name"] for stage in said["stages"]] == ["vae", "gan"]
    (score,) = said["scores"]
    wanted = {"metric", "value", "std", "n", "sampler", "epoch", "protocol", "protocol_hash"}
    assert wanted <= set(score)
    assert (score["value"], score["floor"], score["ratio"]) == (22.0, 2.0, 11.0)
    assert said["diagnostics"][0]["diagnostics"] == {"acceptance": 0.25}


def test_show_has_every_part_of_a_run(filled, genbench):
    out = genbench("show", "@2").out
    for title in ("Settings", "Stages", "Losses", "Scores", "Diagnostics", "Files", "Environment"):
        assert f"\n{title}" in out
    assert "3 of earlier epochs" in out
    assert "samples/epoch-0004.png" in out
    assert "a CPU" in out


def test_show_of_a_failed_run_has_its_error_and_the_fix(bench, genbench):
    run = bench.add("gan", end="fail")
    out = genbench("show", run).out
    assert "training diverged: <b>nan</b>" in out
    assert f"genbench resume {run}" in out


def test_values_that_are_not_finite_are_null_in_json_and_nan_in_tables(bench, genbench):
    bench.add("gan", score=math.nan)
    assert genbench("show", "@1", "--json").json["scores"][0]["value"] is None
    assert "nan" in genbench("show", "@1").out
    assert "NaN" not in genbench("show", "@1", "--json").out


def test_a_run_that_is_not_there_exits_3_and_an_ambiguous_one_2(filled, genbench):
    assert genbench("show", "nosuch").code == 3
    first = {run.id[0] for run in filled.store.runs()}
    if len(first) < 6:
        prefix = next(c for c in first if sum(r.id[0] == c for r in filled.store.runs()) > 1)
        assert genbench("show", prefix).code == 2


def test_diff_shows_what_differs_and_nothing_else(filled, genbench):
    said = genbench("diff", "@1", "@3", "--json").json
    assert [row["key"] for row in said["settings"]] == ["seed"]
    assert (said["settings"][0]["a"], said["settings"][0]["b"]) == (2, 1)
    assert genbench("diff", "@1", "@1").out.startswith("the runs don't differ")


def test_query_prints_rows_and_can_not_write(filled, genbench):
    sql = "select model, count(*) as n from runs group by model order by model"
    assert genbench("query", sql, "--format", "csv").out == "model,n\ngan,3\nvaegan,3\n"
    assert genbench("query", sql, "--json").json["rows"] == [["gan", 3], ["vaegan", 3]]
    for bad in ("delete from runs", "select * from nothing", "drop table runs"):
        said = genbench("query", bad)
        assert said.code == 2
        assert "Traceback" not in said.err
    assert len(filled.store.runs()) == 6


def test_csv_keeps_every_digit_and_the_table_four(filled, genbench):
    sql = "SELECT 38.46180244588891 AS value"
    assert genbench("query", sql, "--format", "csv").out == "value\n38.46180244588891\n"
    assert "38.46\n" in genbench("query", sql).out


def test_tables_in_other_formats_survive_what_people_type(bench, genbench):
    name = r'a|b,"c" \ ~^ 50%_#&{x}'
    bench.add("gan", name=name, score=1.0)
    sql = "select name from runs"
    assert next(csv.DictReader(genbench("query", sql, "--format", "csv").out.splitlines())) == {
        "name": name
    }
    assert r"a\|b" in genbench("query", sql, "--format", "md").out
    latex = genbench("query", sql, "--format", "latex").out
    assert r"\textbackslash{} \textasciitilde{}\textasciicircum{} 50\%\_\#\&\{x\}" in latex
    assert json.loads(genbench("runs", "--json").out)["runs"][0]["name"] == name


def test_no_text_can_move_the_cursor_or_break_a_row(bench, genbench):
    bench.add("gan", name="a\x1b[2Jb\nc", score=1.0)
    for command in (("runs",), ("show", "@1"), ("runs", "--format", "md")):
        out = genbench(*command).out
        assert "\x1b" not in out
        assert "\\x1b[2Jb c" in out.replace("\\\\", "\\").replace("\\[", "[")


def test_an_unknown_format_names_the_known_ones(filled, genbench):
    said = genbench("runs", "--format", "xml")
    assert said.code == 2
    assert "latex" in said.err


def test_a_terminal_gets_short_headings_and_colour_unless_it_asks_for_none(capsys, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    table = (["epoch speed-up", "id"], [[Best("2×"), "0123456789abcdef"]])
    print_table(*table, right=["epoch speed-up"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["   epoch", "speed-up  id"]
    assert "\x1b[1;32m2× *\x1b[0m" in lines[3]
    assert "0123456789abcdef" in lines[3]
    monkeypatch.setenv("NO_COLOR", "1")
    print_table(*table)
    assert "\x1b" not in capsys.readouterr().out


def test_the_notes_of_show_break_between_words_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    note = "  fd_clf: the value is biased upwards; compare it with its floor"
    answer(note)
    assert capsys.readouterr().out == f"{note}\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    answer(note)
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["  fd_clf: the value is biased upwards;", "  compare it with its floor"]


def test_a_heading_that_a_query_names_can_not_move_the_cursor(filled, genbench):
    said = genbench("query", 'select 1 as "a\x1b[2J"')
    assert "\x1b" not in said.out


def test_runs_show_one_metric_for_each_data_set_in_a_column_of_its_own(bench, genbench):
    bench.add("gan", scores={"fd_clf": 40.0, "a_rare_one": 1.0}, curve=(20.0,))
    bench.add("vae", scores={"fd_clf": 30.0})
    bench.add("gan", dataset="gaussians-25", scores={"mode_kl": 0.5})
    lines = genbench("runs").out.splitlines()
    assert "fd_clf ↓" in lines[0]
    assert "mode_kl ↓" in lines[0]
    assert "a_rare_one" not in lines[0]
    # The final value of the first run, not the better one of an earlier epoch.
    assert [line.split()[-1] for line in lines[2:]] == ["0.5", "30", "40"]
