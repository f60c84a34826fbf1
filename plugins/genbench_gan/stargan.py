"""StarGAN (Choi et al. 2018, arXiv:1711.09020): one generator between all domains of a data set.

G(x, c) translates x into the domain c; the label is concatenated to x as constant planes. D has two
outputs: D_src, how real each patch of x looks, and D_cls, the domain of x. Let c' be the domain of
x, c a random target, and x^ a random point between x and G(x, c). The losses are (section 3.1,
equations 2, 3, 4 and 8):

    L_adv = E D_src(x) - E D_src(G(x, c)) - lambda_gp E (||grad D_src(x^)|| - 1)^2
    L_D   = -L_adv + lambda_cls E -log D_cls(c'|x)
    L_G   = L_adv + lambda_cls E -log D_cls(c|G(x, c)) + lambda_rec E |x - G(G(x, c), c')|

D takes ``n_critic`` steps for each step of G. c is a permutation of the batch's labels, as in the
authors' code, so that each domain is asked for as often as it occurs. As in their code, the penalty
is on the sum of D_src over patches, while the other terms take its mean; and if domains are
combinations of attributes, -log D_cls is the binary cross-entropy, summed over attributes.

Samples may be codes of another model (`latents:RUN`): the same losses train a generator of codes,
which that model's decoder draws. The networks are then fully connected for vectors, and
convolutional without downsampling for grids.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench import MONITOR, Batch, DataSpec, Optimizer, Schedule, Stage, Terms
from genbench_gan.stargan_settings import StarGANSettings
from genbench_nets.adversarial_losses import monitors
from genbench_nets.adversarial_networks import decided
from genbench_nets.adversarial_training import alternating_phases, two_adams
from genbench_nets.labels import one_hot, required
from genbench_nets.penalties import gradient_penalty
from genbench_nets.translation_networks import (
    PatchDiscriminator,
    Translator,
    bits,
    conv_judge,
    conv_translator,
    dense_judge,
    dense_translator,
)


class StarGAN:
    """Generator (x, c) -> x', discriminator x -> (realness of patches, logits of the domain)."""

    averaged = ("generator",)

    def __init__(self, settings: StarGANSettings, data: DataSpec) -> None:
        self.settings = s = settings.fitted(data)
        s.check(data)
        assert data.classes, "the settings refuse data without labels"
        self._classes, self._attributes = data.classes, len(data.attributes)
        self.generator, self.discriminator = networks(s, data, self._attributes or data.classes)
        self.nets = nn.ModuleDict(
            {"generator": self.generator, "discriminator": self.discriminator}
        )

    def optimizers(self) -> Mapping[str, Optimizer]:
        """One Adam for each network. Both rates are constant at first, then fall linearly to 0."""
        s = self.settings
        decay = Schedule(kind="linear", hold=s.hold)
        return two_adams(d_lr=s.d_lr, g_lr=s.g_lr, beta1=s.beta1, beta2=s.beta2, schedule=decay)

    def stages(self) -> tuple[Stage, ...]:
        """One stage. D isn't compiled, because its gradient penalty is differentiated twice."""
        n_critic = self.settings.n_critic
        phases = alternating_phases(self.d_loss, self.g_loss, n_critic=n_critic, compile_d=False)
        return (Stage(name="train", phases=phases),)

    # --- training

    def d_loss(self, batch: Batch) -> Terms:
        """L_D. D learns domains from real samples only: translations may not show theirs yet."""
        s, own = self.settings, required(batch.y)
        with torch.no_grad():
            fake = self.generator(batch.x, self.conditions(permuted(own)))
        real = batch.x.to(fake.dtype)
        realness, logits = self.discriminator(real)
        fake_realness, _ = self.discriminator(fake)
        penalty = gradient_penalty(lambda x: self.discriminator(x)[0].sum(1), real, fake)
        real_scores, fake_scores = realness.float().mean(1), fake_realness.float().mean(1)
        return {
            "d": {
                "real": -real_scores.mean(),
                "fake": fake_scores.mean(),
                "gradient_penalty": s.gradient_penalty * penalty,
                "class": s.class_weight * self.class_loss(logits, own),
            },
            MONITOR: {
                **monitors(real_scores, fake_scores, threshold=None),
                "d_class_accuracy": self._accuracy(logits, own),
            },
        }

    def g_loss(self, batch: Batch) -> Terms:
        """L_G, with new targets."""
        s, own = self.settings, required(batch.y)
        wanted = permuted(own)
        fake = self.generator(batch.x, self.conditions(wanted))
        realness, logits = self.discriminator(fake)
        again = self.generator(fake, self.conditions(own))
        return {
            "g": {
                "adversarial": -realness.float().mean(),
                "class": s.class_weight * self.class_loss(logits, wanted),
                "cycle": decided(s.cycle_weight) * cycle_loss(batch.x, again),
            },
            MONITOR: {"g_class_accuracy": self._accuracy(logits, wanted)},
        }

    def class_loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """-log D_cls(c|x), a mean over samples; over attributes it is summed."""
        if not self._attributes:
            return F.cross_entropy(logits.float(), y)
        found = F.binary_cross_entropy_with_logits(
            logits.float(), bits(y, self._attributes), reduction="sum"
        )
        return found / len(y)

    def conditions(self, y: Tensor) -> Tensor:
        """Classes (B,) as G sees them, float: one-hot (B, classes), or (B, attributes) of 0, 1."""
        if self._attributes:
            return bits(y, self._attributes)
        return one_hot(y, self._classes).float()

    def _accuracy(self, logits: Tensor, y: Tensor) -> Tensor:
        """How often the largest logit, or the sign of each attribute's logit, is right."""
        if self._attributes:
            right = (logits.detach() > 0).float() == bits(y, self._attributes)
        else:
            right = logits.detach().argmax(1) == y
        return right.float().mean()

    # --- what it can do

    def translate(self, x: Tensor, y: Tensor, own: Tensor | None = None) -> Tensor:
        """G(x, c) for the classes y, int64 (B,); the classes of x itself are not used."""
        made: Tensor = self.generator(x, self.conditions(y))
        return made.float()


def cycle_loss(x: Tensor, again: Tensor) -> Tensor:
    """E |x - x'|, a mean over all values; 0 if nothing is lost on the way."""
    return F.l1_loss(again.float(), x.float())


def permuted(y: Tensor) -> Tensor:
    """The labels of the batch in random order."""
    return y[torch.randperm(len(y), device=y.device)]


def networks(
    s: StarGANSettings, data: DataSpec, domains: int
) -> tuple[Translator, PatchDiscriminator]:
    """G and D of fitted settings, on the CPU; G is built first."""
    if s.network == "mlp":
        (size,) = data.shape
        return dense_translator(size, domains, s.hidden), dense_judge(size, domains, s.hidden)
    generator = conv_translator(
        data.shape,
        domains,
        width=s.g_channels,
        kernel=s.g_kernel,
        blocks=s.g_blocks,
        halvings=decided(s.g_halvings),
        bounded=data.bounded,
    )
    return generator, conv_judge(
        data.shape, domains, width=s.d_channels, halvings=decided(s.d_halvings)
    )
