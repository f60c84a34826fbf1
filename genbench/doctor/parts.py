"""Checks that registered parts work: every target is imported and compared with its contract.

This imports torch and every plugin's code; listings never do.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from inspect import getmodule, getsource, isfunction
from typing import Any

from genbench.errors import GenbenchError, PluginError
from genbench.registration.capabilities import Capabilities
from genbench.registry import KINDS, Kind, Registration, Registry
from genbench.settings import DatasetSettings, Preset, Settings, validate

METHODS: dict[Kind, tuple[str, ...]] = {
    "model": ("optimizers", "stages"),
    "dataset": ("load",),
    "sampler": ("draw", "diagnostics"),
    "metric": ("begin", "update", "result"),
    "listener": ("begin", "hear", "end"),
    "compressor": ("compress",),
    "launcher": ("script", "start", "stop"),
}
"""What a class of each kind must define."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong with a registration; ``owner`` is who can fix it."""

    kind: Kind
    name: str
    owner: str
    text: str


def problems(registry: Registry) -> list[Problem]:
    """All problems of registered parts; empty if there is none."""
    return [
        Problem(kind=kind, name=registration.name, owner=registration.owner, text=text)
        for kind in KINDS
        for registration in registry.of(kind)
        for text in faults(registry, registration)
    ]


def faults(registry: Registry, registration: Registration) -> Iterator[str]:
    """The problems of one registration, one sentence each."""
    kind, name = registration.kind, registration.name
    for capability in registration.capabilities:
        try:
            registry.capabilities.check_known(capability, "its registration")
        except PluginError as error:
            yield str(error)
    try:
        cls = registry.target(kind, name)
    except PluginError as error:
        yield str(error)
    else:
        yield from _class_faults(cls, registration, registry.capabilities)
    yield from _settings_faults(registry, kind, name)


def _class_faults(
    target: Any, registration: Registration, capabilities: Capabilities
) -> Iterator[str]:
    cls = _returned_class(target) if isfunction(target) else target
    needed = [*METHODS[registration.kind]]
    if registration.kind == "model":
        for capability in registration.capabilities:
            try:
                needed += capability_methods(capability, capabilities)
            except PluginError as error:
                yield str(error)
    for method in dict.fromkeys(needed):
        if not callable(getattr(cls, method, None)):
            yield f"{cls.__name__} has no method '{method}'"
    if registration.kind not in ("sampler", "metric"):
        return
    requires = getattr(cls, "requires", None)
    if not isinstance(requires, tuple):
        yield f"{cls.__name__} has no class attribute 'requires', a tuple of capability names"
    elif set(requires) != set(registration.capabilities):
        yield (
            f"its registration says capabilities={registration.capabilities!r}, but "
            f"{cls.__name__}.requires is {requires!r}; they must be equal"
        )
    if registration.kind == "metric" and getattr(cls, "uses", None) not in ("samples", "model"):
        yield f"{cls.__name__}.uses must be 'samples' or 'model'"


def _returned_class(function: Any) -> Any:
    """The class that a function which builds a model is annotated to return.

    A file of settings imports it for type checkers only, so that listings stay free of torch.
    """
    name = function.__annotations__.get("return", function)
    if not isinstance(name, str):
        return name
    if name in function.__globals__:
        return function.__globals__[name]
    for node in ast.walk(ast.parse(getsource(getmodule(function) or function))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if name == (alias.asname or alias.name):
                    return getattr(import_module(node.module), alias.name)
    return function


def capability_methods(capability: str, capabilities: Capabilities) -> list[str]:
    """The methods that a capability's protocol asks for; attributes are seen on instances only."""
    names = vars(capabilities.protocol(capability)) if capability in capabilities else {}
    return [name for name in names if not name.startswith("_") and callable(names[name])]


def _settings_faults(registry: Registry, kind: Kind, name: str) -> Iterator[str]:
    try:
        settings = registry.settings(kind, name)
    except PluginError as error:
        yield str(error)
        return
    if settings is None:
        if kind == "dataset":
            yield "a data set needs settings='module:Class', a genbench.DatasetSettings"
        return
    if not (isinstance(settings, type) and issubclass(settings, Settings)):
        yield f"its settings, {settings!r}, are not a subclass of genbench.Settings"
        return
    if kind == "dataset" and (
        not issubclass(settings, DatasetSettings) or settings.describe is DatasetSettings.describe
    ):
        yield f"{settings.__name__} must be a genbench.DatasetSettings with its own describe()"
    if not any(info.is_required() for info in settings.model_fields.values()):
        yield from _rejected(settings, {}, "its default settings")
    if kind == "model":
        yield from _preset_faults(registry, name, settings)


def _preset_faults(registry: Registry, name: str, settings: type[Settings]) -> Iterator[str]:
    try:
        presets = registry.presets(name)
    except (GenbenchError, TypeError) as error:
        yield f"its presets can't be read: {error}"
        return
    for preset in presets:
        if isinstance(preset, Preset):
            yield from _rejected(settings, preset.settings, f"preset '{preset.name}'")
        else:
            yield f"its presets contain {preset!r}, which is not a genbench.Preset"


def _rejected(settings: type[Settings], values: Any, owner: str) -> Iterator[str]:
    try:
        validate(settings, values, owner=owner)
    except GenbenchError as error:
        yield str(error)
