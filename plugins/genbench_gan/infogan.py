"""InfoGAN (Chen et al. 2016, arXiv:1606.03657).

G gets noise and codes c: a category, and continuous values ~ U(-1, 1). Q, which shares D's body
(section 5), predicts c from G's sample. With it (eq. 5)

    L_I = E[log Q(c | G(z, c))] + H(c)  <=  I(c; G(z, c)),

which G, Q and the shared body raise by lambda L_I (eq. 6). H(c) is constant. Q's distribution is
a softmax for the category and a Gaussian with its own variance for each continuous code.

All of z is N(0, I), as samplers and interpolations expect: the last ``categories`` + ``continuous``
values of z are the codes in normal coordinates. The largest of the former is the category (each
equally likely), and 2 Phi(u) - 1 of the latter is uniform. `InfoGAN.codes` returns them.
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
from genbench_nets.adversarial_losses import fake_loss, monitors, real_loss
from genbench_nets.adversarial_model import adversarial_model
from genbench_nets.adversarial_networks import decided
from genbench_nets.adversarial_training import alternating_phases


@dataclass(frozen=True, kw_only=True)
class InfoGANCodes:
    """What Q has to predict: ``category`` (B,) int64, ``continuous`` (B, K) in [-1, 1]."""

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

    def codes(self, z: Tensor) -> InfoGANCodes:
        """The codes that z stands for."""
        end = z.shape[1] - self.continuous
        category = z[:, end - self.categories : end].argmax(1)
        uniform = 2 * torch.special.ndtr(z[:, end:].float()) - 1
        return InfoGANCodes(category=category, continuous=uniform)


class InfoGAN:
    """An adversarial model with a generator of noise and codes, and Q, which predicts the codes."""

    averaged = ("generator",)

    def __init__(self, settings: InfoGANSettings, data: DataSpec) -> None:
        self.settings = s = settings.fitted(data)
        size = decided(s.z_dim) + s.categories + s.continuous
        self.model = adversarial_model(s.model_copy(update={"z_dim": size}), data)
        self._input = CodeInput(s.categories, s.continuous)
        self.model.generator.insert(0, self._input)
        self.prior_kind = self.model.prior_kind
        self.nets = self.model.nets
        self.nets["q"] = _recogniser(self.model.discriminator.head, s)

    def optimizers(self) -> Mapping[str, Optimizer]:
        """``d`` owns Q too, as it owns the body that they share."""
        both = self.model.optimizers()
        return {**both, "d": replace(both["d"], nets=("discriminator", "q"))}

    def stages(self) -> tuple[Stage, ...]:
        """One stage: D with Q, then G."""
        phases = alternating_phases(self.d_loss, self.g_loss, n_critic=self.settings.n_critic)
        return (Stage(name="train", phases=phases),)

    def d_loss(self, batch: Batch) -> Terms:
        """-E log D(x) - E log(1 - D(G(z))) - lambda E[log Q(c | G(z))]; ``information`` is L_I."""
        model, z = self.model, self.prior(len(batch))
        with torch.no_grad():
            made = model.generator(z)
        real, fake = model.seen(batch.x.to(made.dtype), batch), model.seen(made, batch)
        real_scores, fake_scores = model.scores(real, fake)
        unknown, information = self._unknown(made, z, batch)
        return {
            "d": {"real": real_loss(real_scores), "fake": fake_loss(fake_scores), **unknown},
            MONITOR: {
                **monitors(real_scores, fake_scores, logits=True),
                "information": information.detach(),
            },
        }

    def g_loss(self, batch: Batch) -> Terms:
        """-E log D(G(z)) - lambda E[log Q(c | G(z))], on fresh noise and codes."""
        model, z = self.model, self.prior(len(batch))
        made = model.generator(z)
        with model.d_statistics_held():
            unknown, _ = self._unknown(made, z, batch)
            scores = model.discriminate(model.seen(made, batch))
        return {"g": {"adversarial": real_loss(scores), **unknown}}

    def _unknown(self, fake: Tensor, z: Tensor, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """-lambda E[log Q(c | x)] by kind of code, and L_I in nats."""
        s, codes = self.settings, self.codes(z)
        predicted = self.nets["q"](
            self.model.discriminator.features(self.model.seen(fake, batch))
        ).float()
        logits, mean, logvar = predicted.split((s.categories, s.continuous, s.continuous), dim=1)
        category = F.cross_entropy(logits, codes.category)
        information = log(s.categories) - category
        terms = {"category": s.category_weight * category}
        if s.continuous:
            logvar = logvar.clamp(-8.0, 8.0)
            nats = F.gaussian_nll_loss(mean, codes.continuous, logvar.exp(), full=True)
            information = information + s.continuous * (log(2.0) - nats)
            terms["continuous"] = s.continuous_weight * s.continuous * nats
        return terms, information

    def codes(self, z: Tensor) -> InfoGANCodes:
        """The codes that z (B, ...) stands for."""
        return self._input.codes(z)

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """z ~ N(0, I), (n, z_dim + categories + continuous)."""
        return self.model.prior(n, generator)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """G(z), (B, *shape); images in [-1, 1]."""
        return self.model.generate(z)

    def discriminate(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        """Logits (B,) of 'real'."""
        return self.model.discriminate(h)


def _recogniser(head: nn.Module, s: InfoGANSettings) -> nn.Sequential:
    """D's features (B, F) -> the logits of the category, means and log-variances of the codes."""
    assert isinstance(head, nn.Linear), "D ends in a linear layer"
    return nn.Sequential(
        nn.Linear(head.in_features, s.q_hidden),
        nn.LeakyReLU(0.2),
        nn.Linear(s.q_hidden, s.categories + 2 * s.continuous),
    )
