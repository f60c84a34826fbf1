"""Published curves and default settings on real MNIST and Fashion-MNIST (minutes to an hour)."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

GUO2023 = {1: 173.8, 2: 166.2, 5: 160.1}
"""Test loss per image (BCE + KL) after so many epochs, as the document's code printed it."""


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


def test_guo2023s_vae_follows_the_documents_curve_within_one_and_a_half_percent(
    tmp_path, real_data
):
    losses: dict[int, list[float]] = {epoch: [] for epoch in GUO2023}
    for seed in ("0", "1", "2"):
        shown = run(
            tmp_path,
            real_data,
            *("vae", "mnist", "--preset", "guo2023", "--epochs", "5", "--seed", seed),
        )
        for epoch in shown["epochs"]:
            if epoch["epoch"] in losses:
                losses[epoch["epoch"]].append(epoch["losses"]["test/loss"])
    for epoch, published in GUO2023.items():
        assert len(losses[epoch]) == 3
        mean = statistics.mean(losses[epoch])
        assert abs(mean / published - 1) < 0.015, f"epoch {epoch}: {mean:.1f}, not {published}"


@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist"])
@pytest.mark.parametrize("model", ["vae", "gan", "dcgan", "vaegan"])
def test_default_settings_learn_real_images(tmp_path, real_data, model, dataset):
    shown = run(tmp_path, real_data, model, dataset)
    score = next(s for s in shown["scores"] if s["metric"] == "fd_clf")
    # Noise scores 400 to 600; a model of half the classes 160 to 240.
    assert score["value"] < 150
    assert shown["status"] == "finished"
