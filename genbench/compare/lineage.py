"""The source runs of a run's data, and the data set that the first of them was trained on.

A model trained on the latents of another run generates samples of that run's data set, so it
belongs in the same table as the models that were trained on the data set directly.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genbench.contracts import TEST
from genbench.store import Store

Spec = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Source:
    """The data set that the first source run was trained on, with its settings and the split.

    ``sources`` are the specs of the source runs in between, the nearest first.
    """

    dataset: str
    settings: Mapping[str, Any]
    sources: tuple[Spec, ...]


def compared_data(spec: Spec, settings: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """What the samples of a run are compared with: the settings of its data, and the split.

    ``settings`` are those of the encoded data for a run on latents. The split is left out if it is
    the test split, so that runs on other splits have tables of their own.
    """
    own = spec.get("dataset_settings", {}) if settings is None else settings
    split = spec.get("scored_on", TEST)
    bare = {key: value for key, value in own.items() if key != "scored_on"}
    return bare if split == TEST else {**bare, "scored_on": split}


def sources(store: Store) -> dict[int, Source]:
    """The number of each run with source runs that still exist -> its source."""
    rows = store.rows(
        "SELECT run, id, spec FROM runs WHERE run IN (SELECT run FROM run_parents) "
        "OR id IN (SELECT parent FROM run_parents)"
    )
    specs = {str(identity): json.loads(spec) for _, identity, spec in rows}
    found = {int(run): _source(specs, str(identity)) for run, identity, _ in rows}
    return {run: source for run, source in found.items() if source is not None}


def _source(specs: Mapping[str, Spec], run: str) -> Source | None:
    """The source of a run: the parent named in the settings of its data set, followed upwards."""
    settings = specs[run].get("dataset_settings", {})
    for parent in specs[run].get("parents", ()):
        if parent in specs and parent in settings.values():
            earlier = _source(specs, parent)
            spec = specs[parent]
            return Source(
                dataset=earlier.dataset if earlier else spec["dataset"],
                settings=compared_data(
                    specs[run], earlier.settings if earlier else spec.get("dataset_settings", {})
                ),
                sources=(spec, *(earlier.sources if earlier else ())),
            )
    return None


Ancestry = tuple[tuple[str, int, "Ancestry"], ...]


def lineages(store: Store) -> dict[int, Ancestry]:
    """The number of each run with parents -> experiment, seed and ancestry of each parent.

    Ids are left out, so that a run on a repeat of its parent counts as a repeat itself.
    """
    parents: dict[int, list[str]] = defaultdict(list)
    for run, parent in store.rows("SELECT run, parent FROM run_parents ORDER BY run, position"):
        parents[int(run)].append(str(parent))
    if not parents:
        return {}
    known = {
        str(identity): (int(run), str(experiment), int(seed))
        for identity, run, experiment, seed in store.rows(
            "SELECT id, run, experiment, seed FROM runs "
            "WHERE id IN (SELECT parent FROM run_parents)"
        )
    }

    def line(run: int) -> Ancestry:
        # Only the id is known of a parent that was removed.
        found = ((parent, *known.get(parent, (0, parent, 0))) for parent in parents.get(run, ()))
        return tuple((experiment, seed, line(number)) for _, number, experiment, seed in found)

    return {run: line(run) for run in parents}
