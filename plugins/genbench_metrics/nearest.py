"""nearest: the training images nearest to samples, as a picture and as a score of memorisation.

Samples that are copies lie nearer to the training images than images held out from training do.
The score is the three-sample test of Meehan, Chaudhuri and Dasgupta (2020), "A non-parametric
test to detect data-copying in generative models", arXiv:2004.05675, section 3: U is the share of
pairs of a sample and a test image in which the sample is nearer to its nearest training image
than the test image is to its own. We take one cell, the whole space, and report |2 U - 1|.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from genbench import (
    MetricContext,
    Picture,
    PixelFeatures,
    Score,
    cached_tensors,
    real_samples,
    sample_shape,
)
from genbench_metrics.collected import Collected
from genbench_metrics.extractors import Chosen, features_for
from genbench_metrics.feature_settings import NearestSettings
from genbench_metrics.metric import SampleMetric
from genbench_metrics.neighbours import Neighbours, neighbours

SHOWN = 5
"""Training neighbours beside each sample of the picture."""
IMPLEMENTATION = "genbench-nearest-1"


class Nearest(SampleMetric[NearestSettings]):
    """Scores ``nearest_pixels`` and ``nearest_features``, and the picture ``nearest``.

    0 where samples are as far from the training images as test images are; 1 where all samples
    are nearer (copies), and where all are farther (none is like the data): the note says which.
    """

    defaults = NearestSettings

    def begin(self, context: MetricContext) -> None:
        """Get the distances of test images to their nearest training images, in each space."""
        shape, n = sample_shape(context.data), self._settings.n
        pixels = PixelFeatures(shape)
        chosen = [Chosen(extractor=pixels, note=f"on {pixels.name}")]
        other = features_for("nearest", context, self._settings)
        if not isinstance(other.extractor, PixelFeatures):
            chosen.append(other)
        self._context = context
        self._spaces = [
            _Space(name, context, one, n=n)
            for name, one in zip(("pixels", "features"), chosen, strict=False)
        ]
        self._shown: list[Tensor] = []

    def update(self, images: Tensor) -> None:
        """Take a minibatch of samples."""
        for space in self._spaces:
            space.collected.update(images)
        missing = self._settings.rows - sum(map(len, self._shown))
        if missing > 0 and images.dim() == 4:
            self._shown.append(images[:missing].cpu())

    def result(self) -> Sequence[Score]:
        """A score for each space."""
        return [space.score() for space in self._spaces]

    def pictures(self) -> Mapping[str, Picture]:
        """In each row a sample, its nearest training images by pixels, and those by features."""
        if not self._shown:
            return {}
        samples = torch.cat(self._shown)
        parts, groups = [samples[:, None]], [("sample", 1)]
        for space in self._spaces:
            parts.append(self._training(space.found.places[: len(samples)]))
            groups.append((f"nearest by {space.name}", parts[-1].shape[1]))
        rows = torch.cat(parts, 1)
        picture = Picture(
            images=rows.flatten(0, 1),
            columns=rows.shape[1],
            about="Samples and the training images nearest to them",
            groups=groups,
        )
        return {"nearest": picture}

    def _training(self, places: Tensor) -> Tensor:
        """The training images (n, k, C, H, W) at these places (n, k)."""
        context = self._context
        batches = real_samples(
            context.data,
            context.data.train,
            device=context.device,
            batch_size=context.batch_size,
            rows=places.flatten().numpy(),
        )
        images = torch.cat([batch.cpu() for batch in batches])
        return images.view(*places.shape, *images.shape[1:])


class _Space:
    """Samples, training images and the first test images in one space of features."""

    def __init__(self, name: str, context: MetricContext, chosen: Chosen, *, n: int | None) -> None:
        self.name = "pixels" if name == "pixels" else f"{name} ({chosen.extractor.name})"
        self.collected = Collected(f"nearest_{name}", context, chosen, n=n)
        self._train = context.data.train
        self._held_out = min(self.collected.n, len(context.data.test.x))
        self._protocol = {
            **self.collected.reference,
            "reference_n": self._held_out,
            "distance": "euclidean, to the nearest training image",
            "train_digest": self._train.digest,
            "implementation": IMPLEMENTATION,
        }
        key = {**self.collected.protocol(self._protocol), "n": None}
        self._of_test = cached_tensors(
            context.cache / "metrics", "nearest", key, self._distances_of_test
        )["distances"]

    def score(self) -> Score:
        """|2 U - 1|; its floor is what as many held-out images score on average."""
        self.found = self._nearest(self.collected.samples, SHOWN)
        nearer = share_nearer(self.found.distances[:, 0], self._of_test)
        return self.collected.score(
            abs(2 * nearer - 1),
            self._protocol,
            direction="min",
            floor=_expected(self.collected.n, self._held_out),
            notes=(
                f"in {nearer:.3f} of the pairs, the sample is nearer to the training images than "
                f"the held-out image is (neutral: 0.5)",
            ),
        )

    def _distances_of_test(self) -> dict[str, Tensor]:
        test = self.collected.test[: self._held_out]
        return {"distances": self._nearest(test, 1).distances[:, 0]}

    def _nearest(self, queries: Tensor, k: int) -> Neighbours:
        return neighbours(queries, self.collected.chunks(self._train), k)


def share_nearer(samples: Tensor, held_out: Tensor) -> float:
    """The share of pairs in which a sample's distance is the smaller one; a tie counts half."""
    ordered, samples = held_out.sort().values, samples.contiguous()
    not_nearer = torch.searchsorted(ordered, samples, right=False)
    farther = len(ordered) - torch.searchsorted(ordered, samples, right=True)
    ties = len(ordered) - farther - not_nearer
    return float((farther + ties / 2).double().mean()) / len(ordered)


def _expected(n: int, held_out: int) -> float:
    """E|2 U - 1| where both come from one law: U is then normal of variance (n + m + 1) / 12nm."""
    sd = math.sqrt((n + held_out + 1) / (12 * n * held_out))
    return 2 * sd * math.sqrt(2 / math.pi)
