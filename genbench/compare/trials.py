"""Runs out of the store as trials: a few statements for all of them, whatever their number."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from genbench.compare.experiments import Scored, StageCost, Trial
from genbench.compare.lineage import Source, sources
from genbench.store import Store


def read_trials(store: Store, runs: Sequence[int]) -> Iterator[Trial]:
    """Runs, by their numbers in the store, with their costs and final scores."""
    keys = ",".join(str(int(run)) for run in runs)
    stages, scores = _stages(store, keys), _scores(store, keys)
    machines, parents = _machines(store), _parents_s(store, keys)
    made_of = sources(store)
    specs: dict[str, Mapping[str, Any]] = {}
    for row in store.rows(
        "SELECT run, id, name, seed, created_at, experiment, model, dataset, preset, environment, "
        f"device, spec FROM runs WHERE run IN ({keys}) ORDER BY run"
    ):
        run, identity, name, seed, created_at, experiment, model, dataset, preset = row[:9]
        environment, device, spec = row[9:]
        if experiment not in specs:
            specs[experiment] = json.loads(spec)
        settings = specs[experiment].get("dataset_settings", {})
        own = Source(dataset=dataset, settings=settings, lenders=())
        source = made_of.get(run, own)
        yield Trial(
            run=identity,
            name=name,
            seed=seed,
            created_at=created_at,
            experiment=experiment,
            model=model,
            dataset=source.dataset,
            data_settings=source.settings,
            lenders=source.lenders,
            preset=preset,
            spec=specs[experiment],
            machine=machines.get((environment, device.partition(":")[0] == "cuda"), ""),
            stages=tuple(stages.get(run, ())),
            scores=tuple(scores.get(run, ())),
            parents_s=parents.get(run, 0.0),
        )


def reached(store: Store, trials: Iterable[Trial], target: float) -> dict[str, float | None]:
    """ "run metric sampler" -> training seconds at the first score at the target or better."""
    ids = quoted(trial.run for trial in trials)
    found: dict[str, float | None] = {}
    for run, metric, direction, sampler, settings, seconds, value in store.rows(
        "SELECT id, metric, direction, sampler, sampler_settings, train_s_so_far, value "
        f"FROM v_score_history WHERE id IN ({ids}) ORDER BY epoch, created_at"
    ):
        key = f"{run} {metric} {sampler_label(sampler, settings)}"
        good = value is not None and (value <= target if direction == "min" else value >= target)
        if found.setdefault(key, None) is None and good:
            found[key] = float(seconds)
    return found


@lru_cache
def sampler_label(name: str, settings: str) -> str:
    """'plain', or 'drs (gamma=80)'; '' for a score of the model itself."""
    given = json.loads(settings) if settings else {}
    text = ", ".join(f"{key}={value}" for key, value in given.items())
    return f"{name} ({text})" if text else name


def _stages(store: Store, keys: str) -> dict[int, list[StageCost]]:
    found: dict[int, list[StageCost]] = defaultdict(list)
    images = {
        (run, stage): count
        for run, stage, count in store.rows(
            f"SELECT run, stage, images FROM epochs WHERE run IN ({keys}) AND stage_epoch = 1"
        )
    }
    for run, stage, done, prepare_s, train_s, first_s in store.rows(
        "SELECT run, stage, epochs_done, prepare_s, train_s, first_epoch_s FROM stages "
        f"WHERE run IN ({keys}) ORDER BY run, position"
    ):
        # The first epoch warms up (kernels, caches, compiling): it is left out where there are
        # others.
        epoch_s = (train_s - first_s) / (done - 1) if done > 1 else train_s
        found[run].append(
            StageCost(
                name=stage,
                epochs=done,
                prepare_s=prepare_s,
                train_s=train_s,
                epoch_s=epoch_s,
                images=images.get((run, stage), 0),
            )
        )
    return found


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


def _machines(store: Store) -> dict[tuple[int, bool], str]:
    """(environment, on CUDA) -> the hardware that decides the seconds there."""
    machines = {}
    for environment, body in store.rows("SELECT environment, body FROM environments"):
        known = json.loads(body)
        cpu = known.get("cpu") or ""
        threads = known.get("threads")
        machines[environment, False] = f"{cpu}, {threads} threads" if cpu and threads else cpu
        machines[environment, True] = known.get("gpu") or ""
    return machines


def _parents_s(store: Store, keys: str) -> dict[int, float]:
    """Run -> seconds that went into the runs it builds upon, each counted once."""
    found = store.rows(
        "WITH RECURSIVE line(run, parent) AS ("
        f"SELECT run, parent FROM run_parents WHERE run IN ({keys}) UNION "
        "SELECT line.run, p.parent FROM line JOIN runs r ON r.id = line.parent "
        "JOIN run_parents p ON p.run = r.run) "
        "SELECT line.run, sum(s.prepare_s + s.train_s) FROM line "
        "JOIN runs r ON r.id = line.parent JOIN stages s ON s.run = r.run GROUP BY line.run"
    )
    return {int(run): float(seconds) for run, seconds in found}


def quoted(texts: Iterable[str]) -> str:
    """Texts as a list of SQL literals."""
    return ", ".join("'" + text.replace("'", "''") + "'" for text in texts)
