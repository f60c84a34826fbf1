"""One run on two devices, from its first line to its end: two processes of gloo on the CPU."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import CommandLine, Said, wait_for
from safetensors.torch import load_file

from genbench.errors import (
    DivergedError,
    GenbenchError,
    IncompatibleError,
    InterruptedRunError,
    UsageError,
)
from genbench.events import Event, Noticed, StepsDone
from genbench.planning.resolve import Request, resolve
from genbench.registry import Registry
from genbench.runner import data_access, resume, run
from genbench.runner.benching import bench
from genbench.spec import RunSpec, device_names
from genbench.store import Store
from genbench.store.process import process_start
from genbench.store.records import Run, Status

TWO = "cpu:0,1"
SETS = ("data.size=8", "hidden=[8]", "z_dim=2")
PLAN = {"epochs": 3, "batch_size": 240, "metrics": ["fd_pixel"], "samples": 20, "watch": False}
STEPS = 15


@dataclass
class Bench:
    """A store, and what trains small runs in it."""

    store: Store
    folder: Path
    registry: Registry = field(default_factory=Registry.from_environment)

    def __post_init__(self) -> None:
        self.access = data_access(None, os.environ, offline=True)
        self.pids: list[int] = []
        self.heard: list[Event] = []

    def plan(self, device: str, model: str = "vae", sets: tuple[str, ...] = SETS) -> RunSpec:
        request = Request(model=model, dataset="digits", run={**PLAN, "device": device}, sets=sets)
        return resolve(request, self.registry, self.access, {}, self.folder).spec

    def hear(self, event: Event) -> None:
        self.heard.append(event)
        if isinstance(event, Noticed) and (found := re.search(r"\(process (\d+)\)", event.message)):
            self.pids.append(int(found[1]))

    def train(self, spec: RunSpec, should_stop: Callable[[], bool] = lambda: False) -> Run:
        return run(spec, should_stop=should_stop, **self.common)

    def resume(self, run_id: str, device: str | None = None) -> Run:
        return resume(run_id, device=device, **self.common)

    @property
    def common(self) -> dict[str, Any]:
        self.heard.clear()
        listeners = [self.hear]
        own = {"registry": self.registry, "store": self.store, "access": self.access}
        return {**own, "listeners": listeners}

    def losses(self, run_id: str) -> list[float]:
        return [value for _, value in self.store.series(run_id, "vae/loss") if value is not None]

    def weights(self, run_id: str) -> dict[str, torch.Tensor]:
        [path] = self.store.folder(run_id).glob("checkpoints/*/weights.safetensors")
        return load_file(path)

    def after(self, steps: int, action: Callable[[], bool]) -> Callable[[], bool]:
        """A ``should_stop`` that acts once ``steps`` steps are done."""
        done = 0

        def stop() -> bool:
            nonlocal done
            done += any(isinstance(event, Noticed) for event in self.heard)
            return done == steps and action()

        return stop


@pytest.fixture(scope="module")
def trained(
    command_line: CommandLine, clean_environment: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    """Other processes are forks, so that they start at once."""
    folder = tmp_path_factory.mktemp("devices")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", str(command_line.python))
        with Store.open(folder / "runs.db", mode="create") as store:
            yield Bench(store, folder)


@pytest.fixture(scope="module")
def whole(trained: Bench) -> Run:
    """An unbroken run on two devices."""
    return trained.train(trained.plan(TWO))


def is_gone(pid: int) -> bool:
    end = time.monotonic() + 10
    while process_start(pid) is not None and time.monotonic() < end:
        time.sleep(0.02)
    return process_start(pid) is None


def test_a_run_on_two_devices_is_the_experiment_of_one_and_never_shares_its_seconds(
    trained: Bench, whole: Run
) -> None:
    from genbench.compare.read_results import Machines

    one = trained.train(trained.plan("cpu"))
    assert (whole.status, whole.device, one.device) == (Status.FINISHED, TWO, "cpu")
    assert (whole.experiment, whole.digest) == (one.experiment, one.digest)
    assert trained.losses(whole.id) == pytest.approx(trained.losses(one.id), rel=1e-5)
    known = trained.store.environment(whole.id)
    assert (known["devices"], known["backend"]) == (["cpu:0", "cpu:1"], "gloo")
    rows = trained.store.rows("SELECT id, environment FROM runs")
    machines = Machines(trained.store)
    places = {run: machines.place(environment, "cpu") for run, environment in rows}
    assert len({*places.values()}) == 2
    assert "split over 2 devices" in str(places[whole.id])


def test_only_the_first_process_records_and_none_stays(trained: Bench, whole: Run) -> None:
    run = trained.train(trained.plan(TWO))
    steps = [e for e in trained.heard if isinstance(e, StepsDone)]
    assert [step for event in steps for step, _ in event.series["vae/loss"]] == [5, 10, STEPS]
    assert is_gone(trained.pids[-1])
    assert len(trained.store.epochs(run.id)) == 3


def test_an_interrupted_run_on_two_devices_ends_bitwise_where_an_unbroken_one_ends(
    trained: Bench, whole: Run
) -> None:
    with pytest.raises(InterruptedRunError):
        trained.train(trained.plan(TWO), trained.after(7, lambda: True))
    assert is_gone(trained.pids[-1])
    [broken] = [run for run in trained.store.runs() if run.status is Status.INTERRUPTED]
    again = trained.resume(broken.id)
    assert trained.store.environment(again.id)["backend"] == "gloo"
    weights = [trained.weights(run.id) for run in (whole, again)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert trained.losses(again.id) == trained.losses(whole.id)


def test_a_run_that_loses_a_process_fails_and_can_be_resumed_on_one_device(
    trained: Bench, whole: Run
) -> None:
    def kill() -> bool:
        os.kill(trained.pids[-1], signal.SIGKILL)
        return False

    with pytest.raises(GenbenchError, match=r"process of cpu:1 \(\d+\) was killed by signal 9"):
        trained.train(trained.plan(TWO), trained.after(8, kill))
    [failed] = [run for run in trained.store.runs() if run.status is Status.FAILED]
    assert "killed by signal 9" in str(failed.error)
    again = trained.resume(failed.id, "cpu")
    assert again.status is Status.FINISHED
    assert "devices" not in trained.store.environment(again.id)
    assert trained.losses(again.id) == pytest.approx(trained.losses(whole.id), rel=1e-5)


def test_a_loss_that_is_not_finite_ends_all_processes(trained: Bench) -> None:
    with pytest.raises(DivergedError):
        trained.train(trained.plan(TWO, sets=(*SETS, "lr=1e30")))
    assert is_gone(trained.pids[-1])


@pytest.mark.parametrize(
    ("signals", "code"), [((signal.SIGINT,), 130), ((signal.SIGKILL,), -signal.SIGKILL)]
)
def test_no_process_outlives_the_first_one(
    command_line: CommandLine, tmp_path: Path, signals: tuple[int, ...], code: int
) -> None:
    words = [word for text in SETS for word in ("--set", text)]
    process = command_line.process(
        *("run", "vae", "digits", *words, "--batch-size", "240", "--metric", "fd_pixel"),
        *("--no-watch", "--device", TWO, "--epochs", "100000"),
        folder=tmp_path,
    )
    assert process.stderr is not None
    said = next(line for line in process.stderr if "one run on" in line)
    [pid] = map(int, re.findall(r"\(process (\d+)\)", said))
    wait_for(process, r"^epoch +1/")
    for number in signals:
        if number == signal.SIGINT:  # a terminal sends it to all processes
            os.kill(pid, number)
        process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == code
    assert is_gone(pid)
    with Store.open(tmp_path / "runs.db", mode="read") as store:
        expected = Status.INTERRUPTED if code == 130 else Status.LOST
        assert store.run("@1").status is expected


@pytest.mark.parametrize(
    ("model", "sets", "told"),
    [
        ("ebgan-pt", ("g_hidden=[8]", "d_hidden=[8]", "code=4"), "it says that its loss compares"),
        ("vq-vae", ("channels=[4,8]", "prior_width=8"), "don't give the 'codebook._uses'"),
    ],
    ids=["declared", "tried"],
)
def test_a_model_that_compares_samples_with_one_another_is_refused_before_anything_is_stored(
    trained: Bench, whole: Run, model: str, sets: tuple[str, ...], told: str
) -> None:
    before = len(trained.store.runs())
    with pytest.raises(IncompatibleError, match=told):
        trained.train(trained.plan(TWO, model, ("data.size=8", *sets)))
    assert len(trained.store.runs()) == before


def test_a_bench_is_of_one_device(trained: Bench) -> None:
    with pytest.raises(UsageError, match="one device are measured"):
        bench(
            trained.plan(TWO),
            registry=trained.registry,
            store=trained.store,
            access=trained.access,
        )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--device", TWO), 'device = "cpu:0,1"'),
        (("--device", "cpu:0,1,2"), "--batch-size 102"),
        (("--device", TWO, "--batch-size", "50", "--accumulate", "5"), 'device = "cpu:0,1"'),
        (("--device", TWO, "--batch-size", "50", "--accumulate", "2"), "--batch-size 52"),
        (("--device", "cpu:1,1"), "names a device twice"),
        (("--device", TWO, "--compile"), "leave out --compile"),
        (("--device", "mps:0,1"), "cuda:0,1 or cpu:0,1"),
    ],
)
def test_a_plan_says_what_several_devices_can_do(
    genbench: Callable[..., Said], words: tuple[str, ...], told: str
) -> None:
    said = genbench("run", "vae", "digits", "--dry-run", *words)
    assert told in said.out + said.err
    assert said.code == (0 if told in said.out else 2)


def test_a_device_is_a_list_of_numbers() -> None:
    assert device_names("cuda:0,3") == ("cuda:0", "cuda:3")
    assert device_names("cuda:3") == ("cuda:3",)
    assert device_names("auto") == ("auto",)
