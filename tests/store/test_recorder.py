"""What a run leaves: epochs, losses, points, summaries, scores, artifacts, and the rewind."""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import replace

import pytest

from genbench.contracts import Score
from genbench.errors import StoreError, UsageError
from genbench.events import (
    ArtifactMade,
    Checkpointed,
    Checkpointing,
    Resumed,
    RunFailed,
    StepsDone,
)
from genbench.store import Recorder, Status, Store


def rows(store, table):
    """A table without the columns that only say when a row was written."""
    columns, found = store.query(f"SELECT * FROM {table} ORDER BY 1, 2, 3")
    kept = [i for i, name in enumerate(columns) if name not in ("created_at", "eval", "draw")]
    return [tuple(row[i] for i in kept) for row in found]


def test_a_recorded_run_comes_back_as_it_was_told(store, create, make):
    run = create()
    make.fill(store, run)
    done = store.run(run.id)
    assert (done.status, done.epochs_done, done.train_s, done.wall_s) == (
        Status.FINISHED,
        3,
        6.0,
        7.5,
    )
    told = make.epoch(2)
    epoch = store.epochs(run.id)[1]
    for name in ("epoch", "stage", "stage_epoch", "step", "images", "train_s", "eval_s", "wall_s"):
        assert getattr(epoch, name) == getattr(told, name)
    assert epoch.losses == told.losses
    stages = store.stages(run.id)
    assert [(s.prepare_s, s.epochs_done, s.train_s) for s in stages] == [(0, 1, 1.0), (0.5, 2, 5.0)]
    assert store.keys(run.id) == ["generator/loss", "test/loss", "watch/classes"]
    assert store.series(run.id, "test/loss") == [(10, -99.0), (20, -98.0), (30, -97.0)]
    assert len(store.series(run.id, "generator/loss")) == 6
    assert store.series(run.id, "nothing") == []


def test_an_epoch_is_committed_before_the_call_returns(store, create, make):
    recorder = Recorder(store, create().id)
    with Store.open(store.url, mode="read") as another:
        recorder(make.steps(1))
        assert another.query("SELECT count(*) FROM points")[1] == [(0,)]
        recorder(make.epoch(1))
        assert another.query("SELECT count(*) FROM epochs")[1] == [(1,)]
        assert another.query("SELECT count(*) FROM points")[1] == [(3,)]


def test_losses_of_steps_are_written_within_seconds(store, create, make):
    run = create()
    with Recorder(store, run.id) as recorder:
        recorder(make.steps(1))
        deadline = time.monotonic() + 10
        while not store.series(run.id, "generator/loss") and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(store.series(run.id, "generator/loss")) == 2


def test_many_rows_are_written_at_once_and_their_summary_is_that_of_all(store, create):
    run = create()
    recorder = Recorder(store, run.id)
    values = [((7 * step) % 1000 - 300) / 10 for step in range(1, 1201)]
    for start in range(0, 1200, 40):
        points = [(start + i + 1, v) for i, v in enumerate(values[start : start + 40])]
        recorder(StepsDone(stage="s", epoch=1, step=start + 40, series={"vae/loss": points}))
    assert len(store.series(run.id, "vae/loss")) >= 500  # by the number of rows alone
    with recorder:
        pass
    (summary,) = store.summaries(run.id)
    assert (summary.n, summary.n_nonfinite) == (1200, 0)
    assert (summary.first, summary.last) == (values[0], values[-1])
    assert (summary.min, summary.argmin) == (min(values), values.index(min(values)) + 1)
    assert summary.max == max(values)


@pytest.mark.parametrize(
    ("value", "flag"), [(math.nan, 1), (math.inf, 2), (-math.inf, 3), (1.5, 0)]
)
def test_what_is_not_finite_is_null_with_a_flag(store, create, make, value, flag):
    run = create()
    with Recorder(store, run.id) as recorder:
        recorder(StepsDone(stage="s", epoch=1, step=2, series={"a/b": [(1, 4.0), (2, value)]}))
        recorder(make.epoch(1, losses={"a/b": value}))
        recorder(make.evaluation(1, value))
    kept = value if flag == 0 else None
    assert store.series(run.id, "a/b") == [(1, 4.0), (2, kept)]
    assert store.epochs(run.id)[0].losses == {"a/b": kept}
    assert store.scores(run.id)[0].value == kept
    for table in ("points", "epoch_losses", "evals"):
        sql = f"SELECT value, nonfinite FROM {table} WHERE value IS NULL OR value = 1.5"
        assert store.query(sql)[1] == [(kept, flag)]
    (summary,) = store.summaries(run.id)
    assert (summary.n, summary.n_nonfinite) == (2, int(flag > 0))
    assert (summary.min, summary.last) == (1.5 if flag == 0 else 4.0, kept)


def test_a_rewound_and_repeated_run_is_equal_to_an_unbroken_one(tmp_path, make):
    tables = ("points", "metric_summary", "epochs", "epoch_losses", "stages", "evals", "draws")
    found = []
    for name, broken in (("unbroken", False), ("broken", True)):
        with Store.open(tmp_path / f"{name}.db", mode="create") as store:
            run = store.create_run(make.spec(), stages=make.stages, environment={})
            with Recorder(store, run.id) as recorder:
                for epoch in (1, 2):
                    recorder(make.steps(epoch))
                    recorder(make.epoch(epoch))
                    recorder(make.evaluation(epoch, 30.0 / epoch))
                if broken:
                    recorder(make.steps(3, series={"generator/loss": [(25, -9.0), (30, math.nan)]}))
                    recorder(make.epoch(3, train_s=99.0, losses={"test/loss": 1e9}))
                    recorder(make.evaluation(3, 0.001))
                    recorder(Resumed(step=20, epoch=2))
                recorder(make.steps(3))
                recorder(make.epoch(3))
                recorder(make.evaluation(3, 10.0))
            found.append({table: rows(store, table) for table in tables})
            head = store.run(run.id)
            assert (head.epochs_done, head.train_s) == (3, 6.0)
    assert found[0] == found[1]


def test_a_rewind_within_an_epoch_keeps_the_points_up_to_its_step(store, create, make):
    run = create()
    with Recorder(store, run.id) as recorder:
        recorder(make.steps(1))
        recorder(make.epoch(1))
        recorder(make.evaluation(1, 3.0))
        recorder(make.steps(2))
        recorder(make.epoch(2))
        recorder(make.evaluation(2, 2.0))
        recorder(Resumed(step=15, epoch=1))
        assert [s for s, _ in store.series(run.id, "generator/loss")] == [5, 10, 15]
        assert [s.value for s in store.scores(run.id) if s.final] == [3.0]
        assert store.run(run.id).epochs_done == 1


def test_a_run_resumed_at_its_start_keeps_nothing_recorded(store, create, make):
    run = create()
    with Recorder(store, run.id) as recorder:
        recorder(make.steps(1))
        recorder(make.epoch(1))
        recorder(Resumed(step=0, epoch=0))
    assert (store.epochs(run.id), store.keys(run.id)) == ([], [])
    assert store.run(run.id).train_s == 0


def test_a_score_that_is_taken_again_in_a_running_run_replaces_the_first(store, create, make):
    run = create()
    with Recorder(store, run.id) as recorder:
        recorder(make.evaluation(1, 9.0))
        recorder(make.evaluation(1, 8.0))
        recorder(make.evaluation(1, 5.0, sampler_settings={"gamma": 80}))
    assert [s.value for s in store.scores(run.id)] == [8.0, 5.0]
    assert len(store.draws(run.id)) == 2


def test_a_score_of_a_finished_run_is_added_and_never_overwritten(store, create, make):
    run = create()
    make.fill(store, run)
    before = store.scores(run.id)
    store.add_evaluation(run.id, make.evaluation(3, 4.0))
    after = store.scores(run.id)
    assert [replace(s, final=False) for s in after[:-1]] == [
        replace(s, final=False) for s in before
    ]
    assert [(s.value, s.final) for s in after[-2:]] == [(10.0, True), (4.0, False)]


def test_an_added_score_becomes_final_only_where_it_is_preferred(store, create, make):
    run = create()
    make.fill(store, run)
    for value, preferred in ((4.0, True), (5.0, False), (6.0, True)):
        store.add_evaluation(run.id, make.evaluation(3, value), preferred=preferred)
        final = [s.value for s in store.scores(run.id) if s.final]
        assert final == [{4.0: 4.0, 5.0: 4.0, 6.0: 6.0}[value]]


def test_of_scores_that_were_only_added_the_first_stays_final(store, create, make):
    run = create()
    make.fill(store, run)
    for value in (1.0, 2.0):
        store.add_evaluation(run.id, make.evaluation(3, value, metric="kid"))
    assert [(s.value, s.final) for s in store.scores(run.id) if s.metric == "kid"] == [
        (1.0, True),
        (2.0, False),
    ]


def test_an_evaluation_of_a_running_run_replaces_nothing_and_nothing_replaces_it(
    store, create, make
):
    run = create()
    with Recorder(store, run.id) as recorder:
        for epoch in (1, 2):
            recorder(make.steps(epoch))
            recorder(make.epoch(epoch))
            recorder(make.evaluation(epoch, 10.0 * epoch))
        store.add_evaluation(run.id, make.evaluation(2, 21.0))
        assert [s.value for s in store.scores(run.id)] == [10.0, 20.0, 21.0]
        recorder(make.evaluation(2, 20.5))
        assert [s.value for s in store.scores(run.id)] == [10.0, 21.0, 20.5]
        recorder(Resumed(step=20, epoch=2))
        assert [(s.value, s.final) for s in store.scores(run.id)] == [
            (10.0, False),
            (21.0, False),
            (20.5, True),
        ]


def test_a_rewind_keeps_what_was_added_on_weights_up_to_its_step(store, create, make):
    run = create()
    with Recorder(store, run.id) as recorder:
        recorder(make.epoch(1))
        for step, value in ((None, 1.0), (15, 2.0), (18, 3.0)):
            store.add_evaluation(run.id, make.evaluation(1, value, step=step))
        assert [s.value for s in store.scores(run.id) if s.final] == [3.0]
        recorder(Resumed(step=15, epoch=1))
    assert [(s.value, s.step, s.final) for s in store.scores(run.id)] == [
        (1.0, None, False),
        (2.0, 15, True),
    ]


def test_a_score_says_with_which_seed_it_was_drawn_and_by_whom(store, create, make):
    run = create()
    with Recorder(store, run.id) as recorder:
        recorder(make.evaluation(3, 1.0, seed=7))
    store.add_evaluation(run.id, make.evaluation(3, 1.0, seed=8))
    told = [(7, "run"), (8, "evaluate")]
    assert [(s.seed, s.origin) for s in store.scores(run.id)] == told
    assert [(d.seed, d.origin) for d in store.draws(run.id)] == told
    assert store.query("SELECT draw_seed, origin FROM v_score_history ORDER BY 1")[1] == told


def test_a_run_resumed_elsewhere_says_from_which_step_on_it_was_where(store, create, make):
    run = create()
    with Recorder(store, run.id) as recorder:
        recorder(make.epoch(1))
        recorder(make.epoch(2))
    for where, step in (("bench", 25), ("other", 20), ("third", 15), ("other", 15)):
        store.interrupt(run.id)
        store.take_over(run.id, environment={**make.environment, "host": where})
        with Recorder(store, run.id) as recorder:
            recorder(Resumed(step=step, epoch=step // 10))
    assert [(step, e["host"]) for step, e in store.environments(run.id)] == [
        (0, "bench"),
        (15, "other"),
    ]
    assert store.environment(run.id)["host"] == "other"
    assert store.query("SELECT environments, host FROM v_runs")[1] == [(2, "other")]


def test_the_final_scores_are_those_of_the_last_epoch_one_for_each_way_of_taking(
    store, create, make
):
    run = create()
    store.add_evaluation(run.id, make.evaluation(1, 1.0, metric="kid"))
    store.add_evaluation(run.id, make.evaluation(3, 3.0))
    store.add_evaluation(run.id, make.evaluation(3, 3.1, protocol={"extractor": "other"}))
    store.add_evaluation(run.id, make.evaluation(3, 3.2, sampler="drs"))
    store.add_evaluation(run.id, make.evaluation(2, 2.0))
    assert sorted(s.value for s in store.scores(run.id) if s.final) == [3.0, 3.1, 3.2]


def test_a_score_comes_back_with_its_protocol_and_its_cost(store, create, make):
    run = create()
    settings = {"gamma": 80, "steps": [1, 2]}
    event = make.evaluation(3, 12.5, sampler="drs", sampler_settings=settings)
    score = Score(metric="is", value=8.2, std=0.1, n=300, direction="max", unit="nats", note="few")
    store.add_evaluation(run.id, replace(event, scores=(*event.scores, score)))
    first, second = store.scores(run.id)
    assert (first.sampler, first.sampler_settings) == ("drs", settings)
    assert (first.protocol, first.floor, first.seconds) == (event.scores[0].protocol, 0.5, 0.5)
    assert (second.std, second.direction, second.unit, second.note) == (0.1, "max", "nats", "few")
    assert first.protocol_hash != second.protocol_hash
    (draw,) = store.draws(run.id)
    assert (draw.seconds, draw.diagnostics) == (1.5, {"acceptance": 1.0})
    assert draw.skipped == {"fid": "no weights"}


def test_an_artifact_is_stored_with_its_digest_and_its_place_in_the_folder(store, create):
    run = create()
    path = store.folder(run.id) / "samples" / "1.png"
    path.parent.mkdir()
    path.write_bytes(b"one")
    store.add_artifact(run.id, "samples", path, 1)
    path.write_bytes(b"three")
    with Recorder(store, run.id) as recorder:
        recorder(ArtifactMade(kind="samples", path=path, epoch=1))
    (artifact,) = store.artifacts(run.id)
    assert (artifact.path, artifact.bytes) == ("samples/1.png", 5)
    assert artifact.digest == hashlib.sha256(b"three").hexdigest()
    with pytest.raises(StoreError, match="no file"):
        store.add_artifact(run.id, "samples", "gone.png", None)


def test_a_checkpoint_says_up_to_where_the_run_is_safe(store, create, tmp_path):
    run = create()
    Recorder(store, run.id)(Checkpointed(path=tmp_path, step=20, epoch=2))
    sql = "SELECT checkpoint_step, checkpoint_epoch FROM runs"
    assert store.query(sql)[1] == [(20, 2)]


def test_losses_are_committed_before_a_checkpoint_within_an_epoch_is_written(store, create):
    run = create()
    with Recorder(store, run.id) as recorder:
        recorder(StepsDone(stage="train", epoch=1, step=1, series={"vae/loss": [(1, 2.0)]}))
        recorder(Checkpointing(step=1))
        assert store.series(run.id, "vae/loss") == [(1, 2.0)]


def test_a_failure_is_written_after_the_losses_that_led_to_it(store, create, make):
    run = create()
    with Recorder(store, run.id) as recorder:
        recorder(make.steps(1))
        recorder(RunFailed(error="loss is nan", kind="DivergedError"))
    assert (store.run(run.id).status, store.run(run.id).error) == (Status.FAILED, "loss is nan")
    assert len(store.series(run.id, "generator/loss")) == 2
    assert store.query("SELECT error_kind FROM runs")[1] == [("DivergedError",)]


def test_only_a_running_run_can_be_recorded(store, create):
    run = create()
    store.finish(run.id)
    with pytest.raises(UsageError, match="not running"):
        Recorder(store, run.id)


def test_the_recorder_keeps_its_run_alive(store, create, monkeypatch):
    monkeypatch.setattr("genbench.store.recorder.FLUSH_S", 0.05)
    monkeypatch.setattr("genbench.store.recorder.HEARTBEAT_S", 0.1)
    run = create()
    with Recorder(store, run.id):
        deadline = time.monotonic() + 10
        while store.run(run.id).heartbeat_at == run.heartbeat_at and time.monotonic() < deadline:
            time.sleep(0.05)
    assert store.run(run.id).heartbeat_at > run.heartbeat_at
