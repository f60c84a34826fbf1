"""The labels of samplers in a table: the name, with the settings in which samplers differ."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache


@lru_cache
def sampler_label(name: str, settings: str) -> str:
    """'plain', or 'drs (gamma=80)'; '' for a score of the model itself. ``settings`` is JSON.

    Settings without a value are left out.
    """
    given = json.loads(settings) if settings else {}
    text = ", ".join(f"{key}={value}" for key, value in given.items() if value is not None)
    return f"{name} ({text})" if text else name


def sampler_titles(labels: Iterable[str]) -> Mapping[str, str]:
    """Map full labels (see `sampler_label`) to shorter ones that are still distinct.

    >>> list(sampler_titles(["drs (p=80, eps=1)", "drs (p=95, eps=1)", "mh (n=640)"]).values())
    ['drs (p=80)', 'drs (p=95)', 'mh']
    """
    by_name: dict[str, list[str]] = {}
    for label in dict.fromkeys(labels):
        by_name.setdefault(label.partition(" (")[0], []).append(label)
    titles = {}
    for name, group in by_name.items():
        parts = {label: _settings(label) for label in group}
        shared = set.intersection(*(set(found) for found in parts.values()))
        for label, found in parts.items():
            own = ", ".join(part for part in found if part not in shared)
            titles[label] = f"{name} ({own})" if own else name
    return titles


def _settings(label: str) -> list[str]:
    """['gamma=80', 'eps=1'] for 'drs (gamma=80, eps=1)'; a comma may be part of a value."""
    inside = label.partition(" (")[2].removesuffix(")")
    return re.split(r", (?=\w+=)", inside) if inside else []
