"""The samplers, metrics and settings of ``evaluate`` and ``sample``, checked without torch.

Every setting that is given is used, or is an error: one that is silently ignored would give a
number under a wrong name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from genbench.errors import UsageError
from genbench.planning.resolve import check_used, chosen_parts
from genbench.planning.sources import Layer, Scope, from_sets
from genbench.registry import Kind, Registry
from genbench.settings import drawing_settings, validate_stored
from genbench.spec import Part, RunSpec


@dataclass(frozen=True, kw_only=True)
class Choices:
    """Samplers and metrics (None: the run's own) and the model's sampling settings.

    ``drawing`` holds those that differ from the run's.
    """

    samplers: tuple[Part, ...] | None = None
    metrics: tuple[Part, ...] | None = None
    drawing: Mapping[str, Any] = field(default_factory=dict)


def choose(
    run_id: str,
    spec: RunSpec,
    registry: Registry,
    *,
    samplers: Sequence[str] = (),
    metrics: Sequence[str] | None = (),
    sets: Sequence[str] = (),
) -> Choices:
    """The choices for a stored run; ``metrics`` None if none are computed (`genbench sample`).

    A sampler or metric that is named starts from its defaults, one of the run from the run's own
    settings. Raises UsageError for a setting that nothing uses.
    """
    scope = Scope(registry=registry, model=spec.model, dataset=spec.dataset, trained=True)
    layer = from_sets(sets, scope)
    own_metrics = () if metrics is None else spec.metrics
    choices = Choices(
        samplers=_parts("sampler", samplers, spec.samplers, layer, scope),
        metrics=_parts("metric", metrics or (), own_metrics, layer, scope),
        drawing=_drawing(spec, layer, scope),
    )
    _check_trained(run_id, layer, scope)
    used_samplers, used_metrics = choices.samplers or spec.samplers, choices.metrics or own_metrics
    check_used(layer, {"sampler": used_samplers, "metric": used_metrics})
    return choices


def _parts(
    kind: Kind, names: Sequence[str], own: Sequence[Part], layer: Layer, scope: Scope
) -> tuple[Part, ...] | None:
    if names:
        return chosen_parts(kind, names, (layer,), scope)
    if not any((kind, part.name) in layer.settings for part in own):
        return None
    found: list[Part] = []
    for part in own:
        stored = Layer(source="the run", settings={(kind, part.name): part.settings})
        found += chosen_parts(kind, [part.name], (stored, layer), scope)
    return tuple(found)


def _drawing(spec: RunSpec, layer: Layer, scope: Scope) -> dict[str, Any]:
    """The sampling settings that are given and differ from the run's, validated."""
    cls = scope.settings("model", spec.model)
    given = layer.settings.get(("model", spec.model), {})
    own = {key: value for key, value in given.items() if key in drawing_settings(cls)}
    if not own:
        return {}
    settings = validate_stored(cls, {**spec.model_settings, **own}, owner=f"model '{spec.model}'")
    values = settings.model_dump(mode="json")
    return {key: values[key] for key in own if values[key] != spec.model_settings.get(key)}


def _check_trained(run_id: str, layer: Layer, scope: Scope) -> None:
    """Refuse a setting that only a training can use."""
    for key in layer.run:
        raise UsageError(
            f"--set {key}: run {run_id} is already trained, so this has no effect; see the "
            "options of this command"
        )
    of_drawing = drawing_settings(scope.settings("model", scope.model))
    for (kind, name), values in layer.settings.items():
        if kind == "listener":
            raise UsageError(f"--set {kind}.{name}: only a training has listeners")
        for key in values if kind in ("model", "dataset") else ():
            if kind == "dataset" or key not in of_drawing:
                prefix = "data." if kind == "dataset" else ""
                may = f"only the sampling settings of '{scope.model}' can change: "
                none = f"'{scope.model}' has no sampling settings"
                raise UsageError(
                    f"--set {prefix}{key}: run {run_id} is trained with its own value; "
                    + (may + ", ".join(of_drawing) if of_drawing else none),
                    hint=f"To train with another: genbench rerun {run_id} --set {prefix}{key}=...",
                )
