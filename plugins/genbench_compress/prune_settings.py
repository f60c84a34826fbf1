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
        description="value that decides what is removed, the lowest first: the L1 or L2 norm of "
        "the weights, the scale in batch normalisation, the effect on the loss (taylor), or random",
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


class RoundSettings(RemovalSettings):
    """Removal in rounds."""

    per_round: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="share of the remaining weights or channels that each round removes, until the "
        "ratio is reached (none: all at once); 0.2 is common",
    )
    round_epochs: int = Field(
        1, ge=1, le=100_000, description="epochs of fine-tuning after each round but the last one"
    )

    def rounds(self) -> tuple[float, ...]:
        """The share of what is left that each round removes; one round if there are none."""
        if self.per_round is None or self.per_round >= self.ratio:
            return (self.ratio,)
        full = ceil(log(1 - self.ratio) / log(1 - self.per_round) - 1e-9) - 1
        left = (1 - self.ratio) / (1 - self.per_round) ** full
        return (*[self.per_round] * full, 1 - left)


class PruneSettings(RoundSettings):
    """Pruning after training: remove, fine-tune, and repeat if there are rounds."""

    finetune: bool = Field(
        True, description="train after the pruning, for --epochs after the last round"
    )

    @model_validator(mode="after")
    def _rounds_are_fine_tuned(self) -> Self:
        if self.per_round is not None and not self.finetune:
            raise ValueError("per_round needs fine-tuning between the rounds; set finetune=true")
        return self


class LotterySettings(RoundSettings):
    """Lottery tickets: single weights are removed, and the others start again."""

    share: ClassVar[float] = 1.0

    granularity: Literal["weight"] = Field("weight", description="single weights are removed")
    criterion: Literal["magnitude", "random"] = Field(
        "magnitude", description="what is removed: the smallest weights, or random ones"
    )
    per_round: float | None = Field(
        0.2,
        gt=0,
        lt=1,
        description="share of the remaining weights or channels that each round removes, until the "
        "ratio is reached (none: all at once)",
    )
    rewind: Literal["init", "early"] = Field(
        "init",
        description="where to begin again: at the initial weights, or at those after early_epochs",
    )
    early_epochs: int = Field(
        1,
        ge=1,
        le=100_000,
        description="number of epochs after which the weights of rewind=early are taken",
    )


class SelfSupervisedSettings(RemovalSettings):
    """Pruning at once, and training towards the losses of the original."""

    players: Literal["generator"] = Field("generator", description="the generator is pruned")
    lam: float = Field(
        1.0,
        ge=0,
        description="weight lambda of the discriminator's losses against the generator's",
    )
    beta: float = Field(
        1.0, ge=0, description="weight of the reconstruction, for models that reconstruct"
    )
    delta: float = Field(0.0, ge=0, description="weight of the gradient penalty within lambda")


class EvolveSettings(CompressorSettings):
    """Evolution of the filters that are kept."""

    ratio: float = Field(
        0.5, ge=0, lt=1, description="share of the filters that the first strings leave out"
    )
    size_weight: float = Field(
        1.0, ge=0, description="weight a of the size in the fitness, against the distance"
    )
    population: int = Field(16, ge=2, le=10_000, description="number of strings in each generation")
    generations: int = Field(20, ge=0, le=100_000, description="number of generations")
    mutation: float = Field(0.02, ge=0, le=1, description="probability that a bit changes")
    samples: int = Field(
        128, ge=2, le=100_000, description="samples on which a string is compared with the parent"
    )


class GrowSettings(CompressorSettings):
    """Growing from a light seed network, then dropping similar channels."""

    student: ClassVar[bool] = True
    share: ClassVar[float] = 0.5

    ratio: float = Field(
        0.5, ge=0, lt=1, description="share of the parent's channels that is removed in the end"
    )
    start: float = Field(
        0.25, gt=0, le=1, description="share of the parent's channels in the seed network"
    )
    growth: float = Field(
        2.0, gt=1, le=100, description="factor of the width in each step, up to the parent's width"
    )
    round_epochs: int = Field(
        1, ge=1, le=100_000, description="epochs of training at each width but the last one"
    )

    def widths(self) -> tuple[float, ...]:
        """The shares of the parent's channels that it is trained with, the last of them 1."""
        found = [self.start]
        while found[-1] < 1:
            found.append(min(1.0, found[-1] * self.growth))
        return tuple(found)
