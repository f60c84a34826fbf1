"""classes and class_kl: how many of the data's classes a generator hits, and how evenly.

These are the number of modes of Srivastava et al. (2017, VEEGAN, arXiv:1705.07761, section 5.1),
who classify samples of stacked MNIST, and their KL divergence. We differ in requiring more than one
sample of a class if there are many: errors of the classifier alone would hit every class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genbench import MetricContext, Score, UsageError, classifier_for, sample_shape
from genbench_metrics.metric import SampleMetric
from genbench_metrics.metric_settings import ClassesSettings

SHARE = 0.1
"""The minimum frequency of a class that is hit, relative to equal frequencies of all classes."""
DRAWS = 100
"""The number of draws of perfect samples over which the floor of ``classes`` is averaged."""
PRIOR = 0.5
"""Added to the data's count of each class, so that an absent class doesn't make KL infinite."""


class ClassCounts(SampleMetric[ClassesSettings]):
    """Two scores from the classes that a classifier predicts for the samples.

    ``classes`` is the number of the C classes with at least 1 / (10 C) of the samples. ``class_kl``
    is KL(predicted classes || labels of the test split) in nats. Their floors are the scores of
    perfect samples: the number of classes that n draws from the labels hit on average, which is
    less than C for few samples, and (C - 1) / 2 (1/n + 1/m), to first order the expected divergence
    of n draws from m labels, which are a sample too. The monitor only uses a classifier that is
    shipped or already trained.
    """

    defaults = ClassesSettings

    def begin(self, context: MetricContext) -> None:
        """Prepare the classifier and labels. Raises UsageError without labelled images."""
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
        """Add a minibatch of samples; only the first ``n`` samples count."""
        missing = self._n - int(self._counts.sum())
        if missing > 0:
            # Use the whole minibatch, so that fd_clf shares the pass through the classifier.
            with torch.no_grad():
                read = self._classifier.logits(images).argmax(1)[:missing]
            self._counts += np.bincount(read.cpu().numpy(), minlength=len(self._counts))

    def result(self) -> Sequence[Score]:
        """``classes`` and ``class_kl``."""
        n = int(self._counts.sum())
        protocol = {**self._classifier.protocol, "n": n}
        return [
            Score(
                metric="classes",
                value=float(hits(self._counts)),
                n=n,
                direction="max",
                floor=float(expected_hits(self._labels, n)),
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
    """The number of classes with at least the share ``SHARE`` / C of all counts (C,), and with one.

    >>> hits(np.array([500, 0, 1, 499]))
    2
    """
    return int((counts >= max(1.0, SHARE * counts.sum() / len(counts))).sum())


def expected_hits(labels: Counts, n: int) -> int:
    """The mean `hits` of ``n`` samples with the frequencies of the labels (C,), rounded.

    >>> expected_hits(np.full(1000, 10), 500), expected_hits(np.full(10, 980), 500)
    (394, 10)
    """
    draws = np.random.default_rng(0).multinomial(n, labels / labels.sum(), size=DRAWS)
    return round(sum(map(hits, draws)) / DRAWS)


def expected_divergence(classes: int, n: int, m: int) -> float:
    """The mean `divergence` of ``n`` from ``m`` draws of one distribution, in nats, to first order.

    2n (or 2m) times the divergence from the distribution itself follows a chi-square distribution
    with C - 1 degrees of freedom; the errors of two independent samples add up.
    """
    return (classes - 1) / 2 * (1 / n + 1 / m)


def divergence(counts: Counts, labels: Counts) -> float:
    """KL(p || q) in nats for the frequencies of two vectors of counts (C,); q is never 0."""
    p = counts / counts.sum()
    q = (labels + PRIOR) / (labels + PRIOR).sum()
    there = p > 0
    return float((p[there] * np.log(p[there] / q[there])).sum())
