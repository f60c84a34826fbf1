"""Settings of the Wasserstein GAN with gradient penalty."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from genbench import Preset, Training
from genbench_nets.adversarial_settings import SIZES, AdversarialSettings, Sizes


class WGANGPSettings(AdversarialSettings):
    """Five times the paper's rate, so that a minute shows digits; ``paper`` has its own."""

    training: ClassVar[Training] = Training(images=1_800_000, batch_size=50)
    sizes: ClassVar[Sizes] = {
        **SIZES,
        "mlp": {**SIZES["mlp"], "z_dim": 128},
        "conv": {**SIZES["conv"], "z_dim": 128},
    }

    gradient_penalty: float = Field(
        10.0, gt=0, description="weight of (|gradient| - 1)^2 between real and fake samples"
    )
    n_critic: int = Field(5, ge=1, le=100, description="steps of the critic for one of G")
    g_lr: float = Field(5e-4, gt=0, description="learning rate of the generator")
    d_lr: float = Field(5e-4, gt=0, description="learning rate of the critic")
    beta2: float = Field(0.9, ge=0, lt=1, description="Adam's beta2")

    def forbids_batch_norm(self) -> bool:
        """The penalty does."""
        return True


PRESETS = (
    Preset(
        name="paper",
        source="Gulrajani et al. 2017 and its code for MNIST",
        datasets=("mnist",),
        batch_size=50,
        settings={
            "network": "conv",
            "g_channels": 64,
            "d_channels": 64,
            "g_norm": "identity",
            "g_activation": "relu",
            "g_lr": 1e-4,
            "d_lr": 1e-4,
        },
        note="its code has 5x5 kernels, one convolution more, images in [0, 1] by a sigmoid and "
        "200,000 steps of G; here 4x4, tanh, and the bench's length",
    ),
)
