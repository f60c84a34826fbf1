"""Settings of pruning; no torch here."""

from __future__ import annotations

from math import ceil, log
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from genbench import CompressorSettings

Criterion = Literal["magnitude", "l2", "random", "bn_scale", "taylor"]
Players = Literal["generator", "discriminator", "both"]


class RemovalSettings(CompressorSettings):
    """What is removed, from which networks; shared by all methods that prune."""

    share: ClassVar[float] = 0.25

    ratio: float = Field(
        0.5, ge=0, lt=1, description="share of the channels, or weights, that is removed in a layer"
    )
    granularity: Literal["channel", "weight"] = Field(
        "channel",
        description="remove whole channels, which makes the networks smaller and faster, or single "
        "weights, which are set to 0",
    )
    criterion: Criterion = Field(
        "magnitude",
        description="what has the lowest value is removed: the L1 or L2 norm of its weights, its "
        "scale in batch normalisation, its effect on the loss (taylor), or a random value",
    )
    players: Players = Field(
        "generator",
        description="the networks that are pruned: those that make samples, the discriminator, or "
        "both",
    )
    taylor_batches: int = Field(
        4, ge=1, le=1000, description="minibatches for the gradients of criterion=taylor"
    )

    @model_validator(mode="after")
    def _criterion_of_the_granularity(self) -> Self:
        if self.criterion == "bn_scale" and self.granularity == "weight":
            raise ValueError(
                "criterion=bn_scale ranks channels, and granularity=weight removes single weights; "
                "set granularity=channel, or criterion=magnitude"
            )
        return self


class PruneSettings(RemovalSettings):
    """Pruning after training: remove, fine-tune, and repeat if there are rounds."""

    per_round: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="share of what is left that a round removes, until the ratio is reached "
        "(none: all at once); 0.2 is common",
    )
    round_epochs: int = Field(
        1, ge=1, le=100_000, description="epochs of fine-tuning after each round but the last one"
    )
    finetune: bool = Field(
        True, description="train after the pruning, for --epochs after the last round"
    )

    @model_validator(mode="after")
    def _rounds_are_fine_tuned(self) -> Self:
        if self.per_round is not None and not self.finetune:
            raise ValueError("per_round needs fine-tuning between the rounds; set finetune=true")
        return self

    def rounds(self) -> tuple[float, ...]:
        """The share of what is left that each round removes; one round if there are none."""
        if self.per_round is None or self.per_round >= self.ratio:
            return (self.ratio,)
        full = ceil(log(1 - self.ratio) / log(1 - self.per_round) - 1e-9) - 1
        left = (1 - self.ratio) / (1 - self.per_round) ** full
        return (*[self.per_round] * full, 1 - left)
