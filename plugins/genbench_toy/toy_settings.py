"""The settings of the toy data and of the metrics of modes (neither numpy nor torch here)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from genbench import DataAccess, DatasetSettings, DataSpec, Settings

GRID = (-2, -1, 0, 1, 2)
"""The coordinates of the modes of ``gaussians-25``, in units of its spacing."""


class PointSettings(DatasetSettings):
    """Settings of all toy data. ``registered`` and ``classes`` belong to the data set."""

    registered: ClassVar[str]
    classes: ClassVar[int | None] = None

    train: int = Field(50_000, ge=1, le=10_000_000, description="number of training points")
    test: int = Field(10_000, ge=1, le=10_000_000, description="number of test points")
    seed: int = Field(
        0, ge=0, lt=2**32, description="seed of the points, independent of the run's seed"
    )

    def describe(self, access: DataAccess) -> DataSpec:
        """The description, from the settings alone."""
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

    spacing: float = Field(1.0, gt=0, description="distance between neighbouring modes")
    std: float = Field(0.05, gt=0, description="standard deviation of a mode in each dimension")


class Gaussians8Settings(PointSettings):
    """Settings of ``gaussians-8``."""

    registered: ClassVar[str] = "gaussians-8"
    classes: ClassVar[int | None] = 8

    radius: float = Field(2.0, gt=0, description="radius of the ring")
    std: float = Field(0.02, gt=0, description="standard deviation of a mode in each dimension")


class SwissRollSettings(PointSettings):
    """Settings of ``swiss-roll``."""

    registered: ClassVar[str] = "swiss-roll"

    noise: float = Field(0.25, ge=0, description="standard deviation of the noise, before scaling")
    scale: float = Field(
        7.5, gt=0, description="divisor of the coordinates (a roll of radius 4.7 to 14.1)"
    )


class TrianglesSettings(DatasetSettings):
    """Settings of ``triangles``."""

    size: int = Field(28, ge=16, le=256, description="side of an image in pixels")
    train: int = Field(20_000, ge=1, le=1_000_000, description="number of training images")
    test: int = Field(5_000, ge=1, le=1_000_000, description="number of test images")
    seed: int = Field(
        0, ge=0, lt=2**32, description="seed of the triangles, independent of the run's seed"
    )

    def describe(self, access: DataAccess) -> DataSpec:
        """The description, from the settings alone."""
        shape = (1, self.size, self.size)
        return DataSpec(name="triangles", shape=shape, train=self.train, test=self.test)


class ManifoldSettings(Settings):
    """Settings of manifold."""

    n: int = Field(default=2000, ge=2, description="number of samples to use, the first ones")
    within: float = Field(
        default=0.05,
        gt=0,
        description="maximum distance of a precise sample from its nearest triangle, the root of "
        "the mean square over pixels in [0, 1]",
    )


class ModeSettings(Settings):
    """Settings of all metrics of modes."""

    within: float = Field(
        default=4.0,
        gt=0,
        description="maximum distance of a high-quality sample from its mode, in standard "
        "deviations",
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
        default="all", description="samples that are counted: all, or those near a mode"
    )
