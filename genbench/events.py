"""The events of a run, as frozen records; the recorder and the progress display listen to them.

Order within an epoch: StepsDone (many), EpochDone, Evaluated and Warned (optional), Checkpointed.
An epoch is *reported* to the user at Checkpointed, so that a reported epoch is never lost. Epochs
and steps (iterations) are counted from 1 across the stages of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from genbench.contracts import Picture, Score
from genbench.spec import RunSpec

BATCHES = "(batches)"
"""The name of the draw of batches beside the names of phases."""

NO_GRAPHS = "the device is "
"""The beginning of the reason of an `Execution` on a device without graphs."""

ShouldStop = Callable[[], bool]
"""Called after each training step and each minibatch of samples; true stops the run there."""


def never() -> bool:
    """Never request a stop."""
    return False


class Event:
    """The base of all events."""


@dataclass(frozen=True, kw_only=True)
class StageStarted(Event):
    """A stage begins, or continues after a resume; ``prepare_s`` are the seconds of preparation."""

    stage: str
    index: int
    epochs: int
    steps_per_epoch: int
    first_epoch: int
    prepare_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class StepsDone(Event):
    """Recorded values of some steps: each key with its steps and values (means over a window).

    Keys are ``optimizer/term`` (and ``optimizer/loss`` for the sum), ``monitor/name``, or, emitted
    after EpochDone with its step, ``watch/score``. ``seconds`` are the seconds of training in the
    current epoch so far.
    """

    stage: str
    epoch: int
    step: int
    series: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class TrainedEpoch:
    """The position and the cost of an epoch.

    ``train_s`` are the seconds of training, with the device synchronized, ``eval_s`` those of the
    validation, and ``wall_s`` all seconds since the end of the last epoch. ``peak_mem`` is in bytes
    (device, else process). ``cpu_s`` is the CPU time of the process, over all threads, within
    ``train_s``; ``load`` is the 1-minute load average of the machine at the end of the epoch. Both
    are None if they aren't known.
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
    cpu_s: float | None = None
    load: float | None = None


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How the updates of a phase were executed in an epoch.

    ``captured`` of the ``updates`` were replays of a CUDA graph; ``reason`` says why the others
    were not, and is empty for the first ones of a phase that is captured.
    """

    updates: int
    captured: int = 0
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class EpochDone(TrainedEpoch, Event):
    """An epoch is trained: means of the losses, and ``test/...`` means of the validation.

    ``execution`` has an entry for each phase, and one for `BATCHES`, which draws them.
    """

    losses: Mapping[str, float]
    execution: Mapping[str, Execution] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Evaluated(Event):
    """Scores of the samples of one sampler at one epoch; ``seconds`` by metric and for sampling.

    The sampler is ``""`` for scores of the model itself, such as its reconstruction error.
    ``skipped`` has the metrics that could not be computed, with the reason, and ``traces`` the
    tracebacks of those that raised an error; ``computed`` names the others. ``pictures`` are those
    of the metrics, and ``exactness`` is that of the sampler. With several repeats, seconds and
    diagnostics are means. ``seed`` is the argument of `genbench.evaluation.evaluate`, from which
    the seeds of all repeats are derived. ``step`` is set for weights within an epoch, after
    ``epoch`` complete epochs.
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
    computed: Sequence[str] = ()
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    exactness: str = ""
    seed: int | None = None
    step: int | None = None


@dataclass(frozen=True, kw_only=True)
class Warned(Event):
    """A warning after an epoch: its kind (see `genbench.health`), and suggestions."""

    epoch: int
    kind: str
    message: str


@dataclass(frozen=True, kw_only=True)
class ArtifactMade(Event):
    """A file was written to the folder of the run; ``kind`` is "samples", "reconstructions", ..."""

    kind: str
    path: Path
    epoch: int | None = None


@dataclass(frozen=True, kw_only=True)
class Checkpointing(Event):
    """A checkpoint is about to be written: listeners must store all events before it.

    A resumed run continues after the checkpoint and doesn't emit them again. A listener that raises
    an error prevents the checkpoint.
    """

    step: int


@dataclass(frozen=True, kw_only=True)
class Checkpointed(Event):
    """Everything up to ``step`` is safe on disk; ``epoch_done`` is the epoch that ended there."""

    path: Path
    step: int
    epoch: int
    epoch_done: EpochDone | None = None


@dataclass(frozen=True, kw_only=True)
class Resumed(Event):
    """A run continues after a checkpoint: everything after ``step`` and ``epoch`` is repeated."""

    step: int
    epoch: int


@dataclass(frozen=True, kw_only=True)
class Noticed(Event):
    """A message for the user, such as what the run is waiting for; it isn't stored."""

    message: str


@dataclass(frozen=True, kw_only=True)
class RunFailed(Event):
    """The run ended with an error."""

    error: str
    kind: str


Listener = Callable[[Event], None]


# --- listeners that plugins bring


@dataclass(frozen=True, kw_only=True)
class StartedRun:
    """The run that a plugin's listener hears of.

    ``params`` are all settings that decide its numbers under flat names such as ``model.lr``, as in
    the store; ``folder`` holds its files. ``resumed``: it continues, and `Resumed` says from where.
    """

    id: str
    name: str | None
    tags: tuple[str, ...]
    spec: RunSpec
    params: Mapping[str, Any]
    folder: Path
    store: str
    resumed: bool = False


class RunListener(Protocol):
    """A plugin's listener, which passes a run on to another tool: ``listener(settings)``.

    It is called in the training's own thread and must be quick. It changes no number: the global
    random generators are restored after each call. An error that it raises is a warning of the run,
    and it is not called again.
    """

    def begin(self, run: StartedRun) -> None:
        """The run begins, or continues."""

    def hear(self, event: Event) -> None:
        """Take one event, after the store has it."""

    def end(self, status: str) -> None:
        """The run has ended: "finished", "failed" or "interrupted"."""
