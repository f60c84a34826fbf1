"""A store with finished autoencoders of tiny digits, and models trained on their latents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from genbench.contracts import Data, DataAccess, FinishedRuns
from genbench.planning.resolve import Request, Resolved, resolve
from genbench.registry import Registry
from genbench.runner import data_access, load_run, run, with_runs
from genbench.runner.loading import LoadedRun
from genbench.spec import RunSpec
from genbench.store import Store
from genbench.store.records import Run

TINY = ("data.size=8",)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A store and all that plans, trains and reads its runs."""

    store: Store
    registry: Registry
    access: DataAccess

    @property
    def runs(self) -> FinishedRuns:
        assert self.access.runs is not None
        return self.access.runs

    def plan(self, model: str, dataset: str, *sets: str, **fields: Any) -> Resolved:
        fields = {"epochs": 2, "device": "cpu", "metrics": ("fd_pixel",), **fields}
        request = Request(model=model, dataset=dataset, sets=sets, run=fields)
        return resolve(request, self.registry, self.access, {}, Path("/nowhere"))

    def train(self, model: str, dataset: str, *sets: str, **fields: Any) -> Run:
        return self.carry_out(self.plan(model, dataset, *sets, **fields).spec)

    def carry_out(self, spec: RunSpec, **hooks: Any) -> Run:
        return run(spec, registry=self.registry, store=self.store, access=self.access, **hooks)

    def load(self, run_id: str) -> LoadedRun:
        return load_run(
            run_id, registry=self.registry, store=self.store, access=self.access, device="cpu"
        )

    def data(self, settings: Any) -> Data:
        """A data set by its settings, such as those of ``latents``."""
        loaded: Data = self.registry.target("dataset", "latents")(settings).load(self.access)
        return loaded


def make_bench(folder: Path) -> Bench:
    """An empty store in a folder."""
    folder.mkdir(exist_ok=True)
    registry, store = Registry.from_environment(), Store.open(folder / "runs.db", mode="create")
    access = data_access(folder / "data", {"GENBENCH_CACHE": str(folder / "cache")}, offline=True)
    return Bench(store=store, registry=registry, access=with_runs(access, registry, store))


@pytest.fixture(scope="session")
def bench(tmp_path_factory) -> Bench:
    """One store for all tests that only add to it."""
    return make_bench(tmp_path_factory.mktemp("grafts"))


@pytest.fixture(scope="session")
def parent(bench) -> Run:
    """A vae with codes (4,), trained on digits of 8 px."""
    return bench.train("vae", "digits", *TINY, "z_dim=4", "hidden=[32]", epochs=4)


@pytest.fixture(scope="session")
def spatial(bench) -> Run:
    """A convolutional vae with codes (2, 4, 4)."""
    sets = ("network=conv", "code=spatial", "channels=[8]", "conv_hidden=8", "z_dim=2")
    return bench.train("vae", "digits", *TINY, *sets)
