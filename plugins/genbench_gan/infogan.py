"""InfoGAN (Chen et al. 2016, arXiv:1606.03657).

G gets noise and codes c: a category, and continuous values ~ U(-1, 1). Q, which shares D's body
(section 5), tells c from G's sample; with it (eq. 5)

    L_I = E[log Q(c | G(z, c))] + H(c)  <=  I(c; G(z, c)),

which G, Q and the shared body raise by lambda L_I (eq. 6). H(c) is constant. Q's law is a softmax
for the category and a Gaussian with its own variance for each continuous code.

All of z is N(0, I), as samplers and interpolations expect it: the last ``categories`` +
``continuous`` values of z are the codes in normal coordinates. The largest of the former names the
category (each equally likely), and 2 Phi(u) - 1 of the latter is uniform. `codes` tells them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import log

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench import MONITOR, Batch, DataSpec, Optimizer, Stage, Terms
from genbench_gan.infogan_settings import InfoGANSettings
from genbench_nets.adversarial_networks import Networks, Player, decided, networks
from genbench_nets.game import Game, Noise, Rules
from genbench_nets.players import two_optimizers


@dataclass(frozen=True, kw_only=True)
class Codes:
    """What Q has to tell: ``category`` (B,) int64, ``continuous`` (B, K) in [-1, 1]."""

    category: Tensor
    continuous: Tensor


class CodeInput(nn.Module):
    """z (B, noise + categories + K) -> what G sees, of the same size: noise, one-hot, codes."""

    def __init__(self, categories: int, continuous: int) -> None:
        super().__init__()
        self.categories, self.continuous = categories, continuous

    def forward(self, z: Tensor) -> Tensor:
        """Noise as it is, the category one-hot, continuous codes in [-1, 1]."""
        codes = self.codes(z)
        noise = z[:, : -(self.categories + self.continuous)]
        hot = F.one_hot(codes.category, self.categories).to(z.dtype)
        return torch.cat((noise, hot, codes.continuous.to(z.dtype)), dim=1)

    def codes(self, z: Tensor) -> Codes:
        """The codes that z stands for."""
        end = z.shape[1] - self.continuous
        category = z[:, end - self.categories : end].argmax(1)
        uniform = 2 * torch.special.ndtr(z[:, end:].float()) - 1
        return Codes(category=category, continuous=uniform)


class InfoGAN:
    """A `Game` whose generator takes codes, and Q, which finds them again."""

    averaged = ("generator",)

    def __init__(self, settings: InfoGANSettings, data: DataSpec) -> None:
        settings.check(data)
        self.settings = s = settings.fitted(data)
        size = decided(s.z_dim) + s.categories + s.continuous
        plain = networks(s.model_copy(update={"z_dim": size}), data)
        self._input = CodeInput(s.categories, s.continuous)
        players = Networks(
            generator=Player(self._input, *plain.generator), discriminator=plain.discriminator
        )
        self.game = Game(
            players,
            rules=Rules(
                loss="non_saturating",
                n_critic=s.n_critic,
                instance_noise=s.instance_noise,
                augment=s.augment,
            ),
            optimizers=two_optimizers(s),
            latent=Noise(size=size),
        )
        self.prior_kind = self.game.prior_kind
        self.nets = self.game.nets
        self.nets["q"] = _recogniser(plain.discriminator.head, s)

    def optimizers(self) -> Mapping[str, Optimizer]:
        """``d`` owns Q too, as it owns the body that they share."""
        both = self.game.optimizers()
        return {**both, "d": replace(both["d"], nets=("discriminator", "q"))}

    def stages(self) -> tuple[Stage, ...]:
        """The moves of the game."""
        return (Stage(name="train", phases=self.game.phases(self.d_loss, self.g_loss)),)

    def d_loss(self, batch: Batch) -> Terms:
        """The game's terms, and what Q can't tell of the codes of G's samples."""
        z = self.game.draw(len(batch))
        with torch.no_grad():
            fake = self.nets["generator"](z)
        terms = self.game.discriminator_terms(batch.x, fake, batch)
        unknown, information = self._unknown(fake, z, batch)
        return {
            "d": {**terms["d"], **unknown},
            MONITOR: {**terms[MONITOR], "information": information.detach()},
        }

    def g_loss(self, batch: Batch) -> Terms:
        """The game's terms, and what Q can't tell, on fresh noise and codes."""
        z = self.game.draw(len(batch))
        fake = self.nets["generator"](z)
        with self.game.held():
            unknown, _ = self._unknown(fake, z, batch)
        return {"g": {**self.game.generator_terms(fake, batch), **unknown}}

    def _unknown(self, fake: Tensor, z: Tensor, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """-lambda E[log Q(c | x)] by kind of code, and L_I in nats."""
        s, codes = self.settings, self.codes(z)
        told = self.nets["q"](self.game.features(self.game.seen(fake, batch))).float()
        logits, mean, logvar = told.split((s.categories, s.continuous, s.continuous), dim=1)
        category = F.cross_entropy(logits, codes.category)
        information = log(s.categories) - category
        terms = {"category": s.category_weight * category}
        if s.continuous:
            logvar = logvar.clamp(-8.0, 8.0)
            nats = F.gaussian_nll_loss(mean, codes.continuous, logvar.exp(), full=True)
            information = information + s.continuous * (log(2.0) - nats)
            terms["continuous"] = s.continuous_weight * s.continuous * nats
        return terms, information

    def codes(self, z: Tensor) -> Codes:
        """The codes that z (B, ...) stands for."""
        return self._input.codes(z)

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """z ~ N(0, I), (n, z_dim + categories + continuous)."""
        return self.game.prior(n, generator)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """G(z), (B, *shape); images in [-1, 1]."""
        return self.game.generate(z)

    def render(self, h: Tensor) -> Tensor:
        """The sample itself is what is judged."""
        return self.game.render(h)

    def discriminate(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        """Logits (B,) of 'real'."""
        return self.game.discriminate(h)


def _recogniser(head: nn.Module, s: InfoGANSettings) -> nn.Sequential:
    """D's features (B, F) -> the logits of the category, means and log-variances of the codes."""
    assert isinstance(head, nn.Linear), "D ends in a linear layer"
    return nn.Sequential(
        nn.Linear(head.in_features, s.q_hidden),
        nn.LeakyReLU(0.2),
        nn.Linear(s.q_hidden, s.categories + 2 * s.continuous),
    )
