"""The generative adversarial network (Goodfellow et al. 2014, arXiv:1406.2661), in all variants.

Algorithm 1: D ascends log D(x) + log(1 - D(G(z))), then G, on fresh noise, ascends log D(G(z))
(section 3's non-saturating form) or descends log(1 - D(G(z))) (``loss=minimax``). The settings also
offer the losses (`OBJECTIVES`) and regularisers of later papers, in any combination that makes
sense; `genbench_nets.penalties` names their sources.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from genbench import MONITOR, Batch, DataSpec, Phase, Terms
from genbench_gan.gan_settings import GANSettings
from genbench_nets.adversarial_losses import fake_loss, monitors, real_loss
from genbench_nets.adversarial_model import AdversarialModel, adversarial_model
from genbench_nets.adversarial_settings import AdversarialLoss
from genbench_nets.adversarial_training import alternating_phases
from genbench_nets.penalties import clip_weights, gradient_penalty, r1_penalty


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What D and G minimise: functions of float32 scores (B,), a mean over the batch.

    ``real`` also takes the target of real samples, below 1 for one-sided label smoothing. Scores
    above the ``threshold`` are called real; a critic's zero means nothing, so it has none.
    """

    real: Callable[[Tensor, float], Tensor]
    fake: Callable[[Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    threshold: float | None
    logits: bool = False
    source: str


OBJECTIVES: Mapping[AdversarialLoss, Objective] = {
    "non_saturating": Objective(
        real=real_loss,
        fake=fake_loss,
        generator=real_loss,
        threshold=0.0,
        logits=True,
        source="Goodfellow et al. 2014, arXiv:1406.2661, algorithm 1 and section 3",
    ),
    "minimax": Objective(
        real=real_loss,
        fake=fake_loss,
        generator=lambda s: -fake_loss(s),
        threshold=0.0,
        logits=True,
        source="Goodfellow et al. 2014, arXiv:1406.2661, algorithm 1; saturates when D wins",
    ),
    "least_squares": Objective(
        real=lambda s, target: 0.5 * (s - target).square().mean(),
        fake=lambda s: 0.5 * s.square().mean(),
        generator=lambda s: 0.5 * (s - 1.0).square().mean(),
        threshold=0.5,
        source="Mao et al. 2017, arXiv:1611.04076, eq. 9: a = 0, b = c = 1",
    ),
    "hinge": Objective(
        real=lambda s, _: F.relu(1.0 - s).mean(),
        fake=lambda s: F.relu(1.0 + s).mean(),
        generator=lambda s: -s.mean(),
        threshold=0.0,
        source="Miyato et al. 2018, arXiv:1802.05957, eq. 16 and 17",
    ),
    "wasserstein": Objective(
        real=lambda s, _: -s.mean(),
        fake=lambda s: s.mean(),
        generator=lambda s: -s.mean(),
        threshold=None,
        source="Arjovsky et al. 2017, arXiv:1701.07875, algorithm 1 and eq. 3",
    ),
}


def gan(settings: GANSettings, data: DataSpec) -> AdversarialModel:
    """Generator z -> x, discriminator x -> logit or score."""
    s = settings.fitted(data)
    model = adversarial_model(s, data, critic=s.loss == "wasserstein", spectral=s.spectral_norm)
    model.mixes_samples = s.feature_matching > 0
    return model.trained_by(*AdversarialTraining(s, model).phases())


class AdversarialTraining:
    """The phases of a model by its settings: any objective, with any regularisers."""

    def __init__(self, settings: GANSettings, model: AdversarialModel) -> None:
        self.settings, self.model = settings, model
        self.objective = OBJECTIVES[settings.loss]

    def phases(self) -> tuple[Phase, ...]:
        """``d`` and ``g`` in turn; between them ``r1``, if it is not taken with each step of D."""
        s = self.settings
        lazy = s.r1 > 0 and s.r1_every > 1
        d, g = alternating_phases(
            self.d_loss,
            self.g_loss,
            n_critic=s.n_critic,
            compile_d=not (s.gradient_penalty or (s.r1 and not lazy)),
            after_d=self.clip if s.clip else None,
        )
        if not lazy:
            return (d, g)
        r1 = Phase(name="r1", loss=self.r1_loss, updates=("d",), every=s.r1_every, compile=False)
        return (d, r1, g)

    def d_loss(self, batch: Batch) -> Terms:
        """D's terms on real samples and as many fake ones, with the penalties on its gradient."""
        s, model, objective = self.settings, self.model, self.objective
        real, fake = model.real_and_fake(batch)
        real_scores, fake_scores = model.scores(real, fake)
        terms = {
            "real": objective.real(real_scores, 1.0 - s.label_smoothing),
            "fake": objective.fake(fake_scores),
        }
        monitored = monitors(
            real_scores, fake_scores, threshold=objective.threshold, logits=objective.logits
        )
        if s.gradient_penalty:
            penalty = gradient_penalty(model.discriminate, real, fake)
            terms["gradient_penalty"] = s.gradient_penalty * penalty
        if s.r1 and s.r1_every == 1:
            terms["r1"] = s.r1 * r1_penalty(model.discriminate, real)
        return {"d": terms, MONITOR: monitored}

    def r1_loss(self, batch: Batch) -> Terms:
        """R1 alone, as strong as in all the iterations until the next."""
        s, real = self.settings, self.model.seen(batch.x, batch)
        return {"d": {"r1": s.r1_every * (s.r1 * r1_penalty(self.model.discriminate, real))}}

    def clip(self, terms: Terms) -> None:
        """Clip D's weights after its step."""
        assert self.settings.clip is not None
        clip_weights(self.model.discriminator, self.settings.clip)

    def g_loss(self, batch: Batch) -> Terms:
        """G's term on fresh noise, perhaps with feature matching."""
        weight = self.settings.feature_matching
        if not weight:
            scores = self.model.fake_scores(batch)
            return {"g": {"adversarial": self.objective.generator(scores)}}
        scores, distance = self.model.fake_scores_and_features(batch)
        adversarial = self.objective.generator(scores)
        return {"g": {"adversarial": adversarial, "feature_matching": weight * distance}}
