"""The likelihood of a fully connected VAE on binarised MNIST (45 minutes on one core)."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(4 * 3600)]

PUBLISHED = 89.78
"""Nats at k = 5,000, fixed binarisation: pythae's reproduction of a VAE."""


def test_a_fully_connected_vae_on_fixed_binarised_mnist_reaches_at_most_90_nats(
    tmp_path, real_data
):
    command = [sys.executable, "-m", "genbench", "run", "vae", "mnist", "--preset", "burda2016"]
    metrics = ["--metric", "nll", "--set", "metric.nll.k=5000", "--metric", "active_units"]
    where = ["--store", str(tmp_path / "runs.db"), "--data-dir", str(real_data), "--json"]
    done = subprocess.run([*command, *metrics, *where], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    scores = {score["metric"]: score for score in json.loads(done.stdout)["scores"]}
    nll = scores["nll"]
    assert nll["value"] <= 90, f"{nll['value']:.2f} nats; published {PUBLISHED}"
    assert nll["n"] == nll["protocol"]["reference_n"] == 10_000
    assert nll["protocol"]["k"] == 5_000
    assert nll["protocol"]["binarization"] == "fixed"
    assert scores["active_units"]["value"] >= 10
