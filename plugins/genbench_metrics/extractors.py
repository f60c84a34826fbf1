"""Choose the extractor of a metric, by its settings and the data."""

from __future__ import annotations

from dataclasses import dataclass

from genbench import (
    ClassifierLogits,
    Extractor,
    MetricContext,
    PixelFeatures,
    UsageError,
    classifier_for,
    sample_shape,
)
from genbench_metrics.feature_settings import FeatureSettings
from genbench_metrics.inception import LAYER, LOGITS, InceptionFeatures, weights_file


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """An extractor, and a note for the scores on it."""

    extractor: Extractor
    note: str


def features_for(metric: str, context: MetricContext, settings: FeatureSettings) -> Chosen:
    """The feature extractor of ``metric``; raises UsageError if it doesn't fit the data.

    auto means the classifier for labelled images, else pixels; points are their own features.
    """
    shape = sample_shape(context.data)
    kind = settings.extractor
    if kind == "auto":
        kind = "classifier" if _can_be_classified(context, shape) else "pixels"
    if kind == "pixels":
        return _chosen(PixelFeatures(shape))
    if kind == "inception":
        return _chosen(_inception(metric, context, settings, shape, LAYER))
    _refuse_without_classes(metric, context, shape, "pixels")
    classifier, note = classifier_for(context, shape)
    return _chosen(classifier, note)


def logits_for(metric: str, context: MetricContext, settings: FeatureSettings) -> Chosen:
    """The extractor of class logits for ``metric``: the classifier (also for auto) or Inception.

    Raises UsageError if the extractor has no classes, or the data has no labels.
    """
    shape = sample_shape(context.data)
    if settings.extractor == "pixels":
        raise UsageError(
            f"{metric} needs class probabilities, which the extractor 'pixels' doesn't have; use "
            f"classifier or inception"
        )
    if settings.extractor == "inception":
        return _chosen(_inception(metric, context, settings, shape, LOGITS))
    _refuse_without_classes(metric, context, shape, "inception" if len(shape) == 3 else "")
    classifier, note = classifier_for(context, shape)
    return _chosen(ClassifierLogits(classifier), note)


def _chosen(extractor: Extractor, note: str = "") -> Chosen:
    return Chosen(extractor=extractor, note="; ".join(filter(None, (f"on {extractor.name}", note))))


def _inception(
    metric: str,
    context: MetricContext,
    settings: FeatureSettings,
    shape: tuple[int, ...],
    layer: str,
) -> InceptionFeatures:
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise UsageError(
            f"{metric} on inception needs grey or RGB images, but a sample of "
            f"'{context.data.spec.name}' is {'x'.join(map(str, shape))}"
        )
    if context.quick:
        raise UsageError(f"{metric} on inception is too expensive between two epochs")
    weights = weights_file(settings.weights, offline=context.offline, metric=metric)
    return InceptionFeatures(weights, device=context.device, layer=layer, metric=metric)


def _can_be_classified(context: MetricContext, shape: tuple[int, ...]) -> bool:
    labelled = context.data.train.y is not None and (context.data.spec.classes or 0) >= 2
    return len(shape) == 3 and labelled


def _refuse_without_classes(
    metric: str, context: MetricContext, shape: tuple[int, ...], instead: str
) -> None:
    if _can_be_classified(context, shape):
        return
    what = "no labels" if len(shape) == 3 else "points"
    hint = f"; use --set metric.{metric}.extractor={instead}" if instead else ""
    raise UsageError(
        f"{metric} on the classifier needs labelled images, but '{context.data.spec.name}' has "
        f"{what}{hint}"
    )
