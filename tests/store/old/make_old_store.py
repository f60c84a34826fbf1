"""Make the database file that later versions must be able to migrate, from the code of today.

Run it once, with the last release of a schema, before the schema changes:

    python tests/store/old/make_old_store.py tests/store/old/v1.db
"""

from __future__ import annotations

import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path

from genbench.contracts import Score
from genbench.events import EpochDone, Evaluated, StageStarted, StepsDone, Warned
from genbench.spec import Part, RunSpec
from genbench.store import PartVersion, Recorder, Store


def record(store: Store, seed: int, *, finished: bool) -> None:
    spec = RunSpec(
        model="vae",
        dataset="digits",
        model_settings={"lr": 1e-3, "widths": [64, 32]},
        epochs=2,
        batch_size=100,
        seed=seed,
        metrics=(Part(name="fd_clf"),),
    )
    run = store.create_run(
        spec,
        name=f"old-{seed}",
        tags=("old",),
        stages=[("train", 2)],
        environment={"host": "a machine", "torch": "2.9", "git_commit": "0123abc"},
        plugins=[PartVersion(kind="model", name="vae", distribution="genbench", version="1.0")],
    )
    with Recorder(store, run.id) as recorder:
        recorder(StageStarted(stage="train", index=0, epochs=2, steps_per_epoch=2, first_epoch=1))
        for epoch in (1, 2):
            points = [(2 * epoch - 1, 2.0 / epoch), (2 * epoch, 1.0 / epoch)]
            series = {"vae/loss": points}
            recorder(StepsDone(stage="train", epoch=epoch, step=2 * epoch, series=series))
            recorder(
                EpochDone(
                    stage="train",
                    stage_epoch=epoch,
                    epoch=epoch,
                    step=2 * epoch,
                    images=200,
                    train_s=1.0,
                    eval_s=0.1,
                    wall_s=1.2,
                    peak_mem=1 << 20,
                    losses={"vae/loss": 1.0 / epoch, "test/elbo": -100.0},
                    cpu_s=0.9,
                    load=0.5,
                )
            )
        recorder(Warned(epoch=2, kind="generator_collapsed", message="the generator has collapsed"))
        score = Score(metric="fd_clf", value=20.0 + seed, n=300, protocol={"n": 300}, floor=0.5)
        recorder(
            Evaluated(
                epoch=2,
                stage="train",
                sampler="plain",
                sampler_settings={},
                scores=[score],
                seconds={"sampling": 0.1, "fd_clf": 0.2},
                seed=seed,
            )
        )
    if finished:
        store.finish(run.id)
    else:
        store.fail(run.id, "out of memory", kind="GenbenchError")


def main(target: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.db"
        with Store.open(path, mode="create") as store:
            record(store, 0, finished=True)
            record(store, 1, finished=False)
        # Small pages: the file is kept in the repository.
        connection = sqlite3.connect(path, isolation_level=None)
        for statement in ("journal_mode = DELETE", "page_size = 1024"):
            connection.execute(f"PRAGMA {statement}")
        connection.execute("VACUUM")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.close()
        shutil.copy(path, target)


if __name__ == "__main__":
    main(sys.argv[1])
