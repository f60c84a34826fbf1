"""Compute the metrics of one record: seconds, scores, pictures, and what was skipped."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from genbench.contracts import TEST, Metric, MetricContext, Picture, Sampler, Score, samples_data
from genbench.engine.device import synchronize
from genbench.errors import SamplingError
from genbench.evaluation.contexts import sample_context, scored_labels
from genbench.evaluation.faults import CAUGHT, Fault, Owner, fault, who
from genbench.evaluation.plugin_checks import (
    checked,
    checked_diagnostics,
    checked_picture,
    checked_scores,
)
from genbench.events import Evaluated
from genbench.pixels import to_uint8
from genbench.spec import Part, labels

SAMPLING = "sampling"
"""The key of the seconds of the sampler."""
PER_SAMPLE = "measured_seconds_per_sample"
"""The diagnostic of every draw: seconds of the sampler per sample, including its setup."""


class MetricPass:
    """One draw of a sampler and its metrics, or the metrics of the model itself.

    Gradients are enabled while a metric is prepared and while a sampler draws, since both may need
    them, and disabled while metrics process samples. A metric that raises an error is skipped from
    then on; if the sampler raises one, all are, since fewer samples would be another protocol.
    """

    def __init__(
        self, context: MetricContext, metrics: Sequence[tuple[Part, Metric]], owner: Owner
    ) -> None:
        self._context, self._owner = context, owner
        # Rendered samples are compared with the encoded data, not with its reconstructions.
        shown = replace(context, data=samples_data(context.data))
        self._seconds: dict[str, float] = {}
        self._skipped: dict[str, Fault] = {}
        self._running: dict[str, Metric] = {}
        self._names: dict[str, str] = {}
        for label, (part, metric) in zip(labels([p for p, _ in metrics]), metrics, strict=True):
            self._names[label] = who("metric", part.name, owner)
            try:
                with self._timed(label), torch.enable_grad():
                    metric.begin(shown if metric.uses == "samples" else context)
            except CAUGHT as error:
                self._skip(label, error)
            else:
                self._running[label] = metric

    def draw(self, part: Part, sampler: Sampler) -> dict[str, float]:
        """Draw all samples, update every metric with each minibatch; return the diagnostics."""
        if not self._running:
            return {}
        name = who("sampler", part.name, self._owner)
        measured: dict[str, float] = {}
        try:
            self._draw(part, sampler, name)
        except CAUGHT as error:
            self._skip_all(fault(error, name))
        else:
            if self._running:
                measured[PER_SAMPLE] = self._seconds[SAMPLING] / self._context.n
        try:
            return {**checked_diagnostics(sampler.diagnostics(), name), **measured}
        except CAUGHT as error:
            self._skipped["diagnostics"] = fault(error, name)
            return measured

    def evaluated(
        self, epoch: int, stage: str, part: Part, diagnostics: Mapping[str, float]
    ) -> Evaluated:
        """The scores of all metrics that were not skipped."""
        scores: list[Score] = []
        pictures: dict[str, Picture] = {}
        for label, metric in list(self._running.items()):
            try:
                with self._timed(label), torch.no_grad():
                    found = checked_scores(metric.result(), self._names[label])
                    scores += map(self._with_split, found)
            except CAUGHT as error:
                self._skip(label, error)
            else:
                pictures |= self._pictures(label, metric)
        return Evaluated(
            epoch=epoch,
            stage=stage,
            sampler=part.name,
            sampler_settings=part.settings,
            scores=tuple(scores),
            seconds=self._seconds,
            diagnostics=dict(diagnostics),
            skipped={label: one.reason for label, one in self._skipped.items()},
            traces={label: one.trace for label, one in self._skipped.items() if one.trace},
            computed=tuple(self._running),
            pictures=pictures,
        )

    def _with_split(self, score: Score) -> Score:
        """The score with its split in the protocol, unless that is the test split."""
        split = self._context.data.scored_on
        if split == TEST:
            return score
        return replace(score, protocol={**score.protocol, "split": split})

    def _draw(self, part: Part, sampler: Sampler, name: str) -> None:
        drawn = self._drawn(sampler, name)
        # Seed again, so that samples don't depend on what the metrics drew in preparation.
        torch.manual_seed(self._context.seed)
        while self._running:
            with self._timed(SAMPLING):
                x = next(drawn, None)
            if x is None:
                return
            if not torch.isfinite(x).all():
                raise SamplingError(f"the samples of '{part.name}' are not finite (nan or inf)")
            self._show(x)

    def _drawn(self, sampler: Sampler, name: str) -> Iterator[Tensor]:
        """The minibatches of the sampler as images or points, drawn with a new generator."""
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
        for x in checked(_with_gradients(draw), context.data, context.n, name):
            x = x.detach()
            if context.data.render is not None:
                with torch.no_grad():
                    x = context.data.render(x)
            yield x

    def _show(self, x: Tensor) -> None:
        images = to_uint8(x) if x.dim() == 4 else x
        for label, metric in list(self._running.items()):
            try:
                with self._timed(label), torch.no_grad():
                    metric.update(images)
            except CAUGHT as error:
                self._skip(label, error)

    def _pictures(self, label: str, metric: Metric) -> dict[str, Picture]:
        """The pictures of a metric; if they raise an error, only its scores are kept."""
        name, found = self._names[label], dict[str, Picture]()
        try:
            for title, picture in getattr(metric, "pictures", dict)().items():
                found[title] = checked_picture(title, picture, name)
        except CAUGHT as error:
            self._skipped[f"pictures of {label}"] = fault(error, f"the picture of {name}")
            return {}
        return found

    @contextmanager
    def _timed(self, key: str) -> Iterator[None]:
        """Add the seconds of the block to those of ``key``, with the device synchronized."""
        synchronize(self._context.device)
        start = time.perf_counter()
        try:
            yield
        finally:
            synchronize(self._context.device)
            spent = time.perf_counter() - start
            self._seconds[key] = self._seconds.get(key, 0.0) + spent

    def _skip(self, label: str, error: BaseException) -> None:
        self._running.pop(label, None)
        self._skipped[label] = fault(error, self._names[label])

    def _skip_all(self, reason: Fault) -> None:
        self._skipped.update(dict.fromkeys(self._running, reason))
        self._running.clear()


def _with_gradients(draw: Iterator[Any]) -> Iterator[Any]:
    """The same minibatches, each drawn with gradients enabled."""
    while True:
        with torch.enable_grad():
            try:
                x = next(draw)
            except StopIteration:
                return
        yield x
