"""What the store's tests share: specs and events as the engine makes them, a store, a full run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from stores import STORES, opened_store

from genbench.contracts import Score
from genbench.events import ArtifactMade, EpochDone, Evaluated, StageStarted, StepsDone, Warned
from genbench.spec import Part, RunSpec
from genbench.store import PartVersion, Recorder, Run, Store

STAGES = (("autoencoder", 1), ("adversary", 2))
ENVIRONMENT = {
    "host": "bench",
    "cpu": "a CPU",
    "torch": "2.15",
    "git_commit": "0123abc",
    "git_dirty": True,
}
PLUGINS = (
    PartVersion(kind="dataset", name="digits", distribution="genbench", version="1.0"),
    PartVersion(kind="model", name="vaegan", distribution="genbench-vaegan", version="0.1"),
)


def _spec(**changes: Any) -> RunSpec:
    values: dict[str, Any] = {
        "model": "vaegan",
        "dataset": "digits",
        "model_settings": {"lr": 1e-3, "widths": [64, 32], "loss": {"beta": 0.5}, "conv": False},
        "epochs": 2,
        "batch_size": 100,
        "samplers": (Part(name="plain"),),
        "metrics": (Part(name="fd_clf", settings={"layer": "fc"}),),
    }
    return RunSpec(**{**values, **changes})


def _epoch(epoch: int, **changes: Any) -> EpochDone:
    values: dict[str, Any] = {
        "stage": STAGES[0][0] if epoch == 1 else STAGES[1][0],
        "stage_epoch": max(1, epoch - 1),
        "epoch": epoch,
        "step": 10 * epoch,
        "images": 1000,
        "train_s": float(epoch),
        "eval_s": 0.25,
        "wall_s": epoch + 0.5,
        "peak_mem": 1 << 30,
        "losses": {"generator/loss": 1.0 / epoch, "test/loss": -100.0 + epoch},
    }
    return EpochDone(**{**values, **changes})


def _steps(epoch: int, **changes: Any) -> StepsDone:
    points = [(10 * epoch - 5, 2.0 / epoch), (10 * epoch, 1.0 / epoch)]
    values: dict[str, Any] = {"series": {"generator/loss": points}, "step": 10 * epoch}
    stage = _epoch(epoch).stage
    return StepsDone(**{"stage": stage, "epoch": epoch, **values, **changes})


def _evaluation(epoch: int, value: float, **changes: Any) -> Evaluated:
    metric = changes.pop("metric", "fd_clf")
    protocol = changes.pop("protocol", {"extractor": "lenet", "n": 300})
    score = Score(metric=metric, value=value, n=300, floor=0.5, protocol=protocol)
    values: dict[str, Any] = {
        "epoch": epoch,
        "stage": "adversary",
        "sampler": "plain",
        "sampler_settings": {},
        "scores": (score,),
        "seconds": {"sampling": 1.5, metric: 0.5},
        "diagnostics": {"acceptance": 1.0},
        "skipped": {"fid": "no weights"},
    }
    return Evaluated(**{**values, **changes})


def _fill(store: Store, run: Run) -> None:
    """Record a whole run of two stages and finish it."""
    with Recorder(store, run.id) as recorder:
        for index, (stage, epochs) in enumerate(STAGES):
            recorder(
                StageStarted(
                    stage=stage,
                    index=index,
                    epochs=epochs,
                    steps_per_epoch=10,
                    first_epoch=1 + index,
                    prepare_s=0.5 * index,
                )
            )
            for epoch in range(1 + index, 1 + index + epochs):
                recorder(_steps(epoch))
                recorder(_epoch(epoch))
                recorder(_steps(epoch, series={"watch/classes": [(10 * epoch, 3.0)]}))
                recorder(Warned(epoch=epoch, kind="generator_collapsed", message="collapsed"))
                recorder(_evaluation(epoch, 30.0 / epoch + run.seed))
        picture = store.folder(run.id) / "samples" / "epoch-3.png"
        picture.parent.mkdir()
        picture.write_bytes(b"a picture")
        recorder(ArtifactMade(kind="samples", path=picture, epoch=3))
    store.finish(run.id)


Create = Callable[..., Run]


def _create(store: Store, spec: RunSpec | None = None, **options: Any) -> Run:
    options = {"stages": STAGES, "environment": ENVIRONMENT, "plugins": PLUGINS, **options}
    return store.create_run(spec or _spec(), **options)


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """The makers: make.spec(...), make.epoch(1), make.steps(1), make.evaluation(1, 30.0)."""
    return SimpleNamespace(
        create=_create,
        spec=_spec,
        epoch=_epoch,
        steps=_steps,
        evaluation=_evaluation,
        fill=_fill,
        stages=STAGES,
        environment=ENVIRONMENT,
        plugins=PLUGINS,
    )


@pytest.fixture
def create(store: Store) -> Create:
    return partial(_create, store)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test of a store runs on both kinds, unless its file names other ``KINDS``."""
    if "store" in metafunc.fixturenames:
        kinds = getattr(metafunc.module, "KINDS", STORES)
        metafunc.parametrize("store", kinds, indirect=True)


@pytest.fixture
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    """An empty store of a kind, with the folders of its runs in the test's folder."""
    monkeypatch.chdir(tmp_path)
    with opened_store(request.param, tmp_path) as opened:
        yield opened
