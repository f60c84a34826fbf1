"""Settings and presets of CVAE-GAN."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from genbench import DataSpec, IncompatibleError, Preset, Training
from genbench_nets.coder_settings import LabelledCoderSettings
from genbench_nets.labels import check_labelled


class CVAEGANSettings(LabelledCoderSettings):
    """Encoder and generator, which see the label, a discriminator and a classifier."""

    training: ClassVar[Training] = Training(images=600_000, max_epochs=100, batch_size=100)

    network: Literal["mlp", "conv"] = Field("conv", description="kind of all four networks")
    channels: tuple[int, ...] = Field(
        (16, 32),
        min_length=1,
        description="channels of the encoder's convolutions; each halves the image; the "
        "generator mirrors them (conv)",
    )
    judge_hidden: tuple[int, ...] = Field(
        (512, 256),
        min_length=1,
        description="widths of discriminator and classifier; the last is the width of the "
        "features (mlp)",
    )
    judge_channels: tuple[int, ...] = Field(
        (16, 32),
        min_length=1,
        description="channels of the convolutions of discriminator and classifier; each "
        "halves the image (conv)",
    )
    judge_features: int = Field(
        128, ge=1, description="width of the features of discriminator and classifier (conv)"
    )
    kl_weight: float = Field(3.0, ge=0, description="lambda_1: weight of the KL")
    reconstruction_weight: float = Field(
        1.0,
        gt=0,
        description="lambda_2: weight of the distances between pairs in pixels and in the "
        "features of D and C",
    )
    d_mean_weight: float = Field(
        0.3, ge=0, description="lambda_3: weight of the distance between mean features in D"
    )
    c_mean_weight: float = Field(
        0.3,
        ge=0,
        description="lambda_4: weight of the distance between mean features in C, for each class",
    )
    means_decay: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="decay of the moving averages of mean features (0: no averages)",
    )
    d_reconstructions: bool = Field(
        False, description="train the discriminator on reconstructions too, as generated images"
    )
    lr: float = Field(1e-3, gt=0, description="learning rate of Adam for encoder and generator")
    d_lr: float = Field(1e-4, gt=0, description="learning rate of the discriminator's Adam")
    c_lr: float = Field(1e-3, gt=0, description="learning rate of the classifier's Adam")
    beta1: float = Field(0.5, ge=0, lt=1, description="beta1 of all Adam optimizers")

    def check(self, data: DataSpec) -> None:
        """Labels are there, and the networks fit the shape."""
        check_labelled(data, "cvae-gan", instead="vaegan")
        self.check_shape(data, "cvae-gan")
        if self.network == "conv" and data.shape[1] >> len(self.judge_channels) == 0:
            raise IncompatibleError(
                f"{len(self.judge_channels)} judge_channels halve the images of '{data.name}', "
                f"{data.shape}, too often; set fewer"
            )


PRESETS = (
    Preset(
        name="guo2023",
        source="Guo 2023, A Study of Deep Learning Based Generative Models, section 4.4, with the "
        "losses of Bao et al. 2017, arXiv:1703.10155",
        datasets=("mnist",),
        epochs=200,
        batch_size=128,
        seed=88,
        settings={
            "z_dim": 100,
            "input_range": "0,1",
            "judge_channels": (32, 64),
            "judge_features": 1024,
            "kl_weight": 3.0,
            "label_first": 0.0,
            "reconstruction_weight": 1.0,
            "d_mean_weight": 1e-3,
            "c_mean_weight": 1e-3,
            "lr": 1e-4,
            "d_lr": 1e-4,
            "c_lr": 1e-4,
            "beta1": 0.9,
        },
        note="the document gives no sizes of its networks: channels and features are those of its "
        "code, strides take the place of its pooling and batch normalisation, and the encoder sees "
        "the label, as in the paper; its code takes the mean of the squared error but sums the KL "
        "over the batch, so that its posterior collapses, and the preset follows the paper; the "
        "paper's weights of the losses are from memory, unchecked",
    ),
)
