"""Precision and recall of features: genbench against torch-fidelity."""

from __future__ import annotations

import torch
from torch import Tensor

from genbench_metrics.neighbours import radii, squared_distances
from genbench_metrics.precision_recall import share_inside
from speed.pair import Pair, timed

POINTS, DIM, NEIGHBOURS = 10_000, 84, 3
Values = tuple[float, float]


def precision_pair(rounds: int, points: int = POINTS) -> tuple[Pair, bool]:
    """Both scores of as many features as a run has samples, and whether the values are equal.

    The features are as many as those of LeNet, correlated and not negative as they are.
    """
    draw = torch.Generator().manual_seed(0)
    mixed = torch.randn(20, DIM, generator=draw)
    samples, test = (
        (torch.randn(points, 20, generator=draw) @ mixed + shift).relu() for shift in (0.0, 0.3)
    )
    pair = Pair("precision and recall: fidelity", f"2 x {points:,} features")
    values: dict[str, Values] = {}
    for _ in range(rounds):
        pair.add(
            timed(lambda: values.update(theirs=_fidelity(samples, test))),
            timed(lambda: values.update(ours=_genbench(samples, test))),
        )
    equal = all(abs(a - b) < 1e-6 for a, b in zip(*values.values(), strict=True))
    return pair, equal


def _fidelity(samples: Tensor, test: Tensor) -> Values:
    from torch_fidelity.metric_prc import prc_features_to_metric

    found = prc_features_to_metric(samples, test, verbose=False)
    return found["precision"], found["recall"]


def _genbench(samples: Tensor, test: Tensor) -> Values:
    """As the metrics do, with no reference in the cache."""
    balls = [
        radii(squared_distances(points, points), NEIGHBOURS).clamp_min(0).sqrt()
        for points in (test, samples)
    ]
    return share_inside(samples, test, balls[0]), share_inside(test, samples, balls[1])
