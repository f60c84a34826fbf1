"""``genbench run --set a=1,2``: a grid of runs."""

from __future__ import annotations

import os
import signal

import pytest

from genbench.cli import stopping
from genbench.errors import SettingError
from genbench.planning.sources import Scope
from genbench.planning.sweeps import grid, varying
from genbench.registry import Registry
from genbench.store import Store

SMALL = ("--set", "data.size=8", "--set", "hidden=[8]", "--batch-size", "240", "--device", "cpu")
RUN = (
    *("run", "vae", "digits", *SMALL, "--epochs", "1", "--no-watch"),
    *("--metric", "fd_pixel", "--samples", "64"),
)


@pytest.fixture(scope="module")
def scope() -> Scope:
    return Scope(registry=Registry.from_environment(), model="vae", dataset="image-folder")


@pytest.mark.parametrize(
    ("sets", "cells"),
    [
        ((), [()]),
        (("lr=1e-3",), [("lr=1e-3",)]),
        (("lr=1e-3,1e-4", "z_dim=2"), [("lr=1e-3", "z_dim=2"), ("lr=1e-4", "z_dim=2")]),
        (("hidden=[8,4]",), [("hidden=[8,4]",)]),
        (("hidden=[8,4],[8]",), [("hidden=[8,4]",), ("hidden=[8]",)]),
        (("data.path=a,b",), [("data.path=a,b",)]),
        (("run.metrics=fd_clf,fd_pixel",), [("run.metrics=fd_clf,fd_pixel",)]),
        (("likelihood=bernoulli,mse",), [("likelihood=bernoulli",), ("likelihood=mse",)]),
    ],
)
def test_commas_separate_values_except_within_a_list_and_in_free_text(scope, sets, cells) -> None:
    assert grid(sets, scope) == cells


def test_a_grid_varies_the_last_setting_fastest_and_names_what_varies(scope) -> None:
    cells = grid(("lr=1e-3,1e-4", "hidden=[8]", "z_dim=2,3"), scope)
    assert varying(cells) == [
        ("lr=1e-3", "z_dim=2"),
        ("lr=1e-3", "z_dim=3"),
        ("lr=1e-4", "z_dim=2"),
        ("lr=1e-4", "z_dim=3"),
    ]


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (("lr=1e-3,",), "lr=1e-3,: a value between its commas is empty"),
        (("lr=1e-3,1e-3",), "the value 1e-3 is given twice"),
        (("lr=1e-3,1e-4", "lr=1e-5"), "lr: it is given twice"),
        (("lrr=1,2",), "has no setting 'lrr'"),
        (
            tuple(f"{n}={','.join(map(str, range(1, 32)))}" for n in ("z_dim", "beta", "lr")),
            "29,791 combin",
        ),
    ],
)
def test_a_sweep_that_can_not_be_meant_is_one_sentence(scope, sets, message: str) -> None:
    with pytest.raises(SettingError, match=message.replace("(", r"\(")):
        grid(sets, scope)


def test_a_dry_run_shows_the_grid_and_what_all_of_it_costs(genbench) -> None:
    sweep = ("--set", "lr=1e-3,1e-4", "--set", "z_dim=2,3", "--seeds", "0..2", "--dry-run")
    plan = genbench(*RUN, *sweep, "--json").json
    assert [cell["set"] for cell in plan["grid"]] == [
        ["lr=1e-3", "z_dim=2"],
        ["lr=1e-3", "z_dim=3"],
        ["lr=1e-4", "z_dim=2"],
        ["lr=1e-4", "z_dim=3"],
    ]
    assert len({cell["experiment"] for cell in plan["grid"]}) == 4
    assert plan["cost"]["runs"] == 12
    assert plan["cost"]["images"] == 12 * plan["grid"][0]["cost"]["images"]
    said = genbench(*RUN, *sweep)
    assert "vae on digits: 12 runs" in said.out
    assert "lr=1e-4, z_dim=3: 1 epochs" in said.out


def test_each_run_of_a_grid_is_a_run_of_its_own(genbench, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = genbench(*RUN, "--set", "lr=1e-3,1e-4", "--seeds", "3,4", "--name", "g", "--json")
    assert said.code == 0, said.err
    runs = said.json["runs"]
    assert [run["name"] for run in runs] == [
        "g-lr=1e-3-3",
        "g-lr=1e-3-4",
        "g-lr=1e-4-3",
        "g-lr=1e-4-4",
    ]
    assert [run["set"] for run in runs] == [["lr=1e-3"], ["lr=1e-3"], ["lr=1e-4"], ["lr=1e-4"]]
    assert len({run["experiment"] for run in runs}) == 2
    assert "4 runs of vae on digits" in said.err
    again = genbench(*RUN, "--set", "lr=1e-2,1e-4", "--name", "g", "--seeds", "3")
    assert again.code == 2
    assert "g-lr=1e-4-3" in again.err
    with Store.open(tmp_path / "runs.db", mode="read") as store:
        assert len(store.runs()) == 4


def test_a_value_out_of_bounds_stops_a_grid_before_its_first_run(genbench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = genbench(*RUN, "--set", "lr=1e-3,-1")
    assert said.code == 2
    assert "'lr' = -1 (from --set): it must be more than 0" in said.err
    said = genbench(*RUN, "--set", "lr=1e-3,0.001")
    assert "lr=1e-3 and lr=0.001 train the same thing" in said.err
    said = genbench(*RUN, "--set", "lr=1e-3,1e-4", "--set", "seed=1", "--seeds", "0,1")
    assert "--seeds and --set seed=... are both given" in said.err
    assert not (tmp_path / "runs.db").exists()


def test_ctrl_c_stops_the_whole_grid(genbench, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    ordinary, calls = stopping.StopSignals.__call__, []

    def call(self: stopping.StopSignals) -> bool:
        calls.append(None)
        if len(calls) == 8:
            os.kill(os.getpid(), signal.SIGINT)
        return ordinary(self)

    monkeypatch.setattr(stopping.StopSignals, "__call__", call)
    said = genbench(*RUN, "--epochs", "9", "--set", "lr=1e-3,1e-4,1e-5")
    assert said.code == 130
    assert "not started: 2 more runs" in said.err
    with Store.open(tmp_path / "runs.db", mode="read") as store:
        assert [run.status for run in store.runs()] == ["interrupted"]
