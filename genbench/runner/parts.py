"""A spec's names and settings -> the objects behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

from pydantic_core import to_jsonable_python
from torch import Tensor

from genbench.contracts import (
    Data,
    DataAccess,
    DataSpec,
    Metric,
    MetricContext,
    Model,
    SampleContext,
    Sampler,
    Score,
)
from genbench.datacheck import checked
from genbench.engine import seed_everything
from genbench.errors import InterruptedRunError, PluginError
from genbench.evaluation import CAUGHT, Owner, fault, who
from genbench.registry import Kind, Registry
from genbench.settings import ModelSettings, Settings, validate
from genbench.spec import Part, RunSpec

ShouldStop = Callable[[], bool]


def never() -> bool:
    """Never asked to stop."""
    return False


def settings_of(kind: Kind, part: Part, registry: Registry) -> Any:
    """The validated settings of a part; an empty `Settings` where its plugin has none."""
    cls = registry.settings(kind, part.name) or Settings
    return validate(cls, part.settings, owner=f"{kind} '{part.name}'")


def completed(spec: RunSpec, data: DataSpec, registry: Registry) -> RunSpec:
    """The spec with every setting of every part, defaults too, as `genbench run` resolves it.

    What is stored then says all that decides the numbers, and an experiment that was written in
    Python has the hash of the same one from the command line.
    """

    def whole(kind: Kind, part: Part) -> Part:
        settings = settings_of(kind, part, registry)
        if isinstance(settings, ModelSettings):
            settings = settings.fitted(data)
        return Part(name=part.name, settings=settings.model_dump(mode="json"))

    return _with_parts(spec, whole)


def unabridged(spec: RunSpec, registry: Registry) -> RunSpec:
    """The spec with the settings too that are left out of it (and of its hash) at their default.

    Those came to a plugin later: see ``exclude_if`` in its settings.
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
    )


def load_data(spec: RunSpec, registry: Registry, access: DataAccess) -> Data:
    """The data set of a spec, read and held against its own spec (`genbench.datacheck`).

    Raises DataError with the file and the mend, PluginError where the two don't agree.
    """
    part = Part(name=spec.dataset, settings=spec.dataset_settings)
    dataset = registry.target("dataset", spec.dataset)(settings_of("dataset", part, registry))
    return checked(dataset.load(access), f"data set '{spec.dataset}'")


def build_model(spec: RunSpec, data: DataSpec, registry: Registry) -> Model:
    """The model of a spec, freshly initialised on the CPU under the spec's seed.

    Raises IncompatibleError where the model can't take data of this shape.
    """
    settings = settings_of("model", Part(name=spec.model, settings=spec.model_settings), registry)
    check = getattr(settings, "check", None)
    if check is not None:
        check(data)
    target = registry.target("model", spec.model)
    seed_everything(spec.seed)
    model: Model = target(settings, data)
    return model


def build_samplers(
    parts: Iterable[Part], registry: Registry, *, strict: bool = True
) -> list[tuple[Part, Sampler]]:
    """Each sampler beside the part that it was built from.

    One that can't be built raises PluginError; where that is not ``strict``, it stands there as
    `Unbuilt`, which says so once it is asked to draw.
    """
    return [(part, _built("sampler", part, registry, strict=strict)) for part in parts]


def build_metrics(
    parts: Iterable[Part], registry: Registry, *, strict: bool = True
) -> list[tuple[Part, Metric]]:
    """Each metric beside the part that it was built from; see `build_samplers`."""
    return [(part, _built("metric", part, registry, strict=strict)) for part in parts]


def default_sampler(spec: RunSpec, registry: Registry) -> Part:
    """The sampler that draws where none is named: the model's own, else the plain one.

    With the settings that the run has for it, if it is one of the run's samplers.
    """
    name = registry.get("model", spec.model).default_sampler or "plain"
    own = [part for part in spec.samplers if part.name == name]
    if own:
        return own[0]
    settings: Settings = settings_of("sampler", Part(name=name), registry)
    return Part(name=name, settings=settings.model_dump(mode="json"))


def owner_in(registry: Registry) -> Owner:
    """Says whose a part is: "genbench-lpips 0.3"."""

    def owner(kind: str, name: str) -> str:
        found = [r.owner for r in registry.of(cast(Kind, kind)) if r.name == name]
        return found[0] if found else ""

    return owner


class Unbuilt:
    """A sampler or metric whose class can't be imported or built: it raises why when it is used."""

    requires: tuple[str, ...] = ()

    def __init__(self, error: PluginError, uses: Literal["samples", "model"] = "samples") -> None:
        self._error, self.uses = error, uses

    def begin(self, context: MetricContext) -> None:
        """Raises PluginError."""
        raise self._error

    def update(self, images: Tensor) -> None:
        """Raises PluginError."""
        raise self._error

    def result(self) -> Sequence[Score]:
        """Raises PluginError."""
        raise self._error

    def draw(self, model: Any, n: int, context: SampleContext) -> Iterator[Tensor]:
        """Raises PluginError."""
        raise self._error

    def diagnostics(self) -> Mapping[str, float]:
        """Nothing was drawn."""
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


class StoppableSampler:
    """A sampler that gives up between two minibatches once it is asked to.

    Raises InterruptedRunError from ``draw``; scores that are complete by then are kept.
    """

    def __init__(self, sampler: Sampler, should_stop: ShouldStop) -> None:
        self.sampler, self.should_stop = sampler, should_stop
        self.requires = getattr(sampler, "requires", ())

    def draw(self, model: Any, n: int, context: SampleContext) -> Iterator[Tensor]:
        """The minibatches of the sampler within."""
        for images in self.sampler.draw(model, n, context):
            stop_if(self.should_stop)
            yield images

    def diagnostics(self) -> Mapping[str, float]:
        """Those of the sampler within."""
        return self.sampler.diagnostics()

    def exactness(self) -> str:
        """What the sampler within says of its draws; empty where it says nothing."""
        told: str = getattr(self.sampler, "exactness", str)()
        return told


def stoppable(access: DataAccess, should_stop: ShouldStop) -> DataAccess:
    """The access with a progress that gives up a download or decoding once asked to stop."""
    inner = access.progress

    def progress(what: str, done: int, total: int | None) -> None:
        stop_if(should_stop)
        if inner is not None:
            inner(what, done, total)

    return replace(access, progress=progress)


def stop_if(should_stop: ShouldStop) -> None:
    """Raise InterruptedRunError once a stop is asked for."""
    if should_stop():
        raise InterruptedRunError("stopped on request")
