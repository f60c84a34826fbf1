"""The settings of the toy data and of the metrics of modes (neither numpy nor torch here)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from genbench import DataAccess, DatasetSettings, DataSpec, Settings

GRID = (-2, -1, 0, 1, 2)
"""The rows and columns of ``gaussians-25``, in steps of its spacing."""


class PointSettings(DatasetSettings):
    """What all toy data can be told. ``registered`` and ``classes`` belong to the data set."""

    registered: ClassVar[str]
    classes: ClassVar[int | None] = None

    train: int = Field(50_000, ge=1, le=10_000_000, description="points to train on")
    test: int = Field(10_000, ge=1, le=10_000_000, description="points held out")
    seed: int = Field(
        0, ge=0, lt=2**32, description="seed of the points, whatever the seed of the run"
    )

    def describe(self, access: DataAccess) -> DataSpec:
        """Known by heart: nothing is drawn."""
        return DataSpec(
            name=self.registered,
            shape=(2,),
            classes=self.classes,
            train=self.train,
            test=self.test,
        )


class Gaussians25Settings(PointSettings):
    """Settings of ``gaussians-25``."""

    registered: ClassVar[str] = "gaussians-25"
    classes: ClassVar[int | None] = len(GRID) ** 2

    spacing: float = Field(1.0, gt=0, description="distance of neighbouring modes")
    std: float = Field(0.05, gt=0, description="standard deviation of a mode, in each direction")


class Gaussians8Settings(PointSettings):
    """Settings of ``gaussians-8``."""

    registered: ClassVar[str] = "gaussians-8"
    classes: ClassVar[int | None] = 8

    radius: float = Field(2.0, gt=0, description="radius of the ring")
    std: float = Field(0.02, gt=0, description="standard deviation of a mode, in each direction")


class SwissRollSettings(PointSettings):
    """Settings of ``swiss-roll``."""

    registered: ClassVar[str] = "swiss-roll"

    noise: float = Field(
        0.25, ge=0, description="standard deviation around the roll, before it is scaled"
    )
    scale: float = Field(7.5, gt=0, description="what the roll (radius 4.7 to 14.1) is divided by")


class ModeSettings(Settings):
    """What every metric of modes can be told."""

    within: float = Field(
        default=4.0,
        gt=0,
        description="standard deviations of a mode that a high-quality sample is within",
    )


class ModesSettings(ModeSettings):
    """Settings of modes."""


class HighQualitySettings(ModeSettings):
    """Settings of high_quality."""


class ModeStdSettings(ModeSettings):
    """Settings of mode_std."""


class ModeKlSettings(ModeSettings):
    """Settings of mode_kl."""

    count: Literal["all", "high-quality"] = Field(
        default="all", description="samples that count for their nearest mode"
    )
