"""kid: the kernel inception distance, on any extractor.

This is the unbiased squared maximum mean discrepancy with the kernel (x'y / d + 1)^3, as a mean
over random subsets: Bińkowski et al. (2018), "Demystifying MMD GANs", arXiv:1801.01401, eq. 4. It
is computed by torch-fidelity.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from torch import Tensor
from torch_fidelity.metric_kid import (
    KEY_METRIC_KID_MEAN,
    KEY_METRIC_KID_STD,
    kid_features_to_metric,
)

from genbench import MetricContext, Score
from genbench_metrics.collected import Collected, FeatureMetric
from genbench_metrics.extractors import features_for
from genbench_metrics.feature_settings import KidSettings

KERNEL = {"kid_kernel": "poly", "kid_kernel_poly_degree": 3, "kid_kernel_poly_coef0": 1}
SEED = 2020
"""The seed of the subsets, torch-fidelity's default."""


class Kid(FeatureMetric[KidSettings]):
    """An unbiased score, unlike a Fréchet distance: it may be below 0, and suits few samples.

    Its std is over the subsets. The score of real images is about 0, so a ratio to it would be
    meaningless; it is in the note instead of being a floor.
    """

    defaults = KidSettings

    def begin(self, context: MetricContext) -> None:
        """Compute the features of the test split, and the score of real images."""
        settings = self._settings
        chosen = features_for("kid", context, settings)
        self._collected = Collected("kid", context, chosen, n=settings.n)
        self._test = self._collected.test
        self._size = min(settings.subset_size, self._collected.n, len(self._test))
        self._protocol = {
            **self._collected.reference,
            "distance": "squared MMD, unbiased, kernel (x'y / d + 1)^3",
            "subsets": settings.subsets,
            "subset_size": self._size,
            "seed": SEED,
            "implementation": "torch-fidelity",
            "torch-fidelity": version("torch-fidelity"),
        }
        self._of_real = self._collected.floor(
            self._protocol, lambda real: float(self._distance(real)[KEY_METRIC_KID_MEAN])
        )

    def result(self) -> Sequence[Score]:
        """One score, ``kid``."""
        found = self._distance(self._collected.samples)
        lowered = self._size < self._settings.subset_size
        notes = [f"real training images score {self._of_real:.3g}"]
        if lowered:
            notes.append(f"subsets of only {self._size} samples")
        return [
            self._collected.score(
                found[KEY_METRIC_KID_MEAN],
                self._protocol,
                direction="min",
                std=found[KEY_METRIC_KID_STD],
                notes=tuple(notes),
            )
        ]

    def _distance(self, features: Tensor) -> dict[str, Any]:
        found: dict[str, Any] = kid_features_to_metric(
            features,
            self._test,
            **KERNEL,
            kid_subsets=self._settings.subsets,
            kid_subset_size=min(self._size, len(features)),  # a floor may have fewer
            rng_seed=SEED,
            verbose=False,
        )
        return found
