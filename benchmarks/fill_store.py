"""Fill a new store with many finished runs, for measuring the reading commands.

    python benchmarks/fill_store.py /tmp/many.db --runs 10000
    time genbench compare --store /tmp/many.db

The rows are those of real runs (5 models on 2 data sets, seeds of each experiment, two stages for
some, 10 epochs, three scores); only their number is unusual. At the end it times the statements.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select

from genbench.contracts import Score
from genbench.events import EpochDone, Evaluated, StageStarted
from genbench.spec import Part, RunSpec
from genbench.store import Store, journal, lifecycle, schema, scoring
from genbench.store.values import flat_params, param_columns

MODELS = {"gan": 1, "dcgan": 1, "vae": 1, "aae": 1, "vaegan": 2}
DATASETS = ("digits", "mnist")
EPOCHS = 10
LOSSES = ("generator/loss", "discriminator/loss", "test/reconstruction")


def specs(count: int, seeds: int) -> Iterator[RunSpec]:
    """Experiments of all models and data sets, each with its seeds."""
    made = 0
    for number in range(count):
        for model in MODELS:
            for dataset in DATASETS:
                settings = {"lr": 1e-4 * (number + 1), "z_dim": 64, "width": 128, "depth": 3}
                for seed in range(seeds):
                    if made == count:
                        return
                    made += 1
                    yield RunSpec(
                        model=model,
                        dataset=dataset,
                        model_settings=settings,
                        epochs=EPOCHS,
                        batch_size=100,
                        seed=seed,
                        metrics=(Part(name="fd_clf"), Part(name="fd_pixel")),
                    )


def one_run(store: Store, spec: RunSpec) -> int:
    """A run recorded event by event: the pattern that the others copy."""
    stages = [(f"stage{i}", EPOCHS // MODELS[spec.model]) for i in range(MODELS[spec.model])]
    environment = {"host": "bench", "cpu": "a CPU", "packages": {"torch": "2.15"}}
    with store.transaction() as connection:
        run_id = lifecycle.create(
            connection,
            spec,
            name=None,
            tags=["bench"],
            planned=stages,
            environment=environment,
            parameters=1_000_000,
        )
        run = lifecycle.locked_number(connection, run_id)
        for index, (stage, epochs) in enumerate(stages):
            first = index * epochs + 1
            started = StageStarted(
                stage=stage, index=index, epochs=epochs, steps_per_epoch=600, first_epoch=first
            )
            journal.start_stage(connection, run, started)
            for epoch in range(first, first + epochs):
                journal.add_epoch(connection, run, an_epoch(stage, epoch - first + 1, epoch))
        for sampler in ("", "plain"):
            scoring.add_evaluation(connection, run, an_evaluation(sampler, stages[-1][0]))
    store.finish(run_id)
    return run


def an_epoch(stage: str, stage_epoch: int, epoch: int) -> EpochDone:
    """One epoch with plausible figures."""
    return EpochDone(
        stage=stage,
        stage_epoch=stage_epoch,
        epoch=epoch,
        step=600 * epoch,
        images=60_000,
        train_s=random.uniform(8, 9),
        eval_s=0.3,
        wall_s=9.5,
        peak_mem=1 << 30,
        losses={name: random.uniform(0.5, 1.5) for name in LOSSES},
    )


def an_evaluation(sampler: str, stage: str) -> Evaluated:
    """Scores of the model itself or of its samples."""
    metrics = ("fd_clf", "fd_pixel") if sampler else ("reconstruction",)
    scores = [
        Score(
            metric=metric,
            value=random.uniform(5, 50),
            n=10_000,
            floor=0.7,
            protocol={"metric": metric, "n": 10_000, "weights": "3fa1"},
        )
        for metric in metrics
    ]
    return Evaluated(
        epoch=EPOCHS,
        stage=stage,
        sampler=sampler,
        sampler_settings={},
        scores=scores,
        seconds={"sampling": 1.0},
    )


def copy_runs(store: Store, patterns: dict[tuple[str, str], int], todo: list[RunSpec]) -> None:
    """Copy the pattern of its model and data set for every spec, with other values."""
    tables = [t for t in schema.metadata.sorted_tables if "run" in t.c and t is not schema.runs]
    with store.transaction() as connection:
        read: dict[tuple[int, str], list[dict[str, Any]]] = {}
        for run in patterns.values():
            for table in (schema.runs, *tables):
                rows = connection.execute(table.select().where(table.c.run == run))
                read[run, table.name] = [dict(row._mapping) for row in rows]
        new: dict[str, list[dict[str, Any]]] = {
            table.name: [] for table in (schema.experiments, schema.runs, *tables)
        }
        number = connection.execute(select(func.max(schema.runs.c.run))).scalar_one()
        draw = connection.execute(select(func.max(schema.draws.c.draw))).scalar_one()
        experiments: set[str] = set()
        for spec in todo:
            number += 1
            pattern = patterns[spec.model, spec.dataset]
            (head,) = read[pattern, "runs"]
            if spec.experiment not in experiments:
                experiments.add(spec.experiment)
                new["experiments"].append(
                    {
                        "experiment": spec.experiment,
                        "model": spec.model,
                        "dataset": spec.dataset,
                        "created_at": head["created_at"],
                    }
                )
            digests = {"experiment": spec.experiment, "digest": spec.digest}
            own = {"run": number, "id": f"{number:010x}", "seed": spec.seed, **digests}
            new["runs"].append({**head, **own, "spec": spec.to_json()})
            draws = {row["draw"]: draw + i + 1 for i, row in enumerate(read[pattern, "draws"])}
            draw += len(draws)
            for key, value in flat_params(json.loads(spec.to_json())).items():
                num, text = param_columns(value)
                new["run_params"].append({"run": number, "key": key, "num": num, "text": text})
            for table in tables:
                for row in read[pattern, table.name] if table is not schema.run_params else ():
                    row = {**row, "run": number}
                    for name in ("eval", "artifact"):
                        row.pop(name, None)
                    if "draw" in row:
                        row["draw"] = draws[row["draw"]]
                    if "value" in row and row["value"] is not None:
                        row["value"] *= random.uniform(0.8, 1.2)
                    new[table.name].append(row)
        known = {row[0] for row in connection.execute(schema.experiments.select())}
        new["experiments"] = [r for r in new["experiments"] if r["experiment"] not in known]
        for table in (schema.experiments, schema.runs, *tables):
            if new[table.name]:
                connection.execute(insert(table), new[table.name])


def fill(path: str | Path, *, runs: int, seeds: int = 10) -> None:
    """Make a store at ``path`` with so many finished runs."""
    random.seed(0)
    with Store.open(path, mode="create") as store:
        patterns = {}
        for model in MODELS:
            for dataset in DATASETS:
                spec = RunSpec(model=model, dataset=dataset, epochs=EPOCHS, batch_size=100)
                patterns[model, dataset] = one_run(store, replace(spec, seed=1_000))
        todo = list(specs(max(0, runs - len(patterns)), seeds))
        for start in range(0, len(todo), 2_000):
            copy_runs(store, patterns, todo[start : start + 2_000])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=10)
    given = parser.parse_args()
    begun = time.perf_counter()
    fill(given.path, runs=given.runs, seeds=given.seeds)
    print(f"filled in {time.perf_counter() - begun:.1f} s, {given.path.stat().st_size >> 20} MiB")


if __name__ == "__main__":
    main()
