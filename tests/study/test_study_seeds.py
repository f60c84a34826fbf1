"""Seeds of a study that are trained together: which ones, by what command, and how they end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from genbench.contracts import DataAccess
from genbench.registry import Registry
from genbench.store import Store
from genbench.study import Places, Plan, execute, groups_of, make_plan, read_study
from genbench.study.grid import planned_runs
from genbench.study.seed_groups import parts, why_alone
from genbench.study.tasks import seeds_task
from genbench.work import Command, Ended

STUDY = """
title = "Seeds"
datasets = ["digits"]
seeds = [0, 1, 4]
samples = 64
metrics = ["fd_pixel"]
batch_size = 240
{more}
[set]
data.size = 8
run.watch = false
[[runs]]
name = "VAE"
model = "vae"
{length}
set = {{ hidden = [8], z_dim = 2 }}
[table]
{table}
"""


def plan_of(folder: Path, *, more: str = "", length: str = "epochs = 1", table: str = "") -> Plan:
    path = folder / "seeds.toml"
    path.write_text(STUDY.format(more=more, length=length, table=table))
    access = DataAccess(root=folder, cache=folder, offline=True)
    registry = Registry.from_environment()
    return make_plan(path, read_study(path), registry, access, os.environ, folder)


@pytest.mark.parametrize(
    ("changes", "jobs", "reason"),
    [
        ({}, 1, ""),
        ({}, 2, "several jobs run at a time"),
        ({"more": "together = false"}, 1, "together = false"),
        ({"length": "seconds = 5.0"}, 1, "its length is in seconds"),
        ({"table": 'columns = ["fd_pixel", "s/epoch"]'}, 1, "the tables show s/epoch"),
        ({"table": 'sort_by = "train_s"'}, 1, "the tables show train_s"),
    ],
)
def test_seeds_share_a_command_unless_seconds_or_jobs_speak_against_it(
    changes: dict[str, Any], jobs: int, reason: str, tmp_path: Path
) -> None:
    plan = plan_of(tmp_path, **changes)
    [entry] = plan.entries
    assert why_alone(plan, entry, jobs) == reason
    groups = groups_of(plan, planned_runs(plan, {}), jobs)
    assert bool(groups) is not bool(reason)


def test_a_single_missing_seed_is_trained_as_ever(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    assert groups_of(plan, planned_runs(plan, {})[:1], 1) == {}


def test_each_seed_of_a_group_ends_by_its_own_status(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    group = tuple(planned_runs(plan, {}))
    task = seeds_task(plan, group)
    assert task.title == "VAE on digits, seeds 0, 1, 4"
    words = " ".join(task.command)
    assert "--seeds 0,1,4 --together-if-faster" in words
    assert "--seed " not in words
    runs = [
        {"seed": 0, "run": "a", "status": "finished", "error": None},
        {"seed": 1, "run": "b", "status": "failed", "error": "training diverged"},
    ]
    command = Command(title=task.title, arguments=task.command, log=tmp_path / "log")
    end = Ended(command=command, code=1, answer={"runs": runs}, error="1 of 2 failed", seconds=9.0)
    found = {planned.seed: own for planned, own in parts(end, group)}
    assert [own.code for own in found.values()] == [0, 1, 1]
    assert [own.reason for own in found.values()][1:] == ["training diverged", "1 of 2 failed"]
    assert found[0].answer["run"] == "a"
    assert found[0].seconds == 3.0


def test_the_seeds_of_a_row_become_runs_by_one_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan, told = plan_of(tmp_path), list[str]()
    places = Places(store="runs.db", folder=tmp_path / "runs" / "study-seeds")
    outcome = execute(plan, places, should_stop=lambda: False, say=told.append)
    assert (outcome.trained, outcome.failed, outcome.remarks) == (3, 0, [])
    assert sum("started" in line for line in told) == 1
    for seed in (0, 1, 4):
        assert sum(f"VAE on digits, seed {seed}: fd_pixel" in line for line in told) == 1
    assert any(line.startswith("[3/3]") for line in told)
    with Store.open("runs.db", mode="read") as store:
        runs = store.runs()
        assert sorted(run.seed for run in runs) == [0, 1, 4]
        assert all({"study:seeds", "row:VAE"} <= set(run.tags) for run in runs)
    again = execute(plan, places, should_stop=lambda: False, say=told.append)
    assert (again.reused, again.trained) == (3, 0)
