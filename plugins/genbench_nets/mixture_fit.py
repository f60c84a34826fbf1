"""Fit a mixture of Gaussians to codes by scikit-learn's EM.

The codes are standardised per dimension first, so that the floor of the variances (scikit-learn's
``reg_covar``) means the same for codes of any scale. The result is a function of the codes alone.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as Estimator
from torch import Tensor

from genbench import GenbenchError
from genbench_nets.mixture import Components, Covariance

FLOOR = 1e-6
"""Added to each variance of the standardised codes, for dead dimensions or repeated codes."""
TOLERANCE = 1e-3
"""EM stops when the log-likelihood of a code gains less than this, in nats."""
ITERATIONS = 100
"""EM stops after this many iterations at the latest, converged or not."""


def fit_mixture(
    codes: Tensor, *, components: int, covariance: Covariance = "full", limit: int | None = None
) -> Components:
    """Fit to codes (N, d), or to a random subset of ``limit`` codes, the same each time.

    Fewer ``components`` are fitted if there are fewer codes for each than rows of a covariance plus
    one (two, for a diagonal one). Raises GenbenchError if a code is not finite.
    """
    x = _chosen(codes.detach().cpu().double(), limit)
    if not bool(torch.isfinite(x).all()):
        raise GenbenchError(
            "the codes of the training samples are not all finite, so no mixture can be fitted to "
            "them: the autoencoder diverged. Try a lower learning rate or --clip-norm 1"
        )
    centre, spread = x.mean(0), x.std(0, correction=0)
    spread = torch.where(spread > 0, spread, 1.0)
    em = Estimator(
        n_components=_affordable(components, len(x), x.shape[1], covariance),
        covariance_type=covariance,
        reg_covar=FLOOR,
        tol=TOLERANCE,
        max_iter=ITERATIONS,
        random_state=0,
    )
    white = ((x - centre) / spread).numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        em.fit(white if len(white) > 1 else np.repeat(white, 2, axis=0))
    return _undone(em, centre, spread)


def _chosen(codes: Tensor, limit: int | None) -> Tensor:
    if limit is None or len(codes) <= limit:
        return codes
    order = torch.randperm(len(codes), generator=torch.Generator().manual_seed(0))
    return codes[order[:limit]]


def _affordable(components: int, samples: int, size: int, covariance: Covariance) -> int:
    least = size + 1 if covariance == "full" else 2
    return max(1, min(components, samples // least))


def _undone(em: Estimator, centre: Tensor, spread: Tensor) -> Components:
    """The mixture in the scale of the codes, of one fitted to standardised codes."""
    means = torch.from_numpy(em.means_) * spread + centre
    covariances = torch.from_numpy(em.covariances_)
    if em.covariance_type == "diag":
        scales = covariances.sqrt() * spread
    else:
        scales = torch.linalg.cholesky(covariances) * spread[:, None]
    weights = torch.from_numpy(em.weights_)
    return Components(weights=weights.float(), means=means.float(), scales=scales.float())
