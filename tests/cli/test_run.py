"""``genbench run`` and what follows it: what is said where, and with which exit code."""

from __future__ import annotations

import io
import json
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from recorded import epoch_done, start

from genbench.cli.progress import Display, PlainScreen, losses_in_words, open_display
from genbench.contracts import Score
from genbench.events import Checkpointed, Evaluated, StageStarted
from genbench.store import Store

SMALL = ("--set", "data.size=8", "--set", "hidden=[8]", "--batch-size", "240", "--device", "cpu")
RUN = ("run", "vae", "digits", *SMALL, "--epochs", "2", "--metric", "fd_pixel", "--samples", "64")


def test_a_run_tells_people_on_stderr_and_leaves_stdout_empty(genbench, tmp_path) -> None:
    said = genbench(*RUN)
    assert (said.code, said.out) == (0, "")
    for word in ("epoch 1/2", "epoch 2/2", "fd_pixel", "floor", "samples.png", "genbench show"):
        assert word in said.err
    assert "\x1b" not in said.err
    with Store.open(tmp_path / "runs.db", mode="read") as store:
        run = store.run("@1")
        assert (store.folder(run.id) / "samples.png").is_file()


def test_json_ends_stdout_with_the_run_and_its_scores(genbench) -> None:
    said = genbench(*RUN, "--json", "-q", "--name", "mine")
    result = json.loads(said.out)
    assert said.err == ""
    assert (result["schema_version"], result["name"], result["status"]) == (1, "mine", "finished")
    assert result["store"].endswith("runs.db")
    [score] = result["scores"]
    assert (score["metric"], score["sampler"], score["n"], score["epoch"]) == (
        "fd_pixel",
        "plain",
        64,
        2,
    )
    assert score["ratio"] == pytest.approx(score["value"] / score["floor"])


def test_a_run_stores_the_precision_that_auto_took(genbench) -> None:
    run = (*RUN, "--epochs", "1", "--precision", "auto", "--json", "-q")
    assert genbench(*run).code == 0
    plan = tomllib.loads(genbench("show", "@1", "--plan").out)
    assert plan.get("precision", "fp32") in ("fp32", "bf16")


def test_a_plan_as_toml_is_taken_by_config_and_shown_of_a_stored_run(genbench, tmp_path) -> None:
    plan = genbench(*RUN, "--seed", "5", "--dry-run", "--format", "toml")
    (tmp_path / "plan.toml").write_text(plan.out)
    again = genbench(
        "run", "vae", "digits", "--config", "plan.toml", "--dry-run", "--format", "toml"
    )
    assert (again.code, again.out) == (0, plan.out)
    assert genbench(*RUN, "--format", "toml").code == 2
    assert genbench("run", "vae", "digits", "--config", "plan.toml", "-q").code == 0
    shown = tomllib.loads(genbench("show", "@1", "--plan").out)
    assert shown["threads"] >= 1  # as the trial chose, or the environment
    found = {"device": "cpu", "threads": shown["threads"]}
    assert shown == {**tomllib.loads(plan.out), **found}
    settings = json.loads(genbench("show", "@1", "--plan", "--json").out)["settings"]
    values = {setting["setting"]: setting["value"] for setting in settings}
    assert (values["model.hidden"], values["seed"]) == ([8], 5)


def test_a_setting_that_is_newer_than_a_run_is_shown_as_it_was_fixed_then(
    genbench, tmp_path
) -> None:
    """A flow of the version before the setting ``margin`` had 0.05; new ones have 1e-6."""
    with Store.open(tmp_path / "runs.db", mode="create") as store:
        store.finish(start(store, "old", model="maf"))
    plan = tomllib.loads(genbench("show", "old", "--plan").out)
    assert plan["model"]["maf"] == {"lr": 0.001, "margin": 0.05}
    rows = genbench("show", "old", "--plan", "--json").json["settings"]
    [margin] = [row for row in rows if row["setting"] == "model.margin"]
    assert (margin["value"], margin["default"]) == (0.05, 1e-6)


def test_a_failed_run_ends_json_with_its_status_and_one_sentence(genbench) -> None:
    said = genbench(*RUN, "--json", "--set", "lr=1e30")
    result = json.loads(said.out)
    assert said.code == 1
    assert result["status"] == "failed"
    assert "diverged" in result["error"]
    assert said.err.splitlines()[-1].startswith("genbench: error: training diverged")
    assert "Traceback" not in said.err


def test_a_dry_run_shows_the_plan_and_makes_nothing(genbench, tmp_path) -> None:
    said = genbench("run", "vae", "digits", "--epochs", "3", "--batch-size", "100", "--dry-run")
    assert said.code == 0
    assert "model_settings.z_dim = 20" in said.out
    assert "4,200" in said.out
    assert list(tmp_path.iterdir()) == []
    plan = json.loads(genbench("run", "vae", "digits", "--dry-run", "--json").out)
    assert plan["spec"]["model"] == "vae"
    assert plan["cost"]["epochs"] == plan["spec"]["epochs"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("run", "vea", "digits"), "did you mean 'vae'"),
        (("run", "vae", "digit"), "did you mean 'digits'"),
        (("run", "vae", "digits", "--set", "zdim=2"), "did you mean 'z_dim'"),
        (("run", "vae", "digits", "--set", "z_dim=0"), "z_dim"),
        (("run", "vae", "digits", "--device", "gpu"), "cuda"),
        (("run", "vae", "digits", "--device", "cuda:99"), "cuda:99"),
        (("run", "vae", "digits", "--preset", "guo2032"), "did you mean 'guo2023'"),
        (("run", "vae", "digits", "--metric", "fdpixel"), "did you mean 'fd_pixel'"),
        (("run", "gan", "digits", "--metric", "reconstruction"), "reconstructs"),
        (("run", "vae", "digits", "--batch-size", "5000"), "1437"),
    ],
)
def test_what_cannot_be_used_is_one_sentence_and_exit_code_2(genbench, arguments, word) -> None:
    said = genbench(*arguments)
    assert said.code == 2
    assert said.out == ""
    assert len(said.err.strip().splitlines()) == 1
    assert word in said.err


def test_a_name_that_is_taken_is_refused(genbench) -> None:
    assert genbench(*RUN, "--name", "mine", "-q").code == 0
    said = genbench(*RUN, "--name", "mine", "-q")
    assert (said.code, "taken" in said.err) == (2, True)


def test_a_rerun_says_how_it_differs_and_is_a_new_run(genbench, tmp_path) -> None:
    genbench(*RUN, "-q")
    said = genbench("rerun", "@1", "--seed", "3", "--set", "z_dim=5", "--name", "again")
    assert said.code == 0
    assert "seed 0 -> 3" in said.err
    assert "model_settings.z_dim 20 -> 5" in said.err
    with Store.open(tmp_path / "runs.db", mode="read") as store:
        assert store.run("again").seed == 3
        assert len(store.runs()) == 2


def test_evaluate_adds_scores_and_overwrites_none(genbench, tmp_path) -> None:
    genbench(*RUN, "-q")
    said = genbench("evaluate", "@1", "--metric", "fd_pixel", "--samples", "32", "--json")
    assert said.code == 0
    result = json.loads(said.out)
    assert [score["n"] for score in result["scores"]] == [32]
    with Store.open(tmp_path / "runs.db", mode="read") as store:
        assert sorted(score.n for score in store.scores(store.resolve("@1"))) == [32, 64]


def test_sample_writes_what_the_name_of_the_file_says(genbench, tmp_path) -> None:
    genbench(*RUN, "-q")
    said = genbench("sample", "@1", "-n", "9", "--out", "s.npz")
    assert (said.code, said.out) == (0, "s.npz\n")
    with np.load("s.npz") as arrays:
        assert arrays["images"].shape == (9, 8, 8, 1)
    assert genbench("sample", "@1", "-n", "3", "--out", "many/").code == 0
    assert len(list((tmp_path / "many").iterdir())) == 3
    said = genbench("sample", "@1")
    assert said.code == 0
    assert Path(said.out.strip()).is_file()
    assert genbench("sample", "@1", "--out", "s.gif").code == 2
    said = genbench("sample", "@1", "--label", "3")
    assert (said.code, "not conditional" in said.err) == (2, True)


def test_rm_asks_for_yes_where_nobody_can_answer_and_then_deletes_all_of_it(
    genbench, tmp_path, monkeypatch
) -> None:
    genbench(*RUN, "-q")
    genbench(*RUN, "-q", "--seed", "1")
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    said = genbench("rm", "@1")
    assert (said.code, "--yes" in said.err) == (2, True)
    with Store.open(tmp_path / "runs.db", mode="read") as store:
        kept, gone = store.run("@2").id, store.run("@1").id
        assert store.folder(gone).is_dir()
    assert genbench("rm", "@1", "--yes").code == 0
    with Store.open(tmp_path / "runs.db", mode="read") as store:
        assert [run.id for run in store.runs()] == [kept]
        assert not store.folder(gone).exists()


@pytest.mark.parametrize("command", ["resume", "rerun", "evaluate", "sample"])
def test_a_run_that_is_not_there_is_exit_code_3(genbench, command) -> None:
    genbench(*RUN, "-q")
    said = genbench(command, "nosuchrun")
    assert (said.code, said.out) == (3, "")


@pytest.mark.parametrize("command", ["resume", "rerun", "evaluate", "sample"])
def test_a_store_that_is_not_there_is_exit_code_5_and_is_not_made(
    genbench, tmp_path, command
) -> None:
    said = genbench(command, "@1")
    assert (said.code, said.out) == (5, "")
    assert not (tmp_path / "runs.db").exists()


# --- the display


def epoch(number: int, losses: dict[str, float] | None = None) -> Checkpointed:
    done = epoch_done(number, step=number, train_s=0.01, losses=losses or {"vae/loss": 1.0})
    return Checkpointed(path=Path(), step=number, epoch=number, epoch_done=done)


def stage(epochs: int) -> StageStarted:
    return StageStarted(stage="train", index=0, epochs=epochs, steps_per_epoch=1, first_epoch=1)


def test_many_short_epochs_are_few_lines_with_the_first_and_the_last() -> None:
    stream = io.StringIO()
    display = Display(PlainScreen(stream))
    display(stage(400))
    for number in range(1, 401):
        display(epoch(number))
    lines = [line for line in stream.getvalue().splitlines() if line.startswith("epoch")]
    assert 2 <= len(lines) < 20
    assert lines[0].startswith("epoch 1/")
    assert lines[-1].startswith("epoch 400/")


def test_an_epoch_and_its_scores_are_shown_only_once_its_checkpoint_is_safe() -> None:
    stream = io.StringIO()
    display = Display(PlainScreen(stream))
    display(stage(2))
    saved = epoch(1)
    assert saved.epoch_done is not None
    display(saved.epoch_done)
    display(
        Evaluated(
            epoch=1,
            stage="train",
            sampler="plain",
            sampler_settings={},
            scores=[Score(metric="fd_pixel", value=3.5, n=10)],
            seconds={},
            skipped={"fid": "its weights are missing"},
        )
    )
    assert "epoch 1" not in stream.getvalue()
    display(saved)
    shown = stream.getvalue()
    assert shown.index("epoch 1/") < shown.index("fd_pixel 3.5")
    assert "no fid: its weights are missing" in shown


def test_verbose_shows_every_term_and_normal_the_sums_and_the_test() -> None:
    losses = {"vae/bce": 90.0, "vae/kl": 10.0, "vae/loss": 100.0, "test/loss": 103.0}
    assert losses_in_words(losses) == "vae/loss 100  test/loss 103"
    assert "vae/kl 10" in losses_in_words(losses, every_term=True)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_has_a_bar_and_a_dumb_one_or_a_pipe_plain_lines(monkeypatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(open_display(0, Terminal()).screen, PlainScreen)
    assert isinstance(open_display(0, io.StringIO()).screen, PlainScreen)
    monkeypatch.setenv("TERM", "xterm")
    with open_display(0, Terminal()) as display:
        assert display.redraws
        display(stage(3))
        display(epoch(1))
