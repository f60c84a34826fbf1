"""Score -> logit, calibrated on held-out data (Turner et al. 2019, section 4.2).

Both kinds are fitted on equally many real and generated samples, so that the logit estimates
log p_data(h) - log p_model(h), not the odds of a sample.
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
    """A fitted map of float64 scores (B,) on the CPU."""

    def __call__(self, scores: Tensor) -> Tensor:
        """Logits (B,), finite."""


@dataclass(frozen=True, kw_only=True)
class AffineCalibration:
    """logit = slope * score + offset; by default the score itself."""

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, scores: Tensor) -> Tensor:
        """Logits, differentiable."""
        return self.slope * scores + self.offset


@dataclass(frozen=True, kw_only=True)
class Isotonic:
    """An increasing step function; its gradient is useless."""

    regression: Any

    def __call__(self, scores: Tensor) -> Tensor:
        """Logits, clipped to those of the outer steps."""
        return torch.logit(torch.from_numpy(self.regression.predict(scores.numpy())))


def fit_calibration(kind: str | None, real: Tensor, fake: Tensor) -> Calibration:
    """Fit ``kind`` ("logistic", "isotonic" or None) to scores of real and generated samples."""
    if kind is None:
        return AffineCalibration()
    scores = torch.cat((real, fake)).numpy()
    is_real = np.concatenate((np.ones(len(real)), np.zeros(len(fake))))
    if kind == "logistic":
        return _logistic(scores, is_real)
    return Isotonic(regression=_isotonic(scores, is_real))


def _isotonic(scores: Scores, is_real: Scores) -> Any:
    """An increasing step function, with a generated sample added at the top and a real one below.

    Without them, a last step of only real samples would have infinite odds, and would be the
    maximum in rejection sampling.
    """
    scores = np.concatenate((scores, [scores.max(), scores.min()]))
    is_real = np.concatenate((is_real, [0.0, 1.0]))
    return IsotonicRegression(out_of_bounds="clip").fit(scores, is_real)


def _logistic(scores: Scores, is_real: Scores) -> AffineCalibration:
    """Logistic regression without a penalty, on Platt's targets.

    1 and 0 become (m + 1)/(m + 2) and 1/(m + 2), with m samples of each kind (Platt 1999);
    otherwise the slope would be infinite for scores that separate the two without error. Scores are
    standardised first, for the solver.
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
    """Test whether logits of ``n`` real and ``n`` generated samples are calibrated: N(0, 1) if so.

    Z is sum(y - p) over its standard deviation, with p = sigmoid(logit) (MH-GAN, arXiv:1811.11357,
    eq. 6). Compute it on samples that the calibration was not fitted on. It is positive if the
    probability of real samples is too low, negative if it is too high.

    We differ in the standard deviation. sqrt(sum p (1 - p)) holds for random labels, but here there
    are n of each by design, and only the scores vary. Then sum(y - p) is the sum of 1 - p_real -
    p_fake over n pairs, and its variance is n times that of a pair, which is smaller by 2q - 1,
    with q the mean p of real samples. A pair may share a class label; its parts need not be
    independent. Logistic regression on ``fitted_on`` other pairs makes sum(y - p) equal to 0 there;
    their error multiplies the variance by 1 + n / fitted_on.
    """
    off = 1 - (real.double().sigmoid() + fake.double().sigmoid())
    n = len(off)
    variance = n * off.var(correction=0) * (1 + (n / fitted_on if fitted_on else 0))
    return float(off.sum() / variance.clamp_min(1e-12).sqrt())
