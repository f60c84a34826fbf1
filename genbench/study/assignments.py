"""The settings and options of a study file as words of a command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genbench.planning.sources import SECTIONS
from genbench.planning.toml_plan import value_of


def assignments(*tables: Mapping[str, Any]) -> tuple[str, ...]:
    """``k=v`` for the settings in several tables; later tables override earlier ones.

    A sub-table such as ``data`` becomes a prefix with a dot.

    >>> assignments({"z_dim": 2, "data": {"size": 8}}, {"z_dim": 3, "hidden": [8, 8]})
    ('z_dim=3', 'data.size=8', 'hidden=[8, 8]')
    """
    merged: dict[str, Any] = {}
    for table in tables:
        for key, value in table.items():
            merged |= _flat(key, value)
    return tuple(f"{key}={_typed(value)}" for key, value in merged.items())


def for_sampler(name: str, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The settings of one sampler, such as ``sampler.drs.percentile=95``.

    >>> for_sampler("drs", {"gamma": None, "calibration": "none"})
    ('sampler.drs.gamma=none', 'sampler.drs.calibration="none"')
    """
    return tuple(f"sampler.{name}.{key}={_typed(value)}" for key, value in settings.items())


def words(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Options as words: True is a flag, a list repeats the option, None and False leave it out.

    >>> words({"epochs": 3, "json": True, "preset": None, "tag": ["a", "b"]})
    ('--epochs', '3', '--json', '--tag', 'a', '--tag', 'b')
    """
    found: list[str] = []
    for name, given in options.items():
        for value in given if isinstance(given, (list, tuple)) else [given]:
            if value is not None and value is not False:
                found += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    return tuple(found)


def _typed(value: Any) -> str:
    """A value as ``--set`` takes it: unlike in TOML, None is the bare word."""
    return "none" if value is None else value_of(value)


def _flat(key: str, value: Any) -> dict[str, Any]:
    """``data.size`` for ``{data: {size: 8}}``; sampler and metric settings are one level deeper."""
    prefix, *rest = key.split(".")
    depth = {"model": 2, "data": 2, "run": 2}.get(prefix, 3 if prefix in SECTIONS else 1)
    if isinstance(value, Mapping) and len(rest) + 1 < depth:
        return {
            path: leaf
            for name, item in value.items()
            for path, leaf in _flat(f"{key}.{name}", item).items()
        }
    return {key: value}
