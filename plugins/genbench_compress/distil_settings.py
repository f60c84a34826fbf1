"""Settings of distillation; no torch here."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from genbench import CompressorSettings, ModelSettings

Distance = Literal["mse", "l1", "feature"]


class TeachingSettings(CompressorSettings):
    """What a student learns from the samples of its teacher; all methods of distillation."""

    share: ClassVar[float] = 1.0

    distance: Distance = Field(
        "mse",
        description="distance between the samples of student and teacher for the same noise: the "
        "mean squared or absolute error of a pixel, or the squared error of the hidden features of "
        "the teacher's discriminator",
    )
    weight: float | None = Field(
        None,
        gt=0,
        description="weight of the distance, which is added to the model's own loss; by default 10 "
        "beside a discriminator, otherwise the number of pixels, which makes the mean a sum",
    )


class DistilSettings(TeachingSettings):
    """A student with networks of other widths than the teacher's."""

    student: ClassVar[bool] = True

    width: float = Field(
        0.5,
        gt=0,
        le=1,
        description="widths of the student's generator or decoder as a share of the teacher's; "
        "--set model.KEY=VALUE sets one of them",
    )
    own_loss: bool = Field(
        True,
        description="train with the model's own losses too: adversarial, or the likelihood of a "
        "VAE; false: on the distance alone",
    )
    discriminator: Literal["teacher", "initial"] = Field(
        "teacher",
        description="weights that the student's discriminator starts from",
    )

    def student_of(self, teacher: ModelSettings) -> ModelSettings:
        """The teacher's settings with narrower networks."""
        return teacher.narrowed(self.width)


class SimultaneousSettings(DistilSettings):
    """A student and its discriminator, which both learn from the teacher."""

    distance: Distance = Field(
        "l1",
        description="distance between the samples of student and teacher for the same noise: the "
        "mean squared or absolute error of a pixel, or the squared error of the hidden features of "
        "the teacher's discriminator",
    )
    own_loss: Literal[True] = Field(
        True, description="give the student's discriminator a loss of its own"
    )
    perceptual: float = Field(
        1.0, ge=0, description="weight of the distance of the teacher's hidden features (eq. 4)"
    )
    triplet: float = Field(
        1.0, ge=0, description="weight of the triplet loss of the student's discriminator (eq. 9)"
    )
    margin: float = Field(1.0, ge=0, description="margin (alpha) of the triplet loss")


class ContentAwareSettings(TeachingSettings):
    """A pruned copy of the teacher that learns inside a mask of interest."""

    share: ClassVar[float] = 0.5

    ratio: float = Field(
        0.5, ge=0, lt=1, description="share of the channels that is removed in each layer"
    )
    mask: Literal["foreground", "centre"] = Field(
        "foreground",
        description="where the content is: the pixels of the teacher's sample that differ from the "
        "value at its border (foreground), or the middle half of the image (centre)",
    )
    threshold: float = Field(
        0.2, gt=0, lt=2, description="difference from the background, for mask=foreground"
    )
    grow: int = Field(1, ge=0, le=32, description="pixels by which the foreground is grown")
    samples: int = Field(
        256,
        ge=2,
        le=100_000,
        description="samples over which the importance of a channel is averaged",
    )
