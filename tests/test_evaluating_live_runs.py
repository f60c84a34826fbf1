"""Scores that are added to a run while it trains, or after it was stopped, are those of the weights
that they name; the run's own are the run's own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from genbench.contracts import DataAccess
from genbench.errors import InterruptedRunError
from genbench.events import EpochDone, Event
from genbench.registry import Registry
from genbench.runner import data_access, evaluate_run, resume, run
from genbench.spec import Part, RunSpec
from genbench.store import ScoreRecord, Store
from genbench.store.records import Run

SPEC = RunSpec(
    model="vae",
    dataset="digits",
    model_settings={"hidden": [8], "z_dim": 2},
    dataset_settings={"size": 8},
    epochs=4,
    batch_size=300,
    samples=40,
    evaluate_every=1,
    metrics=(Part(name="fd_pixel"),),
    watch=False,
)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.from_environment(strict=True)


@pytest.fixture
def access(tmp_path: Path) -> DataAccess:
    return data_access(tmp_path, {"GENBENCH_CACHE": str(tmp_path / "cache")}, offline=True)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "runs.db", mode="create") as opened:
        yield opened


@pytest.fixture
def rest(registry: Registry, store: Store, access: DataAccess) -> dict[str, Any]:
    return {"registry": registry, "store": store, "access": access}


def by_origin(store: Store, run_id: str, origin: str) -> list[ScoreRecord]:
    return [score for score in store.scores(run_id) if score.origin == origin]


def steps_after_start(made: list[Run], steps: int) -> Callable[[], bool]:
    left = itertools.count(steps, -1)
    return lambda: bool(made) and next(left) <= 0


def test_a_score_that_is_added_while_a_run_trains_names_the_epoch_of_its_weights(
    rest: dict[str, Any], store: Store
) -> None:
    """Same weights, same seed: it must be equal to the run's own score of that epoch."""
    made: list[Run] = []
    asked: list[int] = []

    def look(event: Event) -> None:
        # The store has the epoch, its checkpoint is still to be written.
        if isinstance(event, EpochDone) and event.epoch > 1:
            asked.append(event.epoch)
            evaluate_run(made[0].id, device="cpu", **rest)

    done = run(SPEC, listeners=[look], started=made.append, **rest)
    own = {s.epoch: s.value for s in by_origin(store, done.id, "run")}
    added = by_origin(store, done.id, "evaluate")
    assert (asked, sorted(own)) == ([2, 3, 4], [1, 2, 3, 4])
    assert len(added) == len(asked)
    for score in added:
        assert (score.epoch, score.step, score.value) == (score.epoch, None, own[score.epoch])
    assert all(score.epoch < 4 for score in added)
    assert [s.origin for s in store.scores(done.id) if s.final] == ["run"]


def test_a_score_of_a_stopped_run_names_its_step_and_outlives_the_resume(
    rest: dict[str, Any], store: Store
) -> None:
    made: list[Run] = []
    with pytest.raises(InterruptedRunError):
        run(SPEC, started=made.append, should_stop=steps_after_start(made, 5), **rest)
    run_id = made[0].id
    evaluate_run(run_id, device="cpu", **rest)
    (added,) = by_origin(store, run_id, "evaluate")
    steps = store.query("SELECT steps_per_epoch FROM stages")[1][0][0]
    assert steps < 6 < 2 * steps
    assert (added.epoch, added.step, added.stage) == (1, 6, "train")
    assert added.final
    resume(run_id, **rest)
    assert replace(added, final=False) in store.scores(run_id)
    assert [(s.origin, s.epoch) for s in store.scores(run_id) if s.final] == [("run", 4)]


def test_a_run_takes_its_own_final_scores_whatever_was_added_before(
    rest: dict[str, Any], store: Store
) -> None:
    """Stopped in its final evaluation, then scored with another seed, then resumed."""
    made: list[Run] = []
    spec = replace(SPEC, evaluate_every=0, epochs=1)
    with pytest.raises(InterruptedRunError):
        run(
            spec,
            started=made.append,
            should_stop=lambda: bool(made) and store.run(made[0].id).epochs_done == 1,
            **rest,
        )
    run_id = made[0].id
    evaluate_run(run_id, seed=9, device="cpu", **rest)
    resume(run_id, **rest)
    told = [(s.origin, s.seed, s.final) for s in store.scores(run_id)]
    assert told == [("evaluate", 9, False), ("run", 0, True)]


def test_a_run_is_stored_with_all_its_settings(
    rest: dict[str, Any], store: Store, registry: Registry
) -> None:
    done = run(replace(SPEC, epochs=1, evaluate_every=0), **rest)
    params = store.params(done.id)
    for kind, name, prefix in (
        ("model", "vae", "model"),
        ("dataset", "digits", "dataset"),
        ("metric", "fd_pixel", "metric.fd_pixel"),
    ):
        for setting in registry.settings(kind, name).model_fields:
            assert f"{prefix}.{setting}" in params
    assert params["model.hidden"] == [8]
    assert params["model.code"] == registry.settings("model", "vae")().code
    stored = {key for (key,) in store.query("SELECT key FROM run_params")[1]}
    assert stored == params.keys()
