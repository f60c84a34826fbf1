"""A GAN made faster by working in the latent space of a trained VAE (Lin et al. 2023).

Stage 1 trains a VAE (its Algorithm 1). Stage 2 freezes it, encodes the training set once and trains
a GAN on these latents: its generator makes latents, its discriminator sees them (Algorithm 2: the
real ones are samples of the trained VAE's posterior). An image is decoder(generator(z)) (Algorithm
3). Two points that the document leaves open are our choice: the latents are standardised per
dimension, and G's loss is the non-saturating one.

The VAE is fully connected or convolutional. The codes of a convolutional one may be a grid
(latent_dim, H, W), which the GAN's networks take flattened or by convolutions.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from genbench import MONITOR, Batch, DataSpec, Optimizer, Phase, Stage, Terms
from genbench_hybrid.vaegan_settings import VAEGANSettings
from genbench_nets.adversarial_losses import fake_loss, monitors, real_loss
from genbench_nets.adversarial_training import alternating_phases, two_adams
from genbench_nets.coders import coders
from genbench_nets.elbo_terms import kl_to_normal, reconstruction_loss, sample_posterior
from genbench_nets.latent_networks import (
    grid_discriminator,
    grid_generator,
    latent_discriminator,
    latent_generator,
)
from genbench_nets.prior_noise import draw_prior


class VAEGAN:
    """x -> VAE latent (stage 1); z -> latent, latent -> logit (stage 2). ``h`` is the latent."""

    averaged = ("generator",)

    def __init__(self, settings: VAEGANSettings, data: DataSpec) -> None:
        settings.check(data)
        self.settings = settings
        self._vae_epochs = settings.stage_one_epochs(data)
        code = settings.latent_shape(data)
        vae = coders(settings.coders(), data)
        self._scaler = Scaler(code)
        generator, discriminator = latent_gan_networks(settings, code)
        self.nets = nn.ModuleDict(
            {
                "encoder": vae.encoder,
                "decoder": vae.decoder,
                "scaler": self._scaler,
                "generator": generator,
                "discriminator": discriminator,
            }
        )

    def optimizers(self) -> Mapping[str, Optimizer]:
        """Adam for the VAE, and for each network of stage 2."""
        s = self.settings
        return {
            "vae": Optimizer(nets=("encoder", "decoder"), lr=s.vae_lr),
            **two_adams(d_lr=s.lr, g_lr=s.lr, beta1=s.beta1),
        }

    def stages(self) -> tuple[Stage, ...]:
        """The VAE, then the GAN on latents that are encoded once."""
        vae = Phase(name="elbo", loss=self.vae_loss, updates=("vae",))
        gan = alternating_phases(self.d_loss, self.g_loss)
        return (
            Stage(name="vae", phases=(vae,), epochs=self._vae_epochs, validate=self.validate_vae),
            Stage(name="gan", phases=gan, prepare=self.encode_data, fit=self.fit_scaler),
        )

    # --- stage 1

    def vae_loss(self, batch: Batch) -> Terms:
        """The negative evidence lower bound, per image."""
        reconstruction, kl = self._elbo(batch.x)
        return {"vae": {"reconstruction": reconstruction, "kl": kl}}

    def validate_vae(self, batch: Batch) -> Mapping[str, Tensor]:
        """The terms of the VAE's loss on the test split."""
        reconstruction, kl = self._elbo(batch.x)
        return {"loss": reconstruction + kl, "reconstruction": reconstruction, "kl": kl}

    def _elbo(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, logvar = self.encode(x)
        logits = self.nets["decoder"](sample_posterior(mean, logvar))
        return reconstruction_loss(logits, x, "bernoulli"), kl_to_normal(mean, logvar)

    # --- stage 2

    def encode_data(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """The posterior of each image, (B, 2, *code): mean and standard deviation."""
        mean, logvar = self.encode(x)
        spread = torch.exp(0.5 * logvar)
        if self.settings.latents == "mean":
            spread = torch.zeros_like(spread)
        return torch.stack((mean, spread), dim=1).float()

    def fit_scaler(self, posteriors: Tensor) -> None:
        """Standardise: mean and variance of the aggregated posterior, per dimension."""
        mean, spread = posteriors.unbind(1)
        variance = mean.var(0, correction=0) + spread.square().mean(0)
        self._scaler.fit(mean.mean(0), variance.sqrt())

    def d_loss(self, batch: Batch) -> Terms:
        """-log D(h) - log(1 - D(G(z))), both halves in one pass of D."""
        mean, spread = batch.x.unbind(1)
        real = self._scaler(mean + spread * torch.randn_like(mean))
        with torch.no_grad():
            fake = self.nets["generator"](self.prior(len(batch)))
        both = self.discriminate(torch.cat((real.to(fake.dtype), fake)))
        real_logits, fake_logits = both.chunk(2)
        return {
            "d": {"real": real_loss(real_logits), "fake": fake_loss(fake_logits)},
            MONITOR: monitors(real_logits, fake_logits, logits=True),
        }

    def g_loss(self, batch: Batch) -> Terms:
        """-log D(G(z)) on fresh noise."""
        logits = self.discriminate(self.nets["generator"](self.prior(len(batch))))
        return {"g": {"adversarial": real_loss(logits)}}

    # --- what it can do

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """z ~ N(0, I), (n, z_dim)."""
        return draw_prior(self.nets, (n, self.settings.z_dim), generator)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """G(z), a standardised latent (B, *code)."""
        h: Tensor = self.nets["generator"](z)
        return h.float()

    def render(self, h: Tensor) -> Tensor:
        """Decode standardised latents to images (B, *shape) in [-1, 1]."""
        return self.decode(self._scaler.undo(h))

    def discriminate(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        """Logits (B,) of 'a latent of a real image'."""
        logits: Tensor = self.nets["discriminator"](h)
        return logits.squeeze(1)

    def embed(self, x: Tensor) -> Tensor:
        """Standardised latents (B, *code) of real images, drawn as stage 2 draws them."""
        mean, spread = self.encode_data(x, torch.Generator()).unbind(1)
        h: Tensor = self._scaler(mean + spread * torch.randn_like(mean))
        return h

    def encode(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the VAE's posterior, each (B, *code)."""
        mean, logvar = self.nets["encoder"](x).chunk(2, dim=1)
        return mean, logvar

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Decode the posterior's mean."""
        return self.decode(self.encode(x)[0])

    def decode(self, code: Tensor, y: Tensor | None = None) -> Tensor:
        """The VAE's pixel means (B, *shape) in [-1, 1], of latents as `encode` gives them."""
        logits: Tensor = self.nets["decoder"](code)
        return logits.float().sigmoid().mul(2).sub(1)


def latent_gan_networks(s: VAEGANSettings, code: tuple[int, ...]) -> tuple[nn.Module, nn.Module]:
    """Generator (B, z_dim) -> (B, *code) and discriminator (B, *code) -> (B, 1)."""
    if s.latent_network == "conv":
        generator = grid_generator(s.z_dim, s.latent_channels, code)
        return generator, grid_discriminator(code, s.latent_channels)
    generator = latent_generator(s.z_dim, s.g_hidden, code)
    return generator, latent_discriminator(code, s.d_hidden)


class Scaler(nn.Module):
    """(latent - mean) / std per dimension; mean and std are buffers."""

    mean: Tensor
    std: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("std", torch.ones(shape))

    def fit(self, mean: Tensor, std: Tensor) -> None:
        """Set the statistics; a constant dimension gets the scale 1e-6."""
        self.mean.copy_(mean)
        self.std.copy_(std.clamp_min(1e-6))

    def forward(self, latent: Tensor) -> Tensor:
        """Standardise."""
        return (latent - self.mean) / self.std

    def undo(self, h: Tensor) -> Tensor:
        """Back to the VAE's latents."""
        return h * self.std + self.mean
