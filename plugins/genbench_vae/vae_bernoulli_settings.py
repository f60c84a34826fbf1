"""Settings and presets of the VAE with Bernoulli latents."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from genbench import DataSpec, IncompatibleError, Preset, Training
from genbench_nets.coder_settings import CoderSettings


class BernoulliVAESettings(CoderSettings):
    """A posterior of independent bits, fair coins as their prior, Bernoulli pixels."""

    training: ClassVar[Training] = Training(images=600_000, max_epochs=100, batch_size=100)

    z_dim: int = Field(
        16, ge=1, le=4096, description="number of bits, or of bits at each place of a spatial code"
    )
    estimator: Literal["reinforce", "straight_through", "concrete"] = Field(
        "reinforce",
        description="estimator of the encoder's gradient: reinforce (unbiased), "
        "straight_through (takes the gradient of a bit for that of its probability) "
        "or concrete (relaxed bits in training)",
    )
    baseline: Literal["none", "running", "leave_one_out"] = Field(
        "leave_one_out",
        description="baseline that reinforce subtracts from the reconstruction error: nothing, "
        "a running mean, or the mean error of the same image's other samples",
    )
    baseline_decay: float = Field(
        0.99,
        ge=0,
        le=1,
        description="decay of the running mean per step (1: the mean over all steps so far)",
    )
    samples: int = Field(
        2, ge=1, le=1000, description="number of posterior samples for each image and step"
    )
    temperature: float = Field(0.5, gt=0, description="temperature of the relaxed bits (concrete)")
    lr: float = Field(3e-3, gt=0, description="learning rate of Adam")

    @model_validator(mode="after")
    def _others_to_leave_in(self) -> Self:
        chosen = self.estimator == "reinforce" and self.baseline == "leave_one_out"
        if chosen and self.samples < 2:
            raise ValueError(
                "baseline=leave_one_out compares the samples of an image; set samples=2 or more, "
                "or baseline=running"
            )
        return self

    def check(self, data: DataSpec) -> None:
        """Pixels in [-1, 1]: what is reconstructed is the probability of white."""
        if not data.bounded:
            raise IncompatibleError(
                f"vae-bernoulli takes images in [-1, 1], but '{data.name}' has unbounded values; "
                "use vae with likelihood=gaussian"
            )
        self.check_shape(data, "vae-bernoulli")


PRESETS = (
    Preset(
        name="ying",
        source="Ying, Image Generation with VAE, section 2.2, algorithm 1, and section 3.1",
        datasets=("mnist",),
        epochs=30,
        batch_size=128,
        settings={
            "network": "conv",
            "z_dim": 32,
            "channels": (32, 64),
            "conv_hidden": 256,
            "input_range": "0,1",
            "baseline": "running",
            "baseline_decay": 1.0,
            "samples": 1,
            "lr": 1e-3,
        },
        note="networks, rate, batch and epochs are those of its code for Gaussian latents, the "
        "number of bits is ours; its pseudocode sums errors and log-probabilities over the batch "
        "before it multiplies them: here each sample has its own product",
    ),
)
