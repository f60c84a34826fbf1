"""A run from Python: plan it, train it, and print its scores beside their floors.

    python examples/first_run.py [MODEL] [DATASET]

The store is runs.db in this folder, as with ``genbench run``, so that ``genbench show @1``,
``compare`` and ``report`` see the run too.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from genbench.events import Checkpointed, Event
from genbench.planning.resolve import Request, resolve
from genbench.registry import Registry
from genbench.runner import data_access, run
from genbench.store import Store


def show(event: Event) -> None:
    """An epoch is safe, and may be reported, once its checkpoint is written."""
    if isinstance(event, Checkpointed) and event.epoch_done is not None:
        done = event.epoch_done
        print(f"epoch {done.epoch:3d}  {done.stage}  {done.train_s:.2f} s", file=sys.stderr)


def main(model: str = "vae", dataset: str = "digits", epochs: int = 20) -> None:
    registry = Registry.from_environment()
    access = data_access(environ=os.environ)
    request = Request(model=model, dataset=dataset, run={"epochs": epochs})
    plan = resolve(request, registry, access, os.environ, Path.cwd())

    with Store.open("runs.db", mode="create") as store:
        finished = run(plan.spec, registry=registry, store=store, access=access, listeners=[show])
        print(f"run {finished.id}: {finished.train_s:.1f} s of training")
        for score in store.scores(finished.id):
            print(f"{score.metric:16} {score.value:10.4g}  floor {score.floor or float('nan'):.4g}")
        print(store.folder(finished.id) / "samples.png")


if __name__ == "__main__":
    main(*sys.argv[1:3])
