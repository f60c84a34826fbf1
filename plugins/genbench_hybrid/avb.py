"""Adversarial variational Bayes (Mescheder, Nowozin & Geiger 2017, arXiv:1701.04722).

The encoder takes noise, z = z_phi(x, eps), so q(z|x) may have any shape and no known density. The
KL term of the bound is estimated by an adversary T(x, z), a logit of 'from the encoder' against
'from the prior' (eq. 3.3):

    T maximises  E[log s(T(x, z_q))] + E[log(1 - s(T(x, z_p)))];  T* = log q(z|x) - log p(z)

and encoder and decoder maximise E[-T(x, z_phi(x, eps)) + log p(x|z_phi(x, eps))] (eq. 3.7). The
gradient goes through T's input, not its weights; that T's own form depends on phi adds nothing to
it (proposition 2). One step of each in turn (algorithm 1).

With adaptive contrast (section 3.2, algorithm 2) T tells q(z|x) from r(z|x), a Gaussian of q's
mean and variance, both standardised by those, and what is known is written out:
KL[q || p] = E_q[T(x, (z - mean) / std) + log r(z|x) - log p(z)]. Mean and variance are held
constant in it: the bound doesn't depend on r.

We differ in networks (`ImplicitPosterior`; T is an encoder of x joined with z) and in the steps:
both losses of an iteration are taken on one minibatch, one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from genbench import MONITOR, Batch, DataSpec, Optimizer, Phase, Stage, Terms
from genbench_hybrid.avb_settings import AVBSettings
from genbench_nets.adversarial_losses import fake_loss, monitors, real_loss
from genbench_nets.coders import coders
from genbench_nets.elbo_terms import bernoulli_log_likelihood, reconstruction_loss
from genbench_nets.implicit_posterior import ImplicitPosterior
from genbench_nets.mlp import mlp
from genbench_nets.prior_noise import draw_prior


class AVB:
    """Encoder (x, eps) -> z, decoder z -> logits, adversary (x, z) -> T."""

    averaged = ("encoder", "decoder")
    likelihood = "bernoulli"

    def __init__(self, settings: AVBSettings, data: DataSpec) -> None:
        settings.check(data)
        self.settings = s = settings
        vae = coders(s, data, outputs=s.basis + 1)
        seen = s.model_copy(update={"z_dim": s.t_features, "hidden": s.t_hidden})
        self.nets = nn.ModuleDict(
            {
                "encoder": ImplicitPosterior(
                    vae.encoder,
                    z_dim=s.z_dim,
                    basis=s.basis,
                    noise_dim=s.noise_dim,
                    hidden=s.noise_hidden,
                ),
                "decoder": vae.decoder,
                "adversary": Adversary(
                    coders(seen, data, outputs=1).encoder,
                    mlp((s.t_features + s.z_dim, *s.t_hidden, 1), act="leaky_relu"),
                ),
            }
        )

    def optimizers(self) -> Mapping[str, Optimizer]:
        """One for encoder and decoder, one for the adversary."""
        s = self.settings
        betas = (s.beta1, 0.999)
        return {
            "vae": Optimizer(nets=("encoder", "decoder"), lr=s.lr, betas=betas),
            "adversary": Optimizer(nets=("adversary",), lr=s.t_lr, betas=betas),
        }

    def stages(self) -> tuple[Stage, ...]:
        """Steps of the adversary, then one of encoder and decoder."""
        phases = (
            Phase(
                name="adversary",
                loss=self.adversary_loss,
                updates=("adversary",),
                repeat=self.settings.t_steps,
            ),
            Phase(name="elbo", loss=self.loss, updates=("vae",)),
        )
        return (Stage(name="train", phases=phases, validate=self.validate),)

    # --- training

    def adversary_loss(self, batch: Batch) -> Terms:
        """-log s(T(x, z_q)) - log(1 - s(T(x, z_p))): z of the encoder, and of what it contrasts.

        That is the prior, or with adaptive contrast the standardised Gaussian, which is the same.
        """
        with torch.no_grad():
            z, mean, logvar = self.nets["encoder"](batch.x)
            if self.settings.adaptive_contrast:
                z = standardised(z, mean, logvar)
        ratio = self.nets["adversary"](batch.x, torch.cat((z, torch.randn_like(z))))
        posterior, contrast = ratio.chunk(2)
        return {
            "adversary": {"posterior": real_loss(posterior), "contrast": fake_loss(contrast)},
            MONITOR: {"accuracy": monitors(posterior, contrast)["d_accuracy"]},
        }

    def loss(self, batch: Batch) -> Terms:
        """Reconstruction and estimated KL, in nats per image; the bound is minus their sum."""
        reconstruction, kl = self._parts(batch.x)
        return {"vae": {"reconstruction": reconstruction, "kl": kl}}

    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        """The terms on the test split; the KL is the adversary's estimate."""
        reconstruction, kl = self._parts(batch.x)
        return {"loss": reconstruction + kl, "reconstruction": reconstruction, "kl": kl}

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z, mean, logvar = self.nets["encoder"](x)
        ratio = self.log_ratio(x, z, mean.detach(), logvar.detach())
        return reconstruction_loss(self.nets["decoder"](z), x, "bernoulli"), ratio.mean()

    def log_ratio(self, x: Tensor, z: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
        """The adversary's log q(z|x) - log p(z) in nats, (B,); the moments are those of q(z|x)."""
        if not self.settings.adaptive_contrast:
            ratio: Tensor = self.nets["adversary"](x, z)
            return ratio.float()
        scaled = standardised(z, mean, logvar)
        known = 0.5 * (z.square() - scaled.square() - logvar).sum(1)
        adaptive: Tensor = self.nets["adversary"](x, scaled)
        return adaptive.float() + known

    # --- what it can do

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """z ~ N(0, I), (n, z_dim)."""
        return draw_prior(self.nets, (n, self.settings.z_dim), generator)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Pixel means (B, *shape) in [-1, 1]."""
        logits: Tensor = self.nets["decoder"](z)
        return logits.float().sigmoid().mul(2).sub(1)

    def encode(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x), each (B, z_dim); q itself is no Gaussian.

        Those of the noise's part are estimated by 256 draws that are kept with the weights.
        """
        encoder = self.nets["encoder"]
        assert isinstance(encoder, ImplicitPosterior)
        return encoder.moments(x)

    def decode(self, code: Tensor, y: Tensor | None = None) -> Tensor:
        """The latents are the codes: `generate`."""
        return self.generate(code)

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Decode the posterior's mean."""
        return self.generate(self.encode(x)[0])

    def log_likelihood(self, x: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
        """log p(x|z) in nats, (B,), of black and white pixels."""
        return bernoulli_log_likelihood(self.nets["decoder"](z), x)


class Adversary(nn.Module):
    """T(x, z), (B,): ``eye`` maps x to features, ``head`` features beside z to a value.

    More than one z for each x may be given, (k * B, z_dim): x is looked at once.
    """

    def __init__(self, eye: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.eye, self.head = eye, head

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """A logit of 'from the encoder'."""
        features = self.eye(x)
        features = features.repeat(len(z) // len(x), 1)
        value: Tensor = self.head(torch.cat((features, z.to(features.dtype)), dim=1))
        return value.squeeze(1)


def standardised(z: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    """(z - mean) / std."""
    return (z - mean) * torch.exp(-0.5 * logvar)
