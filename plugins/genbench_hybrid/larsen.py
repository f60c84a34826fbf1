"""VAE/GAN: a VAE that reconstructs in a discriminator's features (Larsen et al. 2016).

"Autoencoding beyond pixels using a learned similarity metric", arXiv:1512.09300, algorithm 1. With
x~ = Dec(z), z ~ q(z|x), and x_p = Dec(z_p), z_p ~ N(0, I),

    L_prior = KL[q(z|x) || N(0, I)]                                        (eq. 4)
    L_llike = -log N(Dis_l(x); Dis_l(x~), I) = 1/2 |Dis_l(x) - Dis_l(x~)|^2 + const.   (eq. 8)
    L_GAN   = -log Dis(x) - log(1 - Dis(x~)) - log(1 - Dis(x_p))           (algorithm 1)

and on one forward pass the networks step on

    encoder        L_prior + L_llike
    decoder        gamma L_llike - L_GAN
    discriminator  L_GAN.

Sums over features, means over the batch. The paper prints L_GAN without its minus signs and calls
it a cross-entropy that Dis minimises, which we follow. gamma is the algorithm's weight
(section 3.2); a decoder that minimises w L_llike - (1 - w) L_GAN, as the authors' code has it, is
the same up to the factor 1 - w, with gamma = w / (1 - w).

We differ by default: in place of -L_GAN, which has no gradient left once Dis wins, the decoder gets
the non-saturating -log Dis(x~) - log Dis(x_p) (``adversarial=minimax`` is the paper's), and
Adam takes the place of RMSProp (``optimizer``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from genbench import MONITOR, Batch, DataSpec, Optimizer, Phase, Stage, Terms
from genbench_hybrid.larsen_settings import LarsenSettings
from genbench_nets.adversarial_losses import fake_loss, monitors, real_loss
from genbench_nets.coders import Coders, coders
from genbench_nets.elbo_terms import kl_to_normal, sample_posterior
from genbench_nets.feature_discriminators import conv_discriminator, dense_discriminator
from genbench_nets.labelled_sequential import LabelledSequential
from genbench_nets.labels import required
from genbench_nets.larsen_networks import larsen_coders, larsen_discriminator
from genbench_nets.prior_noise import draw_prior


class LarsenVAEGAN:
    """Encoder x -> (mean, log-variance), decoder z -> logits, discriminator x -> logit."""

    averaged = ("encoder", "decoder")
    classes: int

    def __init__(self, settings: LarsenSettings, data: DataSpec) -> None:
        settings.check(data)
        self.settings = settings
        if settings.conditional and data.classes:
            self.classes = data.classes
        built, self.discriminator = networks(settings, data)
        self.nets = nn.ModuleDict(
            {
                "encoder": built.encoder,
                "decoder": built.decoder,
                "discriminator": self.discriminator,
            }
        )

    def optimizers(self) -> Mapping[str, Optimizer]:
        """One for each network; a rate of its own for the discriminator."""
        s = self.settings
        vae = Optimizer(nets=(), kind=s.optimizer, lr=s.lr, betas=(s.beta1, 0.999))
        return {
            "encoder": replace(vae, nets=("encoder",)),
            "decoder": replace(vae, nets=("decoder",)),
            "d": replace(vae, nets=("discriminator",), lr=s.d_lr),
        }

    def stages(self) -> tuple[Stage, ...]:
        """One phase: all three networks step on one forward pass."""
        joint = Phase(name="joint", loss=self.loss, updates=("encoder", "decoder", "d"))
        return (Stage(name="train", phases=(joint,), validate=self.validate),)

    # --- training

    def loss(self, batch: Batch) -> Terms:
        """The terms of the three networks."""
        s, y = self.settings, self._labels(batch.y)
        mean, logvar = self.encode(batch.x, y)
        reconstructed = self.decode(sample_posterior(mean, logvar), y)
        generated = self.decode(self.prior(len(batch)), y)
        # In one pass, as in the authors' code: batch normalisation sees all three kinds together.
        seen = torch.cat((batch.x.to(reconstructed.dtype), reconstructed, generated))
        features = self.discriminator.features(seen, None if y is None else torch.cat((y, y, y)))
        scores = self.discriminator.head(features).squeeze(1)
        real, *fakes = scores.chunk(3)
        distance, kl = feature_error(*features.chunk(3)[:2]), kl_to_normal(mean, logvar)
        return {
            "encoder": {"kl": s.beta * kl, "features": distance},
            "decoder": {
                "features": s.gamma * distance,
                "reconstructed": self._fooling(fakes[0]),
                "generated": self._fooling(fakes[1]),
            },
            "d": {
                "real": real_loss(real),
                "reconstructed": fake_loss(fakes[0]),
                "generated": fake_loss(fakes[1]),
            },
            MONITOR: {**monitors(real, torch.cat(fakes), logits=True), "kl": kl},
        }

    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        """The encoder's loss on the test split, its parts unweighted, and the squared pixel error.

        The features are those of the current discriminator, so their error also changes with it;
        ``pixels``, summed over an image in [-1, 1], always has the same scale.
        """
        x, y = batch.x, self._labels(batch.y)
        mean, logvar = self.encode(x, y)
        reconstructed = self.decode(sample_posterior(mean, logvar), y)
        kl = kl_to_normal(mean, logvar)
        real, fake = (self.discriminator.features(h, y) for h in (x, reconstructed))
        distance = feature_error(real, fake)
        pixels = (reconstructed - x).square().sum() / len(x)
        loss = self.settings.beta * kl + distance
        return {"loss": loss, "kl": kl, "features": distance, "pixels": pixels}

    def _fooling(self, scores: Tensor) -> Tensor:
        """The decoder's adversarial term: log(1 - Dis(x)), or -log Dis(x) (non-saturating)."""
        minimax = self.settings.adversarial == "minimax"
        return -fake_loss(scores) if minimax else real_loss(scores)

    def _labels(self, y: Tensor | None) -> Tensor | None:
        return required(y) if self.settings.conditional else None

    # --- what it can do

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """z ~ N(0, I), (n, z_dim)."""
        return draw_prior(self.nets, (n, self.settings.z_dim), generator)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Dec(z): images (B, *shape) in [-1, 1]."""
        return self.decode(z, y)

    def discriminate(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        """Logits (B,) of 'real', against reconstructions and samples in equal parts."""
        logits: Tensor = self.discriminator(h, self._labels(y))
        return logits.squeeze(1)

    def encode(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x), each (B, z_dim)."""
        mean, logvar = self.nets["encoder"](x, self._labels(y)).chunk(2, dim=1)
        return mean, logvar

    def decode(self, code: Tensor, y: Tensor | None = None) -> Tensor:
        """The latents are the codes: images (B, *shape) in [-1, 1]."""
        logits: Tensor = self.nets["decoder"](code, self._labels(y))
        return logits.float().tanh()

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Decode the posterior's mean."""
        return self.decode(self.encode(x, y)[0], y)


def feature_error(real: Tensor, fake: Tensor) -> Tensor:
    """-log N(real; fake, I) per sample without its constant: half the squared distance."""
    return 0.5 * (real.float() - fake.float()).square().sum() / len(real)


def networks(s: LarsenSettings, data: DataSpec) -> tuple[Coders, LabelledSequential]:
    """Encoder, decoder and discriminator, on the CPU; with labels if they are conditional."""
    classes = data.classes if s.conditional else None
    if s.architecture == "paper":
        built = larsen_coders(data.shape, s.z_dim, classes)
        return built, larsen_discriminator(data.shape, classes)
    built = coders(s, data, classes=classes)
    if s.network == "mlp":
        return built, dense_discriminator(data.shape, s.d_hidden, s.layer(), classes)
    return built, conv_discriminator(data.shape, s.d_channels, s.conv_hidden, s.layer(), classes)
