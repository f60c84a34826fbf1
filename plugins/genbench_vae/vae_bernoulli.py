"""A VAE with Bernoulli latents, trained by REINFORCE (Ying, section 2; Mnih & Gregor 2014).

The posterior is q(z|x) = B(rho(x)) for each bit, the prior B(1/2), and the loss is the negative
evidence lower bound per image,

    E_q[-log p(x|z)] + KL[q(z|x) || p(z)],    KL = rho log 2 rho + (1 - rho) log 2 (1 - rho).

The KL is differentiated directly. No gradient goes through a sampled bit, so the encoder's gradient
of the first term is the score-function estimate (Williams 1992; NVIL, Mnih & Gregor
2014, arXiv:1402.0030, eq. 5),

    grad E_q[f(z)] = E_q[(f(z) - b) grad log q(z|x)],    f(z) = -log p(x|z),

with a baseline b that doesn't depend on z: a running mean of f (Ying, algorithm 1), or for each of
several samples the mean f of the others (Mnih & Rezende 2016, arXiv:1602.06725, section 2.5.1; Kool
et al. 2019). Ying's pseudocode multiplies sums over the batch, so that each sample also gets the
errors of all others: the mean is the same, but the noise is larger. We compute one product for each
sample.

``straight_through`` and ``concrete`` differentiate through bits, with a bias (see
`genbench_nets.bernoulli`); the divergence stays that of the bits. The losses of validation
are taken with true bits whatever the estimator.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench import Batch, DataSpec, Optimizer, Phase, Stage, Terms
from genbench_nets.bernoulli import (
    concrete_bits,
    kl_to_fair_coins,
    log_probability,
    log_variance,
    sample_bits,
    straight_through_bits,
)
from genbench_nets.coders import coders
from genbench_nets.prior_noise import draw_prior
from genbench_vae.vae_bernoulli_settings import BernoulliVAESettings


class BernoulliVAE:
    """Encoder x -> logits of the bits, decoder bits -> logits of the pixels."""

    averaged = ("encoder", "decoder")
    prior_kind = "uniform"
    piecewise = True

    def __init__(self, settings: BernoulliVAESettings, data: DataSpec) -> None:
        settings.check(data)
        self.settings = settings
        self._code = settings.latent_shape(data)
        built = coders(settings, data, outputs=1)
        self._baseline = RunningMean(settings.baseline_decay)
        self.nets = nn.ModuleDict(
            {"encoder": built.encoder, "decoder": built.decoder, "baseline": self._baseline}
        )

    def optimizers(self) -> Mapping[str, Optimizer]:
        """One Adam for both networks."""
        return {"vae": Optimizer(nets=("encoder", "decoder"), lr=self.settings.lr)}

    def stages(self) -> tuple[Stage, ...]:
        """One stage of one phase; the baseline follows the errors after each step."""
        phase = Phase(name="elbo", loss=self.loss, updates=("vae",), after=self._follow)
        return (Stage(name="train", phases=(phase,), validate=self.validate),)

    def loss(self, batch: Batch) -> Terms:
        """Reconstruction and KL in nats per image, and the encoder's estimate, with the value 0."""
        logits = self._logits(batch.x)
        kl = kl_to_fair_coins(logits).mean()
        k = self.settings.samples
        x, logits = (part.repeat_interleave(k, dim=0) for part in (batch.x, logits))
        bits = self._sample(logits)
        errors = self._errors(bits, x)
        terms = {"reconstruction": errors.mean(), "kl": kl}
        if self.settings.estimator == "reinforce":
            terms["reinforce"] = self._score_function(errors.detach(), logits, bits)
        return {"vae": terms}

    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        """The bound with one draw of the bits, and its parts."""
        logits = self._logits(batch.x)
        reconstruction = self._errors(sample_bits(logits), batch.x).mean()
        kl = kl_to_fair_coins(logits).mean()
        return {"loss": reconstruction + kl, "reconstruction": reconstruction, "kl": kl}

    def _sample(self, logits: Tensor) -> Tensor:
        """Bits, or their relaxation in training, with or without a gradient."""
        if self.settings.estimator == "concrete":
            return concrete_bits(logits, self.settings.temperature)
        if self.settings.estimator == "straight_through":
            return straight_through_bits(logits)
        return sample_bits(logits)

    def _score_function(self, errors: Tensor, logits: Tensor, bits: Tensor) -> Tensor:
        """0, with the gradient of (f(z) - b) log q(z|x), a product for each sample, their mean."""
        products = (errors - self._baselines(errors)) * log_probability(logits, bits)
        estimate = products.mean()
        return estimate - estimate.detach()

    def _baselines(self, errors: Tensor) -> Tensor:
        """b for the errors (B * samples,), in which the samples of an image are consecutive."""
        if self.settings.baseline == "none":
            return torch.zeros_like(errors)
        if self.settings.baseline == "running":
            return self._baseline.mean
        k = self.settings.samples
        of_image = errors.view(-1, k)
        others = (of_image.sum(1, keepdim=True) - of_image) / (k - 1)
        return others.flatten()

    def _follow(self, terms: Terms) -> None:
        self._baseline.update(terms["vae"]["reconstruction"])

    def _errors(self, code: Tensor, x: Tensor) -> Tensor:
        """-log p(x|z) in nats, (B,): binary cross-entropy, on grey levels a loss."""
        target = x.float().add(1).mul(0.5)
        loss = F.binary_cross_entropy_with_logits
        return loss(self._pixel_logits(code), target, reduction="none").flatten(1).sum(1)

    def _logits(self, x: Tensor) -> Tensor:
        logits: Tensor = self.nets["encoder"](x)
        return logits.float()

    def _pixel_logits(self, code: Tensor) -> Tensor:
        """The decoder sees bits as -1 and 1, which suits its initial weights."""
        logits: Tensor = self.nets["decoder"](2 * code - 1)
        return logits.float()

    # --- what it can do

    def encode(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """rho and log rho (1 - rho), mean and log-variance of the bits, each (B, *code)."""
        logits = self._logits(x)
        return logits.sigmoid(), log_variance(logits)

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """z ~ U(-1, 1), (n, *code); its signs are the bits of the prior."""
        return draw_prior(self.nets, (n, *self._code), generator, "uniform")

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Decode the bits z > 0 to images (B, *shape) in [-1, 1]; piecewise constant in z."""
        return self.decode((z > 0).to(z.dtype))

    def decode(self, code: Tensor, y: Tensor | None = None) -> Tensor:
        """The mean of p(x|z), (B, *shape) in [-1, 1], of bits or anything between, in [0, 1]."""
        return self._pixel_logits(code).sigmoid().mul(2).sub(1)

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Decode the probabilities of the bits."""
        return self.decode(self.encode(x)[0])


class RunningMean(nn.Module):
    """The mean reconstruction error of the steps so far, in nats per image; kept in buffers.

    It is a plain mean in the first steps, and always if ``decay`` is 1; later, old steps decay.
    """

    mean: Tensor
    updates: Tensor

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("updates", torch.zeros(()))

    def update(self, value: Tensor) -> None:
        """Add the value of a step, 0-dim."""
        self.updates.add_(1)
        rate = torch.clamp(1 / self.updates, min=1 - self.decay)
        self.mean.lerp_(value.float(), rate)
