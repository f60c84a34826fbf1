"""The variational autoencoder (Kingma & Welling 2013, arXiv:1312.6114).

The loss is the negative evidence lower bound, eq. 10, per image: reconstruction summed over the
pixels plus beta times the KL divergence, a mean over the batch; one sample of the posterior.
Pixels are modelled by ``sigmoid(logits)`` on the scale [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from genbench import Batch, DataSpec, Optimizer, Phase, Stage, Terms
from genbench_nets.conv import conv_decoder, conv_encoder
from genbench_nets.elbo import kl_to_normal, reconstruction_loss, sample_posterior
from genbench_nets.mlp import Unflatten, flat_size, mlp
from genbench_nets.priors import draw_prior
from genbench_vae.vae_settings import VAESettings


class VAE:
    """Encoder x -> (mean, log-variance), decoder z -> logits of the pixels."""

    averaged = ("encoder", "decoder")

    def __init__(self, settings: VAESettings, data: DataSpec) -> None:
        settings.check(data)
        self.settings = settings
        encoder, decoder = build_networks(settings, data)
        self.nets = nn.ModuleDict({"encoder": encoder, "decoder": decoder})

    def optimizers(self) -> Mapping[str, Optimizer]:
        """One Adam for both networks."""
        return {"vae": Optimizer(nets=("encoder", "decoder"), lr=self.settings.lr)}

    def stages(self) -> tuple[Stage, ...]:
        """One stage of one phase; the same loss is taken on the test split each epoch."""
        phase = Phase(name="elbo", loss=self.loss, updates=("vae",))
        return (Stage(name="train", phases=(phase,), validate=self.validate),)

    def loss(self, batch: Batch) -> Terms:
        """Reconstruction and weighted KL, in nats per image where the likelihood is one."""
        reconstruction, kl = self._parts(batch.x)
        return {"vae": {"reconstruction": reconstruction, "kl": self.settings.beta * kl}}

    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        """The loss and its parts, the KL unweighted."""
        reconstruction, kl = self._parts(batch.x)
        return {
            "loss": reconstruction + self.settings.beta * kl,
            "reconstruction": reconstruction,
            "kl": kl,
        }

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, logvar = self.encode(x)
        logits = self.nets["decoder"](sample_posterior(mean, logvar))
        return (
            reconstruction_loss(logits, x, self.settings.likelihood),
            kl_to_normal(mean, logvar),
        )

    def encode(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x), each (B, z_dim)."""
        mean, logvar = self.nets["encoder"](x).chunk(2, dim=1)
        return mean, logvar

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """z ~ N(0, I), (n, z_dim)."""
        return draw_prior(self.nets, (n, self.settings.z_dim), generator)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The mean image of p(x|z), (B, *shape) in [-1, 1]."""
        logits: Tensor = self.nets["decoder"](z)
        return logits.float().sigmoid().mul(2).sub(1)

    def render(self, h: Tensor) -> Tensor:
        """The image is what is generated."""
        return h

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Decode the posterior's mean."""
        return self.generate(self.encode(x)[0])


def build_networks(settings: VAESettings, data: DataSpec) -> tuple[nn.Module, nn.Module]:
    """Encoder (B, *shape) -> (B, 2 z_dim) and decoder (B, z_dim) -> logits (B, *shape)."""
    if settings.network == "conv":
        conv = (data.shape, settings.channels, settings.conv_hidden)
        return conv_encoder(*conv, 2 * settings.z_dim), conv_decoder(*conv, settings.z_dim)
    pixels, hidden, act = flat_size(data.shape), settings.hidden, settings.activation
    encoder = mlp((pixels, *hidden, 2 * settings.z_dim), act=act, dropout=settings.dropout)
    decoder = mlp((settings.z_dim, *reversed(hidden), pixels), act=act)
    return (
        nn.Sequential(nn.Flatten(), *encoder),
        nn.Sequential(*decoder, Unflatten(data.shape)),
    )
