"""The least-squares GAN (Mao et al. 2017, arXiv:1611.04076).

Eq. 9, the 0-1 coding a = 0, b = c = 1: D minimises 1/2 E (D(x) - 1)^2 + 1/2 E D(G(z))^2 and G
1/2 E (D(G(z)) - 1)^2, so that G also learns from samples far on the right side. D's output is a
plain value; 0.5 separates real from fake. The paper's networks are convolutional; ours are fully
connected unless ``network=conv``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from genbench import MONITOR, Batch, DataSpec, Preset, Terms, Training
from genbench_nets.adversarial_settings import AdversarialSettings

if TYPE_CHECKING:
    from genbench_nets.adversarial_model import AdversarialModel


class LSGANSettings(AdversarialSettings):
    """The rates are higher than the paper's, so that a minute shows digits; see ``paper``."""

    training: ClassVar[Training] = Training(images=1_200_000, batch_size=100)

    g_lr: float = Field(5e-4, gt=0, description="learning rate of the generator")
    d_lr: float = Field(5e-4, gt=0, description="learning rate of the discriminator")
    label_smoothing: float = Field(
        0.0, ge=0, lt=0.5, description="the discriminator's target for real samples is 1 minus this"
    )


def lsgan(settings: LSGANSettings, data: DataSpec) -> AdversarialModel:
    """Generator z -> x, discriminator x -> value."""
    from genbench_nets.adversarial_losses import monitors
    from genbench_nets.adversarial_model import adversarial_model
    from genbench_nets.adversarial_training import alternating_phases

    s = settings.fitted(data)
    model = adversarial_model(s, data)
    b, c = 1.0 - s.label_smoothing, 1.0

    def d_loss(batch: Batch) -> Terms:
        """1/2 E (D(x) - b)^2 + 1/2 E D(G(z))^2."""
        real, fake = model.real_and_fake(batch)
        real_scores, fake_scores = model.scores(real, fake)
        return {
            "d": {
                "real": 0.5 * (real_scores - b).square().mean(),
                "fake": 0.5 * fake_scores.square().mean(),
            },
            MONITOR: monitors(real_scores, fake_scores, threshold=0.5),
        }

    def g_loss(batch: Batch) -> Terms:
        """1/2 E (D(G(z)) - c)^2, on fresh noise."""
        return {"g": {"adversarial": 0.5 * (model.fake_scores(batch) - c).square().mean()}}

    return model.trained_by(*alternating_phases(d_loss, g_loss, n_critic=s.n_critic))


PRESETS = (
    Preset(
        name="paper",
        source="Mao et al. 2017, section 4.1: batch 64, Adam with beta1 0.5, rate 2e-4 (LSUN)",
        datasets=("mnist",),
        batch_size=64,
        settings={"g_lr": 2e-4, "d_lr": 2e-4, "beta1": 0.5},
        note="on genbench's networks; the paper's are convolutional, for 112 px",
    ),
)
