"""Features of samples and of real images, for the metrics on features.

Features of real images are cached if they need a network; floors are always cached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from genbench import MetricContext, Score, Split, UsageError, cached_tensors, real_samples
from genbench_metrics.extractors import Chosen
from genbench_metrics.metric import S, SampleMetric

CHUNK = 4000
"""The number of real images per chunk of a whole split."""


class Collected:
    """The features of the first ``n`` samples, float32 on the CPU.

    ``least`` is the minimum number of samples, and of test images, for ``metric``.
    """

    def __init__(
        self, metric: str, context: MetricContext, chosen: Chosen, *, n: int | None, least: int = 2
    ) -> None:
        self._metric, self._context, self._chosen = metric, context, chosen
        self._least, self.n = least, min(n or context.n, context.n)
        self._parts: list[Tensor] = []
        self._folder = context.cache / "metrics"
        test = context.data.test
        self._refuse_few("samples", self.n)
        self.reference: Mapping[str, Any] = {
            "reference": "test" if context.data.render is None else "test, rendered",
            "reference_n": len(test.x),
            "reference_digest": test.digest,
        }

    def update(self, samples: Tensor) -> None:
        """Add a minibatch; only the first ``n`` samples count."""
        missing = self.n - sum(map(len, self._parts))
        if missing > 0:
            # Use the whole minibatch, so that other metrics on this extractor can share the pass.
            features = self._chosen.extractor.features(samples)
            self._parts.append(features[:missing].float().cpu())

    @property
    def samples(self) -> Tensor:
        """Features (n, d) of the samples."""
        taken = torch.cat(self._parts)
        self._refuse_few("samples", len(taken))
        return taken

    @property
    def test(self) -> Tensor:
        """Features of the whole test split, in order."""
        split = self._context.data.test
        self._refuse_few("test images", len(split.x))
        return self.of_real(split, None, "all")

    @property
    def train(self) -> Tensor:
        """Features of as many training images as samples, or of all if there are fewer.

        The images don't depend on the seed of the run, since a floor is part of the protocol.
        """
        split = self._context.data.train
        n = min(self.n, len(split.x))
        rows = np.sort(np.random.default_rng(0).choice(len(split.x), n, replace=False))
        return self.of_real(split, rows, f"{n} drawn")

    def chunks(self, split: Split) -> Iterator[Tensor]:
        """Features of a whole split in chunks; pixels are not in memory all at once."""
        context, extractor = self._context, self._chosen.extractor
        if extractor.protocol["weights"] is not None:
            yield from torch.split(self.of_real(split, None, "all"), CHUNK)
            return
        for batch in real_samples(context.data, split, device=context.device, batch_size=CHUNK):
            yield extractor.features(batch).float().cpu()

    def floor(self, protocol: Mapping[str, Any], measure: Callable[[Tensor], float]) -> float:
        """The same measure with real training images instead of the samples, cached."""
        train = self._context.data.train
        key = {
            **self.protocol(protocol),
            "metric": self._metric,
            "floor_digest": train.digest,
            "floor_n": min(self.n, len(train.x)),
        }

        def build() -> dict[str, Tensor]:
            return {"floor": torch.tensor(measure(self.train), dtype=torch.float64)}

        return float(cached_tensors(self._folder, "floor", key, build)["floor"])

    def kept(self, kind: str, own: Mapping[str, Any], build: Callable[[], Tensor]) -> Tensor:
        """A cached tensor computed from the test split on this extractor, with ``own`` as key."""
        key = {**self._chosen.extractor.protocol, **self.reference, **own}
        return cached_tensors(self._folder, kind, key, lambda: {kind: build()})[kind]

    def of_real(self, split: Split, rows: np.ndarray[Any, Any] | None, which: str) -> Tensor:
        """Features (len(rows), d) of some images of a split; ``which`` identifies the rows."""
        extractor, context = self._chosen.extractor, self._context

        def build() -> dict[str, Tensor]:
            batches = real_samples(
                context.data, split, device=context.device, batch_size=context.batch_size, rows=rows
            )
            with torch.no_grad():
                made = [extractor.features(batch).float().cpu() for batch in batches]
            return {"features": torch.cat(made)}

        if extractor.protocol["weights"] is None:  # cheaper to compute than to read
            return build()["features"]
        rendered = context.data.render is not None
        key = {**extractor.protocol, "digest": split.digest, "rows": which, "rendered": rendered}
        return cached_tensors(self._folder, "features", key, build)["features"]

    def protocol(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """The protocol of a score: the extractor's, n, and the metric's ``own``."""
        return {**self._chosen.extractor.protocol, "n": self.n, **own}

    def score(
        self,
        value: float,
        protocol: Mapping[str, Any],
        *,
        direction: Literal["min", "max", "floor"],
        std: float | None = None,
        floor: float | None = None,
        notes: tuple[str, ...] = (),
    ) -> Score:
        """A score on these features; its note names the extractor."""
        return Score(
            metric=self._metric,
            value=value,
            std=std,
            n=self.n,
            direction=direction,
            floor=floor,
            protocol=self.protocol(protocol),
            note="; ".join((self._chosen.note, *self._few_for_the_floor(floor), *notes)),
        )

    def _few_for_the_floor(self, floor: float | None) -> list[str]:
        size = len(self._context.data.train.x)
        few = floor is not None and size < self.n
        return [f"the floor has only {size} real images (all of train)"] if few else []

    def _refuse_few(self, what: str, size: int) -> None:
        if size < self._least:
            raise UsageError(
                f"{self._metric} needs at least {self._least} {what}, but there are {size}"
            )


class FeatureMetric(SampleMetric[S]):
    """A metric on the features of samples, which ``begin`` prepares to be collected."""

    _collected: Collected

    def update(self, images: Tensor) -> None:
        """Add a minibatch of samples."""
        self._collected.update(images)
