"""Scores that are added to a run while it trains, or after it was stopped, are those of the weights
that they name; the run's own are the run's own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genbench.cli.options import Format
from genbench.cli.showing import _print_tables, _settings_rows
from genbench.contracts import DataAccess, MetricContext
from genbench.errors import InterruptedRunError, UsageError
from genbench.events import EpochDone, Event
from genbench.registry import Registry
from genbench.runner import evaluate_run, load_run, resume, run, sample_run
from genbench.runner.as_scored import scored_draw
from genbench.runner.build_parts import build_metrics
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


# --- samples as they were scored


def images(path: Path) -> Any:
    return np.load(path)["images"]


def test_as_scored_are_the_samples_of_the_score_that_is_final(
    rest: dict[str, Any], store: Store, tmp_path: Path, registry: Registry, access: DataAccess
) -> None:
    """Scored by hand, the exported samples have the very value that the store calls final."""
    done = run(replace(SPEC, epochs=1, evaluate_every=0, repeats=1), **rest)

    def exported(name: str, n: int | None = None) -> Any:
        out = tmp_path / f"{name}.npz"
        sample_run(done.id, out=out, n=n, seed=None, device="cpu", **rest)
        return images(out)

    def value_of(samples: Any) -> float:
        part = Part(name="fd_pixel")
        [(_, metric)] = build_metrics([part], registry)
        loaded = load_run(done.id, device="cpu", **rest)
        context = MetricContext(
            data=loaded.data,
            model=loaded.model,
            device=torch.device("cpu"),
            cache=access.cache,
            n=len(samples),
            seed=0,
            offline=True,
            batch_size=500,
            quick=False,
        )
        metric.begin(context)
        metric.update(torch.from_numpy(samples).permute(0, 3, 1, 2))
        return metric.result()[0].value

    (own,) = store.scores(done.id)
    first = exported("own")
    assert len(first) == own.n == 40
    assert value_of(first) == pytest.approx(own.value, rel=1e-9)
    evaluate_run(done.id, seed=5, device="cpu", **rest)
    assert np.array_equal(exported("beside"), first)
    evaluate_run(done.id, seed=6, n=40, final=True, device="cpu", **rest)
    (final,) = (score for score in store.scores(done.id) if score.final)
    assert (final.seed, final.origin) == (6, "evaluate")
    preferred = exported("preferred")
    assert not np.array_equal(preferred, first)
    assert value_of(preferred) == pytest.approx(final.value, rel=1e-9)
    assert np.array_equal(exported("some", n=10), preferred[:10])
    with pytest.raises(UsageError, match="computed on 40 samples"):
        exported("more", n=41)


def test_as_scored_are_the_samples_of_the_first_metric_and_names_those_of_other_draws(
    rest: dict[str, Any], store: Store
) -> None:
    done = run(replace(SPEC, epochs=1, evaluate_every=0, repeats=1), **rest)
    assert str(scored_draw(store, done.id)).endswith("the samples of fd_pixel")
    evaluate_run(done.id, metrics=[Part(name="fd_clf")], seed=5, n=40, device="cpu", **rest)
    shown = scored_draw(store, done.id)
    assert (shown.metrics, shown.seed, shown.elsewhere) == (("fd_clf",), 5, ("fd_pixel",))
    assert str(shown).endswith("the samples of fd_clf; other samples have fd_pixel")


def test_a_note_about_n_stands_once_however_often_the_metric_was_computed(
    rest: dict[str, Any], store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run(replace(SPEC, epochs=1, evaluate_every=0, repeats=1), **rest)
    evaluate_run(done.id, seed=5, device="cpu", **rest)
    assert [bool(score.note) for score in store.scores(done.id)] == [True, True]
    _print_tables(store, done.id, Format.TABLE)
    assert capsys.readouterr().out.count("fd_pixel: n = 40 is below") == 1


def test_as_scored_needs_a_final_score_with_its_seed_and_weights(
    rest: dict[str, Any], store: Store, tmp_path: Path
) -> None:
    made: list[Run] = []
    with pytest.raises(InterruptedRunError):
        run(SPEC, started=made.append, should_stop=steps_after_start(made, 5), **rest)
    run_id, out = made[0].id, tmp_path / "samples.npz"

    def export(sampler: str = "plain") -> Path:
        chosen = Part(name=sampler)
        return sample_run(run_id, out=out, sampler=chosen, seed=None, device="cpu", **rest)

    with pytest.raises(UsageError, match=r"after epoch 1, and its checkpoint has .* step 6"):
        export()
    with pytest.raises(UsageError, match=r"no final scores of samples by 'drs' \(there are: plain"):
        export("drs")
    evaluate_run(run_id, device="cpu", **rest)
    export()
    with store.transaction() as connection:
        connection.exec_driver_sql("UPDATE draws SET seed = NULL")
    with pytest.raises(UsageError, match="--final"):
        export()


def test_show_names_a_default_only_beside_another_value(rest: dict[str, Any], store: Store) -> None:
    """A list that is stored is equal to the tuple that a settings class has for it."""
    spec = replace(SPEC, epochs=1, evaluate_every=0, model_settings={"z_dim": 3})
    done = run(spec, **rest)
    told = {key: default for key, _, default in _settings_rows(store, done.id) if default}
    assert store.params(done.id)["model.hidden"]  # a list, at its default
    assert told.keys() == {"model.z_dim", "dataset.size", "samples", "threads", "watch"}
