"""What a run's data is made of: which runs lent it, and whose samples they encoded at first.

A model trained on the latent space of another run makes samples of what that one was trained on,
and stands in the same table as the models that were trained on it directly.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genbench.store import Store

Spec = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Source:
    """The data set, with its settings, that the first source was trained on.

    ``source runs`` are the specs of the runs between, the nearest first.
    """

    dataset: str
    settings: Mapping[str, Any]
    sources: tuple[Spec, ...]


def sources(store: Store) -> dict[int, Source]:
    """By their numbers: the runs whose data is made of other runs that are still there."""
    rows = store.rows(
        "SELECT run, id, spec FROM runs WHERE run IN (SELECT run FROM run_parents) "
        "OR id IN (SELECT parent FROM run_parents)"
    )
    specs = {str(identity): json.loads(spec) for _, identity, spec in rows}
    found = {int(run): _source(specs, str(identity)) for run, identity, _ in rows}
    return {run: source for run, source in found.items() if source is not None}


def _source(specs: Mapping[str, Spec], run: str) -> Source | None:
    """A source's id stands in the data set's settings; other parents decide nothing of the data."""
    settings = specs[run].get("dataset_settings", {})
    for parent in specs[run].get("parents", ()):
        if parent in specs and parent in settings.values():
            beneath = _source(specs, parent)
            source = specs[parent]
            return Source(
                dataset=beneath.dataset if beneath else source["dataset"],
                settings=beneath.settings if beneath else source.get("dataset_settings", {}),
                sources=(source, *(beneath.sources if beneath else ())),
            )
    return None


Ancestry = tuple[tuple[str, int, "Ancestry"], ...]


def lineages(store: Store) -> dict[int, Ancestry]:
    """By their numbers: the runs that build upon others, each with the experiments and the seeds
    of these, and what these build upon.

    Ids don't count: a run upon a repeat of another run repeats what was made upon that one.
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
        # A parent that was removed is known by its id alone.
        found = ((parent, *known.get(parent, (0, parent, 0))) for parent in parents.get(run, ()))
        return tuple((experiment, seed, line(number)) for _, number, experiment, seed in found)

    return {run: line(run) for run in parents}
