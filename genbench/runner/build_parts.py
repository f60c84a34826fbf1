"""Build the parts of a run from the names and settings of its spec."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal, cast

from pydantic_core import to_jsonable_python
from torch import Tensor

from genbench.contracts import (
    Data,
    DataAccess,
    DataSpec,
    Generates,
    Metric,
    MetricContext,
    Model,
    SampleContext,
    Sampler,
)
from genbench.engine import seed_everything
from genbench.engine.data_check import checked
from genbench.engine.held_out import scored_on
from genbench.errors import PluginError
from genbench.evaluation import CAUGHT, Owner, fault, who
from genbench.registry import Kind, Registry
from genbench.settings import CompressorSettings, ModelSettings, Settings, validate, validate_stored
from genbench.spec import Part, RunSpec


def settings_of(kind: Kind, part: Part, registry: Registry) -> Any:
    """The validated settings of a part of a run; empty ones if it has no settings class."""
    return validate_stored(_class(kind, part, registry), part.settings, owner=_owner(kind, part))


def _class(kind: Kind, part: Part, registry: Registry) -> type[Settings]:
    default = CompressorSettings if kind == "compressor" else Settings
    return registry.settings(kind, part.name) or default


def _owner(kind: Kind, part: Part) -> str:
    return f"{kind} '{part.name}'"


def model_settings(spec: RunSpec, registry: Registry) -> ModelSettings:
    """The validated settings of the model of a spec."""
    part = Part(name=spec.model, settings=spec.model_settings)
    settings: ModelSettings = settings_of("model", part, registry)
    return settings


def completed(spec: RunSpec, data: DataSpec, registry: Registry) -> RunSpec:
    """The spec with all settings of all parts, including defaults, as `genbench run` resolves it.

    So the stored spec has everything that decides the numbers, and an experiment from Python has
    the same hash as one from the command line.
    """

    def whole(kind: Kind, part: Part) -> Part:
        settings = validate(_class(kind, part, registry), part.settings, owner=_owner(kind, part))
        if isinstance(settings, ModelSettings):
            settings = settings.fitted(data)
        return Part(name=part.name, settings=settings.model_dump(mode="json"))

    return _with_parts(spec, whole)


def unabridged(spec: RunSpec, registry: Registry) -> RunSpec:
    """The spec with the settings that it (and its hash) leaves out at their default.

    They were added to a plugin later: see ``exclude_if`` in its settings.
    """

    def whole(kind: Kind, part: Part) -> Part:
        settings = settings_of(kind, part, registry)
        values = {name: getattr(settings, name) for name in type(settings).model_fields}
        return Part(name=part.name, settings=to_jsonable_python(values))

    return _with_parts(spec, whole)


def _with_parts(spec: RunSpec, whole: Callable[[Kind, Part], Part]) -> RunSpec:
    model = Part(name=spec.model, settings=spec.model_settings)
    dataset = Part(name=spec.dataset, settings=spec.dataset_settings)
    return replace(
        spec,
        model_settings=whole("model", model).settings,
        dataset_settings=whole("dataset", dataset).settings,
        samplers=tuple(whole("sampler", part) for part in spec.samplers),
        metrics=tuple(whole("metric", part) for part in spec.metrics),
        compressors=tuple(whole("compressor", part) for part in spec.compressors),
    )


def load_data(spec: RunSpec, registry: Registry, access: DataAccess) -> Data:
    """Load the data set of a spec, check it (`genbench.engine.data_check`), and choose its splits.

    Raises DataError with the file and the fix, PluginError if the data doesn't match its spec.
    """
    part = Part(name=spec.dataset, settings=spec.dataset_settings)
    dataset = registry.target("dataset", spec.dataset)(settings_of("dataset", part, registry))
    owner = f"data set '{spec.dataset}'"
    return scored_on(checked(dataset.load(access), owner), spec.scored_on, owner)


def build_model(spec: RunSpec, data: DataSpec, registry: Registry) -> Model:
    """Build the model of a spec on the CPU, initialised with the seed of the spec.

    Raises IncompatibleError if the model can't be trained on data of this shape.
    """
    settings = model_settings(spec, registry)
    if isinstance(settings, ModelSettings):
        settings.check(data)
    target = registry.target("model", spec.model)
    seed_everything(spec.seed)
    model: Model = target(settings, data)
    return model


def build_samplers(
    parts: Iterable[Part], registry: Registry, *, strict: bool = True
) -> list[tuple[Part, Sampler]]:
    """Each sampler with the part that it was built from.

    A sampler that can't be built raises PluginError; without ``strict``, it is replaced by
    `Unbuilt`, which raises the error when it is used.
    """
    return [(part, _built("sampler", part, registry, strict=strict)) for part in parts]


def build_metrics(
    parts: Iterable[Part], registry: Registry, *, strict: bool = True
) -> list[tuple[Part, Metric]]:
    """Each metric with the part that it was built from; see `build_samplers`."""
    return [(part, _built("metric", part, registry, strict=strict)) for part in parts]


def default_sampler(spec: RunSpec, registry: Registry) -> Part:
    """The default sampler: the model's own, else the plain one.

    It has the settings of the run if it is one of the samplers of the run.
    """
    name = registry.get("model", spec.model).default_sampler or "plain"
    own = [part for part in spec.samplers if part.name == name]
    if own:
        return own[0]
    settings: Settings = settings_of("sampler", Part(name=name), registry)
    return Part(name=name, settings=settings.model_dump(mode="json"))


def monitor_parts(
    spec: RunSpec, model: Any, registry: Registry
) -> tuple[list[tuple[Part, Sampler]], list[tuple[Part, Metric]]]:
    """The sampler and the metrics of a run's monitor; none for a model without samples.

    A part that can't be built is replaced by one that raises its error when it is used.
    """
    chosen = registry.get("model", spec.model).default_sampler
    names = [sampler.name for sampler in registry.of("sampler")]
    drawable = chosen in names if chosen else isinstance(model, Generates) and "plain" in names
    if not spec.watch or not drawable:
        return [], []
    capabilities = registry.capabilities
    fit = [
        Part(name=metric.name)
        for metric in registry.of("metric")
        if metric.watch
        and all(capabilities.knows_and_fits(model, name) for name in metric.capabilities)
    ]
    sampler = default_sampler(spec, registry)
    return (
        build_samplers([sampler], registry, strict=False),
        build_metrics(fit, registry, strict=False),
    )


def owner_in(registry: Registry) -> Owner:
    """An `Owner` that names the distribution of a part: "genbench-lpips 0.3"."""

    def owner(kind: str, name: str) -> str:
        found = [r.owner for r in registry.of(cast(Kind, kind)) if r.name == name]
        return found[0] if found else ""

    return owner


class Unbuilt:
    """A sampler or metric that can't be imported or built: it raises the error when it is used."""

    requires: tuple[str, ...] = ()

    def __init__(self, error: PluginError, uses: Literal["samples", "model"] = "samples") -> None:
        self._error, self.uses = error, uses

    def begin(self, context: MetricContext) -> None:
        """Raises PluginError."""
        raise self._error

    def draw(self, model: Any, n: int, context: SampleContext) -> Iterator[Tensor]:
        """Raises PluginError."""
        raise self._error

    def diagnostics(self) -> Mapping[str, float]:
        """Nothing, since nothing was drawn."""
        return {}


def _built(kind: Kind, part: Part, registry: Registry, *, strict: bool) -> Any:
    registry.get(kind, part.name)
    target: Any = None
    try:
        settings = settings_of(kind, part, registry)
        target = registry.target(kind, part.name)
        try:
            return target(settings)
        except CAUGHT as error:
            found = fault(error, who(kind, part.name, owner_in(registry)))
            raise PluginError(found.reason) from error
    except PluginError as error:
        if strict:
            raise
        return Unbuilt(error, getattr(target, "uses", "samples"))
