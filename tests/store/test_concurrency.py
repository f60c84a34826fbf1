"""Eight writers at once, and writers that are killed: nothing committed is ever lost."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time

from genbench.store import Status, Store

WRITER = """
import sys, time
from genbench.events import EpochDone, Evaluated, StepsDone
from genbench.contracts import Score
from genbench.spec import RunSpec
from genbench.store import Recorder, Store

path, seed, epochs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
with Store.open(path, mode="create") as store:
    spec = RunSpec(model="gan", dataset="digits", epochs=epochs, batch_size=1, seed=seed)
    run = store.create_run(spec, stages=[("train", epochs)], environment={"host": "x"})
    print(run.id, flush=True)
    with Recorder(store, run.id) as recorder:
        for epoch in range(1, epochs + 1):
            for step in range(20 * epoch - 19, 20 * epoch + 1):
                series = {"generator/loss": [(step, 1.0 / step)], "critic/loss": [(step, -1.0)]}
                recorder(StepsDone(stage="train", epoch=epoch, step=step, series=series))
            recorder(EpochDone(stage="train", stage_epoch=epoch, epoch=epoch, step=20 * epoch,
                               images=20, train_s=1.0, eval_s=0.0, wall_s=1.0, peak_mem=0,
                               losses={"generator/loss": 1.0, "test/loss": 2.0}))
            print(epoch, flush=True)
        score = Score(metric="fd_clf", value=float(seed), n=10, protocol={"n": 10})
        recorder(Evaluated(epoch=epochs, stage="train", sampler="plain", sampler_settings={},
                           scores=[score], seconds={}))
    store.finish(run.id)
"""


def start(path, seed, epochs):
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(seed), str(epochs)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout.readline() == "ready\n"
    return writer


def go(writers):
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()


def integrity(path):
    connection = sqlite3.connect(path)
    try:
        return connection.execute("PRAGMA integrity_check").fetchall()
    finally:
        connection.close()


def test_eight_processes_make_one_store_and_write_eight_whole_runs(tmp_path):
    path = tmp_path / "runs.db"
    writers = [start(path, seed, 12) for seed in range(8)]
    go(writers)
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert (writer.returncode, errors) == (0, "")
    assert integrity(path) == [("ok",)]
    with Store.open(path, mode="read") as store:
        runs = store.runs()
        assert {run.seed for run in runs} == set(range(8))
        assert {run.status for run in runs} == {Status.FINISHED}
        for run in runs:
            assert [e.epoch for e in store.epochs(run.id)] == list(range(1, 13))
            assert len(store.series(run.id, "critic/loss")) == 240
            assert {s.n for s in store.summaries(run.id)} == {240, 12}
        values = sorted(store.scores(run.id)[-1].value for run in runs)
        assert values == [float(i) for i in range(8)]


def test_kill_9_at_any_moment_loses_no_epoch_that_was_told(tmp_path):
    path = tmp_path / "runs.db"
    moment = random.Random(0)
    told: dict[str, list[int]] = {}
    for seed in range(6):
        writer = start(path, seed, 100_000)
        go([writer])
        run_id = writer.stdout.readline().strip()
        # Every second one is killed after an epoch was told, however slow the machine is.
        first = writer.stdout.readline() if seed % 2 else ""
        time.sleep(moment.uniform(0.05, 0.4))
        writer.kill()
        output, errors = writer.communicate(timeout=60)
        assert errors == ""
        lines = (first + output).splitlines(keepends=True)
        told[run_id] = [int(line) for line in lines if line.endswith("\n")]
        assert integrity(path) == [("ok",)]
    assert sum(map(len, told.values())) >= 3
    with Store.open(path, mode="read") as store:
        assert {run.id for run in store.runs(status="lost")} == set(told)
        for run_id, epochs in told.items():
            stored = store.epochs(run_id)
            assert [e.epoch for e in stored][: len(epochs)] == epochs
            assert store.run(run_id).epochs_done == len(stored)
            assert all(set(e.losses) == {"generator/loss", "test/loss"} for e in stored)
            points = store.series(run_id, "generator/loss")
            assert len(points) >= 20 * len(stored)
