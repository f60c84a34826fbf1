"""Metrics of modes: how many a generator found, how well it hits them, and how evenly.

A mode is a class of labelled points: the mean and standard deviation of the class. A sample has
high quality if it is within 4 standard deviations of a mode (Azadi et al. 2019, arXiv:1810.06758,
on the same 25 Gaussians). Read these metrics together: most samplers improve quality and make the
modes less balanced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Generic, Literal, TypeVar

from torch import Tensor

from genbench import MetricContext, Score
from genbench_toy.mode_statistics import Measurement, divergence_from_uniform
from genbench_toy.toy_settings import (
    HighQualitySettings,
    ModeKlSettings,
    ModeSettings,
    ModesSettings,
    ModeStdSettings,
)

NARROW = 0.9
"""A score of mode_std below this share of its floor means that the modes have shrunk."""

S = TypeVar("S", bound=ModeSettings)


class ModeMetric(Generic[S]):
    """What the metrics of modes share: they add samples to a `Measurement`."""

    uses: Literal["samples", "model"] = "samples"
    requires: tuple[str, ...] = ()
    defaults: type[S]

    def __init__(self, settings: S | None = None) -> None:
        self._settings = settings or self.defaults()

    def begin(self, context: MetricContext) -> None:
        """Compute the modes of the training split."""
        self._measured = Measurement(context, self._settings)

    def update(self, images: Tensor) -> None:
        """Add a minibatch of points (b, D)."""
        self._measured.samples.update(images)


class Modes(ModeMetric[ModesSettings]):
    """``modes``: the number of modes with a high-quality sample."""

    defaults = ModesSettings

    def result(self) -> Sequence[Score]:
        """One score, ``modes``."""
        return [
            self._measured.score(
                "modes", lambda modes: float((modes.good > 0).sum()), direction="max"
            )
        ]


class HighQuality(ModeMetric[HighQualitySettings]):
    """``high_quality``: the share of samples in a mode, 0 to 1."""

    defaults = HighQualitySettings

    def result(self) -> Sequence[Score]:
        """One score, ``high_quality``."""
        return [
            self._measured.score(
                "high_quality", lambda modes: int(modes.good.sum()) / modes.n, direction="max"
            )
        ]


class ModeStd(ModeMetric[ModeStdSettings]):
    """``mode_std``: the standard deviation of high-quality samples within a mode, in data units.

    Scores close to the floor, which is that of real points, are best. A score below it has a note
    that the modes have shrunk.
    """

    defaults = ModeStdSettings

    def result(self) -> Sequence[Score]:
        """One score, ``mode_std``."""
        score = self._measured.score("mode_std", lambda modes: modes.spread(), direction="floor")
        if score.floor and score.value < NARROW * score.floor:
            warning = "narrower than the data: its modes have shrunk"
            score = replace(score, note="; ".join(filter(None, (score.note, warning))))
        return [score]


class ModeKl(ModeMetric[ModeKlSettings]):
    """``mode_kl``: KL(shares of the modes || uniform) in nats, each sample in its nearest mode.

    All samples count, as in PacGAN (Lin et al. 2018, arXiv:1712.04086, section 4.1), or only those
    of high quality.
    """

    defaults = ModeKlSettings

    def result(self) -> Sequence[Score]:
        """One score, ``mode_kl``."""
        every = self._settings.count == "all"
        score = self._measured.score(
            "mode_kl",
            lambda modes: divergence_from_uniform(modes.hits if every else modes.good),
            direction="min",
            unit="nats",
            protocol={"counted": self._settings.count, "against": "uniform"},
        )
        return [score]
