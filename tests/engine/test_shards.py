"""One run on two devices computes what it computes on one: two processes of gloo, on the CPU."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from command_line import CommandLine

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def found(command_line: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What both processes of shard_process.py have found."""
    folder = tmp_path_factory.mktemp("shards")
    both = [
        subprocess.Popen(
            [str(command_line.python), "-m", "shard_process", str(rank), str(folder)],
            env={**os.environ, "PYTHONPATH": str(TESTS)},
        )
        for rank in range(2)
    ]
    assert [process.wait(120) for process in both] == [0, 0]
    return [json.loads((folder / f"found-{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.parametrize("model", ["vae", "gan", "wgan-gp", "vaegan"])
def test_a_run_on_two_devices_has_the_losses_of_one_device(found: list[Any], model: str) -> None:
    run = found[0]["trained"][model]
    assert run["two"].keys() == run["one"].keys()
    for key, values in run["one"].items():
        # The accuracy of a critic is counted from the median of the batch: it is no mean.
        if (model, key) != ("wgan-gp", "monitor/d_accuracy"):
            assert run["two"][key] == pytest.approx(values, rel=1e-5, abs=1e-6), key
    assert sum(map(len, run["one"].values())) > 30


def test_batch_normalisation_is_by_the_whole_batch_also_where_it_is_differentiated_twice(
    found: list[Any],
) -> None:
    for process in found:
        assert process["normalised"]["found"] == pytest.approx(
            process["normalised"]["alone"], rel=1e-4, abs=1e-6
        )
        assert max(process["normalised"]["buffers"]) < 1e-6


def test_each_process_draws_its_rows_of_the_noise_of_the_whole_batch(found: list[Any]) -> None:
    for process in found:
        assert len(process["drawn"]) > 10
        assert all(process["drawn"]), process["drawn"]
        assert process["consecutive"]


def test_processes_with_weights_that_differ_say_so(found: list[Any]) -> None:
    for process in found:
        assert "no longer have the same weights" in process["differing"]
