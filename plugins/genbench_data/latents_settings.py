"""Settings of ``latents``: whose latent space, and what is taken of it. No torch here."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field

from genbench import DataAccess, DataError, DatasetSettings, DataSpec, FinishedRuns


class LatentsSettings(DatasetSettings):
    """``latents:RUN`` is ``latents --set data.run=RUN``."""

    argument: ClassVar[str | None] = "run"

    run: str = Field(
        min_length=1,
        description="the finished run whose latent space it is: an id, a name, or @1 (newest)",
    )
    draw: Literal["sample", "mean"] = Field(
        "sample", description="codes: one draw of each posterior, made once, or its mean"
    )
    standardise: bool = Field(
        True,
        description="codes with mean 0 and std 1 over the training split, in each dimension (of "
        "spatial codes: in each channel)",
    )
    seed: int = Field(
        0, ge=0, lt=2**32, description="seed of the draws, whatever the seed of the run"
    )

    def fitted(self, access: DataAccess) -> Self:
        """The run by its whole id: @1 is another one tomorrow."""
        found = sources(access).head(self.run)
        return self.model_copy(update={"run": found.run})

    def parents(self) -> tuple[str, ...]:
        """The source run with the latent space."""
        return (self.run,)

    def describe(self, access: DataAccess) -> DataSpec:
        """What the store says of the run and its data; nothing is built or encoded."""
        head = sources(access).head(self.run)
        return DataSpec(
            name=f"latents:{head.run}",
            shape=carrying(head.latent_shape, head.classes),
            classes=head.data.classes,
            class_names=head.data.class_names,
            train=head.data.train,
            test=head.data.test,
            latent=True,
            source=head.data,
        )


def carrying(code: tuple[int, ...], classes: int | None) -> tuple[int, ...]:
    """The shape of codes with their labels: further values of a vector, planes of a grid."""
    return (code[0] + (classes or 0), *code[1:])


def sources(access: DataAccess) -> FinishedRuns:
    """The finished runs at hand. Raises DataError if there is no store."""
    if access.runs is None:
        raise DataError(
            "latents are made of a finished run, and no store is at hand; name it by --store or "
            "GENBENCH_STORE"
        )
    return access.runs
