"""genbench in Python: what the command line does, with the same plan and the same numbers."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import genbench
from genbench.store import Store

SETTINGS = {"data.size": 8, "z_dim": 3, "hidden": [16]}
FIELDS = {"epochs": 1, "batch_size": 200, "metrics": ["fd_pixel"], "samples": 50, "device": "cpu"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a store of one conditional model, trained from Python."""
    folder = tmp_path_factory.mktemp("python")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run = genbench.run(
            "cvae", "digits", settings=SETTINGS, name="first", tags=["a"], seed=3, **FIELDS
        )
        assert run.status == "finished"
    return folder


@pytest.fixture(autouse=True)
def here(home, monkeypatch):
    monkeypatch.chdir(home)


@pytest.fixture(scope="module")
def model(home):
    return genbench.load("first", store=str(home / "runs.db"))


def test_a_run_from_python_is_the_experiment_of_the_command(home, command_line):
    line = ["run", "cvae", "digits", "--dry-run", "--json", "--seed", "3"]
    for key, value in SETTINGS.items():
        line += ["--set", f"{key}={json.dumps(value)}"]
    line += ["--epochs", "1", "--batch-size", "200", "--metric", "fd_pixel", "--samples", "50"]
    answer = command_line(*line, "--device", "cpu", folder=home)
    with Store.open(home / "runs.db", mode="read") as store:
        assert json.loads(answer.out)["experiment"] == store.run("first").experiment


def test_a_wrong_setting_is_the_same_sentence_as_on_the_command_line():
    with pytest.raises(genbench.SettingError, match="z_dmi"):
        genbench.run("cvae", "digits", settings={"z_dmi": 3})
    with pytest.raises(genbench.UsageError, match="did you mean"):
        genbench.run("cvea", "digits")


def test_runs_scores_and_curves_are_records_and_frames(home):
    [run] = genbench.runs(frame=False)
    assert (run["name"], run["model"], run["seed"]) == ("first", "cvae", 3)
    [score] = genbench.scores("model=cvae", frame=False)
    assert (score["metric"], score["n"]) == ("fd_pixel", 50)
    with pytest.raises(
        genbench.UsageError, match=r"unknown series 'test/kk'.*did you mean 'test/kl'"
    ):
        genbench.curves("first", series="test/kk", frame=False)
    points = genbench.curves("first", series="test/kl", frame=False)
    assert [(p["series"], p["step"]) for p in points] == [("test/kl", points[-1]["step"])]
    assert genbench.runs("model=gan", frame=False) == []
    pandas = pytest.importorskip("pandas", reason="pip install 'genbench[pandas]'")
    frame = genbench.scores()
    assert isinstance(frame, pandas.DataFrame)
    assert frame["value"].iloc[0] == score["value"]
    assert list(genbench.curves().columns) == ["id", "series", "kind", "step", "value"]


def test_archived_runs_are_left_out_unless_asked_for(home):
    with Store.open(home / "runs.db") as store:
        run = store.resolve("first")
        store.set_archived([run], True)
        assert genbench.runs(frame=False) == []
        assert len(genbench.runs(archived=True, frame=False)) == 1
        store.set_archived([run], False)


def test_a_frame_without_pandas_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(genbench.UsageError, match=r"genbench\[pandas\]"):
        genbench.runs()


def test_what_is_not_finite_comes_back_as_it_was(tmp_path):
    from genbench.events import StepsDone
    from genbench.spec import RunSpec
    from genbench.store import Recorder

    with Store.open(tmp_path / "runs.db", mode="create") as store:
        spec = RunSpec(model="vae", dataset="digits", epochs=1, batch_size=1)
        run = store.create_run(spec, stages=[("train", 1)], environment={})
        values = [(1, math.inf), (2, -math.inf), (3, math.nan), (4, 1.0)]
        with Recorder(store, run.id) as recorder:
            recorder(StepsDone(stage="train", epoch=1, step=4, series={"loss": values}))
        store.finish(run.id)
    points = genbench.curves(store=str(tmp_path / "runs.db"), frame=False)
    assert repr([p["value"] for p in points]) == "[inf, -inf, nan, 1.0]"


def test_samples_are_those_of_the_command_with_the_same_seed(home, model, command_line):
    answer = command_line(
        *("sample", "first", "-n", "6", "--label", "3", "--seed", "5", "--out", "s.npz"),
        folder=home,
    )
    assert answer.code == 0, answer.err
    images = model.sample(6, label=3, seed=5)
    assert (images.dtype, images.shape) == (np.uint8, (6, 8, 8, 1))
    assert np.array_equal(images, np.load(Path(home, "s.npz"))["images"])
    assert not np.array_equal(images, model.sample(6, label=3, seed=6))
    with pytest.raises(genbench.UsageError, match=r"^label 12: 'digits' has the classes 0 to 9"):
        model.sample(6, label=12)


def test_codes_decode_and_ways_begin_and_end_where_they_should(model):
    codes = model.encode()
    assert codes.shape == (len(model.data.test.x), 3)
    stored = np.ascontiguousarray(np.asarray(model.data.test.x[:4]).transpose(0, 2, 3, 1))
    assert model.encode(stored, label=3).shape == (4, 3)
    decoded = model.decode(codes[:4], label=3)
    assert (decoded.dtype, decoded.shape) == (np.uint8, (4, 8, 8, 1))
    way = model.interpolate(stored[0], stored[1], steps=5, label=3)
    ends = model.decode(model.encode(stored[:2], label=3), label=3)
    assert way.shape == (5, 8, 8, 1)
    assert np.array_equal(way[[0, -1]], ends)
    assert model.interpolate(steps=4, label=2).shape == (4, 8, 8, 1)


def test_nothing_moves_the_global_random_numbers(model):
    import torch

    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    model.sample(4)
    model.interpolate(steps=3)
    assert torch.equal(torch.rand(3), expected)


def test_what_can_not_be_is_one_sentence(model):
    with pytest.raises(genbench.UsageError, match="uint8 arrays"):
        model.encode(np.zeros((2, 9, 9, 1), np.uint8))
    with pytest.raises(genbench.UsageError, match="neither"):
        model.interpolate(np.zeros((8, 8, 1), np.uint8))
    with pytest.raises(genbench.UsageError, match="at least 2"):
        model.interpolate(steps=1)
    with pytest.raises(genbench.UsageError, match="sampler"):
        model.sample(2, sampler="plian")
    with pytest.raises(genbench.GenbenchError, match="unknown"):
        genbench.load("unknown")


def test_importing_genbench_and_asking_for_runs_loads_neither_torch_nor_numpy(home):
    code = (
        "import sys, genbench; genbench.runs(frame=False); genbench.scores(frame=False)\n"
        "assert not {'torch', 'numpy', 'alembic'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=home)
