"""Metrics of modes: how many a generator found, how well it hits them, and how evenly.

A mode is a class of labelled points: the class's mean and standard deviation. A sample is of high
quality within 4 standard deviations of a mode (Azadi et al. 2019, arXiv:1810.06758, on the same 25
Gaussians). Show them together: most samplers raise quality and unbalance the modes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from torch import Tensor

from genbench import MetricContext, Score
from genbench_toy.mode_statistics import Measurement, divergence_from_uniform
from genbench_toy.settings import (
    HighQualitySettings,
    ModeKlSettings,
    ModesSettings,
    ModeStdSettings,
)

NARROW = 0.9
"""Of the real spread; below it a score of mode_std says that the modes have shrunk."""


class Modes:
    """``modes``: those that got a high-quality sample."""

    uses: Literal["samples", "model"] = "samples"
    requires: tuple[str, ...] = ()

    def __init__(self, settings: ModesSettings | None = None) -> None:
        self._settings = settings or ModesSettings()

    def begin(self, context: MetricContext) -> None:
        """Read the modes off the training split."""
        self._measured = Measurement(context, self._settings)

    def update(self, images: Tensor) -> None:
        """Take a minibatch of points (b, D)."""
        self._measured.samples.update(images)

    def result(self) -> Sequence[Score]:
        """A number of modes."""
        return [
            self._measured.score(
                "modes", lambda modes: float((modes.good > 0).sum()), direction="max"
            )
        ]


class HighQuality:
    """``high_quality``: the share of samples that lie in a mode, 0 to 1."""

    uses: Literal["samples", "model"] = "samples"
    requires: tuple[str, ...] = ()

    def __init__(self, settings: HighQualitySettings | None = None) -> None:
        self._settings = settings or HighQualitySettings()

    def begin(self, context: MetricContext) -> None:
        """Read the modes off the training split."""
        self._measured = Measurement(context, self._settings)

    def update(self, images: Tensor) -> None:
        """Take a minibatch of points (b, D)."""
        self._measured.samples.update(images)

    def result(self) -> Sequence[Score]:
        """A share."""
        return [
            self._measured.score(
                "high_quality", lambda modes: int(modes.good.sum()) / modes.n, direction="max"
            )
        ]


class ModeStd:
    """``mode_std``: how far high-quality samples spread within a mode, in units of the data.

    The floor is the real points' own, and what is near it is good: below it a generator has
    shrunk its modes, and such a score carries a note.
    """

    uses: Literal["samples", "model"] = "samples"
    requires: tuple[str, ...] = ()

    def __init__(self, settings: ModeStdSettings | None = None) -> None:
        self._settings = settings or ModeStdSettings()

    def begin(self, context: MetricContext) -> None:
        """Read the modes off the training split."""
        self._measured = Measurement(context, self._settings)

    def update(self, images: Tensor) -> None:
        """Take a minibatch of points (b, D)."""
        self._measured.samples.update(images)

    def result(self) -> Sequence[Score]:
        """A standard deviation."""
        score = self._measured.score("mode_std", lambda modes: modes.spread(), direction="floor")
        if score.floor and score.value < NARROW * score.floor:
            warning = "narrower than the data: its modes have shrunk"
            score = replace(score, note="; ".join(filter(None, (score.note, warning))))
        return [score]


class ModeKl:
    """``mode_kl``: KL(shares of the modes || uniform) in nats, each sample to its nearest mode.

    All samples count, as in PacGAN (Lin et al. 2018, arXiv:1712.04086, section 4.1), or those of
    high quality alone.
    """

    uses: Literal["samples", "model"] = "samples"
    requires: tuple[str, ...] = ()

    def __init__(self, settings: ModeKlSettings | None = None) -> None:
        self._settings = settings or ModeKlSettings()

    def begin(self, context: MetricContext) -> None:
        """Read the modes off the training split."""
        self._measured = Measurement(context, self._settings)

    def update(self, images: Tensor) -> None:
        """Take a minibatch of points (b, D)."""
        self._measured.samples.update(images)

    def result(self) -> Sequence[Score]:
        """A divergence."""
        every = self._settings.count == "all"
        score = self._measured.score(
            "mode_kl",
            lambda modes: divergence_from_uniform(modes.hits if every else modes.good),
            direction="min",
            unit="nats",
            protocol={"counted": self._settings.count, "against": "uniform"},
        )
        return [score]
