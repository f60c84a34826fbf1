"""Measure how fast a spec trains on this machine, and store it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch

from genbench.contracts import DataAccess
from genbench.engine import StageBench, Way, bench_stages, matrix_rate, using_threads
from genbench.engine.device import load_average
from genbench.errors import UsageError
from genbench.evaluation.job import Job
from genbench.registry import Registry
from genbench.runner.build_parts import build_model
from genbench.runner.environment import environment
from genbench.runner.train_run import assemble
from genbench.spec import RunSpec, device_names
from genbench.store import Store
from genbench.store.benches import add_bench

WAYS = ("threads", "precision", "capture", "compile")
"""What a bench can compare with the run's own settings."""


def bench(
    spec: RunSpec,
    *,
    registry: Registry,
    store: Store,
    access: DataAccess,
    compared: Sequence[str] = WAYS,
    seconds: float = 1.0,
    measured: Callable[[StageBench], None] = lambda stage: None,
) -> dict[str, Any]:
    """Measure all stages of a spec, ``seconds`` for each way of executing them, and store that.

    ``compared`` are names of `WAYS`; ``measured`` gets each stage when it is done. The result is
    what ``bench --json`` prints. Nothing is trained to an end, and no run is stored.
    """
    if len(device_names(spec.device)) > 1:
        raise UsageError(f"--device {spec.device}: the steps of one device are measured; name one")
    job = assemble(replace(spec, samplers=(), metrics=()), registry, store, access, lambda: False)
    with using_threads(job.spec.threads):
        ways = [way for name in compared for way in _WAYS[name](job)]
        stages = []
        load = load_average()
        rate = matrix_rate(job.device, job.spec.precision)
        for stage in bench_stages(
            lambda: build_model(job.spec, job.data.spec, registry),
            job.data,
            job.spec,
            job.device,
            rate=rate,
            ways=ways,
            seconds=seconds,
        ):
            measured(stage)
            stages.append(stage.as_dict())
        place = environment(job.device)
        body = {
            "model": spec.model,
            "dataset": spec.dataset,
            "device": job.spec.device,
            "cpu": place["cpu"],
            "gpu": place["gpu"],
            "threads": place["threads"],
            "precision": job.spec.precision,
            "load": load,
            "matrix_gflops_per_s": rate / 1e9,
            "stages": stages,
        }
    return {"bench": add_bench(store, job.spec, body, place), **body}


def _threads(job: Job) -> list[Way]:
    """All, half and so on, to one; on a GPU the CPU's threads decide nothing."""
    most = torch.get_num_threads() if job.device.type == "cpu" else 1
    counts = [most >> k for k in range(1, most.bit_length())]
    return [Way(name=f"{n} thread" + "s" * (n > 1), spec=job.spec, threads=n) for n in counts]


def _precision(job: Job) -> list[Way]:
    other: Literal["fp32", "bf16"] = "fp32" if job.spec.precision == "bf16" else "bf16"
    return [Way(name=other, spec=replace(job.spec, precision=other))]


def _capture(job: Job) -> list[Way]:
    """Only CUDA has graphs."""
    if job.device.type != "cuda":
        return []
    name = "without capture" if job.spec.capture else "captured"
    return [Way(name=name, spec=replace(job.spec, capture=not job.spec.capture))]


def _compile(job: Job) -> list[Way]:
    name = "without compiling" if job.spec.compile else "compiled"
    return [Way(name=name, spec=replace(job.spec, compile=not job.spec.compile))]


_WAYS: dict[str, Callable[[Job], list[Way]]] = {
    "threads": _threads,
    "precision": _precision,
    "capture": _capture,
    "compile": _compile,
}
