"""Rows that are trained on the latents of another row: when they start, on what, and their seconds.

The commands of the study are carried out by rows in the store instead of child processes.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from recorded import epoch_done

from genbench.contracts import DataAccess
from genbench.errors import StoreError
from genbench.events import StageStarted
from genbench.registry import Registry
from genbench.store import Recorder, Store
from genbench.store.claimed_task import CLAIM
from genbench.store.lifecycle import environment_number
from genbench.study import Places, execute, forecast, make_plan, read_study, results
from genbench.study.existing_runs import ExistingRuns
from genbench.study.grid import planned_runs
from genbench.work import Command, Ended

STUDY = """
title = "T"
datasets = ["digits"]
seeds = [0, 1]
metrics = ["fd_pixel"]
epochs = 3
[[runs]]
name = "VAE"
model = "vae"
[[runs]]
name = "graft"
model = "gan"
on = "VAE"
[table]
columns = ["train_s", "cpu_s"]
"""


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "t.toml"
    path.write_text(STUDY)
    access = DataAccess(root=tmp_path, cache=tmp_path, offline=True)
    registry = Registry.from_environment()
    return make_plan(path, read_study(path), registry, access, {}, tmp_path)


@pytest.fixture
def places(tmp_path):
    return Places(store=str(tmp_path / "runs.db"), folder=tmp_path / "study")


def trained(store: Store, spec) -> str:
    """The id of a finished run of this spec with one epoch of 2 CPU seconds."""
    run = store.create_run(
        replace(spec, device="cpu"), stages=[("train", 3)], environment={"threads": 1}
    )
    with Recorder(store, run.id) as recorder:
        recorder(StageStarted(stage="train", index=0, epochs=3, steps_per_epoch=20, first_epoch=1))
        recorder(epoch_done(1, cpu_s=2.0))
    store.finish(run.id)
    return run.id


@pytest.fixture
def carried_out(monkeypatch, plan, places):
    """The commands that a study starts, in their order; each succeeds at once."""
    commands = []

    class Finished:
        """A child that has trained its run already."""

        def __init__(self, command: Command) -> None:
            self.command = command
            self.answer = {"scores": []}
            if command.arguments[0] == "evaluate":
                return
            commands.append(command.arguments[:3])
            monkeypatch.setenv(CLAIM, command.environ[CLAIM])
            with Store.open(places.store) as store:
                existing = ExistingRuns(store, plan)
                known = [p for p in map(existing.ready, planned_runs(plan, {})) if p]
                (planned,) = [p for p in known if p.title == command.title]
                self.answer |= {"run": trained(store, planned.spec), "train_s": 2.0}

        def has_ended(self) -> bool:
            return True

        def result(self) -> Ended:
            return Ended(command=self.command, code=0, answer=self.answer, error="", seconds=1.0)

    monkeypatch.setattr("genbench.work.worker.Child", Finished)
    return commands


def test_each_starts_when_the_run_of_its_seed_is_there_and_is_trained_on_that(
    plan, places, carried_out
):
    said: list[str] = []
    outcome = execute(plan, places, should_stop=lambda: False, say=said.append)
    assert (outcome.trained, outcome.failed) == (4, 0)
    with Store.open(places.store, mode="read") as store:
        vaes = {run.seed: run.id for run in store.runs(model="vae")}
    vae = ("run", "vae", "digits")
    grafts = [("run", "gan", f"latents:{vaes[seed]}") for seed in (0, 1)]
    assert carried_out == [vae, grafts[0], vae, grafts[1]]


def test_a_study_that_is_done_is_reused_as_a_whole(plan, places, carried_out):
    for _ in range(2):
        outcome = execute(plan, places, should_stop=lambda: False, say=lambda text: None)
    assert (outcome.trained, outcome.reused) == (0, 4)
    assert all(one.run is not None for one in forecast(plan, places))


def test_nothing_of_a_row_is_planned_as_a_run_before_its_source_is_finished(plan, places):
    Store.open(places.store, mode="create").close()
    vae, graft = planned_runs(plan, {})[:2]
    assert graft.spec.parents == graft.spec.parent_experiments == (vae.spec.experiment,)
    with Store.open(places.store) as store:
        assert ExistingRuns(store, plan).ready(graft) is None
        source = trained(store, vae.spec)
        ready = ExistingRuns(store, plan).ready(graft)
        assert ready.spec.parents == (source,)
        assert ready.spec.dataset_settings["run"] == source
        assert ready.spec.parent_experiments == (vae.spec.experiment,)


def test_a_forecast_needs_no_store_but_refuses_one_that_it_cannot_read(plan, places):
    assert [one.run for one in forecast(plan, places)] == [None] * 4
    shutil.copy(Path(__file__).parents[1] / "store/old/v8.db", places.store)
    with pytest.raises(StoreError, match="older schema 8"):
        forecast(plan, places)


def test_rows_on_the_latents_of_one_row_differ_by_its_data_set(tmp_path):
    text = STUDY.replace('["digits"]', '["digits", "mnist"]')
    (tmp_path / "t.toml").write_text(text)
    access = DataAccess(root=tmp_path, cache=tmp_path, offline=True)
    both = read_study(tmp_path / "t.toml")
    wide = make_plan(tmp_path / "t.toml", both, Registry.from_environment(), access, {}, tmp_path)
    assert [entry.title for entry in wide.entries if entry.source] == [
        "graft on digits",
        "graft on mnist",
    ]


def test_its_row_stands_under_its_title_beside_the_others_of_the_data_set(
    plan, places, carried_out
):
    execute(plan, places, should_stop=lambda: False, say=lambda text: None)
    with Store.open(places.store, mode="read") as store:
        (table,) = results(store, plan, {}).tables
    assert table.dataset == "digits"
    assert {row.title: len(row.runs) for row in table.rows} == {"VAE": 2, "graft": 2}


def test_its_cpu_seconds_include_those_of_the_run_that_it_is_trained_on(plan, places, carried_out):
    execute(plan, places, should_stop=lambda: False, say=lambda text: None)
    with Store.open(places.store, mode="read") as store:
        (table,) = results(store, plan, {}).tables
    means = {row.title: row.values["cpu_s"].measure.mean for row in table.rows}
    assert means == {"VAE": 2.0, "graft": 4.0}


def test_cpu_seconds_of_two_machines_are_not_averaged(plan, places, carried_out):
    execute(plan, places, should_stop=lambda: False, say=lambda text: None)
    with Store.open(places.store) as store, store.transaction() as connection:
        other = environment_number(connection, {"cpu": "another one"})
        connection.exec_driver_sql(
            "UPDATE run_environments SET environment = ? WHERE run = "
            "(SELECT run FROM runs WHERE model = 'vae' AND seed = 1)",
            (other,),
        )
    with Store.open(places.store, mode="read") as store:
        (table,) = results(store, plan, {}).tables
    (vae,) = [row for row in table.rows if row.title == "VAE"]
    assert vae.values["cpu_s"].text == "2 (n 1)"
