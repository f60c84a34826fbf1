"""Finished runs from the store, with costs and scores, in a few SQL statements for all of them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from genbench.compare.lineage import Source, compared_data, lineages, sources
from genbench.compare.run_results import (
    DrawCost,
    MachineUse,
    Parent,
    Place,
    RunResult,
    Scored,
    StageCost,
)
from genbench.compare.sampler_labels import sampler_label
from genbench.formatting import counted
from genbench.store import Store
from genbench.store.records import DEVICES, TOGETHER

NFE, PER_SAMPLE = "nfe", "measured_seconds_per_sample"
"""The diagnostics of a draw that a comparison shows; the evaluation measures the second one."""

MEDIANS_AT_ONCE = 1_000
"""Runs of which all epochs are held in memory at once."""


def read_results(store: Store, runs: Sequence[int]) -> Iterator[RunResult]:
    """The runs with these numbers in the store, with their costs and final scores."""
    if not runs:
        return
    keys = _listed(runs)
    stages, scores = _stages(store, runs), _scores(store, keys)
    machines, parents, efforts = Machines(store), _parents(store, keys), _efforts(store, keys)
    made_of, ancestry = sources(store), lineages(store)
    versions, moved = _versions(store, keys), _environments(store, keys)
    costs = _draw_costs(store, keys)
    specs: dict[str, Mapping[str, Any]] = {}
    for row in store.rows(
        "SELECT run, id, name, seed, created_at, experiment, model, dataset, preset, environment, "
        f"device, spec FROM runs WHERE run IN ({keys}) ORDER BY run"
    ):
        run, identity, name, seed, created_at, experiment, model, dataset, preset = row[:9]
        environment, device, spec = row[9:]
        if experiment not in specs:
            specs[experiment] = json.loads(spec)
        settings = compared_data(specs[experiment])
        own = Source(dataset=dataset, settings=settings, sources=())
        source = made_of.get(run, own)
        share, load = efforts.get(run, (None, None))
        yield RunResult(
            id=identity,
            name=name,
            seed=seed,
            created_at=created_at,
            experiment=experiment,
            model=model,
            dataset=source.dataset,
            data_settings=source.settings,
            sources=source.sources,
            preset=preset,
            spec=specs[experiment],
            place=machines.places(moved.get(run, [environment]), device),
            stages=tuple(stages.get(run, ())),
            scores=tuple(scores.get(run, ())),
            parents=tuple(
                Parent(model=of, place=machines.place(where, on), seconds=seconds)
                for of, where, on, seconds in parents.get(run, ())
            ),
            lineage=ancestry.get(run, ()),
            versions=versions.get(run, {}),
            together=machines.together(moved.get(run, [environment])),
            draws=costs.get(run, {}),
            effort=MachineUse(cpu_share=share, load=load, cpus=machines.cpus(environment)),
        )


Reached = Mapping[tuple[str, str, str, str], tuple[float, float]]
"""(run, metric, sampler, protocol) -> seconds at the first evaluation at the target or better, and
at the one before it (this one first)."""


def reached(store: Store, runs: Iterable[RunResult], target: float) -> Reached:
    """The training seconds after which scores first reached the target."""
    ids = quoted(run.id for run in runs)
    found: dict[tuple[str, str, str, str], tuple[float, float]] = {}
    before: dict[tuple[str, str, str, str], list[float]] = {}
    for run, metric, direction, sampler, settings, protocol, seconds, value, floor in store.rows(
        "SELECT id, metric, direction, sampler, sampler_settings, protocol_hash, train_s_so_far, "
        f"value, floor FROM v_score_history WHERE id IN ({ids}) ORDER BY epoch, created_at"
    ):
        key = (run, metric, sampler_label(sampler, settings), protocol)
        at = float(seconds or 0.0)  # none before the end of the first epoch
        earlier = [moment for moment in before.get(key, [0.0]) if moment < at]
        if key not in found and _is_reached(value, target, direction, floor):
            found[key] = max(earlier, default=0.0), at
        before[key] = [*earlier[-1:], at]
    return found


def _is_reached(
    value: float | None, target: float, direction: str | None, floor: float | None
) -> bool:
    """Whether a value is at the target or better; closer to the floor if that is the best."""
    if value is None:
        return False
    if direction == "floor":
        return floor is not None and abs(value - floor) <= abs(target - floor)
    return value >= target if direction == "max" else value <= target


def _stages(store: Store, runs: Sequence[int]) -> dict[int, list[StageCost]]:
    keys = _listed(runs)
    found: dict[int, list[StageCost]] = defaultdict(list)
    images = {
        (run, stage): count
        for run, stage, count in store.rows(
            f"SELECT run, stage, images FROM epochs WHERE run IN ({keys}) AND stage_epoch = 1"
        )
    }
    medians = _epoch_medians(store, runs)
    for run, stage, done, prepare_s, train_s in store.rows(
        "SELECT run, stage, epochs_done, prepare_s, train_s FROM stages "
        f"WHERE run IN ({keys}) ORDER BY run, position"
    ):
        found[run].append(
            StageCost(
                name=stage,
                epochs=done,
                prepare_s=prepare_s,
                train_s=train_s,
                # A stage of one epoch has no epoch without warm-up.
                epoch_s=medians.get((run, stage)) or train_s,
                images=images.get((run, stage), 0),
            )
        )
    return found


def _epoch_medians(store: Store, runs: Sequence[int]) -> dict[tuple[int, str], float]:
    """(run, stage) -> the median seconds of its epochs without the first one.

    The first epoch includes the warm-up (kernels, caches, compiling); a stage of one epoch has no
    median. Sorting here takes half the time of two windows in SQLite; some runs at a time,
    since a run may have thousands of epochs.
    """
    found: dict[tuple[int, str], float] = {}
    for start in range(0, len(runs), MEDIANS_AT_ONCE):
        seconds: dict[tuple[int, str], list[float]] = defaultdict(list)
        for run, stage, train_s in store.rows(
            "SELECT run, stage, train_s FROM epochs "
            f"WHERE run IN ({_listed(runs[start : start + MEDIANS_AT_ONCE])}) AND stage_epoch > 1"
        ):
            seconds[run, stage].append(train_s)
        found.update((key, _median(values)) for key, values in seconds.items())
    return found


def _median(values: list[float]) -> float:
    """Not that of statistics, the import of which takes 15 ms."""
    values.sort()
    return (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2


def _listed(runs: Sequence[int]) -> str:
    return ",".join(str(int(run)) for run in runs)


def _efforts(store: Store, keys: str) -> dict[int, tuple[float | None, float | None]]:
    """Run -> CPU seconds over training seconds, and the mean load, if they are known."""
    return {
        run: (cpu_s / train_s if cpu_s is not None and train_s else None, load)
        for run, cpu_s, train_s, load in store.rows(
            "SELECT run, sum(cpu_s), sum(CASE WHEN cpu_s IS NOT NULL THEN train_s END), avg(load) "
            f"FROM epochs WHERE run IN ({keys}) GROUP BY run"
        )
        if cpu_s is not None or load is not None
    }


def _scores(store: Store, keys: str) -> dict[int, list[Scored]]:
    protocols: dict[str, Mapping[str, Any]] = {}
    found: dict[int, list[Scored]] = defaultdict(list)
    for row in store.rows(
        "SELECT e.run, k.name, k.direction, k.unit, e.sampler, e.sampler_settings, e.value, "
        "e.floor, e.protocol_hash, p.body, e.epoch, e.n FROM evals e "
        "JOIN metric_keys k ON k.key = e.key "
        "JOIN protocols p ON p.protocol_hash = e.protocol_hash "
        f"WHERE e.final = 1 AND e.run IN ({keys}) ORDER BY e.eval"
    ):
        run, metric, direction, unit, sampler, settings, value, floor, digest, body, epoch, n = row
        if digest not in protocols:
            protocols[digest] = json.loads(body)
        found[run].append(
            Scored(
                metric=metric,
                sampler=sampler_label(sampler, settings),
                value=value,
                floor=floor,
                direction=direction or "min",
                unit=unit or "",
                protocol_hash=digest,
                protocol=protocols[digest],
                epoch=epoch,
                n=n,
            )
        )
    return found


def _draw_costs(store: Store, keys: str) -> dict[int, dict[str, DrawCost]]:
    """Run -> sampler -> the cost of a sample in its last draw with final scores."""
    found: dict[int, dict[str, DrawCost]] = defaultdict(dict)
    for run, sampler, settings, diagnostics in store.rows(
        "SELECT d.run, d.sampler, d.sampler_settings, d.diagnostics FROM draws d "
        f"WHERE d.run IN ({keys}) AND d.sampler <> '' AND d.diagnostics <> '{{}}' "
        "AND EXISTS (SELECT 1 FROM evals e WHERE e.draw = d.draw AND e.final = 1) ORDER BY d.draw"
    ):
        figures = json.loads(diagnostics)
        found[run][sampler_label(sampler, settings)] = DrawCost(
            nfe=figures.get(NFE), seconds=figures.get(PER_SAMPLE)
        )
    return found


def _versions(store: Store, keys: str) -> dict[int, dict[str, str]]:
    """Run -> the distributions of its model, data set and samplers, with their versions.

    Metrics are left out: a score is stored with its protocol.
    """
    found: dict[int, dict[str, str]] = defaultdict(dict)
    for run, distribution, version in store.rows(
        "SELECT DISTINCT run, distribution, version FROM run_plugins "
        f"WHERE run IN ({keys}) AND kind <> 'metric' ORDER BY run, distribution, version"
    ):
        before = found[run].get(distribution)
        found[run][distribution] = f"{before}, then {version}" if before else version
    return found


def _environments(store: Store, keys: str) -> dict[int, list[int | None]]:
    """Run -> its environments in order, for runs that were resumed in another environment."""
    found: dict[int, list[int | None]] = defaultdict(list)
    for run, environment in store.rows(
        f"SELECT run, environment FROM run_environments WHERE run IN ({keys}) ORDER BY run, step"
    ):
        found[run].append(environment)
    return found


class Machines:
    """The hardware of each environment in a store."""

    def __init__(self, store: Store) -> None:
        rows = store.rows("SELECT environment, body FROM environments")
        self._known = {environment: json.loads(body) for environment, body in rows}
        self._places: dict[tuple[tuple[int | None, ...], str], Place] = {}

    def place(self, environment: int | None, device: str) -> Place:
        """Where a run with this environment and device trained."""
        known = self._known.get(environment, {})
        # A run may be resumed on another device; its environment then has the new one.
        kind = str(known.get("device") or device).partition(":")[0]
        words = [known.get("gpu") if kind == "cuda" else known.get("cpu")]
        if kind != "cuda" and words[0] and known.get("threads"):
            words.append(counted(known["threads"], "thread"))
        if known.get(DEVICES):
            words.append(f"split over {len(known[DEVICES])} devices")
        # The share of a run in the seconds of several is not what it takes alone.
        if known.get(TOGETHER):
            words.append(f"{len(known[TOGETHER])} seeds together")
        return Place(kind, ", ".join(str(word) for word in words if word))

    def places(self, environments: Sequence[int | None], device: str) -> Place:
        """The place of a run with several environments, which names all that differ."""
        key = tuple(environments), device
        if key not in self._places:
            found = dict.fromkeys(self.place(environment, device) for environment in environments)
            machines = ", then ".join(place.machine for place in found)
            self._places[key] = Place(next(iter(found)).device, machines)
        return self._places[key]

    def together(self, environments: Sequence[int | None]) -> tuple[int, ...]:
        """The seeds that were trained together in one of the environments; empty without any."""
        found = (self._known.get(environment, {}).get(TOGETHER) for environment in environments)
        return tuple(next(filter(None, found), ()))

    def cpus(self, environment: int | None) -> int | None:
        """The number of cores of the machine, if it is known."""
        found = self._known.get(environment, {}).get("cpus")
        return int(found) if found else None


def _parents(store: Store, keys: str) -> dict[int, list[tuple[str, int | None, str, float]]]:
    """Run -> model, environment, device and seconds of each run that it builds upon."""
    found: dict[int, list[tuple[str, int | None, str, float]]] = defaultdict(list)
    for run, model, environment, device, seconds in store.rows(
        "WITH RECURSIVE line(run, parent) AS ("
        f"SELECT run, parent FROM run_parents WHERE run IN ({keys}) UNION "
        "SELECT line.run, p.parent FROM line JOIN runs r ON r.id = line.parent "
        "JOIN run_parents p ON p.run = r.run) "
        "SELECT line.run, r.model, r.environment, r.device, sum(s.prepare_s + s.train_s) FROM line "
        "JOIN runs r ON r.id = line.parent JOIN stages s ON s.run = r.run "
        "GROUP BY line.run, r.run, r.model, r.environment, r.device ORDER BY line.run, r.run"
    ):
        found[int(run)].append((model, environment, device, float(seconds)))
    return found


def quoted(texts: Iterable[str]) -> str:
    """Strings as a list of SQL literals; NULL for none, because PostgreSQL has no empty lists."""
    return ", ".join("'" + text.replace("'", "''") + "'" for text in texts) or "NULL"
