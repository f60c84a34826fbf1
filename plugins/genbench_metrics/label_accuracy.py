"""label_accuracy: whether samples of a conditional model belong to the requested class.

A classifier trained on real images classifies samples of every class: the GAN-test of Shmelkov,
Schmid and Alahari (2018, "How good is my GAN?", arXiv:1807.09499, section 4). We differ in using
equally many samples of each class. It doesn't measure variety: one good image per class would score
1, so read it together with a distance or a recall.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from genbench import (
    MetricContext,
    Score,
    UsageError,
    cached_tensors,
    classifier_for,
    real_samples,
    rendered,
    sample_shape,
    samples_data,
    to_uint8,
)
from genbench_metrics.metric import ModelMetric
from genbench_metrics.metric_settings import LabelAccuracySettings


class LabelAccuracy(ModelMetric[LabelAccuracySettings]):
    """The share of samples classified as the requested class, 0 to 1, averaged over classes.

    Samples are drawn with z from the prior, by a generator with the context's seed. The floor is
    the accuracy of the same classifier on real test images, also averaged over classes. A model
    that only generates typical images may score higher.
    """

    requires = ("generates", "conditional")
    defaults = LabelAccuracySettings

    def begin(self, context: MetricContext) -> None:
        """Prepare the classifier. Raises UsageError without labelled images."""
        shown = samples_data(context.data)
        shape, classes = sample_shape(shown), shown.spec.classes or 0
        if len(shape) != 3 or shown.train.y is None or classes < 2:
            raise UsageError(
                f"label_accuracy needs labelled images, but '{shown.spec.name}' has none"
            )
        self._n = self._settings.n or context.n
        if self._n < classes:
            raise UsageError(
                f"label_accuracy needs a sample of each of the {classes} classes, but n is "
                f"{self._n}; set metric.label_accuracy.n"
            )
        self._context, self._shown = context, replace(context, data=shown)
        self._classifier, self._note = classifier_for(self._shown, shape)

    def result(self) -> Sequence[Score]:
        """One score, ``label_accuracy``."""
        asked = torch.arange(self._n) % self._context.model.classes
        right = accuracies(asked, self._read(self._samples(asked)))
        test = self._shown.data.test
        return [
            Score(
                metric="label_accuracy",
                value=float(right.mean()),
                n=self._n,
                direction="max",
                floor=self._floor(),
                protocol={
                    **self._classifier.protocol,
                    "n": self._n,
                    "classes": len(right),
                    "sampler": "plain",
                    "reference": "test",
                    "reference_n": len(test.x),
                    "reference_digest": test.digest,
                    "implementation": "genbench-label-accuracy-1",
                },
                note="; ".join(filter(None, (self._note, self._worst(right)))),
            )
        ]

    def _samples(self, asked: Tensor) -> Iterator[Tensor]:
        """Samples of these classes (n,), as rendered uint8 minibatches."""
        context = self._context
        model, render = context.model, context.data.render
        generator = torch.Generator().manual_seed(context.seed)
        with torch.no_grad():
            for y in torch.split(asked, context.batch_size):
                z = model.prior(len(y), generator)
                x = rendered(model, model.generate(z, y.to(context.device)))
                yield to_uint8(x if render is None else render(x))

    def _read(self, batches: Iterator[Tensor]) -> Tensor:
        """The predicted classes, (n,) on the CPU."""
        return torch.cat([self._classifier.logits(batch).argmax(1).cpu() for batch in batches])

    def _floor(self) -> float:
        """The same score of real test images, cached."""
        context, test = self._shown, self._shown.data.test
        assert test.y is not None, "the data has labels"
        labels = torch.from_numpy(np.asarray(test.y, dtype=np.int64))

        def build() -> dict[str, Tensor]:
            real = real_samples(
                context.data, test, device=context.device, batch_size=context.batch_size
            )
            return {"accuracy": accuracies(labels, self._read(real)).nanmean()}

        key = {**self._classifier.protocol, "digest": test.digest, "of": "test, mean of classes"}
        return float(cached_tensors(context.cache / "metrics", "floor", key, build)["accuracy"])

    def _worst(self, right: Tensor) -> str:
        worst = int(right.argmin())
        names = self._shown.data.spec.class_names
        return f"worst class: {names[worst] if names else worst} ({float(right[worst]):.1%})"


def accuracies(asked: Tensor, read: Tensor) -> Tensor:
    """The accuracy for each class, float64 (C,); nan for a class without samples.

    >>> accuracies(torch.tensor([0, 0, 2, 2]), torch.tensor([0, 1, 2, 2]))
    tensor([0.5000,    nan, 1.0000], dtype=torch.float64)
    """
    counts = asked.bincount()
    right = torch.bincount(asked[asked == read], minlength=len(counts))
    return right.double() / counts
