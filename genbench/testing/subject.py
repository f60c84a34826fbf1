"""What is checked: a registered name, or a class with its settings class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from genbench.registration.capabilities import BUILTIN, Capabilities
from genbench.registry import Kind, Registry
from genbench.settings import Settings, validate


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A part under test. ``capabilities`` is None where no registration declares them.

    ``optional`` are those that some of its settings give, ``known`` all that are registered.
    """

    name: str
    cls: Any
    settings: Settings
    capabilities: tuple[str, ...] | None
    optional: tuple[str, ...] = ()
    known: Capabilities = BUILTIN


def subject(
    kind: Kind,
    given: str | type,
    settings: Settings | type[Settings] | None,
    registry: Registry | None,
) -> Subject:
    """Find a part by its registered name, or take the class that was given."""
    if not isinstance(given, str):
        own = _instance(settings, given.__name__)
        return Subject(name=given.__name__, cls=given, settings=own, capabilities=None)
    registry = registry or Registry.from_environment()
    declared = registry.get(kind, given)
    chosen = settings if settings is not None else registry.settings(kind, given)
    return Subject(
        name=given,
        cls=registry.target(kind, given),
        settings=_instance(chosen, given),
        capabilities=declared.capabilities,
        optional=declared.optional,
        known=registry.capabilities,
    )


def _instance(settings: Settings | type[Settings] | None, owner: str) -> Settings:
    if settings is None:
        return Settings()
    return validate(settings, {}, owner=owner) if isinstance(settings, type) else settings
