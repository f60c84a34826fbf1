"""A store with a tiny DCGAN and a tiny VAE, and what compresses them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from genbench.contracts import DataAccess
from genbench.evaluation.loaded_run import LoadedRun
from genbench.planning.compressing import compression_of
from genbench.planning.resolve import Request, resolve
from genbench.registry import Registry
from genbench.runner import data_access, load_run, run
from genbench.spec import RunSpec
from genbench.store import Store
from genbench.store.records import Run

FAST = ("run.epoch_images=128", "run.batch_size=32", "run.watch=false", "run.samples=100")
"""An epoch of 4 steps, and few samples."""


@dataclass(frozen=True)
class Bench:
    """Trains runs and compresses them, by the same code as the command line."""

    store: Store
    registry: Registry
    access: DataAccess
    folder: Path

    def train(self, model: str, *sets: str, metrics: Sequence[str] = ("fd_pixel",)) -> Run:
        request = Request(
            model=model,
            dataset="digits",
            run={"epochs": 1, "metrics": list(metrics)},
            sets=[*FAST, *sets],
        )
        spec = resolve(request, self.registry, self.access, {}, self.folder).spec
        return self.run(spec)

    def planned(self, parent: Run, method: str, *sets: str, **fields: Any) -> RunSpec:
        spec = RunSpec.from_json(parent.spec)
        fields = {"metrics": ("fd_pixel",), **fields}
        return compression_of(
            spec, parent.id, method, self.registry, self.access, sets=sets, **fields
        )

    def compress(self, parent: Run, method: str, *sets: str, **fields: Any) -> Run:
        return self.run(self.planned(parent, method, *sets, **fields))

    def run(self, spec: RunSpec, **more: Any) -> Run:
        return run(spec, registry=self.registry, store=self.store, access=self.access, **more)

    def load(self, made: Run) -> LoadedRun:
        return load_run(
            made.id, registry=self.registry, store=self.store, access=self.access, device="cpu"
        )


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("compress")
    access = data_access(folder / "data", {"GENBENCH_CACHE": str(folder / "cache")}, offline=True)
    with Store.open(f"sqlite:///{folder / 'runs.db'}", mode="create") as store:
        yield Bench(store, Registry.from_environment(), access, folder)


@pytest.fixture(scope="module")
def dcgan(bench: Bench) -> Run:
    return bench.train("dcgan", "data.size=28", "g_channels=8", "d_channels=4", "z_dim=16")


@pytest.fixture(scope="module")
def vae(bench: Bench) -> Run:
    return bench.train("vae", "hidden=[32]", "z_dim=4")
