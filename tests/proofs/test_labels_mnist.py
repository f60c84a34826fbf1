"""Conditional models on MNIST draw the digit that they are asked for (minutes)."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]


@pytest.mark.parametrize(("model", "epochs"), [("cvae", 6), ("cvae-gan", 2)])
def test_the_shipped_classifier_reads_95_percent_of_samples_as_the_class_asked_for(
    model, epochs, real_data, tmp_path
):
    words = ["run", model, "mnist", "--epochs", str(epochs), "--metric", "label_accuracy"]
    words += ["--data-dir", str(real_data), "--store", str(tmp_path / "runs.db"), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "genbench", *words], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    [score] = json.loads(done.stdout)["scores"]
    print(f"{model}: {score['value']:.4f} of {score['n']}")
    assert score["metric"] == "label_accuracy"
    assert score["value"] >= 0.95
