"""The device of the CUDA proof, and a store with small runs that were trained on it.

``GENBENCH_TEST_DEVICE=cpu`` runs the same tests on the CPU: they then prove nothing about CUDA, but
that the tests themselves work.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from genbench.contracts import DataAccess
from genbench.engine import resolve_device
from genbench.errors import InterruptedRunError
from genbench.events import EpochDone, Evaluated
from genbench.planning.resolve import Request, resolve
from genbench.registry import Registry
from genbench.runner import data_access, evaluate_run, resume, run, with_runs
from genbench.spec import Part, RunSpec
from genbench.store import Store
from genbench.store.records import Run

DEVICE = os.environ.get("GENBENCH_TEST_DEVICE", "cuda")
QUICK = {"epochs": 2, "batch_size": 8, "epoch_images": 32, "samples": 40, "watch": False}
SMALL = ("components=3", "fit_samples=200", "vae_epochs=1", "prior_epochs=1")
"""Settings that make short runs of the models that have them."""


@pytest.fixture(scope="session")
def device() -> torch.device:
    """The CUDA device, or a skip."""
    if DEVICE != "cpu" and not torch.cuda.is_available():
        pytest.skip("no CUDA device; GENBENCH_TEST_DEVICE=cpu runs these tests on the CPU")
    return resolve_device(DEVICE)


@pytest.fixture
def on_cuda(device: torch.device) -> torch.device:
    """The CUDA device, for what has no counterpart on the CPU."""
    if device.type != "cuda":
        pytest.skip("this needs a CUDA device itself")
    return device


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A store, and what plans, trains and scores its runs on the device."""

    store: Store
    registry: Registry
    access: DataAccess
    device: str

    def plan(self, model: str, dataset: str, *sets: str, **fields: Any) -> RunSpec:
        kind = self.registry.settings("model", model)
        known = kind.model_fields if kind else {}
        small = tuple(s for s in SMALL if s.partition("=")[0] in known)
        chosen = {**QUICK, "device": self.device, "metrics": ("fd_pixel",), **fields}
        request = Request(model=model, dataset=dataset, sets=(*small, *sets), run=chosen)
        return resolve(request, self.registry, self.access, {}, Path("/nowhere")).spec

    def train(self, spec: RunSpec, **hooks: Any) -> Run:
        return run(spec, registry=self.registry, store=self.store, access=self.access, **hooks)

    def interrupted(self, spec: RunSpec, *, after: int = 1) -> str:
        """Train for some epochs and stop; the id of the run."""
        begun: list[Run] = []
        done: list[EpochDone] = []

        def listen(event: Any) -> None:
            if isinstance(event, EpochDone):
                done.append(event)

        with pytest.raises(InterruptedRunError):
            self.train(
                spec,
                started=begun.append,
                listeners=(listen,),
                should_stop=lambda: len(done) >= after,
            )
        return begun[0].id

    def resume(self, run_id: str, device: str | None = None) -> Run:
        return resume(
            run_id, registry=self.registry, store=self.store, access=self.access, device=device
        )

    def evaluate(self, run_id: str, **options: Any) -> list[Evaluated]:
        options = {"device": self.device, **options}
        return evaluate_run(
            run_id, registry=self.registry, store=self.store, access=self.access, **options
        )

    def part(self, kind: Any, name: str, **settings: Any) -> Part:
        """A part with those of the settings that it has."""
        cls = self.registry.settings(kind, name)
        known = {k: v for k, v in settings.items() if cls and k in cls.model_fields}
        return Part(name=name, settings=cls(**known).model_dump(mode="json") if cls else {})


@pytest.fixture(scope="session")
def bench(device: torch.device, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One store for all tests."""
    folder = tmp_path_factory.mktemp("cuda")
    registry, store = Registry.from_environment(), Store.open(folder / "runs.db", mode="create")
    access = data_access(folder / "data", {"GENBENCH_CACHE": str(folder / "cache")}, offline=True)
    yield Bench(
        store=store,
        registry=registry,
        access=with_runs(access, registry, store),
        device=str(device),
    )
    store.close()


@pytest.fixture(scope="session")
def trained(bench: Bench) -> Any:
    """A finished run of a model on digits of 8 px; the same one for the same arguments."""
    kept: dict[tuple[str, ...], str] = {}

    def find(model: str, *sets: str, dataset: str = "digits") -> str:
        key = (model, dataset, *sets)
        if key not in kept:
            size = ("data.size=8",) if dataset == "digits" else ()
            kept[key] = bench.train(bench.plan(model, dataset, *size, *sets)).id
        return kept[key]

    return find


@pytest.fixture(scope="session")
def datasets(trained: Any) -> Any:
    """The name of a data set of each kind; codes are those of a run."""

    def find(kind: str) -> str:
        if kind == "codes":
            return f"latents:{trained('vae', 'z_dim=4', 'hidden=[32]')}"
        if kind == "grids of codes":
            sets = ("network=conv", "code=spatial", "channels=[8]", "conv_hidden=8", "z_dim=2")
            return f"latents:{trained('vae', *sets)}"
        return {"images": "digits", "points": "gaussians-8"}[kind]

    return find
