"""The frozen records that the store returns. Times are UTC ISO 8601, seconds are floats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from genbench.events import TrainedEpoch

DEVICES = "devices"
"""A key of a run's environment: the devices over which its batches are split."""
TOGETHER = "together"
"""A key of a run's environment: the seeds that it was trained together with, and its own."""


class Status(StrEnum):
    """The status of a run. LOST: it is stored as running, but its process is gone; resume it.

    PRUNED: a tuning has stopped it before its end, since others were better by then.
    """

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    LOST = "lost"
    PRUNED = "pruned"


@dataclass(frozen=True, kw_only=True)
class RunHead:
    """The name of a run, and the experiment that it is a run of."""

    id: str
    name: str | None
    seed: int
    created_at: str
    experiment: str
    model: str
    dataset: str
    preset: str | None


@dataclass(frozen=True, kw_only=True)
class Run(RunHead):
    """A run without its results. ``spec`` is JSON; ``epochs_planned`` counts all stages.

    ``parameters`` is the number of trainable parameters of all networks. ``host`` is the machine of
    its last process, and ``heartbeat_at`` the last time at which it was alive. ``checkpoint_step``
    and ``checkpoint_epoch`` are those of the last checkpoint that it wrote. ``note`` is the user's;
    a run with ``archived_at`` is hidden from lists and comparisons.
    """

    status: Status
    digest: str
    device: str
    precision: str
    spec: str
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
    """A stage of a run; ``prepare_s`` are the seconds of preparing its data.

    ``execution`` has the fields of `genbench.events.Execution` for each phase in the last epoch; it
    is empty for a stage without an epoch, or of an older genbench.
    """

    index: int
    name: str
    epochs: int
    prepare_s: float = 0.0
    epochs_done: int = 0
    train_s: float = 0.0
    execution: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Epoch(TrainedEpoch):
    """A stored epoch; a loss that was not finite is None."""

    losses: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ScoreRecord:
    """A stored score; only scores with equal ``protocol_hash`` may be ranked together.

    With several ``draws``, value and std are their mean and standard deviation; ``seed`` is the one
    that all draws are derived from (None in an old store). ``origin`` is "run" for a score that the
    run computed itself, "evaluate" for an added one. ``step`` is None for the weights at the end of
    ``epoch``, else it is the step of weights within the next epoch.

    ``draw`` identifies the draw: scores with equal ``draw`` were computed on the same samples. If
    ``final``, it counts as a score of the run, by the law of `genbench.store.scoring`.
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
    """A warning after an epoch (see `genbench.events.Warned`)."""

    epoch: int
    kind: str
    message: str
    created_at: str


@dataclass(frozen=True, kw_only=True)
class PartVersion:
    """A part of a run with the distribution that it came from, and the version of that.

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
    """The summary of a recorded series: first, last, smallest and largest value, and counts."""

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
    """One draw of samples that was scored: its cost and the diagnostics of the sampler.

    ``seconds`` are those of the sampling; ``skipped`` has the metrics that could not be computed,
    with the reasons. ``seed``, ``origin`` and ``step`` are as in `ScoreRecord`.
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
