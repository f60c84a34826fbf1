"""The generative adversarial network (Goodfellow et al. 2014, arXiv:1406.2661), fully connected.

Algorithm 1: D ascends log D(x) + log(1 - D(G(z))), then G, on fresh noise, ascends log D(G(z))
(section 3's non-saturating form) or descends log(1 - D(G(z))) (``loss=minimax``).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from genbench import Batch, DataSpec, Optimizer, Stage, Terms
from genbench_gan.gan_settings import GANSettings
from genbench_nets.gan_losses import discriminator_terms, generator_loss
from genbench_nets.mlp import Unflatten, flat_size, mlp
from genbench_nets.players import in_turns, two_adams
from genbench_nets.priors import draw_prior


class GAN:
    """Generator z -> x in [-1, 1] by tanh, discriminator x -> logit."""

    averaged = ("generator",)

    def __init__(self, settings: GANSettings, data: DataSpec) -> None:
        self.settings = settings
        self.prior_kind = settings.prior
        pixels = flat_size(data.shape)
        generator = mlp((settings.z_dim, *settings.g_hidden, pixels), act=settings.g_activation)
        discriminator = mlp(
            (pixels, *settings.d_hidden, 1), act="leaky_relu", dropout=settings.d_dropout
        )
        self.nets = nn.ModuleDict(
            {
                "generator": nn.Sequential(*generator, nn.Tanh(), Unflatten(data.shape)),
                "discriminator": nn.Sequential(nn.Flatten(), *discriminator),
            }
        )

    def optimizers(self) -> Mapping[str, Optimizer]:
        """Adam for each player."""
        s = self.settings
        return two_adams(d_lr=s.d_lr, g_lr=s.g_lr, beta1=s.beta1)

    def stages(self) -> tuple[Stage, ...]:
        """D moves ``n_critic`` times, then G once."""
        phases = in_turns(self.d_loss, self.g_loss, n_critic=self.settings.n_critic)
        return (Stage(name="train", phases=phases),)

    def d_loss(self, batch: Batch) -> Terms:
        """-log D(x) - log(1 - D(G(z))), both halves in one pass of D."""
        with torch.no_grad():
            fake = self.nets["generator"](self.prior(len(batch)))
        both = self.discriminate(torch.cat((batch.x.to(fake.dtype), fake)))
        real_logits, fake_logits = both.chunk(2)
        return discriminator_terms(real_logits, fake_logits)

    def g_loss(self, batch: Batch) -> Terms:
        """-log D(G(z)) on fresh noise."""
        logits = self.discriminate(self.nets["generator"](self.prior(len(batch))))
        return {"g": {"adversarial": generator_loss(logits, self.settings.loss)}}

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """z ~ N(0, I) or U(-1, 1), (n, z_dim)."""
        shape = (n, self.settings.z_dim)
        return draw_prior(self.nets, shape, generator, self.settings.prior)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """G(z), (B, *shape) in [-1, 1]."""
        image: Tensor = self.nets["generator"](z)
        return image.float()

    def render(self, h: Tensor) -> Tensor:
        """The image is what is judged."""
        return h

    def discriminate(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        """Logits (B,) of 'real'."""
        logits: Tensor = self.nets["discriminator"](h)
        return logits.squeeze(1)
