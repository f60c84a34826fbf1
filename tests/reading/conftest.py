"""Stores filled through the recorder with the events of runs that never trained."""

from __future__ import annotations

import math
import random
import shutil
import sqlite3
import struct
import zlib
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from genbench.compare import Question, Selection
from genbench.contracts import Score
from genbench.events import ArtifactMade, EpochDone, Evaluated, Execution, StageStarted, StepsDone
from genbench.report.content import read_report
from genbench.report.page import render
from genbench.spec import Part, RunSpec
from genbench.store import Recorder, Store
from tests.reading.raw_rows import Stored

STEPS = 20
PROTOCOL = {"extractor": "lenet", "weights": "3fa1", "n": 1000, "reference": "test"}
MACHINE = {"cpu": "a CPU", "threads": 2, "python": "3.11", "packages": {"torch": "2.15"}}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A stage that never was: its epochs, their seconds, and those of its preparation.

    ``seconds`` are those of each epoch, where they are not all alike; ``execution`` is that of its
    phases.
    """

    name: str
    epochs: int
    epoch_s: float
    prepare_s: float = 0.0
    seconds: tuple[float, ...] = ()
    execution: dict[str, Execution] = field(default_factory=dict)


class Bench:
    """A store to fill: ``bench.add("gan", score=40.0)`` is one whole run, finished."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = Store.open(path, mode="create")
        self.cpu_share: float | None = None
        self.load: float | None = None
        self.directions: dict[str, Any] = {}

    def add(
        self,
        model: str,
        *,
        dataset: str = "mnist",
        seed: int = 0,
        stages: Sequence[Plan] = (Plan(name="train", epochs=4, epoch_s=10.0),),
        score: float | None = None,
        scores: dict[str, float] | None = None,
        curve: Sequence[float] = (),
        protocol: dict[str, Any] | None = None,
        sampler: str = "plain",
        machine: dict[str, Any] | None = None,
        images: int = 60_000,
        settings: dict[str, Any] | None = None,
        pictures: bool = False,
        end: str | None = "finish",
        name: str | None = None,
        tags: Sequence[str] = (),
        **fields: Any,
    ) -> str:
        """Record one run; ``curve`` are scores of the epochs before the last. Returns its id."""
        spec = RunSpec(
            model=model,
            dataset=dataset,
            model_settings=settings or {},
            epochs=stages[-1].epochs,
            batch_size=100,
            seed=seed,
            metrics=(Part(name="fd_clf"),),
            **fields,
        )
        run = self.store.create_run(
            spec,
            name=name,
            tags=tags,
            stages=[(plan.name, plan.epochs) for plan in stages],
            environment=machine or MACHINE,
        )
        values = scores or ({} if score is None else {"fd_clf": score})
        with Recorder(self.store, run.id) as recorder:
            last = self._train(recorder, run.id, stages, images, pictures)
            for epoch, value in enumerate(curve, start=last - len(curve)):
                recorder(self._evaluated(epoch, stages[-1].name, {"fd_clf": value}, sampler))
            if values:
                made = self._evaluated(last, stages[-1].name, values, sampler, protocol)
                recorder(made)
        if end == "finish":
            self.store.finish(run.id)
        elif end == "fail":
            self.store.fail(run.id, "training diverged: <b>nan</b>")
        return run.id

    def _train(
        self,
        emit: Callable[[Any], None],
        run: str,
        stages: Sequence[Plan],
        images: int,
        pictures: bool,
    ) -> int:
        epoch = 0
        for index, plan in enumerate(stages):
            emit(
                StageStarted(
                    stage=plan.name,
                    index=index,
                    epochs=plan.epochs,
                    steps_per_epoch=STEPS,
                    first_epoch=epoch + 1,
                    prepare_s=plan.prepare_s,
                )
            )
            for stage_epoch in range(1, plan.epochs + 1):
                epoch += 1
                self._epoch(emit, plan, stage_epoch, epoch, images)
                if pictures:
                    path = self.store.folder(run) / f"samples/epoch-{epoch:04d}.png"
                    path.parent.mkdir(exist_ok=True)
                    path.write_bytes(png(epoch))
                    emit(ArtifactMade(kind="samples", path=path, epoch=epoch))
        return epoch

    def _epoch(
        self, emit: Callable[[Any], None], plan: Plan, stage_epoch: int, epoch: int, images: int
    ) -> None:
        steps = range((epoch - 1) * STEPS + 1, epoch * STEPS + 1)
        loss = [(step, 2.0 / math.sqrt(step)) for step in steps]
        series = {f"{plan.name}/loss": loss}
        emit(StepsDone(stage=plan.name, epoch=epoch, step=steps[-1], series=series))
        # The first epoch warms up: twice as long.
        seconds = plan.epoch_s * (2 if stage_epoch == 1 else 1)
        seconds = plan.seconds[stage_epoch - 1] if plan.seconds else seconds
        emit(
            EpochDone(
                stage=plan.name,
                stage_epoch=stage_epoch,
                epoch=epoch,
                step=steps[-1],
                images=images,
                train_s=seconds,
                cpu_s=self.cpu_share and seconds * self.cpu_share,
                load=self.load,
                eval_s=0.1,
                wall_s=seconds + 0.2,
                peak_mem=1 << 28,
                losses={f"{plan.name}/loss": loss[-1][1], "test/loss": loss[-1][1] * 1.1},
                execution=plan.execution,
            )
        )

    def _evaluated(
        self,
        epoch: int,
        stage: str,
        values: dict[str, float],
        sampler: str,
        protocol: dict[str, Any] | None = None,
    ) -> Evaluated:
        return Evaluated(
            epoch=epoch,
            stage=stage,
            sampler=sampler,
            sampler_settings={},
            scores=[
                Score(
                    metric=metric,
                    value=value,
                    n=1000,
                    floor=2.0,
                    direction=self.directions.get(metric, "min"),
                    protocol={"metric": metric, **(protocol or PROTOCOL)},
                )
                for metric, value in values.items()
            ],
            seconds=dict.fromkeys(values, 0.5) | {"sampling": 1.0},
            diagnostics={"acceptance": 0.25},
        )


VAEGAN = (
    Plan(name="vae", epochs=3, epoch_s=4.0),
    Plan(name="gan", epochs=5, epoch_s=1.0, prepare_s=2.0),
)


@pytest.fixture(scope="session")
def make_bench() -> Callable[[Path], Bench]:
    """Makes an empty store at a path."""
    return Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """An empty store."""
    return Bench(tmp_path / "runs.db")


@pytest.fixture
def filled(filled_once: Path, tmp_path: Path) -> Bench:
    """gan and vaegan over three seeds on mnist; the document's claim, with easy numbers."""
    shutil.copytree(filled_once, tmp_path, dirs_exist_ok=True)
    return Bench(tmp_path / "runs.db")


@pytest.fixture(scope="module")
def filled_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `filled` copies: making it takes a second."""
    folder = tmp_path_factory.mktemp("filled")
    bench = Bench(folder / "runs.db")
    for seed in range(3):
        bench.add("gan", seed=seed, score=40.0 + seed, curve=(80.0, 60.0, 50.0), pictures=True)
        bench.add("vaegan", seed=seed, stages=VAEGAN, score=20.0 + seed, pictures=True)
    bench.store.close()
    return folder


@pytest.fixture
def vaegan_stages() -> tuple[Plan, ...]:
    """Two stages: 16 s, then 2 s of preparation and 6 s."""
    return VAEGAN


def png(shade: int) -> bytes:
    """A grey 8 x 8 PNG."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    rows = b"".join(b"\0" + bytes([shade * 20 % 256]) * 8 for _ in range(8))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.fixture(scope="session")
def new_bench() -> type[Bench]:
    """`Bench`, for stores that several tests share."""
    return Bench


@pytest.fixture(scope="session")
def new_plan() -> type[Plan]:
    """`Plan`, for the stages of such a store's runs."""
    return Plan


@pytest.fixture(scope="session")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """gan with one stage and vaegan with two, three seeds each; no two numbers are alike."""
    bench = Bench(tmp_path_factory.mktemp("numbers") / "runs.db")
    for seed in range(3):
        slow = 1 + 0.07 * seed
        train = Plan(name="train", epochs=4, epoch_s=10.0 * slow)
        vae = Plan(name="vae", epochs=3, epoch_s=4.3 * slow)
        latent = Plan(name="gan", epochs=5, epoch_s=1.1 * slow, prepare_s=2.4 * slow)
        curve = (583.1 + seed, 61.7 - 2 * seed, 47.9 + 3 * seed)
        own = {"lr": 0.00021, "width": 96, "z_dim": 64}
        bench.add(
            *("gan",),
            seed=seed,
            stages=[train],
            score=41.3 + 1.7 * seed,
            curve=curve,
            pictures=True,
            settings=own,
        )
        bench.add(
            *("vaegan",),
            seed=seed,
            stages=[vae, latent],
            score=21.9 - 0.6 * seed,
            pictures=True,
            settings={**own, "lr": 0.00133, "beta": 1.5},
        )
    bench.store.close()
    with closing(sqlite3.connect(bench.path)) as database, database:
        monitored(database)
    return bench.path


def monitored(database: sqlite3.Connection) -> None:
    """Add what the monitor and the engine record beside the losses, and a floor of four digits."""
    draw = random.Random(0)
    database.execute("UPDATE evals SET floor = 2.137")
    for name in ("watch/fd_clf", "monitor/d_real", "monitor/d_fake", "monitor/d_grad_norm"):
        made = database.execute(
            "INSERT INTO metric_keys (name, kind) VALUES (?, ?)", (name, name.partition("/")[0])
        )
        ends = database.execute("SELECT run, step FROM epochs").fetchall()
        database.executemany(
            "INSERT INTO points (run, key, step, value) VALUES (?, ?, ?, ?)",
            [(run, made.lastrowid, step, draw.uniform(0.2, 3.0)) for run, step in ends],
        )


@pytest.fixture(scope="session")
def numbered_page(numbered: Path) -> str:
    """The page of that store, with gan as the baseline."""
    with Store.open(numbered, mode="read") as store:
        return render(read_report(store, Selection(baseline="gan"), Question(baseline="gan")))


@pytest.fixture(scope="session")
def stored(numbered: Path) -> Stored:
    """The rows of that store."""
    return Stored(numbered)
