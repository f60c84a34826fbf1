"""classes and class_kl: how many of the data's classes a generator hits, and how evenly.

The number of modes of Srivastava et al. (2017, VEEGAN, arXiv:1705.07761, section 5.1), who read
the classes of stacked MNIST off a classifier, and the KL divergence beside it. We differ in asking
for more than one sample of a class: at 10,000 samples a classifier's slips hit every class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from genbench import MetricContext, Score, UsageError, classifier_for, sample_shape
from genbench_metrics.collapse_settings import ClassesSettings

SHARE = 0.1
"""Of the samples that a class would get if all were equally frequent: so many make it hit."""
PRIOR = 0.5
"""Added to the data's count of each class, so that one that is absent there is not infinite."""


class Classes:
    """Two scores of the classes that a classifier of the data set reads off the samples.

    ``classes``: those that at least one in 10 C of the samples is read as, of C. ``class_kl``:
    KL(read classes || labels of the test split) in nats. Their floors are what perfect samples
    get: the classes that are so frequent among the labels, and (C - 1) / 2 (1/n + 1/m), to first
    order the expected divergence of n draws from m labels: these are a sample too.
    In a watch only a classifier that is shipped or was trained before is used.
    """

    uses: Literal["samples", "model"] = "samples"
    requires: tuple[str, ...] = ()

    def __init__(self, settings: ClassesSettings | None = None) -> None:
        self._settings = settings or ClassesSettings()

    def begin(self, context: MetricContext) -> None:
        """Get classifier and labels. Raises UsageError if there is nothing to classify."""
        data, shape = context.data, sample_shape(context.data)
        if len(shape) != 3 or data.test.y is None or (data.spec.classes or 0) < 2:
            raise UsageError(
                f"classes needs labelled images, and '{data.spec.name}' has none; use spread"
            )
        self._classifier, self._note = classifier_for(context, shape)
        self._n = min(self._settings.n or context.n, context.n)
        self._labels = np.bincount(data.test.y, minlength=data.spec.classes or 0)
        self._counts = np.zeros(len(self._labels), dtype=np.int64)
        self._reference = {
            "reference": "labels of test",
            "reference_n": len(data.test.y),
            "reference_digest": data.test.digest,
        }

    def update(self, images: Tensor) -> None:
        """Take a minibatch of samples; what comes after the first ``n`` is left out."""
        images = images[: self._n - int(self._counts.sum())]
        if len(images):
            with torch.no_grad():
                read = self._classifier.logits(images).argmax(1)
            self._counts += np.bincount(read.cpu().numpy(), minlength=len(self._counts))

    def result(self) -> Sequence[Score]:
        """``classes`` and ``class_kl``."""
        n = int(self._counts.sum())
        protocol = {**self._classifier.protocol, "n": n}
        hit, expected = hits(self._counts), hits(self._labels)
        return [
            Score(
                metric="classes",
                value=float(hit),
                n=n,
                direction="max",
                floor=float(expected),
                protocol={**protocol, **self._reference, "hit": f"{SHARE:g} / classes"},
                note=self._note,
            ),
            Score(
                metric="class_kl",
                value=divergence(self._counts, self._labels),
                n=n,
                unit="nats",
                floor=expected_divergence(len(self._labels), n, int(self._labels.sum())),
                protocol={**protocol, **self._reference, "prior": PRIOR},
                note=self._note,
            ),
        ]


Counts = np.ndarray[Any, Any]


def hits(counts: Counts) -> int:
    """The classes that got at least the share ``SHARE`` / C of all counts (C,), and one at least.

    >>> hits(np.array([500, 0, 1, 499]))
    2
    """
    return int((counts >= max(1.0, SHARE * counts.sum() / len(counts))).sum())


def expected_divergence(classes: int, n: int, m: int) -> float:
    """The mean `divergence` of ``n`` from ``m`` draws of one law, in nats and to first order.

    Twice n (or m) times the divergence from the law itself is a chi-square of C - 1 degrees of
    freedom; the errors of two independent samples add up.
    """
    return (classes - 1) / 2 * (1 / n + 1 / m)


def divergence(counts: Counts, labels: Counts) -> float:
    """KL(p || q) in nats of the frequencies of two vectors of counts (C,); q is never 0."""
    p = counts / counts.sum()
    q = (labels + PRIOR) / (labels + PRIOR).sum()
    there = p > 0
    return float((p[there] * np.log(p[there] / q[there])).sum())
