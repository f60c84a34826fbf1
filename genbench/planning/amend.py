"""A stored spec with changes, for ``genbench rerun``. No torch here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, cast

from genbench.contracts import DataAccess
from genbench.errors import UsageError
from genbench.planning.resolve import NOT_IN_A_SPEC, check_batch, with_parents
from genbench.planning.sources import RunSettings, Scope, from_sets
from genbench.registry import Kind, Registry
from genbench.settings import DatasetSettings, ModelSettings, Settings, validate, validate_stored
from genbench.spec import Part, RunSpec


def amend(
    spec: RunSpec,
    registry: Registry,
    access: DataAccess,
    *,
    sets: Sequence[str] = (),
    **run: int | str | None,
) -> RunSpec:
    """The spec with other run fields (those not None) and ``k=v`` settings, validated.

    Raises SettingError for what doesn't exist or is out of bounds, IncompatibleError for a batch
    that the data doesn't fill.
    """
    own = spec.compressors[-1].name if spec.compressors else None
    scope = Scope(registry=registry, model=spec.model, dataset=spec.dataset, compressor=own)
    layer = from_sets(sets, scope)
    changes = {**layer.run, **{name: value for name, value in run.items() if value is not None}}
    _only_plain_fields(changes)
    validated = validate(RunSettings, changes, owner="run")
    used: set[tuple[Kind, str]] = set()

    def validated_part(kind: Kind, name: str, stored: Mapping[str, Any]) -> Settings:
        used.add((kind, name))
        values = {**stored, **layer.settings.get((kind, name), {})}
        return validate_stored(scope.settings(kind, name), values, owner=f"{kind} '{name}'")

    def merged(kind: Kind, name: str, stored: Mapping[str, Any]) -> dict[str, Any]:
        return validated_part(kind, name, stored).model_dump(mode="json")

    def parts(kind: Kind, stored: Sequence[Part]) -> tuple[Part, ...]:
        return tuple(Part(name=p.name, settings=merged(kind, p.name, p.settings)) for p in stored)

    model = validated_part("model", spec.model, spec.model_settings)
    if isinstance(model, ModelSettings) and changes.get("epoch_images"):
        model = model.paced(changes["epoch_images"])
    data = cast(DatasetSettings, validated_part("dataset", spec.dataset, spec.dataset_settings))
    data = data.fitted(access)
    amended = replace(
        spec,
        model_settings=model.model_dump(mode="json"),
        dataset_settings=data.model_dump(mode="json"),
        samplers=parts("sampler", spec.samplers),
        metrics=parts("metric", spec.metrics),
        compressors=(*spec.compressors[:-1], *parts("compressor", spec.compressors[-1:])),
        **{name: getattr(validated, name) for name in changes},
    )
    for kind, name in set(layer.settings) - used:
        raise UsageError(f"--set {kind}.{name}: this run doesn't use {kind} '{name}'")
    check_batch(amended, data.describe(access))
    return with_parents(amended, data, access)


def differences(old: RunSpec, new: RunSpec) -> list[str]:
    """What changed, in words: ["seed 0 -> 1", "model_settings.z_dim 20 -> 2"]."""
    before, after = _flat(asdict(old)), _flat(asdict(new))
    return [
        f"{key} {before.get(key)} -> {after.get(key)}"
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    ]


def _only_plain_fields(changes: Mapping[str, Any]) -> None:
    for name in NOT_IN_A_SPEC:
        if name in changes:
            raise UsageError(
                f"rerun keeps the {name} of the run",
                hint="To change them, start a new run: genbench run MODEL DATASET",
            )


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, Mapping):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, (list, tuple)) and any(isinstance(v, Mapping) for v in value):
        items = [(str(v["name"]), v["settings"]) for v in value]
    else:
        return {prefix: value}
    return {
        key: leaf
        for name, item in items
        for key, leaf in _flat(item, f"{prefix}.{name}" if prefix else name).items()
    }
