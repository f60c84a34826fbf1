"""Settings and presets of the VQ-VAE."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field

from genbench import DataSpec, IncompatibleError, ModelSettings, Preset, Training
from genbench_nets.coder_settings import CoderSettings


class VQVAESettings(ModelSettings):
    """Stage 1 learns a grid of discrete codes; stage 2 a prior over such grids."""

    widths: ClassVar[tuple[str, ...]] = ("channels",)
    lengths: ClassVar[tuple[str, ...]] = ("code_epochs",)

    training: ClassVar[Training] = Training(images=300_000, max_epochs=25, batch_size=100)
    code_training: ClassVar[Training] = Training(images=120_000, max_epochs=100)

    code_epochs: int | None = Field(
        None,
        ge=1,
        description="epochs of stage 1; by default as many as 120,000 images take, at most 100",
    )
    codes: int = Field(64, ge=2, le=65_536, description="K: the number of codes in the codebook")
    code_dim: int = Field(16, ge=1, le=4096, description="D: the size of a code")
    channels: tuple[int, ...] = Field(
        (16, 32),
        min_length=1,
        description="channels of the convolutions; each of them halves the image",
    )
    residual_blocks: int = Field(
        0, ge=0, le=16, description="residual blocks on the grid, in encoder and decoder"
    )
    likelihood: Literal["bernoulli", "mse"] = Field(
        "bernoulli", description="the reconstruction error, summed over the pixels"
    )
    commitment: float = Field(
        0.25, ge=0, description="beta: weight of the encoder's distance to its nearest codes"
    )
    codebook: Literal["ema", "gradient"] = Field(
        "ema",
        description="update of the codes: moving averages of their vectors (ema), or the "
        "gradient of eq. 3's second term",
    )
    decay: float = Field(
        0.99, ge=0, lt=1, description="gamma: decay of the codes' moving averages per step"
    )
    revive_below: float = Field(
        0.5,
        ge=0,
        description="uses per step below which a code is replaced by an encoder's output (0: "
        "never)",
    )
    lr: float = Field(4e-3, gt=0, description="learning rate of stage 1's Adam")
    prior_embedding: int = Field(
        16, ge=1, le=1024, description="size of the prior's embedding of a code"
    )
    prior_width: int = Field(64, ge=1, le=4096, description="channels of the prior")
    prior_layers: int = Field(2, ge=0, le=64, description="residual layers of the prior")
    prior_lr: float = Field(5e-3, gt=0, description="initial learning rate of stage 2's Adam")

    def check(self, data: DataSpec) -> None:
        """Square images in [-1, 1] with a side that halves often enough."""
        if not data.bounded:
            raise IncompatibleError(
                f"vq-vae takes images in [-1, 1], but the values of '{data.name}' are unbounded; "
                "use vae with likelihood=gaussian"
            )
        self.networks().check_shape(data, "vq-vae")

    def latent_shape(self, data: DataSpec) -> tuple[int, ...]:
        """(D, H, W): the encoder's grid before it is quantised."""
        return self.networks().latent_shape(data)

    def networks(self) -> CoderSettings:
        """Those of the encoder and the decoder."""
        sizes = {"z_dim": self.code_dim, "channels": self.channels}
        return CoderSettings.model_validate({"network": "conv", "code": "spatial", **sizes})

    def paced(self, images: int) -> Self:
        """The epochs of stage 1, where they were left open, by the images of one."""
        epochs = self.code_epochs or self.code_training.epochs_for(images)
        return self.model_copy(update={"code_epochs": epochs})

    def stage_one_epochs(self, data: DataSpec) -> int:
        """The epochs of the codes on this data."""
        return self.code_epochs or self.code_training.epochs_for(data.train)


PRESETS = (
    Preset(
        name="oord2017",
        source="van den Oord, Vinyals & Kavukcuoglu 2017, arXiv:1711.00937, section 4.1 and "
        "appendix A.1",
        datasets=("mnist", "fashion-mnist"),
        epochs=100,
        batch_size=128,
        settings={
            "code_epochs": 100,
            "codes": 512,
            "code_dim": 64,
            "channels": (256, 256),
            "residual_blocks": 2,
            "likelihood": "mse",
            "lr": 3e-4,
            "prior_embedding": 64,
            "prior_width": 128,
            "prior_layers": 8,
            "prior_lr": 3e-4,
        },
        note="the paper trains on larger images for 250,000 steps and says little of its PixelCNN",
    ),
)
