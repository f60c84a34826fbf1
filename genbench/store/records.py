"""What the store hands out: frozen records, never rows. Times are UTC ISO 8601, seconds float."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """The status of a run. LOST: it says running, but its process is gone; resume it."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    LOST = "lost"


@dataclass(frozen=True, kw_only=True)
class Run:
    """The head of a run. ``epochs_planned`` counts those of all stages; ``spec`` is its JSON;
    ``parameters`` are the trainable ones of all its networks.

    ``host`` and ``heartbeat_at`` say where its process was last and when it was last heard of,
    ``checkpoint_step`` and ``checkpoint_epoch`` those of the last checkpoint that it wrote.
    ``note`` is the user's; a run with ``archived_at`` is hidden from lists and comparisons.
    """

    id: str
    name: str | None
    status: Status
    model: str
    dataset: str
    experiment: str
    digest: str
    seed: int
    device: str
    precision: str
    preset: str | None
    spec: str
    created_at: str
    started_at: str | None = None
    finished_at: str | None = None
    epochs_planned: int = 0
    parameters: int | None = None
    epochs_done: int = 0
    train_s: float = 0.0
    wall_s: float = 0.0
    error: str | None = None
    tags: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    host: str | None = None
    heartbeat_at: str | None = None
    checkpoint_step: int | None = None
    checkpoint_epoch: int | None = None
    note: str | None = None
    archived_at: str | None = None


@dataclass(frozen=True, kw_only=True)
class StageRecord:
    """One stage of a run; ``prepare_s`` went into preparing its data."""

    index: int
    name: str
    epochs: int
    prepare_s: float = 0.0
    epochs_done: int = 0
    train_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One epoch as the engine reported it (see `genbench.events.EpochDone`)."""

    epoch: int
    stage: str
    stage_epoch: int
    step: int
    images: int
    train_s: float
    eval_s: float
    wall_s: float
    peak_mem: int
    cpu_s: float | None = None
    load: float | None = None
    losses: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ScoreRecord:
    """One stored score; ``protocol_hash`` says which scores may be ranked together.

    Of several ``draws`` value and std are the mean and the standard deviation; ``seed`` is the one
    that all of them derive from, None where an old store doesn't know it. ``origin`` is "run" for
    a score that the run took itself, "evaluate" for one that was added. ``step`` is None for the
    weights at the end of ``epoch``, else the step of those taken within the next one.

    ``draw`` is the number of its draw: scores of equal ones were taken on the same samples.
    ``final``: it counts as the run's score, by the law of `genbench.store.scoring`.
    """

    metric: str
    value: float | None
    std: float | None
    n: int
    direction: str
    unit: str
    floor: float | None
    sampler: str
    sampler_settings: Mapping[str, Any]
    epoch: int
    stage: str
    protocol: Mapping[str, Any]
    protocol_hash: str
    seconds: float
    note: str
    created_at: str
    final: bool = True
    draws: int = 1
    draw: int = 0
    seed: int | None = None
    origin: str = "run"
    step: int | None = None


@dataclass(frozen=True, kw_only=True)
class WarningRecord:
    """What a run was warned of after an epoch (see `genbench.events.Warned`)."""

    epoch: int
    kind: str
    message: str
    created_at: str


@dataclass(frozen=True, kw_only=True)
class PartVersion:
    """A part that a run was made with, and its distribution with the version.

    ``kind`` is "model", "dataset", "sampler" or "metric".
    """

    kind: str
    name: str
    distribution: str
    version: str


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A file of a run; ``path`` is relative to the run's folder."""

    kind: str
    path: str
    epoch: int | None
    digest: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a recorded series was in all: first, last and extreme values and their count."""

    key: str
    first: float | None
    last: float | None
    min: float | None
    argmin: int | None
    max: float | None
    n: int
    n_nonfinite: int


@dataclass(frozen=True, kw_only=True)
class Draw:
    """One draw of samples that was scored: its cost, and what the sampler said of it.

    ``seconds`` went into sampling; ``skipped`` holds the metrics that couldn't be taken and why.
    ``seed``, ``origin`` and ``step`` are as in `ScoreRecord`.
    """

    epoch: int
    stage: str
    sampler: str
    sampler_settings: Mapping[str, Any]
    seconds: float
    diagnostics: Mapping[str, float]
    skipped: Mapping[str, str]
    created_at: str
    seed: int | None = None
    origin: str = "run"
    step: int | None = None
