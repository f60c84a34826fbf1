"""The Wasserstein GAN (Arjovsky et al. 2017, arXiv:1701.07875).

Algorithm 1: the critic ascends E f(x) - E f(G(z)) five times, its weights clipped to [-c, c] after
each step, then G ascends E f(G(z)); RMSProp for both. Minus the critic's loss estimates, up to a
factor, the Wasserstein-1 distance of data and samples (theorem 3, eq. 3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from genbench import MONITOR, Batch, DataSpec, Preset, Terms, Training
from genbench_nets.adversarial_settings import AdversarialSettings

if TYPE_CHECKING:
    from genbench_nets.adversarial_model import AdversarialModel


class WGANSettings(AdversarialSettings):
    """Rates and clip are larger than the paper's, so that a minute shows digits; see ``paper``."""

    training: ClassVar[Training] = Training(images=1_800_000, batch_size=64)

    clip: float = Field(
        0.03, gt=0, description="bound on each weight of the critic, after each of its steps"
    )
    n_critic: int = Field(5, ge=1, le=100, description="steps of the critic for each step of G")
    optimizer: Literal["adam", "rmsprop"] = Field(
        "rmsprop", description="optimizer of both networks"
    )
    g_lr: float = Field(1e-3, gt=0, description="learning rate of the generator")
    d_lr: float = Field(1e-3, gt=0, description="learning rate of the critic")


def wgan(settings: WGANSettings, data: DataSpec) -> AdversarialModel:
    """Generator z -> x, critic x -> value."""
    from genbench_nets.adversarial_losses import monitors
    from genbench_nets.adversarial_model import adversarial_model
    from genbench_nets.adversarial_training import alternating_phases
    from genbench_nets.penalties import clip_weights

    s = settings.fitted(data)
    model = adversarial_model(s, data, critic=True)

    def critic_loss(batch: Batch) -> Terms:
        """E f(G(z)) - E f(x)."""
        real, fake = model.real_and_fake(batch)
        real_scores, fake_scores = model.scores(real, fake)
        return {
            "d": {"real": -real_scores.mean(), "fake": fake_scores.mean()},
            MONITOR: monitors(real_scores, fake_scores, threshold=None),
        }

    def clip(terms: Terms) -> None:
        """w <- clip(w, -c, c)."""
        clip_weights(model.discriminator, s.clip)

    def generator_loss(batch: Batch) -> Terms:
        """-E f(G(z)), on fresh noise."""
        return {"g": {"adversarial": -model.fake_scores(batch).mean()}}

    phases = alternating_phases(critic_loss, generator_loss, n_critic=s.n_critic, after_d=clip)
    return model.trained_by(*phases)


PRESETS = (
    Preset(
        name="paper",
        source="Arjovsky et al. 2017, algorithm 1",
        datasets=("mnist",),
        batch_size=64,
        settings={"g_lr": 5e-5, "d_lr": 5e-5, "clip": 0.01, "n_critic": 5},
        note="rates, clip and steps of algorithm 1 on genbench's fully connected networks",
    ),
)
