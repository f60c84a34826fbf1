"""The page on speed says what was measured, where, and what was not."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "benchmarks"))

from speed.fid import Agreement, whole
from speed.pair import Pair
from speed.precision import precision_pair
from speed.processes import IDLE, OWN, Sharing
from speed_page import Found, page

from genbench.engine.cpu import cpu_name


def pair(name: str, unit: str, theirs: float, ours: float, rounds: int = 3) -> Pair:
    made = Pair(name, unit)
    for k in range(rounds):
        made.add(((1 + k) * theirs, 2 * theirs), ((1 + k) * ours, 2 * ours))
    return made


def test_a_ratio_is_the_median_of_the_ratios_of_rounds() -> None:
    made = Pair("a loop", "20 steps")
    for theirs, ours in ((8.0, 2.0), (3.0, 1.0), (1.0, 10.0)):
        made.add((theirs, theirs), (ours, 2 * ours))
    assert (made.ratio(), made.ratio(1)) == (3.0, 1.5)
    assert made.line() == (
        "| a loop | 20 steps | 3,000 ms | 3,000 ms | 2,000 ms | 4,000 ms | 3.00 | 1.50 |"
    )


def test_a_kept_reference_saves_half_of_the_images() -> None:
    features, distance = pair("features", "100 images", 5, 2, 1), pair("distance", "", 7, 3, 1)
    assert whole([features, distance], 1000) == (107.0, 43.0, 23.0)


def test_precision_and_recall_are_measured_where_the_values_are_equal() -> None:
    made, equal = precision_pair(1, points=50)
    assert equal
    assert len(made.ours) == 1


def test_the_page_has_the_machine_all_pairs_and_what_is_missing() -> None:
    found = Found(
        training=[pair("GAN: a notebook's loop", "20 steps", 1.0, 0.5)],
        fid=[pair("Inception features: fidelity", "100 images", 20, 10), pair("d", "", 9, 3, 1)],
        agreements=[Agreement(program="fidelity", features=1e-6, distance=2e-10)],
        missing=["VAE: pythae's trainer: `pythae` is not installed."],
        loads=[0.1, 0.2],
    )
    alone = {name: 10.0 + k for k, name in enumerate(IDLE)}
    stages = [{"ms": ms, "images_per_s": 1e5 / ms, "limit_ms": ms / 2} for ms in (40.0, 5.0)]
    text = page(
        found, pair("start-up", "a process", 2, 2.2), Sharing(alone=alone, beside=18.0), stages
    )
    assert cpu_name() in text
    assert "load average before and after each part 0.1, 0.2" in text
    assert "| GAN: a notebook's loop | 20 steps | 2,000 ms | 2,000 ms | 1,000 ms |" in text
    assert "(2.00 times as fast)" in text
    assert "after 1.10 times the seconds of `import torch`" in text
    assert OWN in text
    assert "(8.0 times as long)" in text
    assert "`pythae` is not installed" in text
