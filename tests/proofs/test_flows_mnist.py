"""Proofs of the exact likelihoods on MNIST, and of flow matching on a grid of Gaussians (slow)."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from genbench.registry import Registry
from genbench_likelihood.flow import Scaling

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.mark.parametrize(("margin", "expected"), [(1e-6, 2.01), (0.05, 3.92)])
def test_a_normal_distribution_of_mnists_logits_has_the_published_bits(
    tmp_path, real_data, margin, expected
):
    """Papamakarios et al. 2017 report 2.01 bits per dimension for 1e-6; 0.05 is our own number."""
    from genbench import DataAccess, dequantized, to_float

    access = DataAccess(root=real_data, cache=tmp_path, offline=True)
    registry = Registry.from_environment()
    settings = registry.settings("dataset", "mnist")
    data = registry.target("dataset", "mnist")(settings() if settings else None).load(access)
    train, test = (
        to_float(torch.from_numpy(np.array(x.x[:30_000]))) for x in (data.train, data.test)
    )
    scaling = Scaling(data.spec.shape, margin)
    scaling.fit([train])
    with torch.no_grad():
        known, _ = scaling(dequantized(train))
        asked, log_det = scaling(dequantized(test))
    known, asked = known.flatten(1).double(), asked.flatten(1).double()
    mean, dims = known.mean(0), known.shape[1]
    covariance = (known - mean).T @ (known - mean) / len(known) + 1e-3 * torch.eye(dims)
    normal = torch.distributions.MultivariateNormal(mean, covariance)
    nats = -(normal.log_prob(asked) + log_det.double()).mean() + dims * math.log(128)
    assert float(nats) / dims / math.log(2) == pytest.approx(expected, abs=0.05)


def test_flow_matching_finds_all_25_gaussians_with_95_percent_of_high_quality(tmp_path):
    given = ["--set", "width=128", "--set", "depth=3", "--epochs", "100", "--json"]
    metrics = ["--metric", "modes", "--metric", "high_quality"]
    command = [sys.executable, "-m", "genbench", "run", "flow-matching", "gaussians-25"]
    done = subprocess.run(
        [*command, *given, *metrics, "--store", str(tmp_path / "runs.db")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    scores = {score["metric"]: score["value"] for score in json.loads(done.stdout)["scores"]}
    assert scores["modes"] == 25
    assert scores["high_quality"] >= 0.95
