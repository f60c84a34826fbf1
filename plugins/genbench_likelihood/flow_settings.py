"""Settings and presets of the normalising flows (no torch here)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from genbench import DataSpec, IncompatibleError, ModelSettings, Preset, Training
from genbench_nets.labels import check_conditional


class FlowSettings(ModelSettings):
    """Settings of all flows; ``hidden`` depends on the data unless it is set."""

    training: ClassVar[Training] = Training(images=400_000, batch_size=100)
    point_training: ClassVar[Training] = Training(images=3_000_000, batch_size=256)
    latent_training: ClassVar[Training] = Training(images=1_200_000, batch_size=100)
    image_hidden: ClassVar[tuple[int, ...]] = (256, 256)
    widths: ClassVar[tuple[str, ...]] = ("hidden",)
    formerly: ClassVar[Mapping[str, Any]] = {"margin": 0.05}

    hidden: tuple[int, ...] | None = Field(
        None,
        min_length=1,
        description="widths of the fully connected networks; by default 128, 128 for points and "
        "latents, and 256, 256 for images (nsf: 64, 64)",
    )
    lr: float = Field(1e-3, gt=0, description="learning rate of Adam, which falls to 0 as a cosine")
    margin: float = Field(
        1e-6,
        gt=0,
        lt=0.5,
        description="margin of the logits: pixels in [0, 1] are moved into [margin, 1 - margin]; "
        "0.05 suits photographs; images with many black pixels need far less",
    )

    conditional: bool = Field(False, description="give the label to each network of the flow")

    def check(self, data: DataSpec) -> None:
        """Raise IncompatibleError if there are no labels for ``conditional``."""
        if self.conditional:
            check_conditional(data, "a flow")

    def fitted(self, data: DataSpec) -> Self:
        """The widths for this data."""
        default = self.image_hidden if data.bounded else (128, 128)
        return self.model_copy(update={"hidden": self.hidden or default})

    def training_on(self, data: DataSpec) -> Training:
        """More samples for points and latents, as their steps are cheap."""
        if data.bounded:
            return super().training_on(data)
        return self.latent_training if data.latent else self.point_training


class RealNVPSettings(FlowSettings):
    """Couplings with small networks; ``paper`` has wider ones."""

    training: ClassVar[Training] = Training(images=200_000, batch_size=100)
    widths: ClassVar[tuple[str, ...]] = ("hidden", "channels")

    network: Literal["auto", "conv", "mlp"] = Field(
        "auto",
        description="networks of the couplings: convolutional at several scales (images and "
        "grids), or fully connected (mlp); auto: conv if the data fits",
    )
    couplings: int = Field(8, ge=2, le=100, description="number of couplings (network mlp)")
    channels: int = Field(
        32, ge=1, le=1024, description="channels of the residual networks (network conv)"
    )
    blocks: int = Field(
        1, ge=0, le=32, description="residual blocks of each network (network conv)"
    )
    scales: int = Field(
        2, ge=0, le=6, description="maximum number of times that a side is halved (network conv)"
    )

    def fitted(self, data: DataSpec) -> Self:
        """The networks that take this data, and their widths."""
        network = "conv" if data.is_image else "mlp"
        chosen = network if self.network == "auto" else self.network
        return super().fitted(data).model_copy(update={"network": chosen})

    def check(self, data: DataSpec) -> None:
        """A coupling keeps at least one value and changes another; convolutions need an image."""
        super().check(data)
        _refuse_one_value("realnvp", data)
        if self.network == "conv" and not data.is_image:
            raise IncompatibleError(
                f"network=conv takes images or grids, and '{data.name}' has shape {data.shape}; "
                "set network=mlp"
            )


class MAFSettings(FlowSettings):
    """Five autoregressive layers, as the paper's MAF (5)."""

    layers: int = Field(
        5, ge=1, le=100, description="number of autoregressive layers, each in reversed order"
    )


class NSFSettings(FlowSettings):
    """Spline couplings. Splines are the identity outside of 5 standard deviations."""

    training: ClassVar[Training] = Training(images=200_000, batch_size=100)
    image_hidden: ClassVar[tuple[int, ...]] = (64, 64)

    layers: int = Field(5, ge=2, le=100, description="number of coupling layers")
    bins: int = Field(8, ge=2, le=128, description="bins of each spline")

    def check(self, data: DataSpec) -> None:
        """Raise IncompatibleError without zuko, or for a single value."""
        super().check(data)
        _refuse_one_value("nsf", data)
        if find_spec("zuko") is None:
            raise IncompatibleError(
                "nsf needs the package 'zuko'", hint="pip install 'genbench[flows]'"
            )


def _refuse_one_value(model: str, data: DataSpec) -> None:
    if data.shape == (1,):
        raise IncompatibleError(
            f"{model} takes samples of two values or more, and '{data.name}' has one; use maf"
        )


REALNVP_PRESETS = (
    Preset(
        name="paper",
        source="Dinh et al. 2017, section 4.1: 32 x 32, 8 residual blocks of 64 planes, batch 64",
        datasets=("image-folder",),
        batch_size=64,
        settings={"channels": 64, "blocks": 8, "lr": 1e-3, "margin": 0.05},
        data={"size": 32},
        note="the paper also has batch normalisation between couplings and in their networks, and "
        "a penalty of 5e-5 on the weight scales; ours standardises the data instead",
    ),
)
MAF_PRESETS = (
    Preset(
        name="paper",
        source="Papamakarios et al. 2017, section 4.3 and appendix D: MAF (5)",
        datasets=("mnist",),
        batch_size=100,
        settings={"layers": 5, "hidden": (1024,), "lr": 1e-4, "margin": 1e-6},
        note="the paper has batch normalisation between layers, and early stopping; ours "
        "standardises the data. It reports 1.89 bits per dimension",
    ),
)
