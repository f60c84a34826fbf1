"""Settings and presets of PixelCNN (no torch here)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from genbench import DataSpec, IncompatibleError, ModelSettings, Preset, Training
from genbench_nets.labels import check_conditional


class PixelCNNSettings(ModelSettings):
    """Gated layers and the law of a value given all earlier ones."""

    training: ClassVar[Training] = Training(images=200_000, batch_size=50)

    likelihood: Literal["logistic", "categorical", "bernoulli"] = Field(
        "logistic",
        description="distribution of a value: a mixture of discretised logistics, any over 256 "
        "levels (categorical), or black and white (bernoulli, with data.binarize)",
    )
    components: int = Field(5, ge=1, le=100, description="components of the mixture (logistic)")
    layers: int = Field(6, ge=1, le=100, description="number of gated layers")
    channels: int = Field(24, ge=1, le=1024, description="channels of each of the two stacks")
    kernel: Literal[3, 5, 7] = Field(5, description="width of the convolutions before masking")
    hidden: int = Field(64, ge=1, le=4096, description="channels of the layer before the output")
    lr: float = Field(2e-3, gt=0, description="learning rate of Adam, which falls to 0 as a cosine")

    conditional: bool = Field(False, description="give the label to each layer (eq. 4)")

    def check(self, data: DataSpec) -> None:
        """Pixels, which have 256 levels, and labels if they are asked for."""
        if self.conditional:
            check_conditional(data, "pixelcnn")
        if not data.bounded:
            raise IncompatibleError(
                f"pixelcnn takes images of 256 levels, and '{data.name}' has unbounded values; use "
                "maf, nsf or realnvp"
            )


PRESETS = (
    Preset(
        name="pytorch-generative",
        source="EugenHotaj/pytorch-generative, gated PixelCNN on dynamically binarised MNIST",
        datasets=("mnist",),
        epochs=457,
        batch_size=256,
        settings={
            "likelihood": "bernoulli",
            "layers": 15,
            "channels": 16,
            "kernel": 3,
            "hidden": 32,
            "lr": 1e-3,
        },
        data={"binarize": "dynamic"},
        note="its README gives 81.45 nats for PixelCNN and 81.50 for the gated one; ours has the "
        "sizes that it gives for both, with a cosine in place of its factor 0.999977 per step",
    ),
)
