"""The settings of label_accuracy (no torch here)."""

from __future__ import annotations

from pydantic import Field

from genbench import Settings


class LabelAccuracySettings(Settings):
    """Settings of label_accuracy."""

    n: int | None = Field(
        default=None,
        ge=2,
        description="total number of samples, equally many per class (default: the number of "
        "scored samples)",
    )
