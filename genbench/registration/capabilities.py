"""What models can do, by name: the built-in capabilities and those that plugins register.

A capability is a Protocol. A plugin's own is named ``name:capability`` (``flows:inverts``), so that
it never takes the name of a later built-in one. Its Protocol is imported when a model is first
checked against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from genbench.contracts import CAPABILITIES
from genbench.errors import PluginError, suggest
from genbench.registration.targets import resolve

_IN_WORDS = {
    "generates": "that generates",
    "discriminates": "that discriminates",
    "embeds": "that embeds",
    "encodes": "that encodes",
    "decodes": "that decodes codes",
    "reconstructs": "that reconstructs",
    "conditional": "that takes labels",
    "has-likelihood": "that has a likelihood",
    "has-density": "that has an exact density",
    "has-velocity": "that has a velocity",
    "denoises": "that denoises",
    "translates": "that translates",
}


@dataclass(frozen=True, kw_only=True)
class RegisteredCapability:
    """A capability of a plugin: its name, its Protocol, its meaning and its owner."""

    name: str
    target: str
    owner: str
    summary: str = ""


class Capabilities:
    """All capabilities that are known. Iterating gives their names."""

    def __init__(self, registered: Mapping[str, RegisteredCapability] | None = None) -> None:
        self._registered: Mapping[str, RegisteredCapability] = registered or {}

    def __iter__(self) -> Iterator[str]:
        return iter((*CAPABILITIES, *self._registered))

    def __contains__(self, name: object) -> bool:
        return name in CAPABILITIES or name in self._registered

    def check_known(self, requirement: str, asked_by: str) -> None:
        """Raise PluginError where nobody registered a name; ``asked_by`` begins the sentence."""
        for name in alternatives(requirement):
            if name not in self:
                own = "a plugin defines it; install that plugin"
                hint = f"; {own}" if ":" in name else suggest(name, self)
                raise PluginError(f"{asked_by} asks for an unknown capability '{name}'{hint}")

    def protocol(self, name: str) -> type:
        """The Protocol of a capability. Raises PluginError where it can't be had."""
        if name in CAPABILITIES:
            return CAPABILITIES[name]
        self.check_known(name, "genbench")
        return _imported(self._registered[name])

    def fits(self, model: Any, requirement: str) -> bool:
        """Whether a model has a capability, or one of several (see `alternatives`)."""
        return any(isinstance(model, self.protocol(name)) for name in alternatives(requirement))

    def knows_and_fits(self, model: Any, requirement: str) -> bool:
        """Whether a model has a capability; False where nobody registered it, or it is broken."""
        try:
            self.check_known(requirement, "genbench")
            return self.fits(model, requirement)
        except PluginError:
            return False

    def of(self, model: Any) -> tuple[str, ...]:
        """The names of all capabilities that a model has."""
        return tuple(name for name in self if self.fits(model, name))

    def in_words(self, requirement: str) -> str:
        """The models that have it, in words: 'that generates', "with 'flows:inverts' (x -> z)"."""
        return " or ".join(self._word(name) for name in alternatives(requirement))

    def _word(self, name: str) -> str:
        if name in _IN_WORDS:
            return _IN_WORDS[name]
        summary = self._registered[name].summary if name in self._registered else ""
        return f"with the capability '{name}'" + (f" ({summary})" if summary else "")


def alternatives(requirement: str) -> tuple[str, ...]:
    """The capabilities of which a model needs at least one.

    >>> alternatives("has-likelihood|has-density")
    ('has-likelihood', 'has-density')
    """
    return tuple(requirement.split("|"))


BUILTIN = Capabilities()
"""The built-in capabilities alone."""


def _imported(capability: RegisteredCapability) -> type:
    owner = f"capability '{capability.name}' of {capability.owner}"
    found = resolve(capability.target, owner)
    if not isinstance(found, type):
        raise PluginError(f"{owner}: '{capability.target}' is not a class but {found!r}")
    if getattr(found, "_is_protocol", False) and not getattr(found, "_is_runtime_protocol", False):
        raise PluginError(f"{owner}: decorate {found.__name__} with @typing.runtime_checkable")
    return found
