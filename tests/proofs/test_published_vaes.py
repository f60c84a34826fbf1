"""The VAEs of two documents on MNIST land on the curves that their code printed (minutes).

Three seeds each: `guo2023` 20 epochs, `lin2023` 5. Both codes feed the encoder [0, 1].
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

Curve = dict[int, dict[str, float]]
"""The losses of each epoch."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """Test loss per image (BCE + KL, nats) after so many epochs, as a code printed it once."""

    preset: str
    losses: dict[int, float]
    within: dict[int, float]
    """How far the mean of three seeds may lie from it, as a share; published losses are of one."""


GUO = Published(
    preset="guo2023",
    losses={1: 173.751, 2: 166.230, 5: 160.138, 10: 155.626, 20: 152.068},
    within=dict.fromkeys((1, 2, 5, 10, 20), 0.015),
)
GUO_KL = (4.9, 6.7)
"""Its KL rises from the first to the last over 200 epochs."""
LIN = Published(
    preset="lin2023",
    losses={1: 162.408, 2: 154.818, 3: 150.563, 5: 147.381},
    within={1: 0.02, 2: 0.02, 3: 0.01, 5: 0.01},
)
POINTS = [(published, epoch) for published in (GUO, LIN) for epoch in published.losses]


@pytest.fixture(scope="module")
def curves(tmp_path_factory, real_data) -> dict[str, list[Curve]]:
    """By preset, for each of three seeds."""
    store = str(tmp_path_factory.mktemp("published") / "runs.db")
    return {
        published.preset: [curve(store, real_data, published, seed) for seed in range(3)]
        for published in (GUO, LIN)
    }


def curve(store: str, data: Path, published: Published, seed: int) -> Curve:
    length = ("--epochs", str(max(published.losses)), "--seed", str(seed))
    preset = ("vae", "mnist", "--preset", published.preset, *length)
    ran = genbench("run", *preset, "--data-dir", str(data), "--store", store)
    shown = genbench("show", str(ran["run"]), "--store", store)
    return {epoch["epoch"]: epoch["losses"] for epoch in shown["epochs"]}


def genbench(*arguments: str):
    command = [sys.executable, "-m", "genbench", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("published", "epoch"), POINTS, ids=[f"{p.preset}-{epoch}" for p, epoch in POINTS]
)
def test_the_mean_of_three_seeds_stays_on_the_curve_that_the_code_printed(curves, published, epoch):
    losses = [curve[epoch]["test/loss"] for curve in curves[published.preset]]
    mean, expected = statistics.mean(losses), published.losses[epoch]
    spread = statistics.stdev(losses)
    print(f"{published.preset} {epoch}: {mean:.2f} +- {spread:.2f}, published {expected}")
    assert abs(mean / expected - 1) < published.within[epoch], f"{mean:.1f}, not {expected}"


def test_guo2023s_divergence_is_of_the_documents_size_and_rises(curves):
    first, last = (
        statistics.mean(curve[epoch]["test/kl"] for curve in curves["guo2023"]) for epoch in (2, 20)
    )
    assert GUO_KL[0] < first < last < GUO_KL[1]


def test_both_losses_are_recorded_after_every_epoch(curves):
    for published in (GUO, LIN):
        for curve in curves[published.preset]:
            assert list(curve) == list(range(1, max(published.losses) + 1))
            assert all({"vae/loss", "test/loss"} <= set(losses) for losses in curve.values())
