"""The number of CPU threads of a new run: as given, as in an earlier run, or by a trial."""

from __future__ import annotations

from dataclasses import replace

import torch

from genbench.engine import fastest_threads, threads_are_chosen
from genbench.evaluation.job import Job
from genbench.runner.environment import environment
from genbench.spec import RunSpec, device_names
from genbench.store import Store
from genbench.store.records import Run

TRIED = "threads_tried"
"""A key of a run's environment: its number of threads was found by a trial."""
RUNS = 20
"""The number of earlier runs that are looked at."""


def with_threads(job: Job, store: Store) -> tuple[Job, bool]:
    """The job with a number of threads in its spec, and whether it was found by a trial.

    Runs of one experiment on one machine get the number that its first trial found, so that their
    seconds can be compared and a repeated run ends with the same bits. On a GPU nothing is chosen.
    A run on several devices shares PyTorch's own number among its processes.
    """
    spec, tried = job.spec, False
    if job.device.type != "cpu" or spec.threads is not None:
        return job, False
    threads: int | None = torch.get_num_threads()
    if not threads_are_chosen() and len(device_names(spec.device)) == 1:
        tried = True
        threads = _earlier(spec, store, environment(job.device))
        threads = threads or fastest_threads(job.model, job.data, spec)
    return replace(job, spec=replace(spec, threads=threads)), tried


def was_tried(store: Store, run: Run) -> dict[str, bool]:
    """What to keep of the environment of a run that is resumed."""
    return {TRIED: True} if store.environment(run.id).get(TRIED) else {}


def _earlier(spec: RunSpec, store: Store, here: dict[str, object]) -> int | None:
    """The number that a trial on this machine found for an earlier run of the experiment."""
    for run in store.runs(experiment=spec.experiment, limit=RUNS):
        known = store.environment(run.id)
        if known.get(TRIED) and all(known[key] == here[key] for key in ("host", "cpu", "cpus")):
            threads: int = known["threads"]
            return threads
    return None
