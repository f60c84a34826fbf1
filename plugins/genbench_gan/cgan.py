"""The conditional GAN (Mirza & Osindero 2014, arXiv:1411.1784).

Both networks see the label as a one-hot vector beside their input (section 3.2; planes of an image
in the convolutional networks), so D judges whether x is real *and* of class y. The fake samples of
a minibatch have the labels of its real ones. We differ in networks and optimizer: the paper's D has
maxout layers, and both networks are trained by SGD with a rising momentum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field

from genbench import MONITOR, Batch, DataSpec, Terms, Training
from genbench_nets.adversarial_settings import AdversarialSettings, Network
from genbench_nets.conv_first import DESCRIPTION, conv_where_it_fits
from genbench_nets.labels import check_labelled

if TYPE_CHECKING:
    from genbench_nets.adversarial_model import AdversarialModel


class CGANSettings(AdversarialSettings):
    """Two networks that see a label beside their input; labelled data."""

    training: ClassVar[Training] = Training(images=600_000, batch_size=64)

    network: Network = Field("auto", description=DESCRIPTION)
    g_lr: float = Field(1e-3, gt=0, description="learning rate of the generator")
    label_smoothing: float = Field(
        0.0, ge=0, lt=0.5, description="the discriminator's target for real samples is 1 minus this"
    )

    def fitted(self, data: DataSpec) -> Self:
        """These settings with the kind of network, sizes and normalisation filled in."""
        return super(CGANSettings, conv_where_it_fits(self, data)).fitted(data)

    def check(self, data: DataSpec) -> None:
        """Raise IncompatibleError if the data has no labels, or the networks do not fit."""
        check_labelled(data, "cgan", instead="gan")
        super().check(data)


def cgan(settings: CGANSettings, data: DataSpec) -> AdversarialModel:
    """Generator (z, y) -> x, discriminator (x, y) -> logit."""
    from genbench_nets.adversarial_losses import fake_loss, monitors, real_loss
    from genbench_nets.adversarial_model import adversarial_model
    from genbench_nets.adversarial_training import alternating_phases

    s = settings.fitted(data)
    model = adversarial_model(s, data, classes=data.classes)

    def d_loss(batch: Batch) -> Terms:
        """-E log D(x|y) - E log(1 - D(G(z|y))) (eq. 2)."""
        real, fake = model.real_and_fake(batch)
        real_scores, fake_scores = model.scores(real, fake, batch.y)
        return {
            "d": {
                "real": real_loss(real_scores, target=1.0 - s.label_smoothing),
                "fake": fake_loss(fake_scores),
            },
            MONITOR: monitors(real_scores, fake_scores, logits=True),
        }

    def g_loss(batch: Batch) -> Terms:
        """-E log D(G(z|y)), on fresh noise."""
        return {"g": {"adversarial": real_loss(model.fake_scores(batch))}}

    return model.trained_by(*alternating_phases(d_loss, g_loss, n_critic=s.n_critic))
