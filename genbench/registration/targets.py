"""Targets: the ``module:attribute`` strings of registrations, imported when they are used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from genbench.errors import PluginError
from genbench.registration.importing import foreign_code


def check_target(what: str, target: object) -> None:
    """Raise PluginError where ``target`` has not the form; ``what`` begins the sentence."""
    if not isinstance(target, str) or ":" not in target:
        raise PluginError(f"{what}: the target must be a string 'module:attribute', not {target!r}")


def resolve(target: str, owner: str) -> Any:
    """Import what a target names; what its module prints goes to stderr.

    Raises PluginError, which begins with ``owner``.
    """
    module, _, attribute = target.partition(":")
    try:
        with foreign_code():
            found: Any = import_module(module)
            for part in attribute.split("."):
                found = getattr(found, part)
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"{owner} can't be loaded from '{target}': {type(error).__name__}: {error}"
        ) from error
    return found
