"""The Wasserstein GAN with gradient penalty (Gulrajani et al. 2017, arXiv:1704.00028).

Algorithm 1: five critic steps on E f(G(z)) - E f(x) + 10 E (||grad f(x^)|| - 1)^2 (eq. 3), x^ at
random between a real and a fake sample, then one step of G. The critic has no batch normalisation,
because the penalty is per sample (section 4). Algorithm 1 has Adam's betas at (0, 0.9); the code of
its MNIST experiment, which we follow, at (0.5, 0.9).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from genbench import MONITOR, Batch, DataSpec, Preset, Terms, Training
from genbench_nets.adversarial_settings import SIZES, AdversarialSettings, Sizes

if TYPE_CHECKING:
    from genbench_nets.adversarial_model import AdversarialModel


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
    n_critic: int = Field(5, ge=1, le=100, description="steps of the critic for each step of G")
    g_lr: float = Field(5e-4, gt=0, description="learning rate of the generator")
    d_lr: float = Field(5e-4, gt=0, description="learning rate of the critic")
    beta2: float = Field(0.9, ge=0, lt=1, description="Adam's beta2")

    def forbids_batch_norm(self) -> bool:
        """Always, because the penalty is per sample."""
        return True


def wgan_gp(settings: WGANGPSettings, data: DataSpec) -> AdversarialModel:
    """Generator z -> x, critic x -> value."""
    from genbench_nets.adversarial_losses import monitors
    from genbench_nets.adversarial_model import adversarial_model
    from genbench_nets.adversarial_training import alternating_phases
    from genbench_nets.penalties import gradient_penalty

    s = settings.fitted(data)
    model = adversarial_model(s, data, critic=True)

    def critic_loss(batch: Batch) -> Terms:
        """E f(G(z)) - E f(x) + lambda E (||grad f(x^)|| - 1)^2."""
        real, fake = model.real_and_fake(batch)
        real_scores, fake_scores = model.scores(real, fake)
        penalty = gradient_penalty(model.discriminate, real, fake)
        return {
            "d": {
                "real": -real_scores.mean(),
                "fake": fake_scores.mean(),
                "gradient_penalty": s.gradient_penalty * penalty,
            },
            MONITOR: monitors(real_scores, fake_scores, threshold=None),
        }

    def generator_loss(batch: Batch) -> Terms:
        """-E f(G(z)), on fresh noise."""
        return {"g": {"adversarial": -model.fake_scores(batch).mean()}}

    # The penalty is differentiated twice, which torch.compile does not support.
    phases = alternating_phases(critic_loss, generator_loss, n_critic=s.n_critic, compile_d=False)
    return model.trained_by(*phases)


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
        note="its code has 5x5 kernels, one more convolution, a sigmoid for images in [0, 1], and "
        "200,000 steps of G; ours has 4x4 kernels, tanh, and genbench's length",
    ),
)
