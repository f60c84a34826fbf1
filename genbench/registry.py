"""Registered names with their owners, and targets that are imported when they are used.

A registry is an instance: the command line builds one from the installed entry points, a test
builds its own. Loading a plugin only runs its registration hooks; a target is imported when it is
resolved. The registrations of a broken plugin are rolled back and its error is kept; only with
``strict`` is it raised.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from typing import Any, Literal, get_args

import pluggy

from genbench import __version__, hookspecs
from genbench.errors import PluginError, UnknownNameError, suggest
from genbench.registration.capabilities import Capabilities, RegisteredCapability
from genbench.registration.importing import Cost, LeftPythonError, foreign_code
from genbench.registration.installed import (
    PluginInfo,
    contract_fault,
    contract_fault_unread,
    describe,
    installed_plugins,
    is_builtin,
    later,
    remarks_on,
)
from genbench.registration.targets import check_target, resolve

Kind = Literal["model", "dataset", "sampler", "metric", "listener", "compressor", "launcher"]
KINDS: tuple[Kind, ...] = get_args(Kind)
CAPABILITY_HOOK = "genbench_register_capabilities"


@dataclass(frozen=True, kw_only=True)
class Registration:
    """One registered name: its kind, its code and its owner."""

    kind: Kind
    name: str
    target: str
    owner: str
    summary: str = ""
    settings: str | None = None
    presets: str | None = None
    family: str = ""
    source: str = ""
    capabilities: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    watch: bool = False
    default_sampler: str | None = None


class Registry:
    """All registered names: ``of`` lists them, ``target`` and ``settings`` import their classes."""

    def __init__(self) -> None:
        self.plugins: list[PluginInfo] = []
        self._names: dict[Kind, dict[str, Registration]] = {kind: {} for kind in KINDS}
        self._capabilities: dict[str, RegisteredCapability] = {}
        self._pluggy = pluggy.PluginManager(hookspecs.PROJECT)
        self._pluggy.add_hookspecs(hookspecs)

    # --- loading plugins

    @classmethod
    def from_environment(
        cls, *, strict: bool = False, environ: Mapping[str, str] | None = None
    ) -> Registry:
        """Load the built-in plugins, then every installed one, each separately.

        With ``GENBENCH_PLUGINS=a,b``, only these installed plugins are loaded, and all built-in
        ones; ``GENBENCH_DISABLE_PLUGINS=a,b`` leaves plugins out, built-in or not. ``strict``
        raises PluginError at the first broken one.
        """
        environ = os.environ if environ is None else environ
        allowed = _names(environ.get("GENBENCH_PLUGINS"))
        denied = _names(environ.get("GENBENCH_DISABLE_PLUGINS")) or frozenset()
        registry = cls()
        for point in installed_plugins():
            if point.name in denied:
                registry._leave_out(point, "GENBENCH_DISABLE_PLUGINS")
            elif allowed is not None and point.name not in allowed and not is_builtin(point):
                registry._leave_out(point, "GENBENCH_PLUGINS")
            else:
                registry.load(point, strict=strict)
        return registry

    def load(self, point: EntryPoint, *, strict: bool = False) -> PluginInfo:
        """Import one entry point and take its registrations; after any error, take none of them.

        Its output goes to stderr. A Ctrl-C of the user is raised.
        """
        info = describe(point)
        try:
            with foreign_code() as cost:
                plugin = point.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if fault := contract_fault_unread(point):
                return self._broken(info, PluginError(fault), strict=strict, hint=later(info))
            return self._broken(info, error, strict=strict)
        return self.add(plugin, info=info, cost=cost, strict=strict)

    def add(
        self,
        plugin: object,
        *,
        info: PluginInfo | None = None,
        cost: Cost | None = None,
        strict: bool = False,
    ) -> PluginInfo:
        """Take the registrations of an imported plugin; ``cost`` is that of its import."""
        if info is None:
            name = str(getattr(plugin, "__name__", type(plugin).__name__))
            info = PluginInfo(name=name, distribution=name, version="", module=name)
        if fault := contract_fault(plugin):
            return self._broken(info, PluginError(fault), strict=strict, hint=later(info))
        names_before = {kind: dict(found) for kind, found in self._names.items()}
        capabilities_before = dict(self._capabilities)
        try:
            with foreign_code() as hooks:
                self._call_hooks(plugin, info)
        except BaseException as error:
            self._names, self._capabilities = names_before, capabilities_before
            if self._pluggy.is_registered(plugin):
                self._pluggy.unregister(plugin)
            if isinstance(error, KeyboardInterrupt):
                raise
            return self._broken(info, error, strict=strict)
        names = [
            f"{kind} {name}"
            for kind, found in self._names.items()
            for name in found
            if name not in names_before[kind]
        ]
        new = [name for name in self._capabilities if name not in capabilities_before]
        names += [f"capability {name}" for name in new]
        spent = hooks if cost is None else cost + hooks
        remarks = remarks_on(plugin, names, spent)
        return self._remember(info, names=tuple(names), seconds=spent.seconds, remarks=remarks)

    def _call_hooks(self, plugin: object, info: PluginInfo) -> None:
        self._pluggy.register(plugin, name=f"{info.distribution}:{info.name}")
        self._check_hooks(plugin)
        others = [other for other in self._pluggy.get_plugins() if other is not plugin]
        for kind in KINDS:
            hook = f"genbench_register_{kind}s"
            caller = self._pluggy.subset_hook_caller(hook, remove_plugins=others)
            caller(register=self._registrar(kind, info.owner))
        self._pluggy.subset_hook_caller(CAPABILITY_HOOK, remove_plugins=others)(
            register=self._capability_registrar(info.owner)
        )

    def _check_hooks(self, plugin: object) -> None:
        """Raise PluginError for a misspelt hook, with the nearest name."""
        known = [name for name in vars(hookspecs) if name.startswith("genbench_")]
        for name in dir(plugin):
            marked = getattr(getattr(plugin, name, None), f"{hookspecs.PROJECT}_impl", None)
            if marked and name not in known:
                raise PluginError(f"unknown hook '{name}'{suggest(name, known)}")
        self._pluggy.check_pending()

    def _registrar(self, kind: Kind, owner: str) -> hookspecs.Register:
        def register(name: str, target: str, **details: Any) -> None:
            if name in self._names[kind]:
                first = self._names[kind][name].owner
                raise PluginError(f"{kind} '{name}' is already registered by {first}")
            check_target(f"{kind} '{name}'", target)
            self._names[kind][name] = Registration(
                kind=kind, name=name, target=target, owner=owner, **details
            )

        return register

    def _capability_registrar(self, owner: str) -> hookspecs.RegisterCapability:
        def register(name: str, target: str, *, summary: str = "") -> None:
            if not all(name.partition(":")):
                raise PluginError(
                    f"capability '{name}': a plugin's own capability needs a name with a colon, "
                    "such as 'flows:inverts'"
                )
            if name in self._capabilities:
                first = self._capabilities[name].owner
                raise PluginError(f"capability '{name}' is already registered by {first}")
            check_target(f"capability '{name}'", target)
            self._capabilities[name] = RegisteredCapability(
                name=name, target=target, owner=owner, summary=summary
            )

        return register

    def _broken(
        self, info: PluginInfo, error: BaseException, *, strict: bool, hint: str = ""
    ) -> PluginInfo:
        plain = isinstance(error, (PluginError, LeftPythonError))
        text = str(error) if plain else f"{type(error).__name__}: {error}"
        if isinstance(error, ImportError) and error.name == "genbench":
            text += f" (this is genbench {__version__}, contract {hookspecs.CONTRACT_VERSION})"
        hint = hint or f"update or remove it (pip uninstall {info.distribution})"
        hint += f", or set GENBENCH_DISABLE_PLUGINS={info.name}"
        if strict:
            raise PluginError(f"plugin '{info.name}' ({info.owner}): {text}; {hint}") from error
        trace = "".join(traceback.format_exception(error))
        return self._remember(info, error=text, hint=hint, trace=trace)

    def _leave_out(self, point: EntryPoint, variable: str) -> None:
        self._remember(describe(point), disabled=variable)

    def _remember(self, info: PluginInfo, **changes: Any) -> PluginInfo:
        info = replace(info, **changes)
        self.plugins.append(info)
        return info

    # --- names

    def of(self, kind: Kind) -> Iterator[Registration]:
        """The registrations of one kind, by name."""
        return iter(sorted(self._names[kind].values(), key=lambda r: r.name))

    @property
    def capabilities(self) -> Capabilities:
        """What models can do: the built-in capabilities and those that plugins registered."""
        return Capabilities(self._capabilities)

    @property
    def broken(self) -> list[PluginInfo]:
        """The plugins that could not be loaded."""
        return [info for info in self.plugins if info.error]

    def get(self, kind: Kind, name: str) -> Registration:
        """The registration of a name. Raises UnknownNameError with the nearest one."""
        try:
            return self._names[kind][name]
        except KeyError:
            see = f"genbench {kind}s"
            raise UnknownNameError(kind, name, self._names[kind], see=see) from None

    def target(self, kind: Kind, name: str) -> Any:
        """Import and return the class of a name. Raises PluginError if it can't be imported."""
        registration = self.get(kind, name)
        return _resolve(registration.target, registration)

    def settings(self, kind: Kind, name: str) -> Any:
        """Import and return the settings class of a name; None if it has none."""
        registration = self.get(kind, name)
        return registration.settings and _resolve(registration.settings, registration)

    def presets(self, model: str) -> tuple[Any, ...]:
        """The presets of a model."""
        registration = self.get("model", model)
        return tuple(_resolve(registration.presets, registration)) if registration.presets else ()


def _resolve(target: str, registration: Registration) -> Any:
    return resolve(target, f"{registration.kind} '{registration.name}' of {registration.owner}")


def _names(value: str | None) -> frozenset[str] | None:
    if value is None:
        return None
    return frozenset(name.strip() for name in value.split(",") if name.strip())
