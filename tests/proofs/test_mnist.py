"""Default settings on real MNIST and Fashion-MNIST (minutes to an hour)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]


def run(folder: Path, data: Path, *arguments: str) -> dict[str, object]:
    """Run and show; the shown run as JSON."""
    store = ("--store", str(folder / "runs.db"))
    command = [sys.executable, "-m", "genbench"]
    done = subprocess.run(
        [*command, "run", *arguments, *store, "--data-dir", str(data), "--json"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    run_id = json.loads(done.stdout)["run"]
    shown = subprocess.run(
        [*command, "show", run_id, *store, "--json"], capture_output=True, text=True, check=True
    )
    return json.loads(shown.stdout)


@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist"])
@pytest.mark.parametrize("model", ["vae", "gan", "dcgan", "vaegan"])
def test_default_settings_learn_real_images(tmp_path, real_data, model, dataset):
    shown = run(tmp_path, real_data, model, dataset)
    score = next(s for s in shown["scores"] if s["metric"] == "fd_clf")
    # Noise scores 400 to 600; a model of half the classes 160 to 240.
    assert score["value"] < 150
    assert shown["status"] == "finished"
