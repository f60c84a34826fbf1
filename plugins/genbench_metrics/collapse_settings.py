"""The settings of classes and spread (no torch here)."""

from __future__ import annotations

from pydantic import Field

from genbench import Settings


class ClassesSettings(Settings):
    """Settings of classes."""

    n: int | None = Field(
        default=None, ge=2, description="number of samples to use, the first ones (default: all)"
    )


class SpreadSettings(Settings):
    """Settings of spread."""

    n: int | None = Field(
        default=None, ge=2, description="number of samples to use, the first ones (default: all)"
    )
