"""What the engine tells: plain frozen records; the recorder and the progress display listen.

Order within an epoch: StepsDone (many), EpochDone, Evaluated and Warned (perhaps), Checkpointed.
An epoch is *reported* to a person at Checkpointed, so that a reported epoch is never lost.
Epochs count from 1 across the stages of a run; steps count optimizer iterations from 1 across them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genbench.contracts import Picture, Score

ShouldStop = Callable[[], bool]
"""Asked after each training step and each minibatch of samples; true ends the run there."""


def never() -> bool:
    """Never asks for a stop."""
    return False


@dataclass(frozen=True, kw_only=True)
class StageStarted:
    """A stage begins (or goes on after a resume); ``prepare_s`` went into its preparation."""

    stage: str
    index: int
    epochs: int
    steps_per_epoch: int
    first_epoch: int
    prepare_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class StepsDone:
    """Recorded values of some steps: each key with its steps and values (means over a window).

    Keys are ``optimizer/term`` (and ``optimizer/loss`` for the sum), ``monitor/name``, or, told
    after EpochDone at its step, ``watch/score``.
    ``seconds`` are those of training in the open epoch so far.
    """

    stage: str
    epoch: int
    step: int
    series: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class EpochDone:
    """An epoch is trained: means of the losses, ``test/...`` validation means, seconds.

    ``train_s`` is the training alone, after a device synchronize; ``eval_s`` the validation;
    ``wall_s`` everything since the last epoch ended. ``peak_mem`` in bytes (device, else process).
    ``cpu_s`` are the process's CPU seconds, of all threads, within ``train_s``; ``load`` is the
    machine's 1-minute load average at the epoch's end. Either is None where it isn't known.
    """

    stage: str
    stage_epoch: int
    epoch: int
    step: int
    images: int
    train_s: float
    eval_s: float
    wall_s: float
    peak_mem: int
    losses: Mapping[str, float]
    cpu_s: float | None = None
    load: float | None = None


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """Scores of the samples of one sampler at one epoch; ``seconds`` by metric and for sampling.

    The sampler is ``""`` for scores of the model itself, such as its reconstruction error.
    ``skipped`` names the metrics that could not be taken, each with the reason, and ``traces`` has
    the tracebacks of those that raised; ``taken`` names the others. ``pictures`` are
    what metrics show beside their scores, ``exactness`` what the sampler says of itself. After
    several draws, seconds and diagnostics are means. ``seed`` is the one that all draws derive
    theirs from, as `genbench.evaluation.evaluate` takes it. ``step`` is given for weights of an
    epoch that had not ended: those after ``epoch`` whole epochs and some steps of the next one.
    """

    epoch: int
    stage: str
    sampler: str
    sampler_settings: Mapping[str, Any]
    scores: Sequence[Score]
    seconds: Mapping[str, float]
    diagnostics: Mapping[str, float] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    traces: Mapping[str, str] = field(default_factory=dict)
    taken: Sequence[str] = ()
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    exactness: str = ""
    seed: int | None = None
    step: int | None = None


@dataclass(frozen=True, kw_only=True)
class Warned:
    """A sign of sickness after an epoch: its kind (see `genbench.health`), and what to try."""

    epoch: int
    kind: str
    message: str


@dataclass(frozen=True, kw_only=True)
class ArtifactMade:
    """A file was written into the run's folder: kind ("samples", "reconstructions", ...)."""

    kind: str
    path: Path
    epoch: int | None = None


@dataclass(frozen=True, kw_only=True)
class Checkpointing:
    """A checkpoint is about to be written: what was told so far must be safe first.

    A resumed run goes on after the checkpoint and tells none of it again. A listener that raises
    keeps it from being written.
    """

    step: int


@dataclass(frozen=True, kw_only=True)
class Checkpointed:
    """Everything up to ``step`` is safe on disk; ``epoch_done`` is the epoch that ended with it."""

    path: Path
    step: int
    epoch: int
    epoch_done: EpochDone | None = None


@dataclass(frozen=True, kw_only=True)
class Resumed:
    """A run goes on after a checkpoint: what lies after ``step`` and ``epoch`` is done again."""

    step: int
    epoch: int


@dataclass(frozen=True, kw_only=True)
class Noticed:
    """Something that a person should know now, such as what the run waits for; not stored."""

    message: str


@dataclass(frozen=True, kw_only=True)
class RunFailed:
    """The run ended by an error."""

    error: str
    kind: str


Event = (
    StageStarted
    | StepsDone
    | EpochDone
    | Evaluated
    | Warned
    | ArtifactMade
    | Checkpointing
    | Checkpointed
    | Resumed
    | Noticed
    | RunFailed
)
Listener = Callable[[Event], None]
