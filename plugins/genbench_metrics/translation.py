"""translation: whether translated test images show the class that was asked for, and stay close.

Equally many test images are translated into each class, all of them from other classes. Four scores
are computed on them:

- ``translation_accuracy``: the share that a classifier of real images reads as the class that was
  asked for (Choi et al. 2018, arXiv:1711.09020, section 5.4), a mean over classes. The floor is its
  accuracy on real test images.
- ``translation_fd``: the Fréchet distance of the classifier's features between the translations
  into a class and the real test images of this class, a mean over classes. The floor is that of
  real training images of the class, as many as there are translations.
- ``translation_cycle``: the mean absolute difference of an image and its translation back into its
  own class, in [0, 1].
- ``translation_identity``: that of an image and its translation into its own class.

A model that always makes the same image of a class has the best accuracy, so read it together with
the other scores. A model of latents gets the codes of test images, the means of their posteriors,
and is compared with these images, so that its scores stand beside those of a model of images; they
include the errors of its encoder and decoder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from genbench import (
    MetricContext,
    Score,
    UsageError,
    classifier_for,
    real_samples,
    sample_shape,
    samples_data,
    stored_as_float,
    to_float,
    to_uint8,
)
from genbench_metrics.frechet import Moments
from genbench_metrics.metric_settings import TranslationSettings
from genbench_metrics.real_classes import RealClasses, Rows, distance

LEAST = 20
"""With fewer real test images, a class has no Fréchet distance."""
NAMED = 20
"""The number of classes that a note names one by one at most."""

IMPLEMENTATION = "genbench-translation-1"


@dataclass(frozen=True, kw_only=True)
class ClassScores:
    """The scores of the translations into one class; ``fd`` is nan without enough real images."""

    accuracy: float
    fd: float
    cycle: float
    n: int


class TranslationScores:
    """Scores of a model that translates labelled images, or codes of labelled images."""

    uses: Literal["samples", "model"] = "model"
    requires: tuple[str, ...] = ("translates",)

    def __init__(self, settings: TranslationSettings | None = None) -> None:
        self._settings = settings or TranslationSettings()

    def begin(self, context: MetricContext) -> None:
        """Prepare the classifier. Raises UsageError without labelled images of several classes."""
        shown = samples_data(context.data)
        shape = sample_shape(shown)
        if len(shape) != 3 or shown.train.y is None or shown.test.y is None:
            raise UsageError(f"translation needs labelled images, but '{shown.spec.name}' has none")
        self._own = np.asarray(shown.test.y)
        self._classes = np.unique(np.asarray(shown.train.y))
        self._n = self._settings.n or context.n
        if not 1 < len(self._classes) <= self._n or len(np.unique(self._own)) < 2:
            raise UsageError(
                f"translation needs test images of several classes and a translation into each of "
                f"{len(self._classes)} classes, but n is {self._n}; set metric.translation.n"
            )
        self._context, self._shown = context, replace(context, data=shown)
        self._classifier, self._note = classifier_for(self._shown, shape)
        self._real = RealClasses(self._shown, self._classifier, self._classifier.logits)

    def update(self, images: Tensor) -> None:
        """Samples are not used: this metric translates test images."""

    def result(self) -> Sequence[Score]:
        """Four scores; ``translation_fd`` is left out if no class has enough real images."""
        order = np.random.default_rng(self._context.seed)
        by_class = {int(y): self._translated_into(int(y), order) for y in self._classes}
        found = list(by_class.values())
        n = sum(scores.n for scores in found)
        accuracy = {y: scores.accuracy for y, scores in by_class.items()}
        fd = {y: scores.fd for y, scores in by_class.items() if not np.isnan(scores.fd)}
        cycle = float(np.mean([scores.cycle for scores in found]))
        identity = self._identity(order)
        real = self._real.floors(tuple(self._classes), tuple(fd), self._n // len(self._classes))
        return [
            self._score("accuracy", _mean(accuracy), n, "max", real["accuracy"], accuracy),
            *([self._score("fd", _mean(fd), n, "min", real["fd"], fd)] if fd else ()),
            self._score("cycle", cycle, n, "min"),
            self._score("identity", identity, min(self._n, len(self._own)), "min"),
        ]

    def _score(
        self,
        name: str,
        value: float,
        n: int,
        direction: Literal["min", "max"],
        floor: float | None = None,
        classes: Mapping[int, float] | None = None,
    ) -> Score:
        of_classifier = classes is not None
        return Score(
            metric=f"translation_{name}",
            value=value,
            n=n,
            direction=direction,
            floor=floor,
            protocol={
                **(self._classifier.protocol if of_classifier else {"range": "[0, 1]"}),
                **self._protocol(),
                "n": n,
                "classes": len(self._classes if classes is None else classes),
            },
            note="; ".join(filter(None, (self._note, self._by_class(classes)))) if classes else "",
        )

    def _protocol(self) -> dict[str, Any]:
        test = self._shown.data.test
        return {
            "images": "test, of other classes; equally many into each class",
            "reference": "test" if self._shown.data.render is None else "test, rendered",
            "reference_n": len(test.x),
            "reference_digest": test.digest,
            "implementation": IMPLEMENTATION,
        }

    def _by_class(self, values: Mapping[int, float]) -> str:
        """The value of each class, or of the most extreme ones if there are many."""
        names = self._shown.data.spec.class_names
        ordered = sorted(values, key=values.__getitem__)
        shown = values if len(values) <= NAMED else (ordered[0], ordered[-1])
        listed = ", ".join(f"{names[y] if names else y}: {values[y]:.3g}" for y in shown)
        return f"by class: {listed}" if len(values) <= NAMED else f"from {listed}"

    # --- translations

    def _translated_into(self, target: int, order: np.random.Generator) -> ClassScores:
        """The scores of as many random test images of other classes as each class gets."""
        others = np.flatnonzero(self._own != target)
        rows = np.sort(order.permutation(others)[: self._n // len(self._classes)])
        right, apart, moments = 0, 0.0, Moments()
        for few, x, own in self._batches(rows):
            made = self._context.model.translate(x, torch.full_like(own, target), own)
            images = self._rendered(made)
            pixels = to_uint8(images)
            right += int((self._classifier.logits(pixels).argmax(1) == target).sum())
            moments.update(self._classifier.features(pixels))
            asked = torch.full_like(own, target)
            back = self._context.model.translate(made, own, asked)
            apart += self._difference(few, self._rendered(back)) * len(few)
        reference = self._real.test_moments(target)
        return ClassScores(
            accuracy=right / len(rows),
            fd=distance(moments, reference) if reference.n >= LEAST else float("nan"),
            cycle=apart / len(rows),
            n=len(rows),
        )

    def _identity(self, order: np.random.Generator) -> float:
        rows = np.sort(order.permutation(len(self._own))[: self._n])
        apart = 0.0
        for few, x, own in self._batches(rows):
            same = self._context.model.translate(x, own, own)
            apart += self._difference(few, self._rendered(same)) * len(few)
        return apart / len(rows)

    def _batches(self, rows: Rows) -> Iterator[tuple[Rows, Tensor, Tensor]]:
        """Rows of the test split, their samples as the model sees them, and their classes."""
        context = self._context
        for start in range(0, len(rows), context.batch_size):
            few = rows[start : start + context.batch_size]
            own = torch.from_numpy(np.asarray(self._own[few], np.int64)).to(context.device)
            yield few, self._seen(few, own), own

    def _seen(self, rows: Rows, own: Tensor) -> Tensor:
        """Test images as the model sees them: their codes are encoded here, without a draw."""
        encode = self._context.data.encode
        data = self._context.data if encode is None else self._shown.data
        x = stored_as_float(data.test.x[rows]).to(self._context.device)
        return x if encode is None else encode(x, own)

    def _rendered(self, x: Tensor) -> Tensor:
        render = self._context.data.render
        return x if render is None else render(x)

    def _difference(self, rows: Rows, images: Tensor) -> float:
        """The mean absolute difference from test images, in [0, 1]."""
        real = next(
            real_samples(
                self._shown.data,
                self._shown.data.test,
                device=images.device,
                batch_size=len(rows),
                rows=rows,
            )
        )
        apart = images.detach().float().clamp(-1, 1) - to_float(real)
        return 0.5 * float(apart.abs().mean())


def _mean(values: Mapping[int, float]) -> float:
    return float(np.mean(list(values.values())))
