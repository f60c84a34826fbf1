"""Settings and presets of the VAE."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from genbench import DataSpec, IncompatibleError, Preset, Training
from genbench_nets.coder_settings import CoderSettings, at


class VAESettings(CoderSettings):
    """A Gaussian posterior, a standard normal prior, and a decoder that gives pixel means."""

    training: ClassVar[Training] = Training(images=900_000, max_epochs=100, batch_size=100)

    centred: bool = Field(
        False,
        description="subtract the mean training image from the encoder's input and add it to "
        "the decoder's output",
        exclude_if=at(False),
    )
    input_dropout: float = Field(
        0.0, ge=0, lt=1, description="dropout of the encoder's input pixels", exclude_if=at(0.0)
    )
    input_noise: float = Field(
        0.0,
        ge=0,
        description="standard deviation of white noise on the encoder's input in training, in "
        "the unit of x (images: [-1, 1]); the target has none",
        exclude_if=at(0.0),
    )
    likelihood: Literal["bernoulli", "gaussian", "mse"] = Field(
        "bernoulli",
        description="p(x|z), summed over the pixels: bernoulli (a likelihood on black and white "
        "pixels, a loss on grey ones), gaussian (a density), mse (a loss)",
    )
    noise_std: float | None = Field(
        None,
        gt=0,
        description="standard deviation of a gaussian likelihood, x in [-1, 1] (none: learned)",
        exclude_if=at(None),
    )
    reconstruction_weight: float = Field(
        1.0,
        gt=0,
        description="weight of the reconstruction term; beta is the weight of the KL term",
        exclude_if=at(1.0),
    )
    beta: float = Field(1.0, ge=0, description="weight of the KL term (beta-VAE)")
    beta_warmup: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the steps over which beta rises from 0",
        exclude_if=at(0.0),
    )
    iwae_samples: int = Field(
        1,
        ge=1,
        description="number of samples in the importance-weighted bound (IWAE)",
        exclude_if=at(1),
    )
    lr: float = Field(1e-3, gt=0, description="learning rate of Adam")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant",
        description="schedule of the learning rate over the steps",
        exclude_if=at("constant"),
    )
    lr_final: float = Field(
        0.02,
        ge=0,
        le=1,
        description="final learning rate as a share of lr (linear, cosine)",
        exclude_if=at(0.02),
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.iwae_samples > 1 and (self.likelihood == "mse" or self.weighted):
            raise ValueError(
                "iwae_samples > 1 needs a likelihood and beta = 1, without a warm-up or a weight "
                "of the reconstruction; set likelihood=bernoulli or gaussian and leave the "
                "weights out, or set iwae_samples=1"
            )
        if self.centred and self.input_range != "-1,1":
            raise ValueError(
                "centred=true has a scale of its own, the deviation from the mean image; leave "
                "input_range out"
            )
        if self.noise_std is not None and self.likelihood != "gaussian":
            raise ValueError("noise_std needs a gaussian likelihood; set likelihood=gaussian")
        return self

    @property
    def weighted(self) -> bool:
        """Whether a term of the loss is ever weighted by anything but 1."""
        return (self.reconstruction_weight, self.beta, self.beta_warmup) != (1, 1, 0)

    def fitted(self, data: DataSpec) -> Self:
        """On the codes of another model, a gaussian likelihood unless one is set."""
        if data.latent and "likelihood" not in self.model_fields_set:
            return self.model_copy(update={"likelihood": "gaussian"})
        return self

    def check(self, data: DataSpec) -> None:
        """Values in [-1, 1] or a gaussian likelihood, and a shape that the network takes."""
        if not data.bounded and self.likelihood != "gaussian":
            raise IncompatibleError(
                f"vae with likelihood={self.likelihood} takes values in [-1, 1], and '{data.name}' "
                f"has {'codes' if data.latent else 'points'}, which are unbounded; set "
                "likelihood=gaussian"
            )
        self.check_shape(data, "vae")


PRESETS = (
    Preset(
        name="burda2016",
        source="Burda, Grosse & Salakhutdinov 2016, arXiv:1509.00519, section 5 and table 1 (VAE, "
        "one stochastic layer, k = 1)",
        datasets=("mnist",),
        epochs=200,
        batch_size=100,
        settings={
            "z_dim": 50,
            "hidden": (300, 300),
            "activation": "tanh",
            "centred": True,
            "input_dropout": 0.1,
            "schedule": "cosine",
        },
        data={"binarize": "fixed"},
        note="the paper draws the training images again for each minibatch (86.76 nats; --set "
        "data.binarize=dynamic is its protocol), has 200 units per layer and no dropout of pixels, "
        "takes minibatches of 20 and lowers the rate in steps over 3,280 epochs",
    ),
    Preset(
        name="guo2023",
        source="Guo 2023, A Study of Deep Learning Based Generative Models, section 4.3",
        datasets=("mnist",),
        epochs=200,
        batch_size=128,
        settings={"z_dim": 2, "hidden": (256,), "input_range": "0,1", "lr": 1e-3},
        note="the text says lr 1e-4; the code that gave its numbers uses 1e-3, and feeds [0, 1]",
    ),
    Preset(
        name="ijzer",
        source="IJzer, VAE and GAN on MNIST and Imagenette, tables 1 and 2",
        datasets=("mnist",),
        epochs=100,
        batch_size=64,
        settings={
            "z_dim": 20,
            "hidden": (1024, 512, 256),
            "activation": "leaky_relu",
            "dropout": 0.3,
            "input_range": "0,1",
            "likelihood": "mse",
            "lr": 2e-4,
        },
        note="its table names no output layer: we use a sigmoid, and the squared error to the "
        "encoder's input in [0, 1], summed over the pixels",
    ),
    Preset(
        name="ijzer",
        source="IJzer, VAE and GAN on MNIST and Imagenette, tables 1 and 3",
        datasets=("imagenette", "image-folder"),
        epochs=200,
        batch_size=48,
        settings={
            "network": "ijzer",
            "z_dim": 200,
            "input_range": "0,1",
            "likelihood": "mse",
            "lr": 2e-4,
        },
        data={"size": 160},
        note="z is 100 in its table 1 and 200 in its table 3; the layers of table 3 fit 200. It "
        "names no output layer: we use a sigmoid, and the squared error summed over the pixels; "
        "the encoder sees [0, 1]",
    ),
    Preset(
        name="lin2023",
        source="Lin et al. 2023, Generate Faster, and its code base pytorch-mnist-VAE",
        datasets=("mnist", "fashion-mnist"),
        epochs=50,
        batch_size=100,
        settings={"z_dim": 2, "hidden": (512, 256), "input_range": "0,1", "lr": 1e-3},
    ),
    Preset(
        name="lin2023",
        source="Lin et al. 2023, Generate Faster, on CelebA",
        datasets=("celeba", "image-folder"),
        epochs=50,
        batch_size=100,
        settings={
            "network": "conv",
            "z_dim": 64,
            "channels": (32, 64, 128, 256),
            "batch_norm": True,
            "conv_hidden": 512,
            "input_range": "0,1",
            "lr": 1e-3,
        },
        data={"size": 64},
        note="the document gives no network for faces: size, channels and z are ours; loss, rate, "
        "batch and epochs are those of its MNIST code",
    ),
    Preset(
        name="ying",
        source="Ying, Image Generation with VAE, section 3, and its code AI_Practice",
        datasets=("mnist",),
        epochs=30,
        batch_size=128,
        settings={
            "network": "conv",
            "z_dim": 2,
            "channels": (32, 64),
            "conv_hidden": 256,
            "input_range": "0,1",
            "lr": 1e-3,
        },
        note="the document says 28 -> 14 -> 7, Adam and BCE + KL; all sizes, rate, batch and "
        "epochs are those of its code. Its other figures: z_dim=1; its ratio, by which the code "
        "weighs the KL: beta=0.1, 0.5, 2, 10; input_noise=0.002 (the code adds it to the target "
        "too, and clips)",
    ),
)
