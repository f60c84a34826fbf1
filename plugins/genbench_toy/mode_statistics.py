"""The modes of labelled points, and statistics of samples by mode."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from genbench import Data, MetricContext, Score, UsageError
from genbench_toy.toy_settings import ModeSettings


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """A mode for each class of the training labels; float64 on the CPU.

    ``centres`` (K, D) are the class means; ``stds`` (K,) are the square roots of the class
    variances, which are averaged over the D dimensions.
    """

    centres: Tensor
    stds: Tensor

    @classmethod
    def of(cls, data: Data) -> Mixture:
        """Compute them from the training split. Raises UsageError without labelled points."""
        y = data.train.y
        if data.spec.is_image or data.render is not None or y is None:
            what = "has no labels" if y is None else "has images"
            raise UsageError(
                f"modes are the classes of labelled points, and '{data.spec.name}' {what}; "
                "use these metrics on gaussians-25, gaussians-8 or your own labelled points"
            )
        classes = [np.asarray(data.train.x[y == label], dtype=np.float64) for label in np.unique(y)]
        stds = [float(np.sqrt(points.var(axis=0).mean())) for points in classes]
        if min(stds) <= 0:
            raise UsageError(
                f"a class of '{data.spec.name}' has a standard deviation of 0, so distances can't "
                "be measured in it; use more training points"
            )
        centres = np.stack([points.mean(axis=0) for points in classes])
        return cls(centres=torch.from_numpy(centres), stds=torch.tensor(stds, dtype=torch.float64))

    def nearest(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest mode of each point (n, D), and the distance in standard deviations."""
        distances = torch.cdist(points, self.centres) / self.stds
        closest = distances.min(dim=1)
        return closest.indices, closest.values


class ModeStatistics:
    """Counts and sums of points for each mode; memory doesn't grow with the number of points."""

    def __init__(self, modes: Mixture, within: float) -> None:
        self._modes, self._within = modes, within
        count, dim = modes.centres.shape
        self.hits = torch.zeros(count, dtype=torch.int64)
        self.good = torch.zeros(count, dtype=torch.int64)
        self._sums = torch.zeros(count, dim, dtype=torch.float64)
        self._squares = torch.zeros(count, dtype=torch.float64)

    @property
    def n(self) -> int:
        """The number of points."""
        return int(self.hits.sum())

    def update(self, points: Tensor) -> None:
        """Add points (b, D), on any device."""
        points = points.detach().to("cpu", torch.float64)
        mode, distance = self._modes.nearest(points)
        self.hits += torch.bincount(mode, minlength=len(self.hits))
        near = distance < self._within
        mode, offsets = mode[near], points[near] - self._modes.centres[mode[near]]
        self.good += torch.bincount(mode, minlength=len(self.good))
        self._sums.index_add_(0, mode, offsets)
        self._squares.index_add_(0, mode, offsets.square().sum(dim=1))

    def spread(self) -> float | None:
        """The standard deviation of high-quality points around their mean in each mode.

        It is pooled over modes and dimensions, and unbiased; None if no mode has two such points.
        """
        freedom = int((self.good - 1).clamp(min=0).sum()) * self._sums.shape[1]
        if not freedom:
            return None
        between = self._sums.square().sum(dim=1) / self.good.clamp(min=1)
        return float(((self._squares - between).clamp(min=0).sum() / freedom).sqrt())


def divergence_from_uniform(counts: Tensor) -> float | None:
    """KL(share of each mode || uniform) in nats, 0 to log K; None without any counts."""
    total = counts.sum()
    if not total:
        return None
    shares = counts[counts > 0].double() / total
    return float((shares * (shares * len(counts)).log()).sum().clamp(min=0))


class Measurement:
    """The modes of a draw, and of as many held-out real points, which are the floor.

    The choice of points from the test split is fixed, since the floor is part of the protocol.
    """

    def __init__(self, context: MetricContext, settings: ModeSettings) -> None:
        data, modes = context.data, Mixture.of(context.data)
        self.samples, self._real = (ModeStatistics(modes, settings.within) for _ in range(2))
        held_out = len(data.test.x)
        rows = np.random.default_rng(0).permutation(held_out)[: context.n]
        self._real.update(torch.from_numpy(np.array(data.test.x[rows])))
        self._short = held_out < context.n
        self._protocol: Mapping[str, Any] = {
            "modes": f"means and stds of the {len(modes.stds)} classes of train",
            "within": f"{settings.within:g} std",
            "reference": "train",
            "reference_n": len(data.train.x),
            "reference_digest": data.train.digest,
            "floor_digest": data.test.digest,
        }

    def score(
        self,
        metric: str,
        measure: Callable[[ModeStatistics], float | None],
        *,
        direction: Literal["min", "max", "floor"],
        unit: str = "",
        protocol: Mapping[str, Any] | None = None,
    ) -> Score:
        """The measure of the samples. Raises UsageError if it isn't defined for them."""
        value, floor = measure(self.samples), measure(self._real)
        if value is None:
            within = self._protocol["within"]
            raise UsageError(
                f"{metric} can't be computed: too few of {self.samples.n} samples are within "
                f"{within} of a mode"
            )
        n = self.samples.n
        return Score(
            metric=metric,
            value=value,
            n=n,
            direction=direction,
            unit=unit,
            floor=floor,
            protocol={**self._protocol, **(protocol or {}), "n": n},
            note=f"the floor has only {self._real.n} real points (all of test)"
            if self._short
            else "",
        )
