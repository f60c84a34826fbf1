"""The game of a generator and a discriminator, written once.

A paper says by `Rules` what is played for and with which means; `Game` plays it: D moves
``n_critic`` times on fresh batches, then G once on fresh noise (Goodfellow et al. 2014,
arXiv:1406.2661, algorithm 1). A paper with more to it (a code to be recovered, other phases)
holds a Game and calls its parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor, nn

from genbench import Batch, DataSpec, Optimizer, Phase, Stage, Terms, UsageError, statistics_held
from genbench_nets.adversarial_networks import Networks, decided, mixes_samples, networks
from genbench_nets.adversarial_settings import AdversarialLoss, AdversarialSettings, Augmentation
from genbench_nets.augment import augmented
from genbench_nets.gan_losses import discriminator_terms, generator_loss
from genbench_nets.players import in_turns, two_optimizers
from genbench_nets.priors import Prior, draw_prior
from genbench_nets.regularisers import (
    clip_weights,
    feature_distance,
    gradient_penalty,
    noise_level,
    r1_penalty,
    with_noise,
)
from genbench_nets.spectral import spectrally_normalised


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What is played for, and with which means; a weight of 0 leaves a means out.

    ``real_target`` below 1 is one-sided label smoothing. ``clip`` bounds D's weights.
    ``gradient_penalty``, ``r1`` (gamma) and ``feature_matching`` are weights; R1 is taken each
    ``r1_every``-th iteration, so many times as strong, in a phase of its own where that isn't 1.
    ``instance_noise`` is a std at the first step. ``augment`` changes all that D sees.
    """

    loss: AdversarialLoss
    n_critic: int = 1
    real_target: float = 1.0
    clip: float | None = None
    gradient_penalty: float = 0.0
    r1: float = 0.0
    r1_every: int = 1
    feature_matching: float = 0.0
    instance_noise: float = 0.0
    augment: tuple[Augmentation, ...] = ()


class Latent(Protocol):
    """The law of z."""

    @property
    def kind(self) -> Prior:
        """Of all its dimensions: N(0, 1) or U(-1, 1)."""

    def draw(self, nets: nn.Module, n: int, generator: torch.Generator | None) -> Tensor:
        """(n, size) on the device of ``nets``; a generator, if given, is a CPU one."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """z ~ N(0, I) or U(-1, 1) in each dimension."""

    size: int
    kind: Prior = "normal"

    def draw(self, nets: nn.Module, n: int, generator: torch.Generator | None) -> Tensor:
        """(n, size)."""
        return draw_prior(nets, (n, self.size), generator, self.kind)


def game(
    settings: AdversarialSettings,
    data: DataSpec,
    rules: Rules,
    *,
    spectral: bool = False,
    classes: int | None = None,
) -> Game:
    """The game of fitted settings: their networks, rates and aids, by a paper's rules.

    ``spectral`` normalises D. With ``classes`` both players see labels.
    """
    settings.check(data)
    players = networks(settings, data, classes=classes, head_bias=rules.loss != "wasserstein")
    if spectral:
        spectrally_normalised(players.discriminator)
    return Game(
        players,
        rules=replace(
            rules,
            n_critic=settings.n_critic,
            instance_noise=settings.instance_noise,
            augment=settings.augment,
        ),
        optimizers=two_optimizers(settings),
        latent=Noise(size=decided(settings.z_dim), kind=settings.prior),
        classes=classes,
    )


class Game:
    """A model of two players: generates and discriminates; conditional where it has ``classes``.

    ``h`` is the sample itself. Labels reach the networks in a conditional game only: those of the
    batch, for real samples and for fake ones.
    """

    averaged = ("generator",)
    classes: int

    def __init__(
        self,
        players: Networks,
        *,
        rules: Rules,
        optimizers: Mapping[str, Optimizer],
        latent: Latent,
        classes: int | None = None,
    ) -> None:
        self.rules, self.latent = rules, latent
        self.mixes_samples = rules.feature_matching > 0
        self.prior_kind = latent.kind
        self.players = players
        self.nets = nn.ModuleDict(
            {"generator": players.generator, "discriminator": players.discriminator}
        )
        self._optimizers = optimizers
        self._apart = mixes_samples(players.discriminator)
        self._conditional = classes is not None
        if classes is not None:
            self.classes = classes

    def optimizers(self) -> Mapping[str, Optimizer]:
        """``d`` and ``g``."""
        return self._optimizers

    def stages(self) -> tuple[Stage, ...]:
        """One stage; its phases are ``d``, perhaps ``r1``, and ``g``."""
        return (Stage(name="train", phases=self.phases(self.d_loss, self.g_loss)),)

    def phases(
        self, d_loss: Callable[[Batch], Terms], g_loss: Callable[[Batch], Terms]
    ) -> tuple[Phase, ...]:
        """The moves of an iteration, with these losses."""
        r = self.rules
        now = r.r1 > 0 and r.r1_every == 1
        d, g = in_turns(
            d_loss,
            g_loss,
            n_critic=r.n_critic,
            compile_d=not (now or r.gradient_penalty),
            after_d=self._clip if r.clip else None,
        )
        if r.r1 == 0 or now:
            return (d, g)
        lazy = Phase(name="r1", loss=self.r1_loss, updates=("d",), every=r.r1_every, compile=False)
        return (d, lazy, g)

    # --- D's move

    def d_loss(self, batch: Batch) -> Terms:
        """D's terms and monitors on a batch and as many samples of G."""
        with torch.no_grad():
            fake = self._generated(self.draw(len(batch)), batch.y)
        return self.discriminator_terms(batch.x, fake, batch)

    def discriminator_terms(self, real: Tensor, fake: Tensor, batch: Batch) -> Terms:
        """D's terms and monitors on real and fake samples (B, *shape) with the batch's labels."""
        r, y = self.rules, batch.y
        real, fake = self.seen(real.to(fake.dtype), batch), self.seen(fake, batch)
        real_scores, fake_scores = self._scores(real, fake, y)
        terms = discriminator_terms(real_scores, fake_scores, r.loss, real_target=r.real_target)
        if r.gradient_penalty:
            penalty = gradient_penalty(lambda x: self.discriminate(x, y), real, fake)
            terms["d"]["gradient_penalty"] = r.gradient_penalty * penalty
        if r.r1 and r.r1_every == 1:
            terms["d"]["r1"] = self._r1(real, y)
        return terms

    def r1_loss(self, batch: Batch) -> Terms:
        """R1 alone, for all the iterations until it comes again."""
        return {"d": {"r1": self.rules.r1_every * self._r1(self.seen(batch.x, batch), batch.y)}}

    def _r1(self, real: Tensor, y: Tensor | None) -> Tensor:
        return self.rules.r1 * r1_penalty(lambda x: self.discriminate(x, y), real)

    def _scores(self, real: Tensor, fake: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """In one pass, which is faster, unless real and fake samples would see one another."""
        if self._apart:
            return self.discriminate(real, y), self.discriminate(fake, y)
        labels = None if y is None else torch.cat((y, y))
        real_scores, fake_scores = self.discriminate(torch.cat((real, fake)), labels).chunk(2)
        return real_scores, fake_scores

    def _clip(self, terms: Terms) -> None:
        assert self.rules.clip is not None
        clip_weights(self.nets["discriminator"], self.rules.clip)

    # --- G's move

    def g_loss(self, batch: Batch) -> Terms:
        """G's terms on fresh noise."""
        fake = self._generated(self.draw(len(batch)), batch.y)
        return {"g": self.generator_terms(fake, batch)}

    def generator_terms(self, fake: Tensor, batch: Batch) -> dict[str, Tensor]:
        """G's terms on its samples (B, *shape) with the batch's labels."""
        r, y = self.rules, batch.y
        fake = self.seen(fake, batch)
        with self.held():
            if not r.feature_matching:
                return {"adversarial": generator_loss(self.discriminate(fake, y), r.loss)}
            fake_features = self.features(fake, y)
            with torch.no_grad():
                real_features = self.features(self.seen(batch.x.to(fake.dtype), batch), y)
            scores = self.players.discriminator.head(fake_features).squeeze(1)
            distance = feature_distance(real_features, fake_features)
            return {
                "adversarial": generator_loss(scores, r.loss),
                "feature_matching": r.feature_matching * distance,
            }

    def held(self) -> AbstractContextManager[None]:
        """D's running statistics stay as they are within G's move, which shows it fakes alone."""
        return statistics_held(self.players.discriminator) if self._apart else nullcontext()

    # --- what both moves need

    def draw(self, n: int) -> Tensor:
        """Fresh noise for a training step."""
        return self.latent.draw(self.nets, n, None)

    def seen(self, x: Tensor, batch: Batch) -> Tensor:
        """What D sees of samples at this step: augmented, with instance noise."""
        r = self.rules
        if r.augment:
            x = augmented(x, r.augment)
        return with_noise(x, noise_level(r.instance_noise, batch)) if r.instance_noise else x

    def features(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        """What the last layer of D sees, (B, ...)."""
        return self.players.discriminator.features(h, self._labels(y))

    def _generated(self, z: Tensor, y: Tensor | None) -> Tensor:
        fake: Tensor = self.nets["generator"](z, self._labels(y))
        return fake

    def _labels(self, y: Tensor | None) -> Tensor | None:
        if self._conditional and y is None:
            raise UsageError(
                "a conditional model needs the label of each sample: give y, or take data with "
                "labels"
            )
        return y if self._conditional else None

    # --- what it can do

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """z (n, z_dim)."""
        return self.latent.draw(self.nets, n, generator)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """G(z), (B, *shape); images in [-1, 1]."""
        return self._generated(z, y).float()

    def render(self, h: Tensor) -> Tensor:
        """The sample itself is what is judged."""
        return h

    def discriminate(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        """Scores (B,) that rise with realness; logits where the loss is one of logits."""
        scores: Tensor = self.nets["discriminator"](h, self._labels(y))
        return scores.squeeze(1)
