"""The adversarial autoencoder (Makhzani et al. 2015, arXiv:1511.05644).

Two phases on each minibatch (section 2): encoder and decoder lower the reconstruction error; then
a discriminator of codes learns to tell z ~ N(0, I) from q(z|x), and the encoder, as its generator,
learns to fool it. So the aggregated posterior is matched to the prior without a KL term. q(z|x) is
a point or a Gaussian (the first two choices of section 2).

``conditional`` is the supervised variant of section 4: the decoder sees the label beside the code,
which then needs to hold the style alone. With ``judge_labels`` the discriminator sees the label
too (section 2.3), so that the codes of each class match the prior. The paper's prior is then a
mixture with one component for each class; ours is N(0, I) for all classes.

The discriminator judges codes, and the real ones are draws of the prior: it is no discriminator of
samples, and samplers are offered none. The paper uses SGD with a rate for each phase; we use Adam.
The encoder has one Adam state for both phases, so ``adversarial`` weighs the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from genbench import MONITOR, Batch, DataSpec, Optimizer, Phase, Stage, Terms
from genbench_hybrid.aae_settings import AAESettings
from genbench_nets.adversarial_losses import fake_loss, monitors, real_loss
from genbench_nets.coders import coders
from genbench_nets.elbo_terms import reconstruction_loss, sample_posterior
from genbench_nets.labelled_sequential import LabelledSequential
from genbench_nets.labels import required
from genbench_nets.latent_networks import latent_discriminator
from genbench_nets.prior_noise import draw_prior


class AAE:
    """Encoder x -> code (or its mean and log-variance), decoder code -> logits, D code -> logit."""

    averaged = ("encoder", "decoder")
    classes: int

    def __init__(self, settings: AAESettings, data: DataSpec) -> None:
        settings.check(data)
        self.settings = s = settings
        self._code = s.latent_shape(data)
        classes = data.classes if s.conditional else None
        if classes:
            self.classes = classes
        outputs = 1 if s.posterior == "deterministic" else 2
        self.nets = nn.ModuleDict(
            {
                "encoder": coders(s, data, outputs=outputs).encoder,
                "decoder": coders(s, data, classes=classes).decoder,
                "discriminator": code_discriminator(
                    s, self._code, classes if s.judge_labels else None
                ),
            }
        )

    def optimizers(self) -> Mapping[str, Optimizer]:
        """One for each network."""
        s = self.settings
        adam = Optimizer(nets=(), lr=s.lr, betas=(s.beta1, 0.999))
        return {
            "encoder": replace(adam, nets=("encoder",)),
            "decoder": replace(adam, nets=("decoder",)),
            "d": replace(adam, nets=("discriminator",), lr=s.d_lr),
        }

    def stages(self) -> tuple[Stage, ...]:
        """Reconstruction, then regularisation: a step of D and one of the encoder."""
        phases = (
            Phase(name="reconstruction", loss=self.loss, updates=("encoder", "decoder")),
            Phase(name="d", loss=self.d_loss, updates=("d",)),
            Phase(name="regularisation", loss=self.encoder_loss, updates=("encoder",)),
        )
        return (Stage(name="train", phases=phases, validate=self.validate),)

    # --- training

    def loss(self, batch: Batch) -> Terms:
        """The reconstruction error per image, for encoder and decoder."""
        error = self._error(batch)
        return {"encoder": {"reconstruction": error}, "decoder": {"reconstruction": error}}

    def d_loss(self, batch: Batch) -> Terms:
        """-log D(z) - log(1 - D(q(x))): draws of the prior are the real codes."""
        y = self._labels(batch.y)
        with torch.no_grad():
            fake = self._posterior_sample(batch.x)
        real = self.prior(len(batch)).to(fake.dtype)
        both = None if y is None else torch.cat((y, y))
        real_scores, fake_scores = self._scores(torch.cat((real, fake)), both).chunk(2)
        return {
            "d": {"real": real_loss(real_scores), "fake": fake_loss(fake_scores)},
            MONITOR: monitors(real_scores, fake_scores, logits=True),
        }

    def encoder_loss(self, batch: Batch) -> Terms:
        """-log D(q(x)), weighted: it makes the codes look like draws of the prior."""
        scores = self._scores(self._posterior_sample(batch.x), self._labels(batch.y))
        return {"encoder": {"adversarial": self.settings.adversarial * real_loss(scores)}}

    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        """The reconstruction error per image of the test split."""
        return {"loss": self._error(batch)}

    def _error(self, batch: Batch) -> Tensor:
        logits = self.nets["decoder"](self._posterior_sample(batch.x), self._labels(batch.y))
        return reconstruction_loss(logits, batch.x, self.settings.likelihood)

    def _posterior_sample(self, x: Tensor) -> Tensor:
        if self.settings.posterior == "deterministic":
            code: Tensor = self.nets["encoder"](x)
            return code
        return sample_posterior(*self.encode(x))

    def _scores(self, code: Tensor, y: Tensor | None) -> Tensor:
        """Logits (B,) of 'a draw of the prior'."""
        judged = (code, y) if self.settings.judge_labels else (code,)
        logits: Tensor = self.nets["discriminator"](*judged)
        return logits.squeeze(1)

    def _labels(self, y: Tensor | None) -> Tensor | None:
        return required(y) if self.settings.conditional else None

    # --- what it can do

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """z ~ N(0, I), (n, *code)."""
        return draw_prior(self.nets, (n, *self._code), generator)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Pixel means (B, *shape) in [-1, 1]."""
        logits: Tensor = self.nets["decoder"](z, self._labels(y))
        return logits.float().sigmoid().mul(2).sub(1)

    def encode(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x), each (B, *code); -inf of a deterministic one."""
        found = self.nets["encoder"](x)
        if self.settings.posterior == "deterministic":
            return found, torch.full_like(found, -torch.inf)
        mean, logvar = found.chunk(2, dim=1)
        return mean, logvar

    def decode(self, code: Tensor, y: Tensor | None = None) -> Tensor:
        """The latents are the codes: `generate`."""
        return self.generate(code, y)

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Decode the posterior's mean."""
        return self.generate(self.encode(x)[0], y)


def code_discriminator(
    s: AAESettings, code: tuple[int, ...], classes: int | None
) -> LabelledSequential:
    """(B, *code) -> (B, 1), a grid flattened; labels join as values."""
    inputs = code if classes is None else (code[0] + classes,)
    return LabelledSequential(*latent_discriminator(inputs, s.d_hidden), classes=classes)
