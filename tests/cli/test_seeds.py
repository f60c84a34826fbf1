"""``genbench run --seeds``: a run for each seed, together or one after the other."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import torch

from genbench.cli import stopping
from genbench.store import Store

SMALL = ("--set", "data.size=8", "--set", "hidden=[8]", "--batch-size", "240", "--device", "cpu")
SCORED = ("--metric", "fd_pixel", "--samples", "64", "--no-watch")
RUN = ("run", "vae", "digits", *SMALL, *SCORED, "--epochs", "2", "--json")
SEEDS = ("--seeds", "0..2")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("seeds")


@pytest.fixture
def genbench(genbench, home: Path, monkeypatch: pytest.MonkeyPatch):
    """The command line, called in one folder."""
    monkeypatch.chdir(home)
    return genbench


@pytest.fixture
def together(home: Path, genbench) -> dict:
    """Three seeds that were trained together, and one alone."""
    done = home / "answer.json"
    if not done.exists():
        said = genbench(*RUN, *SEEDS, "--together", "--name", "trio", "--tag", "t")
        assert said.code == 0, said.err
        (home / "said.txt").write_text(said.err)
        done.write_text(json.dumps(said.json))
        assert genbench(*RUN, "--seed", "7").code == 0
    return json.loads(done.read_text())


def test_seeds_together_are_one_object_of_runs_that_each_have_all_of_a_run(
    together: dict, home: Path
) -> None:
    runs = together["runs"]
    assert together["together"] is True
    assert [(run["seed"], run["name"]) for run in runs] == [
        (0, "trio-0"),
        (1, "trio-1"),
        (2, "trio-2"),
    ]
    assert {run["experiment"] for run in runs} == {runs[0]["experiment"]}
    for run in runs:
        assert run["status"] == "finished"
        assert [score["metric"] for score in run["scores"]] == ["fd_pixel"]
        assert (Path(run["folder"]) / "samples.png").is_file()
    assert len({run["scores"][0]["value"] for run in runs}) == 3
    with Store.open(home / "runs.db", mode="read") as store:
        assert [len(store.epochs(run["run"])) for run in runs] == [2, 2, 2]
        assert store.trained_together(runs[1]["run"]) == (0, 1, 2)
        assert store.run(runs[0]["run"]).tags == ("t",)


def test_the_display_shows_an_epoch_once_for_all_seeds(together: dict, home: Path) -> None:
    said = (home / "said.txt").read_text()
    assert said.count("epoch 1/2") == said.count("epoch 2/2") == 1
    assert "3 runs, seeds 0 to 2: vae on digits, 2 epochs" in said
    assert "trained together: a step of all 3 takes" in said
    for seed in range(3):
        assert f"seed {seed}: scores after epoch 2 (plain): fd_pixel" in said
        assert f"seed {seed}  run " in said


def test_seconds_of_seeds_together_stand_apart_from_those_of_a_run_alone(
    together: dict, genbench
) -> None:
    said = genbench("compare", "--json")
    [table] = said.json["datasets"]
    [row] = table["rows"]
    assert "3 seeds together" in row["seconds_on"]
    assert row["total_s"]["n"] == 1
    shown = genbench("compare")
    assert "seconds are from 3 of 4 runs" in shown.err
    assert "3 seeds together" in shown.out


def test_show_and_rerun_say_that_a_run_was_not_trained_alone(together: dict, genbench) -> None:
    run = together["runs"][1]["run"]
    shown = genbench("show", run).out
    assert "together with 2 other seeds (0, 2)" in " ".join(shown.split())
    assert genbench("show", run, "--json").json["environment"]["together"] == [0, 1, 2]
    again = genbench("rerun", run, "--json")
    assert again.code == 0
    assert f"{run} was trained together with other seeds (0 to 2); alone it draws" in again.err
    assert "together with" not in genbench("show", again.json["run"]).out


def test_without_together_the_same_runs_are_trained_one_after_the_other(genbench) -> None:
    said = genbench(*RUN, "--seeds", "7,9")
    assert said.json["together"] is False
    runs = said.json["runs"]
    assert [run["seed"] for run in runs] == [7, 9]
    alone = genbench(*RUN, "--seed", "7").json
    assert runs[0]["scores"][0]["value"] == alone["scores"][0]["value"]
    assert said.err.count("epoch 2/2") == 2


def test_a_model_that_can_not_be_stacked_is_trained_one_after_the_other_with_the_reason(
    genbench,
) -> None:
    said = genbench(*RUN, *SEEDS, "--together", "--compile", "--epochs", "1", "--dry-run")
    assert said.json["seeds"] == [0, 1, 2]
    arguments = ("run", "sngan", "digits", *SMALL[:2], *SMALL[4:], *SCORED, "--epochs", "1")
    nets = ("--set", "g_hidden=[8]", "--set", "d_hidden=[8]")
    said = genbench(*arguments, *nets, "--seeds", "0,1", "--together", "--json")
    assert said.code == 0, said.err
    assert said.json["together"] is False
    assert "2 seeds: trained one after the other: phase 'd': it uses an operation that" in said.err


def test_one_seed_that_diverges_fails_alone(genbench, monkeypatch: pytest.MonkeyPatch) -> None:
    from genbench_vae.vae import VAE

    ordinary = VAE.loss
    seen: list[float] = []

    def first_weight(model: VAE) -> torch.Tensor:
        return next(model.nets.parameters()).flatten()[0]

    built = VAE.__init__

    def build(self: VAE, *arguments) -> None:
        built(self, *arguments)
        seen.append(first_weight(self).item())

    def loss(self: VAE, batch):
        terms = ordinary(self, batch)
        ill = (first_weight(self) - seen[1]).abs() < 1e-9
        name, value = next(iter(terms["vae"].items()))
        worse = torch.where(ill & torch.tensor(batch.step > 6), float("nan"), value)
        return {**terms, "vae": {**terms["vae"], name: worse}}

    monkeypatch.setattr(VAE, "__init__", build)
    monkeypatch.setattr(VAE, "loss", loss)
    # A rate of almost 0 keeps the weight that tells the seeds apart.
    said = genbench(*RUN, *SEEDS, "--together", "--set", "lr=1e-30")
    assert said.code == 1
    statuses = [run["status"] for run in said.json["runs"]]
    assert statuses == ["finished", "failed", "finished"]
    assert "seed 1 failed: training diverged" in said.err
    assert "is nan at step 8" in said.err
    failed = said.json["runs"][1]
    assert genbench("show", failed["run"], "--json").json["status"] == "failed"


def test_a_stop_interrupts_all_seeds_and_each_can_be_resumed_alone(
    genbench, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    ordinary, calls = stopping.StopSignals.__call__, []

    def call(self: stopping.StopSignals) -> bool:
        calls.append(None)
        if len(calls) == 12:
            os.kill(os.getpid(), signal.SIGINT)
        return ordinary(self)

    monkeypatch.setattr(stopping.StopSignals, "__call__", call)
    said = genbench(*RUN, *SEEDS, "--together", "--epochs", "9")
    assert said.code == 130
    runs = said.json["runs"]
    assert {run["status"] for run in runs} == {"interrupted"}
    assert "3 runs are interrupted" in said.err
    monkeypatch.undo()
    monkeypatch.chdir(home)
    resumed = [genbench("resume", run["run"], "--json").json for run in runs[:2]]
    assert [run["status"] for run in resumed] == ["finished", "finished"]
    shown = genbench("show", runs[0]["run"], "--json").json
    assert [epoch["epoch"] for epoch in shown["epochs"]] == list(range(1, 10))
    assert "together" in shown["environments"][0]
    assert "together" not in shown["environments"][1]


def test_a_name_that_is_taken_starts_no_seed(together: dict, genbench, home: Path) -> None:
    with Store.open(home / "runs.db", mode="read") as store:
        before = len(store.runs())
    said = genbench(*RUN, "--seeds", "2,5", "--name", "trio", "--together")
    assert said.code == 2
    assert "trio-2" in said.err
    with Store.open(home / "runs.db", mode="read") as store:
        assert len(store.runs()) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--seeds", "0..3", "--seed", "3"), "--seed and --seeds are both given"),
        (("--together",), "--together is for several seeds; add them"),
        (("--together-if-faster",), "--together-if-faster is for several seeds"),
        (("--seeds", "3..1"), "the first seed must not be above the last one"),
        (("--seeds", "1,x"), "expected seeds such as 0,1,2 or 0..31"),
        (("--seeds", "0..99999999"), "more than 4,096 seeds"),
        (("--seeds", "0,1", "--dry-run", "--format", "toml"), "leave out --seeds"),
    ],
)
def test_options_that_do_not_go_together_are_usage_errors(
    arguments: tuple[str, ...], message: str, genbench
) -> None:
    said = genbench(*RUN, *arguments)
    assert said.code == 2
    assert message in said.err
