"""The conditional variational autoencoder (Sohn, Lee & Yan 2015; Kingma et al. 2014).

The label y is a one-hot vector beside x in the encoder and beside z in the decoder (planes of an
image in the convolutional networks), so that z only has to hold the rest. The loss is the negative
bound of log p(x|y),

    -E_q(z|x,y) log p(x|z, y) + beta KL[q(z|x, y) || N(0, I)],

per image, of one sample of the posterior: the bound of "Learning Structured Output Representation
using Deep Conditional Generative Models" (NeurIPS 2015), section 4, with its prior relaxed to one
that doesn't depend on the condition; and the labelled part of M2 in "Semi-supervised Learning with
Deep Generative Models" (arXiv:1406.5298, eq. 6), without the constant log p(y).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from genbench import MONITOR, Batch, DataSpec, Optimizer, Phase, Stage, Terms, UsageError
from genbench_nets.coders import coders
from genbench_nets.elbo_terms import (
    bernoulli_log_likelihood,
    kl_to_normal,
    reconstruction_loss,
    sample_posterior,
)
from genbench_nets.labels import label_first, required
from genbench_nets.prior_noise import draw_prior
from genbench_vae.cvae_settings import CVAESettings


class CVAE:
    """Encoder (x, y) -> (mean, log-variance), decoder (z, y) -> logits of the pixels."""

    averaged = ("encoder", "decoder")

    def __init__(self, settings: CVAESettings, data: DataSpec) -> None:
        settings.check(data)
        assert data.classes, "the settings refuse data without labels"
        self.settings = settings
        self.classes = data.classes
        self.likelihood = settings.likelihood
        self._code = settings.latent_shape(data)
        both = coders(settings, data, classes=data.classes)
        self.nets = nn.ModuleDict({"encoder": both.encoder, "decoder": both.decoder})

    def optimizers(self) -> Mapping[str, Optimizer]:
        """One Adam for both networks."""
        return {"vae": Optimizer(nets=self.averaged, lr=self.settings.lr)}

    def stages(self) -> tuple[Stage, ...]:
        """One stage of one phase; the bound is taken on the test split each epoch."""
        phase = Phase(name="elbo", loss=self.loss, updates=("vae",))
        return (Stage(name="train", phases=(phase,), validate=self.validate),)

    def loss(self, batch: Batch) -> Terms:
        """Reconstruction and weighted KL, in nats per image unless the likelihood is mse.

        The KL is recorded without its weight too.
        """
        reconstruction, kl = self._parts(batch)
        weight = self.settings.beta * label_first(batch, self.settings.label_first)
        terms = {"reconstruction": reconstruction, "kl": weight * kl}
        return {"vae": terms, MONITOR: {"kl": kl}}

    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        """The bound of one sample and its parts, the KL unweighted."""
        reconstruction, kl = self._parts(batch)
        return {
            "loss": reconstruction + self.settings.beta * kl,
            "reconstruction": reconstruction,
            "kl": kl,
        }

    def _parts(self, batch: Batch) -> tuple[Tensor, Tensor]:
        mean, logvar = self.encode(batch.x, batch.y)
        logits = self._logits(sample_posterior(mean, logvar), batch.y)
        reconstruction = reconstruction_loss(logits, batch.x, self.settings.likelihood)
        return reconstruction, kl_to_normal(mean, logvar)

    def _logits(self, z: Tensor, y: Tensor | None) -> Tensor:
        logits: Tensor = self.nets["decoder"](z, required(y))
        return logits

    def encode(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x, y), each (B, z_dim), or (B, z_dim, H, W) for a grid."""
        mean, logvar = self.nets["encoder"](x, required(y)).chunk(2, dim=1)
        return mean, logvar

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """z ~ N(0, I), (n, z_dim), or (n, z_dim, H, W) for a grid; whatever the class."""
        return draw_prior(self.nets, (n, *self._code), generator)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The mean of p(x|z, y), images (B, C, H, W) in [-1, 1]; y also as weights (B, classes)."""
        return self._logits(z, y).float().sigmoid().mul(2).sub(1)

    def decode(self, code: Tensor, y: Tensor | None = None) -> Tensor:
        """The codes of a CVAE are its latents: `generate`."""
        return self.generate(code, y)

    def log_likelihood(self, x: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
        """log p(x|z, y) in nats, (B,), a mass of black and white pixels.

        Raises UsageError if the reconstruction loss is not a likelihood.
        """
        if self.settings.likelihood == "bernoulli":
            return bernoulli_log_likelihood(self._logits(z, y), x)
        raise UsageError(
            "this cvae was trained with likelihood=mse, which is a loss and not a likelihood; "
            "train it with --set likelihood=bernoulli --set data.binarize=fixed"
        )

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Decode the posterior's mean."""
        return self.generate(self.encode(x, y)[0], y)

    def translate(self, x: Tensor, y: Tensor, own: Tensor | None = None) -> Tensor:
        """Encode with the images' own classes, decode with others: z holds the rest of x."""
        return self.generate(self.encode(x, own)[0], y)
