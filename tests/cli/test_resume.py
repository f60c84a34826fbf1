"""Ctrl-C, SIGTERM and ``genbench resume``, on the real command line."""

from __future__ import annotations

import json
import signal
import time

import pytest
from command_line import wait_for

from genbench.store import Store
from genbench.store.records import Status

RUN = (
    *("run", "vae", "digits", "--device", "cpu", "--epochs", "4000", "--json"),
    *("--set", "data.size=8", "--set", "hidden=[8]", "--metric", "fd_pixel"),
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_finishes_the_step_and_leaves_a_run_to_resume(
    command_line, tmp_path, number
) -> None:
    process = command_line.process(*RUN, folder=tmp_path)
    wait_for(process, r"^epoch +1/")
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    result = json.loads(out)
    assert result["status"] == "interrupted"
    assert f"genbench resume {result['run']}" in err
    assert "Traceback" not in err
    with Store.open(tmp_path / "runs.db", mode="read") as store:
        run = store.run("@1")
        assert run.status is Status.INTERRUPTED
        assert run.epochs_done >= 1
        assert list(store.folder(run.id).glob("checkpoints/step-*"))


def test_a_second_signal_stops_at_once_and_the_run_can_still_be_resumed(
    command_line, tmp_path
) -> None:
    process = command_line.process(*RUN, folder=tmp_path)
    wait_for(process, r"^epoch +1/")
    for _ in range(20):
        process.send_signal(signal.SIGINT)
        time.sleep(0.001)
    process.communicate(timeout=60)
    with Store.open(tmp_path / "runs.db", mode="read") as store:
        assert store.run("@1").status in (Status.INTERRUPTED, Status.LOST)


def test_a_signal_before_the_run_is_stored_leaves_nothing(command_line, tmp_path) -> None:
    process = command_line.process(*RUN, folder=tmp_path)
    while not (tmp_path / "runs.db").exists() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    with Store.open(tmp_path / "runs.db", mode="read") as store:
        assert [run.status for run in store.runs()] in ([], [Status.INTERRUPTED])
        if not store.runs():
            assert out == ""
            assert "nothing was stored" in err
