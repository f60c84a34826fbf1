"""``edit``, ``archive`` and ``restore``: what is hidden, and what each command says."""

from __future__ import annotations


def listed(genbench, *options):
    return [run["run"] for run in genbench("runs", "--json", *options).json["runs"]]


def rows(genbench, *options):
    said = genbench("compare", "--json", *options)
    return sum(len(table["rows"]) for table in said.json["datasets"])


def test_archived_runs_are_hidden_from_runs_compare_and_report_unless_asked_for(
    filled, genbench, tmp_path
):
    gans = [run.id for run in filled.store.runs(model="gan")]
    assert genbench("archive", *gans).code == 0
    assert not {*gans} & {*listed(genbench)}
    assert {*gans} < {*listed(genbench, "--archived")}
    assert (rows(genbench), rows(genbench, "--archived")) == (1, 2)
    assert "finished, archived" in genbench("runs", "--archived").out
    for options, shown in (((), False), (("--archived",), True)):
        assert genbench("report", "--out", "page.html", *options).code == 0
        assert (gans[0] in (tmp_path / "page.html").read_text()) is shown
    assert genbench("restore", *gans).code == 0
    assert rows(genbench) == 2


def test_an_archived_run_is_still_shown_by_its_id(filled, genbench):
    run = filled.store.runs(model="gan")[0].id
    genbench("archive", run)
    said = genbench("show", run)
    assert said.code == 0
    assert "archived" in said.out


def test_where_all_are_archived_the_message_names_the_option(filled, genbench):
    genbench("archive", *listed(genbench))
    said = genbench("runs")
    assert said.code == 3
    assert "genbench runs --archived" in said.err


def test_a_baseline_that_is_archived_whole_is_kept_and_one_run_of_it_is_not(filled, genbench):
    gans = [run.id for run in filled.store.runs(model="gan")]
    genbench("archive", gans[0])
    table = genbench("compare", "--baseline", "gan", "--json").json["datasets"][0]
    assert [len(row["seeds"]) for row in table["rows"] if row["model"] == "gan"] == [2]
    genbench("archive", *gans)
    assert rows(genbench, "--baseline", "gan") == 2


def test_edit_says_what_the_run_is_called_and_its_json_is_the_head(filled, genbench):
    said = genbench("edit", "@1", "--name", "best", "--tag", "paper", "--note", "=1+1", "--json")
    assert said.json["name"] == "best"
    assert (said.json["tags"], said.json["note"]) == (["paper"], "=1+1")
    said = genbench("edit", "best", "--untag", "paper")
    assert (said.code, "no tags" in said.err) == (0, True)
    assert "=1+1" in genbench("show", "best").out


def test_edit_without_a_change_and_with_a_taken_name_is_refused(filled, genbench):
    assert genbench("edit", "@1").code == 2
    genbench("edit", "@1", "--name", "best")
    said = genbench("edit", "@2", "--name", "best")
    assert said.code == 2
    assert "taken" in said.err


def test_a_hostile_note_reaches_the_terminal_escaped(filled, genbench):
    genbench("edit", "@1", "--note", "\x1b[2J\u202egpj.exe")
    shown = genbench("show", "@1").out
    assert "\x1b" not in shown
    assert "\u202e" not in shown
