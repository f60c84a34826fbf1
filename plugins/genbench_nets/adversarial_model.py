"""A generator and a discriminator as one model, which the phases of a paper train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Self

import torch
from torch import Tensor, nn

from genbench import Batch, DataSpec, Optimizer, Phase, Stage, statistics_held
from genbench_nets.adversarial_networks import Networks, decided, mixes_samples, networks
from genbench_nets.adversarial_settings import AdversarialSettings, Augmentation
from genbench_nets.adversarial_training import two_optimizers
from genbench_nets.augment import augmented, noise_level, with_noise
from genbench_nets.penalties import feature_distance
from genbench_nets.prior_noise import Prior, draw_prior
from genbench_nets.spectral import spectrally_normalised


class AdversarialModel:
    """G: z -> x and D: x -> score, their noise, and what D sees of a batch.

    A paper says by its phases how they are trained (`trained_by`). ``h`` is the sample itself.
    With ``classes`` both networks take labels: those of the batch, for real and for fake samples.
    ``augment`` and ``instance_noise`` (a standard deviation at the first step) change all that D
    sees in training.
    """

    averaged = ("generator",)
    mixes_samples = False
    classes: int

    def __init__(
        self,
        networks: Networks,
        *,
        optimizers: Mapping[str, Optimizer],
        z_dim: int,
        prior: Prior = "normal",
        augment: Sequence[Augmentation] = (),
        instance_noise: float = 0.0,
        classes: int | None = None,
    ) -> None:
        self.generator, self.discriminator = networks.generator, networks.discriminator
        self.nets = nn.ModuleDict(
            {"generator": self.generator, "discriminator": self.discriminator}
        )
        self.prior_kind, self._z_dim = prior, z_dim
        self._augment, self._noise = augment, instance_noise
        self._optimizers, self._phases = optimizers, tuple[Phase, ...]()
        self._apart = mixes_samples(self.discriminator)
        if classes is not None:
            self.classes = classes

    def trained_by(self, *phases: Phase) -> Self:
        """The model itself, with these phases as its one stage."""
        self._phases = phases
        return self

    def train_with_d(self, name: str, net: nn.Module) -> None:
        """Add a net that the optimizer of D trains too."""
        self.nets[name] = net
        d = self._optimizers["d"]
        self._optimizers = {**self._optimizers, "d": replace(d, nets=(*d.nets, name))}

    def optimizers(self) -> Mapping[str, Optimizer]:
        """``d`` and ``g``."""
        return self._optimizers

    def stages(self) -> tuple[Stage, ...]:
        """One stage of the phases that it was given."""
        return (Stage(name="train", phases=self._phases),)

    # --- what a loss is made of

    def real_and_fake(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """x and G(z) as D sees them, each (B, *shape); z is fresh and G gets no gradient."""
        with torch.no_grad():
            fake = self.generator(self.prior(len(batch)), batch.y)
        return self.seen(batch.x.to(fake.dtype), batch), self.seen(fake, batch)

    def scores(self, real: Tensor, fake: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """D(x) and D(G(z)), each (B,), float32.

        D takes both in one pass, which is faster, unless it compares the samples of a batch.
        """
        if self._apart:
            return self.discriminate(real, y).float(), self.discriminate(fake, y).float()
        labels = None if y is None else torch.cat((y, y))
        both = self.discriminate(torch.cat((real, fake)), labels).float()
        real_scores, fake_scores = both.chunk(2)
        return real_scores, fake_scores

    def fake_scores(self, batch: Batch) -> Tensor:
        """D(G(z)) of fresh z, (B,), float32, with a gradient to G."""
        fake = self.seen(self.generator(self.prior(len(batch)), batch.y), batch)
        with self.d_statistics_held():
            return self.discriminate(fake, batch.y).float()

    def fake_scores_and_features(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """`fake_scores`, and the `feature_distance` of real and fake samples before D's head."""
        fake = self.seen(self.generator(self.prior(len(batch)), batch.y), batch)
        with self.d_statistics_held():
            fake_features = self.discriminator.features(fake, batch.y)
            with torch.no_grad():
                real = self.seen(batch.x.to(fake.dtype), batch)
                real_features = self.discriminator.features(real, batch.y)
            scores = self.discriminator.head(fake_features).squeeze(1).float()
            return scores, feature_distance(real_features, fake_features)

    def seen(self, x: Tensor, batch: Batch) -> Tensor:
        """What D sees of samples at this step: augmented, with instance noise."""
        if self._augment:
            x = augmented(x, self._augment)
        return with_noise(x, noise_level(self._noise, batch)) if self._noise else x

    def d_statistics_held(self) -> AbstractContextManager[None]:
        """D's running statistics stay as they are during G's phase, which shows D fakes alone."""
        return statistics_held(self.discriminator) if self._apart else nullcontext()

    # --- what it can do

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """z ~ N(0, I) or U(-1, 1), (n, z_dim)."""
        return draw_prior(self.nets, (n, self._z_dim), generator, self.prior_kind)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """G(z), (B, *shape); images in [-1, 1]."""
        x: Tensor = self.generator(z, y)
        return x.float()

    def discriminate(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        """Scores (B,) that rise with realness; logits if the loss is one of logits."""
        scores: Tensor = self.discriminator(h, y)
        return scores.squeeze(1)


def adversarial_model(
    s: AdversarialSettings,
    data: DataSpec,
    *,
    critic: bool = False,
    spectral: bool = False,
    classes: int | None = None,
) -> AdversarialModel:
    """The model of fitted settings: their networks, optimizers, prior and changes of what D sees.

    A ``critic`` has no bias in its head. ``spectral`` normalises D. With ``classes`` both networks
    take labels. Raises IncompatibleError if the data does not fit.
    """
    s.check(data)
    built = networks(s, data, classes=classes, head_bias=not critic)
    if spectral:
        spectrally_normalised(built.discriminator)
    return AdversarialModel(
        built,
        optimizers=two_optimizers(s),
        z_dim=decided(s.z_dim),
        prior=s.prior,
        augment=s.augment,
        instance_noise=s.instance_noise,
        classes=classes,
    )
