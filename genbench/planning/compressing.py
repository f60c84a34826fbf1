"""Planning a run that compresses another one, before torch: its spec, from that of the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from genbench.contracts import DataAccess, DataSpec
from genbench.errors import UsageError
from genbench.planning.amend import amend
from genbench.planning.resolve import check_capabilities, chosen_parts, without_none
from genbench.planning.sources import Scope, from_sets
from genbench.registry import Registry
from genbench.settings import (
    CompressorSettings,
    DatasetSettings,
    ModelSettings,
    validate,
    validate_stored,
)
from genbench.spec import Part, RunSpec

COSTS = ("size", "latency")
"""The metrics that a compressed run has by default, besides those of the other run."""


def compression_of(
    spec: RunSpec,
    run_id: str,
    method: str,
    registry: Registry,
    access: DataAccess,
    *,
    sets: Sequence[str] = (),
    samplers: Sequence[str] = (),
    metrics: Sequence[str] = (),
    **run: int | str | None,
) -> RunSpec:
    """The spec of a run that compresses the run ``run_id``, which has the given spec.

    It is that of the other run, with the compressor ``method``, its settings (``--set ratio=0.5``)
    and the given fields; it is also measured by what samples cost. Raises UnknownNameError,
    SettingError, and IncompatibleError if the model lacks what the compressor needs.
    """
    compressor = registry.get("compressor", method)
    check_capabilities(registry.get("model", spec.model), compressor)
    scope = Scope(registry=registry, model=spec.model, dataset=spec.dataset, compressor=method)
    cls = cast(type[CompressorSettings], scope.settings("compressor", method))
    compressing = replace(
        spec,
        compressors=(*spec.compressors, Part(name=method)),
        parents=(run_id,),
        parent_experiments=(spec.experiment,),
        epochs=max(1, round(cls.share * spec.epochs)),
        preset=None,
    )
    layers = (from_sets(sets, scope),)
    if cls.student:
        given = layers[0].settings.get(("compressor", method), {})
        own = validate(cls, given, owner=f"compressor '{method}'")
        student = _student(cast(CompressorSettings, own), spec, scope)
        compressing = replace(compressing, model_settings=student)
    if samplers:
        chosen = chosen_parts("sampler", samplers, layers, scope)
        compressing = replace(compressing, samplers=chosen)
    there = {part.name for part in spec.metrics}
    known = {registration.name for registration in registry.of("metric")}
    costs = tuple(name for name in COSTS if name in known - there)
    chosen = chosen_parts("metric", without_none(metrics) if metrics else costs, layers, scope)
    compressing = replace(compressing, metrics=chosen if metrics else (*spec.metrics, *chosen))
    return amend(compressing, registry, access, sets=sets, **run)


def _student(own: CompressorSettings, spec: RunSpec, scope: Scope) -> dict[str, Any]:
    """The settings of a student of the model of a spec."""
    kind = scope.settings("model", spec.model)
    teacher = validate_stored(kind, spec.model_settings, owner=f"model '{spec.model}'")
    if not isinstance(teacher, ModelSettings):
        return dict(spec.model_settings)
    return own.student_of(teacher).model_dump(mode="json")


def check_parent(run_id: str, model: str, status: str) -> None:
    """Raise UsageError if a run is not finished, so that it can't be compressed."""
    if status != "finished":
        going = status == "running"
        raise UsageError(
            f"run {run_id} ({model}) is {status}, and only a finished run can be "
            f"compressed{'; wait until it ends' if going else ''}",
            hint="See: genbench runs" if going else f"To finish it: genbench resume {run_id}",
        )


def data_of(spec: RunSpec, registry: Registry, access: DataAccess) -> DataSpec:
    """The description of a spec's data, without reading it."""
    scope = Scope(registry=registry, model=spec.model, dataset=spec.dataset)
    settings = validate(
        scope.settings("dataset", spec.dataset),
        spec.dataset_settings,
        owner=f"dataset '{spec.dataset}'",
    )
    return cast(DatasetSettings, settings).fitted(access).describe(access)
