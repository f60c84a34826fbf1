"""Everything that a plugin registers, each part held against its contract."""

from __future__ import annotations

import os
from collections.abc import Iterator

from genbench.contracts import DataAccess
from genbench.doctor.parts import faults
from genbench.registry import KINDS, Kind, Registry
from genbench.settings import Settings
from genbench.testing.compressors import check_compressor
from genbench.testing.listeners import check_listener
from genbench.testing.models import check_model
from genbench.testing.parts import check_dataset, check_metric
from genbench.testing.samplers import check_sampler
from genbench.testing.together import check_together


def check_plugin(plugin: object, *, access: DataAccess | None = None) -> None:
    """Check the hooks of a plugin (its module) and all that they register.

    It need not be installed. Data sets and listeners with a required setting, such as a folder, are
    left to a check of their own. Raises AssertionError with what is wrong and how to fix it.
    """
    registry = Registry()
    info = registry.add(plugin)
    assert info.error is None, f"{info.name} can't be registered: {info.error}"
    assert info.names, (
        f"{info.name} registers nothing: mark its hooks with @genbench.hookimpl and name them "
        f"genbench_register_{'|'.join(f'{kind}s' for kind in KINDS)}"
    )
    found = [
        f"{kind} '{registration.name}': {fault}"
        for kind in KINDS
        for registration in registry.of(kind)
        for fault in faults(registry, registration)
    ]
    assert not found, os.linesep.join(found)
    for registration in registry.of("model"):
        check_model(registration.name, registry=registry)
    for name in _without_required_settings("dataset", registry):
        check_dataset(name, registry=registry, access=access)
    for registration in registry.of("sampler"):
        check_sampler(registration.name, registry=registry)
    for registration in registry.of("metric"):
        check_metric(registration.name, registry=registry)
    for name in _without_required_settings("listener", registry):
        check_listener(name, registry=registry)
    for name in _without_required_settings("compressor", registry):
        check_compressor(name, registry=registry)
    check_together(registry)


def _without_required_settings(kind: Kind, registry: Registry) -> Iterator[str]:
    for registration in registry.of(kind):
        settings = registry.settings(kind, registration.name) or Settings
        if not any(field.is_required() for field in settings.model_fields.values()):
            yield registration.name
