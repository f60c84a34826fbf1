"""Samples -> images -> scores: one draw of each sampler feeds all sample metrics of a run.

Samples are worked off minibatch by minibatch, so that memory doesn't grow with their number. The
same model, data and seed give the same samples, whatever was drawn before.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genbench.capabilities import BUILTIN, Capabilities
from genbench.contracts import (
    Conditional,
    Data,
    Embeds,
    Metric,
    MetricContext,
    Picture,
    SampleContext,
    Sampler,
    Score,
    Split,
    samples_data,
)
from genbench.draws import draw_seeds, mean_of_draws
from genbench.errors import IncompatibleError, PluginError, SamplingError, UsageError
from genbench.events import Evaluated
from genbench.pixels import to_float, to_uint8
from genbench.spec import Part

MOST_SAMPLES = 10_000
"""The default number of samples is the size of the test split, and at most this."""

Samplers = Sequence[tuple[Part, Sampler]]
Metrics = Sequence[tuple[Part, Metric]]
Rows = np.ndarray[Any, np.dtype[np.int64]]


def evaluate(
    model: Any,
    data: Data,
    *,
    samplers: Samplers,
    metrics: Metrics,
    device: torch.device,
    n: int | None = None,
    repeats: int = 1,
    seed: int,
    cache: Path,
    offline: bool = False,
    epoch: int,
    stage: str,
    batch_size: int = 500,
    quick: bool = False,
) -> list[Evaluated]:
    """Score a model in eval mode on ``device``: one record a sampler, then one of the model itself.

    The record of the model metrics has the sampler ``""``. ``n`` is the number of samples (None:
    `default_n`), drawn ``repeats`` times; ``seed`` is the run's, from which the draws' own are
    derived. A metric whose reference can't be had, whose samples are not finite, or whose sampler
    gave up, stands in ``skipped`` with the reason.
    Seconds are read after a device synchronize; a metric's include getting its reference. That the
    parts fit the model was seen to by `check_fit`.
    """
    context = MetricContext(
        data=data,
        model=model,
        device=device,
        cache=cache,
        n=default_n(data) if n is None else n,
        seed=evaluation_seed(seed),
        offline=offline,
        batch_size=batch_size,
        quick=quick,
    )
    of_samples = [(part, metric) for part, metric in metrics if metric.uses == "samples"]
    of_model = [(part, metric) for part, metric in metrics if metric.uses == "model"]
    evaluated = []
    for part, sampler in samplers if of_samples else ():
        draws = []
        for own_seed in draw_seeds(context.seed, repeats):
            own = replace(context, seed=own_seed)
            with _own_randomness(own):
                sheet = _Sheet(own, of_samples)
                sheet.draw(part, sampler)
                draws.append(sheet.evaluated(epoch, stage, part, sampler.diagnostics()))
        told: str = getattr(sampler, "exactness", str)()
        evaluated.append(replace(mean_of_draws(draws), exactness=told))
    if of_model:
        with _own_randomness(context):
            sheet = _Sheet(context, of_model)
            evaluated.append(sheet.evaluated(epoch, stage, Part(name=""), {}))
    return [replace(record, seed=seed) for record in evaluated]


def default_n(data: Data) -> int:
    """As many samples as the test split has images, at most `MOST_SAMPLES`."""
    return min(len(data.test.x), MOST_SAMPLES)


def evaluation_seed(seed: int) -> int:
    """The seed of the samples that are scored: derived from the run's, but not the same.

    Samples drawn from the seed that also drew the weights would not be independent of them.
    """
    return int.from_bytes(hashlib.sha256(f"genbench evaluation {seed}".encode()).digest()[:6])


def sample_context(
    model: Any,
    data: Data,
    *,
    device: torch.device,
    seed: int,
    labels: Tensor | None = None,
    batch_size: int = 500,
) -> SampleContext:
    """What a sampler gets: a fresh generator of ``seed``, and real samples as a model's ``h``."""

    def of_test(count: int) -> Rows:
        # At random: a folder of pictures is sorted by class.
        return np.sort(np.random.default_rng(seed).permutation(len(data.test.x))[:count])

    def of_training(count: int) -> Rows:
        return np.random.default_rng(seed).integers(len(data.train.x), size=count)

    def samples_of(split: Split, rows: Callable[[int], Rows]) -> Callable[[int], Iterator[Tensor]]:
        augment = data.augment if split is data.train else None
        return lambda count: _as_h(model, split.x, rows(count), device, batch_size, augment)

    def labels_of(split: Split, rows: Callable[[int], Rows]) -> Callable[[int], Tensor] | None:
        y = split.y
        return None if y is None else lambda count: torch.from_numpy(np.asarray(y[rows(count)]))

    return SampleContext(
        device=device,
        generator=torch.Generator().manual_seed(seed),
        batch_size=batch_size,
        labels=labels,
        real=samples_of(data.test, of_test),
        training=samples_of(data.train, of_training),
        real_labels=labels_of(data.test, of_test),
        training_labels=labels_of(data.train, of_training),
    )


def _as_h(
    model: Any,
    x: np.ndarray[Any, Any],
    rows: Rows,
    device: torch.device,
    batch_size: int,
    augment: Callable[[Tensor], Tensor] | None,
) -> Iterator[Tensor]:
    """Those rows of x as the model's discriminator sees them, minibatch by minibatch."""
    for start in range(0, len(rows), batch_size):
        batch = torch.from_numpy(np.asarray(x[rows[start : start + batch_size]])).to(device)
        batch = to_float(batch) if batch.dtype == torch.uint8 else batch
        with torch.no_grad():
            batch = batch if augment is None else augment(batch)
            yield model.embed(batch) if isinstance(model, Embeds) else batch


def check_fit(
    model: Any,
    samplers: Samplers,
    metrics: Metrics,
    capabilities: Capabilities = BUILTIN,
    *,
    name: str | None = None,
) -> None:
    """Raise IncompatibleError where a sampler or metric asks for what the model can't do.

    ``capabilities`` are those that are registered; ``name`` is what the message calls the model
    (default: its class).
    """
    wanted = [("sampler", part, sampler.requires) for part, sampler in samplers]
    wanted += [("metric", part, metric.requires) for part, metric in metrics]
    for kind, part, requires in wanted:
        for capability in requires:
            capabilities.check_known(capability, f"{kind} '{part.name}'")
            if not capabilities.fits(model, capability):
                raise IncompatibleError(
                    f"{kind} '{part.name}' needs a model {capabilities.in_words(capability)}; "
                    f"'{name or type(model).__name__}' does not"
                )


class _Sheet:
    """The metrics of one record while they are taken: their seconds, scores and what was skipped.

    Gradients are on while a metric gets ready and while a sampler draws (it may need them, or
    switch them off itself); off while metrics look at samples.
    """

    def __init__(self, context: MetricContext, metrics: Metrics) -> None:
        self._context = context
        # Rendered samples are judged beside what was encoded, not beside its reconstructions.
        shown = replace(context, data=samples_data(context.data))
        self._seconds: dict[str, float] = {}
        self._skipped: dict[str, str] = {}
        self._taken: list[tuple[str, Metric]] = []
        for part, metric in metrics:
            try:
                with _Timed(self._seconds, part.name, context.device), torch.enable_grad():
                    metric.begin(shown if metric.uses == "samples" else context)
            except UsageError as error:
                self._skipped[part.name] = str(error)
            else:
                self._taken.append((part.name, metric))

    def draw(self, part: Part, sampler: Sampler) -> None:
        """Draw all samples and show each minibatch to every metric.

        Where the sampler gives up, nothing is scored: fewer samples would be another protocol.
        """
        try:
            self._draw(part, sampler)
        except SamplingError as error:
            self._skip_all(str(error))

    def _draw(self, part: Part, sampler: Sampler) -> None:
        drawn = self._drawn(sampler) if self._taken else iter(())
        # Again, so that samples don't depend on what the metrics drew while they got ready.
        torch.manual_seed(self._context.seed)
        count = 0
        while True:
            with _Timed(self._seconds, "sampling", self._context.device):
                x = next(drawn, None)
            if x is None:
                break
            count += len(x)
            if not torch.isfinite(x).all():
                self._skip_all(f"the samples of '{part.name}' are not finite (nan or inf)")
                return
            self._show(x)
        if self._taken and count != self._context.n:
            raise PluginError(
                f"sampler '{part.name}' yielded {count} samples where {self._context.n} were asked"
            )

    def evaluated(
        self, epoch: int, stage: str, part: Part, diagnostics: Mapping[str, float]
    ) -> Evaluated:
        """Take the scores of all metrics that were not skipped."""
        scores: list[Score] = []
        pictures: dict[str, Picture] = {}
        for name, metric in self._taken:
            try:
                with _Timed(self._seconds, name, self._context.device), torch.no_grad():
                    scores += metric.result()
                    pictures |= getattr(metric, "pictures", dict)()
            except UsageError as error:
                self._skipped[name] = str(error)
        return Evaluated(
            epoch=epoch,
            stage=stage,
            sampler=part.name,
            sampler_settings=part.settings,
            scores=tuple(scores),
            seconds=self._seconds,
            diagnostics=dict(diagnostics),
            skipped=self._skipped,
            pictures=pictures,
        )

    def _show(self, x: Tensor) -> None:
        images = to_uint8(x) if x.dim() == 4 else x
        for name, metric in self._taken:
            with _Timed(self._seconds, name, self._context.device), torch.no_grad():
                metric.update(images)

    def _skip_all(self, reason: str) -> None:
        self._skipped.update({name: reason for name, _ in self._taken})
        self._taken = []

    def _drawn(self, sampler: Sampler) -> Iterator[Tensor]:
        """The sampler's minibatches as images or points, drawn from a fresh generator."""
        context = self._context
        asked = sample_context(
            context.model,
            context.data,
            device=context.device,
            seed=context.seed,
            labels=scored_labels(context.model, context.data, context.n, context.seed),
            batch_size=context.batch_size,
        )
        draw = iter(sampler.draw(context.model, context.n, asked))
        while True:
            with torch.enable_grad():
                x = next(draw, None)
            if x is None:
                return
            x = x.detach()
            if context.data.render is not None:
                with torch.no_grad():
                    x = context.data.render(x)
            yield x


class _Timed:
    """Adds the seconds of a block to ``seconds[key]``, the device's queue emptied on both ends."""

    def __init__(self, seconds: dict[str, float], key: str, device: torch.device) -> None:
        self._seconds, self._key, self._device = seconds, key, device

    def __enter__(self) -> None:
        _synchronize(self._device)
        self._start = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        _synchronize(self._device)
        spent = time.perf_counter() - self._start
        self._seconds[self._key] = self._seconds.get(self._key, 0.0) + spent


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


@contextmanager
def _own_randomness(context: MetricContext) -> Iterator[None]:
    """Seed the global generators for a model that draws from them, and give them back after."""
    cuda = [context.device] if context.device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(context.seed)
        yield


def scored_labels(model: Any, data: Data, n: int, seed: int) -> Tensor | None:
    """Classes for a conditional model, as frequent as in the training split; else None."""
    if not isinstance(model, Conditional):
        return None
    order = np.random.default_rng(seed)
    y = data.train.y
    if y is None:
        return torch.from_numpy(order.integers(model.classes, size=n))
    return torch.from_numpy(np.asarray(order.choice(y, size=n), dtype=np.int64))
