"""The spectrally normalised GAN (Miyato et al. 2018, arXiv:1802.05957).

Every layer of D is divided by its largest singular value (algorithm 1, `genbench_nets.spectral`),
which bounds D's slope by 1 whatever the loss: the hinge (eq. 16 and 17) or the standard one
(``loss=non_saturating``). Five steps of D for one of G, both rates falling linearly to 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from genbench import MONITOR, Batch, DataSpec, Preset, Terms, Training
from genbench_nets.adversarial_settings import SIZES, AdversarialSettings, Sizes

if TYPE_CHECKING:
    from genbench_nets.adversarial_model import AdversarialModel


class SNGANSettings(AdversarialSettings):
    """The rates are higher than the paper's, so that a minute shows digits; see ``paper``."""

    training: ClassVar[Training] = Training(images=1_800_000, batch_size=64)
    sizes: ClassVar[Sizes] = {
        **SIZES,
        "mlp": {**SIZES["mlp"], "z_dim": 128},
        "conv": {**SIZES["conv"], "z_dim": 128},
    }

    loss: Literal["hinge", "non_saturating"] = Field("hinge", description="adversarial loss")
    n_critic: int = Field(5, ge=1, le=100, description="steps of D for each step of G")
    g_lr: float = Field(5e-4, gt=0, description="learning rate of the generator")
    d_lr: float = Field(5e-4, gt=0, description="learning rate of the discriminator")
    beta1: float = Field(0.0, ge=0, lt=1, description="Adam's beta1")
    beta2: float = Field(0.9, ge=0, lt=1, description="Adam's beta2")
    decay: Literal["constant", "linear"] = Field(
        "linear", description="schedule of both learning rates: constant, or linear decay to 0"
    )

    def forbids_batch_norm(self) -> bool:
        """True, since the gains of batch normalisation would undo the bound on D's slope."""
        return True


def sngan(settings: SNGANSettings, data: DataSpec) -> AdversarialModel:
    """Generator z -> x, discriminator x -> score, each of its layers 1-Lipschitz."""
    from torch.nn.functional import relu, softplus

    from genbench_nets.adversarial_losses import monitors
    from genbench_nets.adversarial_model import adversarial_model
    from genbench_nets.adversarial_training import alternating_phases

    s = settings.fitted(data)
    model = adversarial_model(s, data, spectral=True)
    hinge = s.loss == "hinge"

    def d_loss(batch: Batch) -> Terms:
        """E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))); or -E log D(x) - E log(1 - D(G(z)))."""
        real, fake = model.real_and_fake(batch)
        real_scores, fake_scores = model.scores(real, fake)
        terms = {
            "real": (relu(1.0 - real_scores) if hinge else softplus(-real_scores)).mean(),
            "fake": (relu(1.0 + fake_scores) if hinge else softplus(fake_scores)).mean(),
        }
        return {"d": terms, MONITOR: monitors(real_scores, fake_scores, logits=not hinge)}

    def g_loss(batch: Batch) -> Terms:
        """-E D(G(z)); or -E log D(G(z)), on fresh noise."""
        scores = model.fake_scores(batch)
        return {"g": {"adversarial": -scores.mean() if hinge else softplus(-scores).mean()}}

    return model.trained_by(*alternating_phases(d_loss, g_loss, n_critic=s.n_critic))


PRESETS = (
    Preset(
        name="paper",
        source="Miyato et al. 2018: hinge, Adam 2e-4 (0, 0.9), five steps of D, batch 64",
        datasets=("mnist",),
        batch_size=64,
        settings={
            "network": "conv",
            "g_channels": 64,
            "d_channels": 64,
            "g_lr": 2e-4,
            "d_lr": 2e-4,
            "beta1": 0.0,
            "beta2": 0.9,
            "n_critic": 5,
        },
        note="on genbench's convolutional networks; the paper's are for 32 px and more",
    ),
)
