"""The variational autoencoder (Kingma & Welling 2013, arXiv:1312.6114).

The loss is the negative evidence lower bound, eq. 10, per image: reconstruction summed over the
pixels plus beta times the KL divergence, a mean over the batch; one sample of the posterior. With
``iwae_samples`` k > 1 it is the importance-weighted bound of k samples (Burda et al. 2016,
arXiv:1509.00519, eq. 8). Pixels are modelled by ``sigmoid(logits)`` on the scale [0, 1].

Two options are Ying's (Image Generation with VAE, section 3.5):

- Its "Ratio of Binary Cross Entropy and KL Divergence" r weighs the KL in its code: it is ``beta``.
  ``reconstruction_weight`` weighs the other term; Adam's steps hardly depend on the scale of a
  loss, so that a weight r of the reconstruction is nearly a beta of 1/r.
- Its white noise, introduced "to MNIST dataset", is ``input_noise``: in training, the encoder sees
  noisy images, and the reconstruction is compared with the clean ones (the denoising criterion, Im
  et al. 2017, arXiv:1511.06406). Its code compares with the noisy image, clipped to [0, 1]. The
  test split has no noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from genbench import MONITOR, Batch, DataSpec, Optimizer, Phase, Schedule, Stage, Terms, UsageError
from genbench_nets.centring import Centred, Offset, mean_image
from genbench_nets.coders import coders
from genbench_nets.elbo_terms import (
    bernoulli_log_likelihood,
    gaussian_log_likelihood,
    kl_to_normal,
    log_importance_weight,
    reconstruction_loss,
    sample_posterior,
)
from genbench_nets.prior_noise import draw_prior
from genbench_vae.vae_settings import VAESettings


class VAE:
    """Encoder x -> (mean, log-variance), decoder z -> logits of the pixels."""

    def __init__(self, settings: VAESettings, data: DataSpec) -> None:
        settings.check(data)
        self.settings = settings
        self.likelihood = settings.likelihood
        self._bounded, self._code = data.bounded, settings.latent_shape(data)
        encoder, decoder = build_networks(settings, data)
        self.nets = nn.ModuleDict({"encoder": encoder, "decoder": decoder})
        if settings.likelihood == "gaussian":
            self.nets["noise"] = PixelNoise(settings.noise_std)
        learned = [name for name, net in self.nets.items() if any(True for _ in net.parameters())]
        self.averaged = tuple(learned)

    def optimizers(self) -> Mapping[str, Optimizer]:
        """One Adam for all that is learned."""
        s = self.settings
        schedule = Schedule(kind=s.schedule, final=s.lr_final)
        return {"vae": Optimizer(nets=self.averaged, lr=s.lr, schedule=schedule)}

    def stages(self) -> tuple[Stage, ...]:
        """One stage of one phase; the bound is taken on the test split each epoch."""
        loss = self.loss if self.settings.iwae_samples == 1 else self.iwae_loss
        phase = Phase(name="elbo", loss=loss, updates=("vae",))
        centre = self.fit_centre if self.settings.centred else None
        return (Stage(name="train", phases=(phase,), validate=self.validate, fit_buffers=centre),)

    def fit_centre(self, chunks: Iterable[Tensor]) -> None:
        """Give the mean of the training images to the networks that are centred on it."""
        mean = mean_image(chunks)
        for module in self.nets.modules():
            if isinstance(module, Centred | Offset):
                module.fit(mean)

    def loss(self, batch: Batch) -> Terms:
        """Weighted reconstruction and KL, in nats per image unless the likelihood is mse.

        If a weight may differ from 1, both are recorded without it too.
        """
        reconstruction, kl = self._parts(batch.x)
        weight, beta = self.settings.reconstruction_weight, self._beta(batch)
        terms = {"vae": {"reconstruction": weight * reconstruction, "kl": beta * kl}}
        if self.settings.weighted:
            terms[MONITOR] = {"reconstruction": reconstruction, "kl": kl}
        return terms

    def iwae_loss(self, batch: Batch) -> Terms:
        """Minus log (1/k) sum p(x, z) / q(z|x), a mean over the batch, in nats per image."""
        k = self.settings.iwae_samples
        x = batch.x.repeat_interleave(k, dim=0)
        mean, logvar = (part.repeat_interleave(k, dim=0) for part in self.encode(batch.x))
        z = sample_posterior(mean, logvar)
        weights = log_importance_weight(self.log_likelihood(x, z), z, mean, logvar)
        bound = torch.logsumexp(weights.view(-1, k), dim=1) - math.log(k)
        return {"vae": {"loss": -bound.mean()}}

    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        """The loss (of one sample, at the full weights), and its two parts without weights."""
        reconstruction, kl = self._parts(batch.x)
        weight, beta = self.settings.reconstruction_weight, self.settings.beta
        return {
            "loss": weight * reconstruction + beta * kl,
            "reconstruction": reconstruction,
            "kl": kl,
        }

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, logvar = self.encode(x)
        z = sample_posterior(mean, logvar)
        kl = kl_to_normal(mean, logvar)
        if self.settings.likelihood == "gaussian":
            return -self.log_likelihood(x, z).mean(), kl
        return reconstruction_loss(self.nets["decoder"](z), x, self.settings.likelihood), kl

    def _beta(self, batch: Batch) -> float:
        """The weight of the KL, rising from 0 over the first ``beta_warmup`` of the steps."""
        rising = self.settings.beta_warmup * batch.steps
        return self.settings.beta * (min(1.0, batch.step / rising) if rising else 1.0)

    def encode(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x), each (B, z_dim), or (B, z_dim, H, W) for a grid."""
        mean, logvar = self.nets["encoder"](x).chunk(2, dim=1)
        return mean, logvar

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """z ~ N(0, I), (n, z_dim), or (n, z_dim, H, W) for a grid."""
        return draw_prior(self.nets, (n, *self._code), generator)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The mean of p(x|z), (B, *shape): images in [-1, 1], points anywhere."""
        logits: Tensor = self.nets["decoder"](z)
        return logits.float().sigmoid().mul(2).sub(1) if self._bounded else logits.float()

    def decode(self, code: Tensor, y: Tensor | None = None) -> Tensor:
        """The codes of a VAE are its latents: `generate`."""
        return self.generate(code)

    def log_likelihood(self, x: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
        """log p(x|z) in nats, (B,): a mass of black and white pixels, or a density of x.

        Raises UsageError if the reconstruction loss is not a likelihood.
        """
        if self.settings.likelihood == "bernoulli":
            return bernoulli_log_likelihood(self.nets["decoder"](z), x)
        if self.settings.likelihood == "gaussian":
            return gaussian_log_likelihood(self.generate(z), self.nets["noise"](), x)
        raise UsageError(
            "this vae was trained with likelihood=mse, which is a loss and not a likelihood; train "
            "it with --set likelihood=bernoulli --set data.binarize=fixed, or with gaussian"
        )

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Decode the posterior's mean."""
        return self.generate(self.encode(x)[0])


class WhiteNoise(nn.Module):
    """x + std * eps, eps ~ N(0, I), in training; x itself in eval mode.

    ``std`` is in the unit of x; noisy images may leave the range [-1, 1].
    """

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return x + self.std * torch.randn_like(x) if self.training else x


class PixelNoise(nn.Module):
    """The log of one standard deviation for all values, in the unit of x; learned, or fixed.

    Learned as in Rybkin et al. 2021, arXiv:2006.13202, section 4 (a shared sigma).
    """

    START = 0.5
    """The initial value if it is learned: about the spread of grey levels in [-1, 1]."""

    def __init__(self, std: float | None) -> None:
        super().__init__()
        log_std = torch.tensor(math.log(std or self.START))
        if std is None:
            self.log_std = nn.Parameter(log_std)
        else:
            self.register_buffer("log_std", log_std)

    def forward(self) -> Tensor:
        """0-dim."""
        log_std: Tensor = self.log_std
        return log_std


def build_networks(settings: VAESettings, data: DataSpec) -> tuple[nn.Module, nn.Module]:
    """Encoder (B, *shape) -> (B, 2 z_dim) and decoder (B, z_dim) -> logits (B, *shape)."""
    built = coders(settings, data)
    encoder: nn.Module = built.encoder
    decoder: nn.Module = built.decoder
    if settings.input_dropout:
        encoder = nn.Sequential(nn.Dropout(settings.input_dropout), encoder)
    if settings.centred:
        encoder = nn.Sequential(Centred(data.shape), encoder)
        decoder = nn.Sequential(decoder, Offset(data.shape))
    if settings.input_noise:
        encoder = nn.Sequential(WhiteNoise(settings.input_noise), encoder)
    return encoder, decoder
