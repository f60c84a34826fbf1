"""What samplers are called in a table: by name, with the settings in which those there differ."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping


def sampler_titles(labels: Iterable[str]) -> Mapping[str, str]:
    """Whole labels (see `sampler_label`) -> shorter ones that still tell them apart.

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
    """['gamma=80', 'eps=1'] of 'drs (gamma=80, eps=1)'; a comma within a value parts nothing."""
    inside = label.partition(" (")[2].removesuffix(")")
    return re.split(r", (?=\w+=)", inside) if inside else []
