"""Score -> logit: a probability that is right on held-out data (Turner et al. 2019, section 4.2).

Both kinds are fitted on as many real as generated samples, so that the logit estimates
log p_data(h) - log p_model(h) and not the odds of a sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from torch import Tensor

Scores = NDArray[np.float64]


class Calibration(Protocol):
    """A map that is fitted, of float64 scores (B,) on the CPU."""

    def __call__(self, scores: Tensor) -> Tensor:
        """Logits (B,), finite."""


@dataclass(frozen=True, kw_only=True)
class AffineCalibration:
    """logit = slope * score + offset; as it stands, the score itself."""

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, scores: Tensor) -> Tensor:
        """Logits, differentiable."""
        return self.slope * scores + self.offset


@dataclass(frozen=True, kw_only=True)
class Isotonic:
    """A rising step function, whose gradient says nothing."""

    regression: Any

    def __call__(self, scores: Tensor) -> Tensor:
        """Logits within those of the outer steps."""
        return torch.logit(torch.from_numpy(self.regression.predict(scores.numpy())))


def fit_calibration(kind: str | None, real: Tensor, fake: Tensor) -> Calibration:
    """Fit ``kind`` ("logistic", "isotonic", None: as it is) to scores of real and generated."""
    if kind is None:
        return AffineCalibration()
    scores = torch.cat((real, fake)).numpy()
    is_real = np.concatenate((np.ones(len(real)), np.zeros(len(fake))))
    if kind == "logistic":
        return _logistic(scores, is_real)
    return Isotonic(regression=_isotonic(scores, is_real))


def _isotonic(scores: Scores, is_real: Scores) -> Any:
    """A rising step function, with one more generated sample on top and one real one below all.

    Without them a last step of real samples alone would have infinite odds, and be the maximum
    that rejection sampling measures all others by.
    """
    scores = np.concatenate((scores, [scores.max(), scores.min()]))
    is_real = np.concatenate((is_real, [0.0, 1.0]))
    return IsotonicRegression(out_of_bounds="clip").fit(scores, is_real)


def _logistic(scores: Scores, is_real: Scores) -> AffineCalibration:
    """Logistic regression without a penalty, on Platt's targets.

    1 and 0 become (m + 1)/(m + 2) and 1/(m + 2), m of each (Platt 1999): on scores that separate
    the two without error the slope would be infinite. Standardised first, for the solver.
    """
    share = 1 / (len(scores) / 2 + 2)
    target = np.where(is_real > 0, 1 - share, share)
    mean, spread = scores.mean(), scores.std() or 1.0
    twice = np.tile((scores - mean) / spread, 2)[:, None]
    classes = np.repeat([1, 0], len(scores))
    weights = np.concatenate((target, 1 - target))
    fitted = LogisticRegression(C=np.inf, max_iter=1000).fit(twice, classes, sample_weight=weights)
    slope = float(fitted.coef_[0, 0] / spread)
    return AffineCalibration(slope=slope, offset=float(fitted.intercept_[0]) - slope * float(mean))


def calibration_z(real: Tensor, fake: Tensor, *, fitted_on: int = 0) -> float:
    """Whether logits of ``n`` real and ``n`` generated samples are calibrated: N(0, 1) if so.

    Z is sum(y - p) over its standard deviation, p = sigmoid(logit) (MH-GAN, arXiv:1811.11357,
    eq. 6). Take it on samples that the calibration was not fitted on. Positive: real samples are
    judged too rare; negative: too frequent.

    We differ in the deviation. sqrt(sum p (1 - p)) belongs to labels that are drawn; here there
    are n of each by design, and only the scores vary. Then sum(y - p) is the sum of 1 - p_real -
    p_fake over n pairs, and its variance n times that of a pair: by 2q - 1 smaller, q the mean p of
    real samples. A pair may share a class label; its parts needn't be independent. Logistic
    regression on ``fitted_on`` other pairs puts sum(y - p) to 0 there, and so carries their error
    over, by which the variance is 1 + n / fitted_on times as large.
    """
    off = 1 - (real.double().sigmoid() + fake.double().sigmoid())
    n = len(off)
    variance = n * off.var(correction=0) * (1 + (n / fitted_on if fitted_on else 0))
    return float(off.sum() / variance.clamp_min(1e-12).sqrt())
