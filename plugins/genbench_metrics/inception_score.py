"""is: the inception score, on the class probabilities of any classifier.

exp E_x KL(p(y|x) || p(y)): Salimans et al. (2016), "Improved techniques for training GANs",
arXiv:1606.03498, section 4. It is high if each sample is clearly of one class, and all classes are
equally frequent. It uses no reference data; shuffle and splits are those of torch-fidelity.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from torch import Tensor
from torch_fidelity.metric_isc import (
    KEY_METRIC_ISC_MEAN,
    KEY_METRIC_ISC_STD,
    isc_features_to_metric,
)

from genbench import MetricContext, Score
from genbench_metrics.collected import Collected, FeatureMetric
from genbench_metrics.extractors import logits_for
from genbench_metrics.feature_settings import InceptionScoreSettings

SEED = 2020
"""The seed of the shuffle, torch-fidelity's default."""
ENOUGH = 50
"""With fewer samples per class in a split, the estimate of p(y) is too rough."""


class InceptionScore(FeatureMetric[InceptionScoreSettings]):
    """From 1 to the number of classes; its std is over the splits."""

    defaults = InceptionScoreSettings

    def begin(self, context: MetricContext) -> None:
        """Prepare the classifier and the floor. Raises UsageError without classes."""
        chosen = logits_for("is", context, self._settings)
        least = max(2, self._settings.splits)
        self._classes = chosen.extractor.dim
        self._collected = Collected("is", context, chosen, n=self._settings.n, least=least)
        self._protocol = {
            "splits": self._settings.splits,
            "seed": SEED,
            "implementation": "torch-fidelity",
            "torch-fidelity": version("torch-fidelity"),
        }
        # The floor needs at least as many real training images as there are splits.
        self._floor = None
        if len(context.data.train.x) >= least:
            self._floor = self._collected.floor(
                {**self._protocol, "real": "train"}, lambda real: self._score(real)[0]
            )

    def result(self) -> Sequence[Score]:
        """One score, ``is``."""
        value, std = self._score(self._collected.samples)
        split = self._collected.n // self._settings.splits
        few = (f"splits of {split} samples for {self._classes} classes: biased downwards",)
        return [
            self._collected.score(
                value,
                self._protocol,
                direction="max",
                std=std,
                floor=self._floor,
                notes=few if split < ENOUGH * self._classes else (),
            )
        ]

    def _score(self, logits: Tensor) -> tuple[float, float]:
        found = isc_features_to_metric(logits, self._settings.splits, True, SEED)
        return float(found[KEY_METRIC_ISC_MEAN]), float(found[KEY_METRIC_ISC_STD])
