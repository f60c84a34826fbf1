"""Settings of ``latents``: the source run, and how codes are drawn from it (no torch here)."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field

from genbench import DataAccess, DataError, DatasetSettings, DataSpec, FinishedRuns


class LatentsSettings(DatasetSettings):
    """``latents:RUN`` is ``latents --set data.run=RUN``."""

    argument: ClassVar[str | None] = "run"

    run: str = Field(
        min_length=1,
        description="the finished source run: an id, a name, or @1 (newest)",
    )
    draw: Literal["sample", "mean"] = Field(
        "sample", description="codes: one fixed draw from each posterior, or its mean"
    )
    standardise: bool = Field(
        True,
        description="standardise codes to mean 0 and std 1 over the training split, per dimension "
        "(spatial codes: per channel)",
    )
    seed: int = Field(
        0, ge=0, lt=2**32, description="seed of the draws, independent of the run's seed"
    )

    def fitted(self, access: DataAccess) -> Self:
        """Replace a reference such as @1 by the full id of the run."""
        found = sources(access).head(self.run)
        return self.model_copy(update={"run": found.run})

    def parents(self) -> tuple[str, ...]:
        """The source run with the latent space."""
        return (self.run,)

    def describe(self, access: DataAccess) -> DataSpec:
        """The description from the store; nothing is built or encoded."""
        head = sources(access).head(self.run)
        return DataSpec(
            name=f"latents:{head.run}",
            shape=carrying(head.latent_shape, head.classes),
            classes=head.data.classes,
            class_names=head.data.class_names,
            attributes=head.data.attributes,
            train=head.data.train,
            test=head.data.test,
            latent=True,
            source=head.data,
        )


def carrying(code: tuple[int, ...], classes: int | None) -> tuple[int, ...]:
    """The shape of codes with labels: more values in a vector, or more planes in a grid."""
    return (code[0] + (classes or 0), *code[1:])


def sources(access: DataAccess) -> FinishedRuns:
    """The finished runs. Raises DataError if there is no store."""
    if access.runs is None:
        raise DataError(
            "latents need a finished run, but there is no store; set it with --store or "
            "GENBENCH_STORE"
        )
    return access.runs
