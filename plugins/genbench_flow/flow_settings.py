"""Settings and presets of flow matching, DDPM and EDM (no torch here)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from genbench import (
    OF_DRAWING,
    DataSpec,
    IncompatibleError,
    ModelSettings,
    Preset,
    Training,
)
from genbench_nets.labels import check_conditional

SMALLEST = 7
"""The smallest side to which the default U-Net halves an image."""
MOST_HALVINGS = 3
PATCHED = 16
"""The smallest side of an image of which the U-Net takes squares of 2x2 pixels as one."""


class FieldSettings(ModelSettings):
    """What the models of the family have in common: the network, its training, and labels."""

    training: ClassVar[Training] = Training(images=600_000, batch_size=128, ema_share=0.05)
    widths: ClassVar[tuple[str, ...]] = ("channels", "width")
    vector_training: ClassVar[Training] = Training(
        images=10_000_000, max_epochs=2_000, batch_size=500, ema_share=0.05
    )

    network: Literal["auto", "unet", "mlp"] = Field(
        "auto", description="U-Net for images and grids, mlp for vectors; auto: depends on the data"
    )
    patch: int | None = Field(
        None,
        ge=1,
        le=16,
        description="side of the square patches that the U-Net takes as one pixel; 2 costs a "
        "quarter of 1; by default 2 for images from 16 px on, else 1",
    )
    channels: tuple[int, ...] | None = Field(
        None,
        min_length=1,
        description="channels of the U-Net at each resolution, of which each has half the side of "
        "the one before; by default 32, then 64 for each halving down to a side of at least 7",
    )
    blocks: int = Field(
        1, ge=1, le=8, description="residual blocks of the U-Net at each resolution, on either side"
    )
    attention: bool = Field(True, description="self-attention at the U-Net's lowest resolution")
    width: int = Field(256, ge=2, le=8192, description="width of the mlp")
    depth: int = Field(4, ge=1, le=64, description="residual layers of the mlp, of two layers each")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout in each residual block")
    lr: float = Field(1e-3, gt=0, description="learning rate of Adam")
    warmup: float = Field(
        0.02, ge=0, le=1, description="share of the steps in which the rate rises to lr"
    )
    decay: Literal["cosine", "constant"] = Field(
        "cosine", description="the learning rate after its warm-up: falls to 0, or stays"
    )
    conditional: bool = Field(False, description="give the label to the network")
    label_dropout: float = Field(
        0.1,
        ge=0,
        le=1,
        description="share of training samples without their label, for guidance (conditional)",
    )
    guidance: Annotated[float, OF_DRAWING] = Field(
        1.0,
        ge=0,
        le=100,
        description="guidance scale: 1 draws from the class as it was learned, more gives more "
        "typical and less varied samples, at two passes for each evaluation (conditional)",
    )

    @model_validator(mode="after")
    def _guided_by_labels(self) -> Self:
        if self.guidance != 1 and not self.conditional:
            raise ValueError("guidance needs labels; set conditional=true")
        return self

    def fitted(self, data: DataSpec) -> Self:
        """These settings with the network and the U-Net's channels filled in."""
        network = self.network
        if network == "auto":
            network = "unet" if data.is_image else "mlp"
        filled: dict[str, Any] = {"network": network}
        if network == "unet" and data.is_image:
            sides = data.shape[1:]
            filled["patch"] = patch = self.patch or default_patch(data)
            inside = tuple(side // patch for side in sides)
            filled["channels"] = self.channels or (32, *(64,) * halvings(inside))
        return self.model_copy(update=filled)

    def training_on(self, data: DataSpec) -> Training:
        """More samples for vectors, as their steps are cheap."""
        return super().training_on(data) if data.is_image else self.vector_training

    def check(self, data: DataSpec) -> None:
        """Raise IncompatibleError if the network doesn't fit the data, or labels are missing."""
        if self.conditional:
            check_conditional(data, "a model")
        s = self.fitted(data)
        if s.network != "unet":
            return
        if not data.is_image:
            raise IncompatibleError(
                f"network=unet takes images or grids, and '{data.name}' has shape {data.shape}; "
                "set network=mlp"
            )
        factor = (s.patch or 1) * 2 ** (len(s.channels or ()) - 1)
        if any(side % factor for side in data.shape[1:]):
            raise IncompatibleError(
                f"patch={s.patch} and {len(s.channels or ())} channels of the U-Net need sides "
                f"that are divisible by {factor}, and '{data.name}' has shape {data.shape}; set "
                "patch=1, fewer channels, or another data.size"
            )

    @property
    def passes(self) -> int:
        """Passes through the network for one evaluation."""
        return 1 if self.guidance == 1 else 2


def default_patch(data: DataSpec) -> int:
    """2 for images of pixels with even sides from 16 px on; 1 for codes, as they are small."""
    large = all(side % 2 == 0 and side >= PATCHED for side in data.shape[1:])
    return 2 if data.bounded and large else 1


def halvings(sides: tuple[int, ...]) -> int:
    """How often the default U-Net halves an image.

    >>> [halvings((side, side)) for side in (7, 8, 28, 32, 64)]
    [0, 0, 2, 2, 3]
    """
    if any(side % 2 or side // 2 < SMALLEST for side in sides):
        return 0
    return min(MOST_HALVINGS, 1 + halvings(tuple(side // 2 for side in sides)))


class FlowMatchingSettings(FieldSettings):
    """Straight lines from noise to data."""

    times: Literal["uniform", "logit-normal"] = Field(
        "uniform",
        description="distribution of t in training: uniform, or denser in the middle "
        "(Esser et al. 2024)",
    )
    pairing: Literal["random", "ot"] = Field(
        "random",
        description="how noise is paired with the samples of a batch: at random, or with the least "
        "total distance (optimal transport, by scipy on the CPU)",
    )
    reflow: bool = Field(
        False,
        description="train a second stage, of as many epochs, on pairs of noise and the sample "
        "that the first stage makes of it, which straightens the paths",
    )

    @model_validator(mode="after")
    def _no_labels_of_pairs(self) -> Self:
        if self.reflow and self.conditional:
            raise ValueError(
                "the pairs of reflow have no labels; set conditional=false, or reflow=false"
            )
        return self


class DDPMSettings(FieldSettings):
    """Noise at discrete levels."""

    target: Literal["noise", "velocity"] = Field(
        "noise",
        description="what the network predicts and its loss measures: the noise, as in the paper, "
        "or v (Salimans and Ho 2022), which has the same weight at the highest levels",
    )
    levels: int = Field(1000, ge=2, le=100_000, description="number T of noise levels")
    beta_first: float = Field(1e-4, gt=0, lt=1, description="variance of the first level's noise")
    beta_last: float = Field(0.02, gt=0, lt=1, description="variance of the last level's noise")


class EDMSettings(FieldSettings):
    """All noise levels, preconditioned."""

    sigma_data: float | None = Field(
        None,
        gt=0,
        description="standard deviation of the data; by default 0.5 for images, 1 for others",
    )
    log_sigma_mean: float = Field(-1.2, description="mean of log sigma in training")
    log_sigma_std: float = Field(1.2, gt=0, description="standard deviation of log sigma")
    sigma_min: float = Field(0.002, gt=0, description="last noise level of sampling before 0")
    sigma_max: float = Field(80.0, gt=0, description="first noise level of sampling")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.sigma_min >= self.sigma_max:
            raise ValueError(
                f"sigma_min = {self.sigma_min:g} must be less than sigma_max = {self.sigma_max:g}"
            )
        return self

    def fitted(self, data: DataSpec) -> Self:
        """These settings with the standard deviation of the data filled in, too."""
        chosen = super().fitted(data)
        if self.sigma_data is not None:
            return chosen
        return chosen.model_copy(update={"sigma_data": 0.5 if data.bounded else 1.0})


FLOW_MATCHING_PRESETS = (
    Preset(
        name="torchcfm",
        source="MNIST notebook of TorchCFM, OT-CFM (Tong et al. 2024, arXiv:2302.00482)",
        datasets=("mnist", "fashion-mnist"),
        epochs=10,
        batch_size=128,
        settings={
            "patch": 1,
            "channels": (32, 64, 64),
            "blocks": 1,
            "lr": 1e-3,
            "warmup": 0.0,
            "decay": "constant",
            "pairing": "ot",
        },
        note="widths, rate and pairing are the notebook's, which ends at a loss of 0.167; the "
        "blocks of its U-Net differ from ours",
    ),
)
DDPM_PRESETS = (
    Preset(
        name="ho2020",
        source="Ho et al. 2020, section 4 and appendix B (CIFAR-10)",
        datasets=("mnist", "fashion-mnist", "image-folder"),
        epochs=100,
        batch_size=128,
        settings={"lr": 2e-4, "warmup": 0.0, "decay": "constant", "dropout": 0.1},
        note="rate, batch, dropout, levels and variances are the paper's; networks and length are "
        "ours (the paper's has 35.7 million parameters and 800,000 steps)",
    ),
)
EDM_PRESETS = (
    Preset(
        name="karras2022",
        source="Karras et al. 2022, table 1 and appendix F.1 (CIFAR-10)",
        datasets=("mnist", "fashion-mnist", "image-folder"),
        epochs=100,
        batch_size=512,
        settings={"lr": 1e-3, "warmup": 0.02, "decay": "constant", "dropout": 0.13},
        note="rate, batch, dropout, noise levels and preconditioning are the paper's; networks and "
        "length are ours (the paper's has 56 million parameters, and sees 200 million images)",
    ),
)
