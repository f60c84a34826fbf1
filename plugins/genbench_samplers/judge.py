"""A model's discriminator as a calibrated logit, with the logits of held-out real samples.

It may be a classifier, a Wasserstein critic or an energy in latent space; only
``discriminate(h, y)`` is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from genbench import (
    AffineCalibration,
    Calibration,
    SampleContext,
    SamplingError,
    calibration_z,
    fit_calibration,
)
from genbench_samplers.proposals import labelled, propose
from genbench_samplers.retraining import retrained
from genbench_samplers.sampler_settings import JudgeSettings


@dataclass(frozen=True, kw_only=True)
class Judge:
    """``discriminator`` is the model, or a copy of it that was trained further.

    ``real`` has the logits (R,) of held-out real samples, and ``real_labels`` (R,) their labels.
    """

    discriminator: Any
    calibration: Calibration = field(default_factory=AffineCalibration)
    real: Tensor | None = None
    real_labels: Tensor | None = None
    figures: Mapping[str, float] = field(default_factory=dict)

    def logits(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        """Estimates of log p_data(h) - log p_model(h): float64 (B,) on the CPU, no gradient."""
        return self.calibration(scores_of(self.discriminator, h, y))

    def real_logits(self, n: int, y: Tensor | None, generator: torch.Generator) -> Tensor | None:
        """Logits of ``n`` random held-out samples of the classes ``y``; None without any."""
        if self.real is None:
            return None
        if y is None or self.real_labels is None:
            return self.real[torch.randint(len(self.real), (n,), generator=generator)]
        logits = torch.empty(n, dtype=self.real.dtype)
        asked = y.cpu()
        for label in sorted(set(asked.tolist())):
            own = asked == label
            of_class = self.real[self.real_labels == label]
            pool = of_class if len(of_class) else self.real
            rows = torch.randint(len(pool), (int(own.sum()),), generator=generator)
            logits[own] = pool[rows]
        return logits


def prepare_judge(model: Any, settings: JudgeSettings, context: SampleContext) -> Judge:
    """Train the discriminator further if set, calibrate it, and test the calibration.

    One half of the held-out samples is for fitting, the other for ``calibration_z``. Raises
    SamplingError if scores are not finite, or if there is no data for calibration.
    """
    discriminator = model
    figures: dict[str, float] = {}
    if settings.retrain:
        discriminator, loss = retrained(model, settings.retrain, settings.retrain_lr, context)
        figures["retrain_loss"] = loss
    held_out = _held_out(settings, context)
    if held_out is None:
        return Judge(discriminator=discriminator, figures=figures)
    real, fake, labels = _both_scores(model, discriminator, held_out, context)
    order = torch.randperm(len(real), generator=context.generator)
    fit, test = order[::2], order[1::2]
    calibration = fit_calibration(settings.calibration, real[fit], fake[fit])
    figures["calibration_z"] = calibration_z(
        calibration(real[test]),
        calibration(fake[test]),
        fitted_on=0 if settings.calibration is None else len(fit),
    )
    if isinstance(calibration, AffineCalibration):
        figures["calibration_slope"] = calibration.slope
        figures["calibration_offset"] = calibration.offset
    return Judge(
        discriminator=discriminator,
        calibration=calibration,
        real=calibration(real),
        real_labels=labels,
        figures=figures,
    )


def scores_of(discriminator: Any, h: Tensor, y: Tensor | None) -> Tensor:
    """The discriminator's own scores, float64 (B,) on the CPU. Raises SamplingError on nan, inf."""
    with torch.no_grad():
        scores: Tensor = discriminator.discriminate(h, y).cpu().double()
    if not torch.isfinite(scores).all():
        raise SamplingError(
            "the discriminator returns scores that are not finite (nan or inf); use --sampler "
            "plain, or another run"
        )
    return scores


def _held_out(
    settings: JudgeSettings, context: SampleContext
) -> Iterator[tuple[Tensor, Tensor | None]] | None:
    """Minibatches of held-out samples, with labels if the draw has labels; None without any."""
    lacking = ""
    if context.real is None:
        lacking = "held-out real samples"
    elif context.labels is not None and context.real_labels is None:
        lacking = "labels of the held-out samples"
    if lacking and settings.calibration is not None:
        raise SamplingError(
            f"calibration needs {lacking}, but there are none; set calibration=none"
        )
    if lacking or context.real is None:
        return None
    return labelled(context.real, context.real_labels, settings.calibration_samples, context)


def _both_scores(
    model: Any,
    discriminator: Any,
    held_out: Iterator[tuple[Tensor, Tensor | None]],
    context: SampleContext,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Scores of real samples, of as many generated ones with the same labels, and the labels."""
    real, fake, labels = [], [], []
    for h, y in held_out:
        real.append(scores_of(discriminator, h, y))
        fake.append(scores_of(discriminator, propose(model, len(h), y, context), y))
        if y is not None:
            labels.append(y.cpu())
    return torch.cat(real), torch.cat(fake), torch.cat(labels) if labels else None
