"""Planning a run: what was asked for -> a RunSpec with everything resolved, before torch.

The one precedence: flag > ``--set`` > environment > ``--preset`` > ``--config FILE`` >
``genbench.toml`` (or ``[tool.genbench]``) > defaults. Names, bounds, the shape of the data and the
capabilities of the model are checked here, from registrations and settings classes alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from genbench.contracts import DataAccess, DataSpec
from genbench.errors import IncompatibleError, SettingError, UsageError
from genbench.planning.files import from_file, from_folder
from genbench.planning.sources import (
    Layer,
    RunSettings,
    Scope,
    choose_preset,
    from_environment,
    from_preset,
    from_sets,
    literal,
    named_settings,
)
from genbench.planning.sweeps import grid, varying
from genbench.registration.capabilities import alternatives
from genbench.registry import Kind, Registration, Registry
from genbench.settings import DatasetSettings, ModelSettings, Preset, Settings, Training, validate
from genbench.spec import Part, RunSpec, device_names

NONE = "none"
"""What ``--metric`` and ``--listen`` accept as no metric and no listener."""

NOT_IN_A_SPEC = ("samplers", "metrics", "listeners", "preset")
"""What a person may choose for a run that its spec holds in another form, or not at all."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked for on the command line.

    ``dataset`` may be ``NAME:ARGUMENT`` (see `DatasetSettings.argument`); ``run`` holds fields of
    `RunSettings`, None or empty for those that were not given.
    """

    model: str
    dataset: str
    run: Mapping[str, Any] = field(default_factory=dict)
    sets: Sequence[str] = ()
    config: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A planned run: its spec, what is known of its data, and notes for the user.

    ``listeners`` decide no number, so they are not in the spec.
    ``spec.device`` may still be "auto": the devices are known only once torch is imported.
    """

    spec: RunSpec
    data_spec: DataSpec
    listeners: tuple[Part, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ResolvedCell:
    """One run of a grid, and the ``--set`` texts in which it differs from the others."""

    sets: tuple[str, ...]
    resolved: Resolved


def resolve_grid(
    request: Request,
    registry: Registry,
    access: DataAccess,
    environ: Mapping[str, str],
    cwd: Path,
) -> list[ResolvedCell]:
    """Plan a run for each combination of the swept settings; a single one without a sweep.

    Raises what `resolve` raises, and SettingError if two of them would train the same.
    """
    cells = grid(request.sets, _scope(request, registry))
    apart = varying(cells)
    found = [
        ResolvedCell(
            sets=own, resolved=resolve(replace(request, sets=sets), registry, access, environ, cwd)
        )
        for own, sets in zip(apart, cells, strict=True)
    ]
    digests: dict[str, ResolvedCell] = {}
    for cell in found:
        other = digests.setdefault(cell.resolved.spec.digest, cell)
        if other is not cell:
            raise SettingError(
                f"--set: {', '.join(other.sets)} and {', '.join(cell.sets)} train the same thing; "
                "leave out one of them"
            )
    return found


def _scope(request: Request, registry: Registry) -> Scope:
    """The model and the data set that the sources apply to. Raises UnknownNameError."""
    model = registry.get("model", request.model)
    dataset = registry.get("dataset", request.dataset.partition(":")[0])
    return Scope(registry=registry, model=model.name, dataset=dataset.name)


def resolve(
    request: Request,
    registry: Registry,
    access: DataAccess,
    environ: Mapping[str, str],
    cwd: Path,
) -> Resolved:
    """Plan a run. Raises a UsageError that names the source of what is wrong, or PluginError."""
    scope = _scope(request, registry)
    model, dataset = registry.get("model", scope.model), registry.get("dataset", scope.dataset)
    layers, preset, notes = _layers(request, scope, environ, cwd)

    run = _run_settings(layers)
    data_settings = cast(DatasetSettings, _part_settings("dataset", dataset.name, layers, scope))
    data_settings = data_settings.fitted(access)
    data_spec = data_settings.describe(access).scored_on(run.scored_on)
    model_settings = _part_settings("model", model.name, layers, scope)
    training = Training()
    if isinstance(model_settings, ModelSettings):
        model_settings = model_settings.fitted(data_spec)
        if run.epoch_images:
            model_settings = model_settings.paced(run.epoch_images)
        model_settings.check(data_spec)
        training = model_settings.training_on(data_spec)

    samplers = run.samplers if run.samplers is not None else _default_samplers(model, registry)
    metrics = run.metrics
    if metrics is None:
        metrics = _default_metrics(model, data_spec, registry)
    listeners = chosen_parts("listener", without_none(run.listeners or ()), layers, scope)

    images = run.epoch_images or data_spec.train
    epochs = run.epochs or training.epochs_for(images)
    batch_size = run.batch_size or training.batch_size
    if run.batch_size is None and data_spec.train:
        batch_size = min(batch_size, data_spec.train)
    spec = RunSpec(
        model=model.name,
        dataset=dataset.name,
        model_settings=model_settings.model_dump(mode="json"),
        dataset_settings=data_settings.model_dump(mode="json"),
        epochs=epochs,
        batch_size=batch_size,
        ema=training.ema_for(epochs * images // batch_size) if run.ema is None else run.ema,
        samplers=chosen_parts("sampler", samplers, layers, scope),
        metrics=chosen_parts("metric", without_none(metrics), layers, scope),
        preset=preset.name if preset else None,
        **run.model_dump(exclude={"epochs", "batch_size", "ema", *NOT_IN_A_SPEC}),
    )
    check_used(
        layers[-2],
        {"sampler": spec.samplers, "metric": spec.metrics, "listener": listeners},
    )
    spec = with_parents(spec, data_settings, access)
    check_batch(spec, data_spec)
    return Resolved(spec=spec, data_spec=data_spec, listeners=listeners, notes=notes)


def with_parents(spec: RunSpec, data: DatasetSettings, access: DataAccess) -> RunSpec:
    """The spec with the runs that its data is made of; ``data`` is fitted.

    The run that it compresses, if it compresses one, is its first parent before and after.
    """
    first = 1 if spec.compressors else 0
    parents, runs = data.parents(), access.runs
    found = tuple(runs.head(parent).experiment for parent in parents) if runs else ()
    return replace(
        spec,
        parents=(*spec.parents[:first], *parents),
        parent_experiments=(*spec.parent_experiments[:first], *found),
    )


def resolve_parts(
    kind: Kind, names: Sequence[str], sets: Sequence[str], registry: Registry, spec: RunSpec
) -> tuple[Part, ...]:
    """Samplers or metrics by name for a run that exists, with ``sampler.NAME.key=v`` settings."""
    scope = Scope(registry=registry, model=spec.model, dataset=spec.dataset)
    return chosen_parts(kind, names, (from_sets(sets, scope),), scope)


def check_capabilities(model: Registration, part: Registration) -> None:
    """Raise IncompatibleError where a model lacks what a sampler or metric requires.

    A model that declares no capability at all is checked once it is built, not here, and so is
    whether its settings give it an optional one.
    """
    possible = (*model.capabilities, *model.optional)
    missing = [c for c in part.capabilities if not {*alternatives(c)} & {*possible}]
    if model.capabilities and missing:
        lacking = " and ".join(
            " or ".join(f"'{name}'" for name in alternatives(requirement))
            for requirement in missing
        )
        raise IncompatibleError(
            f"{part.kind} '{part.name}' needs a model with {lacking}; "
            f"'{model.name}' has only: {', '.join(possible)}",
            hint="See: genbench models",
        )


# --- the sources, one over the other ----------------------------------------------------------


def _layers(
    request: Request, scope: Scope, environ: Mapping[str, str], cwd: Path
) -> tuple[tuple[Layer, ...], Preset | None, tuple[str, ...]]:
    """All sources from the lowest to the highest; the last two are --set and the flags."""
    files = [from_folder(cwd, scope)]
    if request.config is not None:
        files.append(from_file(request.config, scope))
    above = [from_environment(environ), from_sets(request.sets, scope), _flags(request, scope)]
    name = _top([*files, *above], "preset")
    if name is None:
        return (*files, *above), None, ()
    preset, note = choose_preset(str(name), scope)
    return (*files, from_preset(preset, scope), *above), preset, (note,) if note else ()


def _flags(request: Request, scope: Scope) -> Layer:
    given = {name: value for name, value in request.run.items() if value not in (None, (), [])}
    return Layer(source="the command line", run=given, settings=_argument(request.dataset, scope))


def _argument(text: str, scope: Scope) -> dict[tuple[Kind, str], dict[str, Any]]:
    """The setting that ``NAME:ARGUMENT`` gives. Raises SettingError where NAME takes none."""
    name, colon, argument = text.partition(":")
    if not colon:
        return {}
    setting = cast(type[DatasetSettings], scope.settings("dataset", name)).argument
    if setting is None:
        raise SettingError(f"{text}: data set '{name}' takes no argument; give '{name}' alone")
    return {("dataset", name): {setting: argument}}


def _top(layers: Sequence[Layer], name: str) -> Any:
    return next((layer.run[name] for layer in reversed(layers) if name in layer.run), None)


def _run_settings(layers: Sequence[Layer]) -> RunSettings:
    values = {name: value for layer in layers for name, value in layer.run.items()}
    sources = {name: layer.source for layer in layers for name in layer.run}
    return cast(RunSettings, validate(RunSettings, values, owner="run", sources=sources))


def _part_settings(kind: Kind, name: str, layers: Sequence[Layer], scope: Scope) -> Settings:
    own = [(layer.source, layer.settings.get((kind, name), {})) for layer in layers]
    return validate(
        scope.settings(kind, name),
        {key: value for _, values in own for key, value in values.items()},
        owner=f"{kind} '{name}'",
        sources={key: source for source, values in own for key in values},
    )


# --- samplers and metrics ---------------------------------------------------------------------


def without_none(names: Sequence[str]) -> list[str]:
    """The names without `NONE`, which alone means that there are none."""
    return [name for name in names if name != NONE]


def chosen_parts(
    kind: Kind, names: Sequence[str], layers: Sequence[Layer], scope: Scope
) -> tuple[Part, ...]:
    """Samplers or metrics by name, perhaps with settings of their own in brackets after it.

    A name may occur several times with different settings. Raises UnknownNameError, SettingError,
    and IncompatibleError if the model lacks what one needs.
    """
    found: list[Part] = []
    for text in names:
        name, given = named_settings(text)
        check_capabilities(scope.registry.get("model", scope.model), scope.registry.get(kind, name))
        known = scope.settings(kind, name).model_fields
        own = {key: literal(value, known.get(key)) for key, value in given.items()}
        layer = Layer(source=f"{_option(kind)} {text}", settings={(kind, name): own})
        settings = _part_settings(kind, name, (*layers, layer), scope)
        part = Part(name=name, settings=settings.model_dump(mode="json"))
        if part not in found:
            found.append(part)
    return tuple(found)


def _default_samplers(model: Registration, registry: Registry) -> tuple[str, ...]:
    if model.default_sampler:
        registry.get("sampler", model.default_sampler)
        return (model.default_sampler,)
    return _registered("sampler", ["plain"] if can_be_drawn_from(model) else [], registry)


def can_be_drawn_from(model: Registration) -> bool:
    """Whether a model makes samples; one that declares no capability may."""
    known = not model.capabilities or "generates" in model.capabilities
    return known or model.default_sampler is not None


def _default_metrics(model: Registration, data: DataSpec, registry: Registry) -> tuple[str, ...]:
    """Metrics that need no download: distances for samples, the errors of reconstructions, and the
    classes of translations for a model that does nothing else.

    Samples are measured as they are rendered. Labelled points count as modes, one per class.
    """
    names: list[str] = []
    if can_be_drawn_from(model):
        labelled = ["fd_clf"] if data.shown.is_image else ["modes", "high_quality", "mode_kl"]
        names = [*(labelled if data.classes else ()), "fd_pixel"]
    if "reconstructs" in model.capabilities:
        names.append("reconstruction")
    if not names and "translates" in model.capabilities and data.classes and data.shown.is_image:
        names.append("translation")
    return _registered("metric", names, registry)


def _registered(kind: Kind, names: Sequence[str], registry: Registry) -> tuple[str, ...]:
    there = {registration.name for registration in registry.of(kind)}
    return tuple(name for name in names if name in there)


def check_used(sets: Layer, chosen: Mapping[Kind, Sequence[Part]]) -> None:
    """Refuse a --set for an unused sampler, metric or listener, which would silently do nothing."""
    used = {(kind, part.name) for kind, parts in chosen.items() for part in parts}
    for kind, name in sets.settings:
        if kind in chosen and (kind, name) not in used:
            raise UsageError(
                f"--set {kind}.{name}: {kind} '{name}' is not used here; add {_option(kind)} {name}"
            )


def _option(kind: Kind) -> str:
    return "--listen" if kind == "listener" else f"--{kind}"


def check_batch(spec: RunSpec, data: DataSpec) -> None:
    """Raise where a batch can't be split into equal microbatches, or is larger than the data."""
    if spec.batch_size % spec.accumulate:
        raise SettingError(
            f"accumulate = {spec.accumulate} must divide the batch size, {spec.batch_size}; "
            f"choose a divisor, or another --batch-size"
        )
    _check_devices(spec)
    if spec.epoch_images and spec.epoch_images < spec.batch_size:
        raise SettingError(
            f"epoch_images = {spec.epoch_images} is less than a batch of {spec.batch_size}; set it "
            f"to {spec.batch_size} or more, or a smaller --batch-size"
        )
    if 0 < data.train < spec.batch_size:
        raise IncompatibleError(
            f"a batch of {spec.batch_size} is larger than the {data.train} training images of "
            f"'{data.name}'; set --batch-size {data.train} or less"
        )


def _check_devices(spec: RunSpec) -> None:
    """Raise SettingError for settings that a run on several devices can't have."""
    count = len(device_names(spec.device))
    if count == 1:
        return
    if spec.compile:
        raise SettingError(
            f"device = {spec.device} and compile: a compiled loss can't be split over devices; "
            "leave out --compile, or name one device"
        )
    parts = count * spec.accumulate
    if spec.batch_size % parts:
        each = f" in {spec.accumulate} microbatches" if spec.accumulate > 1 else ""
        raise SettingError(
            f"a batch of {spec.batch_size}{each} can't be split into equal parts for {count} "
            f"devices ({spec.device}); set --batch-size {-(-spec.batch_size // parts) * parts}"
        )
