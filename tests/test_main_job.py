"""The README's first command, with its default settings: fast, scored, and better than noise."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys

import pytest
from PIL import Image

from genbench import DataSpec
from genbench.registry import Registry

DIGITS = DataSpec(name="digits", shape=(1, 28, 28), classes=10, train=1437, test=360)


def genbench(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "genbench", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def cpu_seconds() -> float:
    """Those of all children so far: the work done on one thread, whatever else the machine does."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def slowness() -> float:
    """How many times the 1.2 s of an ordinary core an import of torch takes here."""
    before = cpu_seconds()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return max(1.0, (cpu_seconds() - before) / 1.2)


@pytest.mark.slow
def test_the_main_job_trains_scores_and_draws_in_a_minute_of_one_core(tmp_path):
    slow = slowness()
    before = cpu_seconds()
    done = genbench(tmp_path, "run", "vaegan", "digits", "--json")
    seconds = cpu_seconds() - before
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["status"] == "finished"
    scores = {score["metric"]: score for score in result["scores"]}
    # Pure noise scores some 3,000 and a model of half the classes 650; the floor is 25.
    assert scores["fd_clf"]["value"] < 250
    assert 0 < scores["fd_clf"]["floor"] < 60
    assert scores["reconstruction"]["value"] < 0.02
    grid = tmp_path / "runs" / result["run"] / "samples.png"
    with Image.open(grid) as picture:
        assert min(picture.size) >= 8 * 28
    assert seconds < 60 * slow


@pytest.mark.parametrize("model", ["vae", "gan", "dcgan", "vaegan"])
def test_every_models_default_length_on_digits_is_bounded(model):
    training = Registry.from_environment().settings("model", model).training
    assert 20 <= training.epochs_for(DIGITS.train) <= 300
    assert training.epochs_for(60_000) <= 40


@pytest.mark.parametrize(
    ("model", "epochs", "settings"),
    [
        ("vae", 15, ()),
        pytest.param(
            "dcgan",
            40,
            ("--set", "g_channels=8", "--set", "d_channels=8"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_model_that_a_command_trains_learns_on_digits(
    command_line, tmp_path, model, epochs, settings
):
    common = ("--metric", "fd_clf", "--no-watch", "--json", *settings)
    values = []
    for count in (1, epochs):
        arguments = ("run", model, "digits", "--epochs", str(count), *common)
        answer = command_line(*arguments, folder=tmp_path, limit=600)
        assert answer.code == 0, answer.err
        values.append(json.loads(answer.out)["scores"][0]["value"])
    assert values[1] < 0.7 * values[0]
