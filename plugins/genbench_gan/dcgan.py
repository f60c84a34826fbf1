"""DCGAN (Radford, Metz & Chintala 2015, arXiv:1511.06434), and the networks of two reports.

The paper's guidelines (section 3): strides instead of pooling, batch normalisation in both networks
except at G's output and D's input, no hidden fully connected layers, ReLU and tanh in G, LeakyReLU
0.2 in D; section 4: weights from N(0, 0.02), Adam 2e-4 with beta1 0.5, batch 128. The paper draws
z from U(-1, 1); we draw it from N(0, I), as do PyTorch's example and guo2023. By default our rates
are higher, G's the most, and our batches smaller: they were tuned for minutes on a CPU
(docs/tables/defaults.md). ``--preset paper`` has those of the paper.

``network=guo2023`` and ``network=ijzer`` are other convolutional networks that break most of these
guidelines; they are here because their authors call them DCGANs, or compare them with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from genbench import (
    MONITOR,
    Batch,
    DataSpec,
    IncompatibleError,
    ModelSettings,
    Preset,
    Terms,
    Training,
)
from genbench_nets.adversarial_settings import Augmentation

if TYPE_CHECKING:
    from genbench_nets.adversarial_model import AdversarialModel
    from genbench_nets.adversarial_networks import Networks

SIDES = {"guo2023": (28,), "ijzer": (160,), "paper": (28, 32, 40, 48, 56, 64)}
"""The sides of the square images that each network takes, in px."""


class DCGANSettings(ModelSettings):
    """Two convolutional networks; square images of 28 to 64 px, or 160 px (ijzer)."""

    widths: ClassVar[tuple[str, ...]] = ("g_channels",)

    training: ClassVar[Training] = Training(images=480_000, batch_size=64)

    network: Literal["paper", "guo2023", "ijzer"] = Field(
        "paper",
        description="the paper's networks, or those of guo2023 (28 px only) or ijzer (160 px only)",
    )
    upsample: Literal["transposed", "resize"] = Field(
        "transposed",
        description="upsampling in the generator: transposed convolutions, or nearest "
        "neighbours and a convolution (paper, ijzer)",
    )
    z_dim: int = Field(100, ge=1, le=4096, description="size of the noise z ~ N(0, I)")
    g_channels: int = Field(
        32, ge=1, le=1024, description="channels before the generator's last layer (paper)"
    )
    d_channels: int = Field(
        32, ge=1, le=1024, description="channels after the discriminator's first layer (paper)"
    )
    n_critic: int = Field(1, ge=1, le=100, description="steps of D for each step of G")
    g_lr: float = Field(5e-3, gt=0, description="learning rate of the generator's Adam")
    d_lr: float = Field(1.5e-3, gt=0, description="learning rate of the discriminator's Adam")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's beta1")
    label_smoothing: float = Field(
        0.0, ge=0, lt=0.5, description="the discriminator's target for real samples is 1 minus this"
    )
    feature_matching: float = Field(
        0.0, ge=0, description="weight of feature matching, added to the generator's own loss"
    )
    instance_noise: float = Field(
        0.0,
        ge=0,
        description="standard deviation of noise on the discriminator's input, which falls "
        "linearly to 0",
    )
    augment: tuple[Augmentation, ...] = Field(
        (), description="differentiable augmentation of the discriminator's input"
    )

    def check(self, data: DataSpec) -> None:
        """Square images of a side that the network takes."""
        square = data.bounded and data.shape[1] == data.shape[2]
        sides = SIDES[self.network]
        if square and data.shape[1] in sides:
            return
        words = ", ".join(map(str, sides[:-1])) + " or " if sides[1:] else ""
        fits = "network=ijzer" if square and data.shape[1] in SIDES["ijzer"] else None
        hint = f"--set {fits or f'data.size={32 if 32 in sides else sides[-1]}'}"
        if not data.bounded:
            hint = "the model gan, which takes points and latents"
        raise IncompatibleError(
            f"dcgan with network={self.network} takes square images of {words}{sides[-1]} px; "
            f"{data.name} has shape {data.shape}. Try {hint}."
        )

    @model_validator(mode="after")
    def _options_of_the_network(self) -> Self:
        if self.network == "guo2023" and self.upsample == "resize":
            raise ValueError(
                "network=guo2023 has no upsampling, since its generator shrinks from 56 px; set "
                "upsample=transposed, or network=paper"
            )
        return self


def dcgan(settings: DCGANSettings, data: DataSpec) -> AdversarialModel:
    """Generator z -> x in [-1, 1], discriminator x -> logit.

    D's batch statistics are of real or of fake images alone.
    """
    from genbench_nets.adversarial_losses import fake_loss, monitors, real_loss
    from genbench_nets.adversarial_model import AdversarialModel
    from genbench_nets.adversarial_training import alternating_phases, two_adams

    settings.check(data)
    s = settings
    model = AdversarialModel(
        networks(s, data),
        optimizers=two_adams(d_lr=s.d_lr, g_lr=s.g_lr, beta1=s.beta1),
        z_dim=s.z_dim,
        augment=s.augment,
        instance_noise=s.instance_noise,
    )
    model.mixes_samples = s.feature_matching > 0

    def d_loss(batch: Batch) -> Terms:
        """-E log D(x) - E log(1 - D(G(z)))."""
        real_scores, fake_scores = model.scores(*model.real_and_fake(batch))
        return {
            "d": {
                "real": real_loss(real_scores, target=1.0 - s.label_smoothing),
                "fake": fake_loss(fake_scores),
            },
            MONITOR: monitors(real_scores, fake_scores, logits=True),
        }

    def g_loss(batch: Batch) -> Terms:
        """-E log D(G(z)), on fresh noise, perhaps with feature matching."""
        if not s.feature_matching:
            return {"g": {"adversarial": real_loss(model.fake_scores(batch))}}
        scores, distance = model.fake_scores_and_features(batch)
        matching = s.feature_matching * distance
        return {"g": {"adversarial": real_loss(scores), "feature_matching": matching}}

    return model.trained_by(*alternating_phases(d_loss, g_loss, n_critic=s.n_critic))


def networks(s: DCGANSettings, data: DataSpec) -> Networks:
    """The networks of the settings on the CPU; the generator is built first."""
    from genbench_nets import dcgan_networks as dcgan, imagenette_networks as imagenette
    from genbench_nets.adversarial_networks import Networks
    from genbench_nets.labelled_sequential import LabelledSequential

    channels = data.shape[0]
    if s.network == "guo2023":
        layers = dcgan.guo_generator(s.z_dim, channels), dcgan.guo_discriminator(channels)
    elif s.network == "ijzer":
        generator = imagenette.imagenette_generator(s.z_dim, channels, s.upsample)
        layers = generator, imagenette.imagenette_discriminator(channels)
    else:
        generator = dcgan.paper_generator(data.shape, s.z_dim, s.g_channels, s.upsample)
        layers = generator, dcgan.paper_discriminator(data.shape, s.d_channels)
    return Networks(
        generator=LabelledSequential(*layers[0]), discriminator=LabelledSequential(*layers[1])
    )


PRESETS = (
    Preset(
        name="paper",
        source="Radford, Metz & Chintala 2015, section 4: batch 128, Adam 2e-4 with beta1 0.5",
        datasets=("mnist",),
        batch_size=128,
        settings={"g_lr": 2e-4, "d_lr": 2e-4, "beta1": 0.5},
        note="on genbench's networks; the paper's have 1024 channels, for 64 px",
    ),
    Preset(
        name="guo2023",
        source="Guo 2023, A Study of Deep Learning Based Generative Models, section 4.2, MNIST",
        datasets=("mnist",),
        epochs=300,
        batch_size=128,
        settings={"network": "guo2023", "n_critic": 3, "g_lr": 3e-4, "d_lr": 3e-4, "beta1": 0.9},
        note="not the DCGAN of the paper; its discriminator wins (its loss went to 1e-4). The "
        "document says 100 epochs, and its code takes the three steps of D on one minibatch: ours "
        "take new ones, so that 300 of our epochs have as many steps",
    ),
    Preset(
        name="guo2023",
        source="Guo 2023, section 4.2, anime faces, and PyTorch's DCGAN example",
        datasets=("image-folder",),
        epochs=50,
        batch_size=128,
        seed=999,
        settings={"g_channels": 64, "d_channels": 64, "g_lr": 2e-4, "d_lr": 2e-4},
        data={"size": 64},
    ),
    Preset(
        name="ijzer",
        source="IJzer, VAE and GAN on MNIST and Imagenette, tables 1 and 3",
        datasets=("imagenette", "image-folder"),
        epochs=100,
        batch_size=48,
        settings={"network": "ijzer", "z_dim": 500, "g_lr": 2e-4, "d_lr": 2e-4, "beta1": 0.9},
        data={"size": 160},
        note="its author also tried label_smoothing, upsample=resize, feature_matching and rates",
    ),
)
