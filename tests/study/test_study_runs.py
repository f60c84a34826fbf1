"""Studies carried out for real on tiny networks: trained, stopped, taken up, scored, tabulated.

One story, told once for all tests: a study is interrupted in its first run, started again and
finished.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
from command_line import Said

from genbench.contracts import DataAccess
from genbench.errors import GenbenchError, InterruptedRunError
from genbench.registry import Registry
from genbench.spec import RunSpec
from genbench.store import Store
from genbench.store.records import Run
from genbench.study import Places, Plan, book_of, execute, make_plan, read_study
from genbench.study.grid import planned_runs
from genbench.study.work import in_words
from genbench.work import Command, Ended, carry_out

STUDY = """
title = "A study of two"
about = "Tiny networks."
datasets = ["digits"]
seeds = [0, 1]
samples = 64
metrics = ["fd_pixel"]
batch_size = 240
[set]
data.size = 8
run.watch = false
[[runs]]
name = "VAE"
model = "vae"
epochs = 60
set = { hidden = [8], z_dim = 2 }
note = "the smallest"
[[runs]]
name = "GAN"
model = "gan"
seconds = 1.0
set = { g_hidden = [8], d_hidden = [8] }
[table]
columns = ["fd_pixel", "seeds", "epochs", "s/epoch", "train_s", "cpu_s", "s/sample", "parameters"]
sort_by = "fd_pixel"
published = { VAE = "1.5" }
[[figures]]
title = "Samples of the smallest"
command = "sample"
rows = ["VAE"]
options = { samples = 4, seed = 3 }
"""


Call = Callable[..., Said]


@pytest.fixture
def genbench(genbench, story, monkeypatch) -> Call:
    """The command line in the story's folder."""
    monkeypatch.chdir(story.folder)
    return genbench


@dataclass(frozen=True)
class Story:
    """What came of it: ``stopped`` is the run that was interrupted, ``told`` the lines said."""

    folder: Path
    plan: Plan
    places: Places
    stopped: str
    runs_when_stopped: int
    told: list[str]
    trained: int


@pytest.fixture(scope="module")
def story(command_line, tmp_path_factory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "executable", str(command_line.python))
        (folder / "two.toml").write_text(STUDY)
        yield tell(folder)


def tell(folder: Path) -> Story:
    path = Path("two.toml")
    access = DataAccess(root=folder, cache=folder, offline=True)
    registry = Registry.from_environment()
    plan = make_plan(path, read_study(path), registry, access, os.environ, folder)
    places = Places(store="runs.db", folder=folder / "runs" / "study-two")

    with pytest.raises(InterruptedRunError, match="the same command continues"):
        execute(plan, places, should_stop=an_epoch_is_done, say=lambda line: None)
    with Store.open("runs.db", mode="read") as store:
        stopped = store.runs()
        assert [run.status for run in stopped] == ["interrupted"]
    told: list[str] = []
    outcome = execute(plan, places, jobs=2, should_stop=lambda: False, say=told.append)
    assert (outcome.failed, outcome.remarks) == (0, [])
    return Story(
        folder=folder,
        plan=plan,
        places=places,
        stopped=stopped[0].id,
        runs_when_stopped=len(stopped),
        told=told,
        trained=outcome.trained,
    )


def an_epoch_is_done() -> bool:
    try:
        with Store.open("runs.db", mode="read") as store:
            return any(run.epochs_done for run in store.runs())
    except GenbenchError:
        return False


def tables(said: Said) -> list[dict[str, Any]]:
    assert said.code == 0, said.err
    found: list[dict[str, Any]] = json.loads(said.out)["tables"]
    return found


def test_an_interrupted_run_is_resumed_and_no_other_is_trained_in_its_place(story):
    with Store.open("runs.db", mode="read") as store:
        runs = store.runs()
        assert [run.status for run in runs] == ["finished"] * 4
        resumed = store.run(story.stopped)
        assert resumed.epochs_done == 60
        assert {"study:two", "row:VAE"} <= set(resumed.tags)
    assert story.trained == 4
    assert any("VAE on digits, seed 0: resume started" in line for line in story.told)


def test_each_run_is_told_when_it_starts_and_when_it_ends(story):
    for title in ("VAE on digits, seed 1", "GAN on digits, seed 0", "GAN on digits, seed 1"):
        assert sum(line.startswith(f"{title}: run started") for line in story.told) == 1
        [end] = [line for line in story.told if f"] {title}: fd_pixel" in line]
        assert "of training" in end
    assert any(line.startswith("[4/4]") for line in story.told)


def test_a_study_that_is_done_is_reused_as_a_whole(story, genbench):
    said = genbench("study", "two.toml", "--json")
    result = json.loads(said.out)
    assert said.code == 0
    assert (result["trained"], result["reused"], result["failed"]) == (0, 4, 0)
    assert "started" not in said.err
    with Store.open("runs.db", mode="read") as store:
        assert len(store.runs()) == 4
    plan = json.loads(genbench("study", "two.toml", "--dry-run", "--json").out)
    assert {run["status"] for run in plan["runs"]} == {"finished"}
    assert {run["train_s"] for run in plan["runs"]} == {0.0}


def test_the_runs_are_exactly_those_of_the_plan(story):
    with Store.open("runs.db", mode="read") as store:
        stored = {RunSpec.from_json(run.spec).digest for run in store.runs()}
        planned = planned_runs(story.plan, book_of(story.plan, story.places).read())
    assert stored == {replace(run.spec, device="cpu").digest for run in planned}


def test_seconds_become_the_epochs_of_the_kept_pace(story):
    [pace] = book_of(story.plan, story.places).read().values()
    with Store.open("runs.db", mode="read") as store:
        trained = store.runs(model="gan")
        assert {run.epochs_planned for run in trained} == {pace.epochs(1.0)}
        assert all(0.1 < run.train_s < 5.0 for run in trained)


def cpu_seconds(store: Store, run: Run) -> float:
    rows = store.rows("SELECT cpu_s FROM v_epochs WHERE id = :run", {"run": run.id})
    return sum(float(seconds) for (seconds,) in rows)


def test_the_table_is_what_the_store_says(story, genbench):
    [table] = tables(genbench("study", "two.toml", "--table-only", "--json"))
    rows = {row["row"]: row for row in table["rows"]}
    assert set(rows) == {"VAE", "GAN"}
    with Store.open("runs.db", mode="read") as store:
        for title, model in (("VAE", "vae"), ("GAN", "gan")):
            runs = store.runs(model=model)
            values = rows[title]["values"]
            scores = [s for run in runs for s in store.scores(run.id) if s.metric == "fd_pixel"]
            seconds = [draw.seconds / 64 for run in runs for draw in store.draws(run.id)]
            for name, figures in (
                ("fd_pixel", [score.value for score in scores]),
                ("train_s", [run.train_s for run in runs]),
                ("cpu_s", [cpu_seconds(store, run) for run in runs]),
                ("s/sample", seconds),
            ):
                assert values[name]["mean"] == pytest.approx(fmean(figures))
                assert values[name]["sd"] == pytest.approx(stdev(figures))
                assert values[name]["n"] == 2
            assert sorted(rows[title]["runs"]) == sorted(run.id for run in runs)
            assert values["parameters"]["text"] == f"{runs[0].parameters:,}"
        assert table["floors"]["fd_pixel"] == pytest.approx(fmean(s.floor for s in scores))
    means = [row["values"]["fd_pixel"]["mean"] for row in table["rows"]]
    assert means == sorted(means)
    assert [row["values"]["fd_pixel"]["best"] for row in table["rows"]] == [True, False]
    assert not any(math.isnan(mean) for mean in means)


def test_the_page_is_whole_and_the_same_each_time(story, genbench):
    pages = []
    for name in ("a.md", "deep/b.md"):
        assert genbench("study", "two.toml", "--table-only", "--out", name).code == 0
        pages.append((story.folder / name).read_text())
    assert pages[0] == pages[1]
    for words in (
        "# A study of two",
        "Tiny networks.",
        "`genbench study two.toml`",
        "torch ",
        "| row | fd_pixel ↓ | seeds | epochs |",
        "| published |",
        "| 1.5 |",
        "real data (floor)",
        "VAE: the smallest",
    ):
        assert words in pages[0]
    assert "**" in pages[0]


def test_the_page_shows_a_picture_of_each_row_of_a_figure_from_the_first_seed(story, genbench):
    said = genbench("study", "two.toml", "--out", "pictured.md")
    assert said.code == 0, said.err
    page, [picture] = Path("pictured.md").read_text(), list(Path("pictured").iterdir())
    assert f"(pictured/{picture.name})" in page
    assert "`genbench sample RUN --samples 4 --seed 3`" in page
    first = next(run.id for run in all_runs() if run.model == "vae" and run.seed == 0)
    assert genbench("sample", first, "-n", "4", "--seed", "3", "--out", "own.png").code == 0
    assert picture.read_bytes() == Path("own.png").read_bytes()
    [log] = story.places.folder.glob("logs/figure-*.log")
    assert "$ genbench sample" in log.read_text()
    assert "runs.db" not in log.read_text()


def test_no_child_is_told_the_store_by_its_arguments_which_all_users_can_read(story):
    lines = [
        line
        for log in story.places.folder.glob("logs/*.log")
        for line in log.read_text().splitlines()
        if line.startswith("$ genbench ")
    ]
    assert {line.split()[2] for line in lines} >= {"run", "resume", "pace"}
    assert not any("runs.db" in line for line in lines)


def all_runs() -> list[Run]:
    with Store.open("runs.db", mode="read") as store:
        return list(store.runs())


def test_further_samplers_are_evaluated_on_the_finished_runs_once(story, genbench):
    more = 'samplers = ["plain", { name = "truncation", settings = { threshold = 0.5 } }, "drs"]\n'
    study = STUDY.replace("[set]", more + "[set]", 1)
    study = study.replace("{ VAE =", '{ "VAE, plain" = "7.25", "VAE on digits" = "3.5", VAE =')
    (story.folder / "more.toml").write_text(study)
    command = ("study", "more.toml", "--only", "VAE", "--seeds", "0", "--json", "--out", "m.md")
    said = genbench(*command)
    result = json.loads(said.out)
    assert (result["trained"], result["reused"]) == (0, 1)
    rows = {row["sampler"]: row["values"] for row in result["tables"][0]["rows"]}
    assert set(rows) == {"plain", "truncation (threshold=0.5)"}
    assert (
        rows["plain"]["fd_pixel"]["mean"] != rows["truncation (threshold=0.5)"]["fd_pixel"]["mean"]
    )
    assert any("'drs' needs a model" in remark for remark in result["remarks"])
    page = (story.folder / "m.md").read_text()
    assert page.count("| 7.25 |") == page.count("| 3.5 |") == 1
    assert "| 1.5 |" not in page
    with Store.open("runs.db", mode="read") as store:
        before = len(store.scores(story.stopped))
    assert "started" not in genbench(*command).err
    with Store.open("runs.db", mode="read") as store:
        assert len(store.scores(story.stopped)) == before


def test_a_failed_run_is_a_remark_and_is_left_alone_until_it_is_asked_for(story, genbench):
    (story.folder / "bad.toml").write_text(STUDY.replace("hidden = [8], z", "hidden = [9], z"))
    command = ("study", "bad.toml", "--only", "VAE", "--seeds", "0")
    spec = story.plan.entries[0].spec
    failing = replace(
        spec, device="cpu", model_settings={**spec.model_settings, "hidden": [9]}, seed=0
    )
    with Store.open("runs.db") as store:
        run = store.create_run(failing, stages=[("train", 60)], environment={"threads": 1})
        store.fail(run.id, "training diverged")
    said = genbench(*command, "--json")
    assert said.code == 1
    result = json.loads(said.out)
    assert (result["failed"], result["trained"], result["tables"]) == (1, 0, [])
    told = f"VAE on digits, seed 0: run {run.id} is failed: training diverged"
    assert told in result["remarks"]
    assert "started" not in said.err
    assert "--retry" in said.err


def test_a_command_that_fails_is_told_in_its_own_words_and_the_others_go_on(story):
    ends: list[Ended] = []
    commands = [
        Command(title=name, arguments=("info", name), log=story.folder / f"{name}.log")
        for name in ("vea", "vae")
    ]
    assert carry_out(commands, at_once=2, should_stop=lambda: False, ended=ends.append)
    codes = {end.command.title: (end.code, end.error) for end in ends}
    assert codes["vae"] == (0, "")
    assert codes["vea"][0] == 2
    assert "did you mean 'vae'" in codes["vea"][1]
    assert "$ genbench info vea" in (story.folder / "vea.log").read_text()


def test_the_line_of_a_run_that_was_scored_every_epoch_tells_its_last_score():
    scores = [{"metric": "fd_pixel", "epoch": epoch, "value": 9.0 / epoch} for epoch in (1, 2, 3)]
    command = Command(title="a run", arguments=("run",), log=Path("run.log"))
    answer = {"scores": scores, "train_s": 1.5}
    end = Ended(command=command, code=0, answer=answer, error="", seconds=2)
    assert in_words(end).startswith("fd_pixel 3,")
