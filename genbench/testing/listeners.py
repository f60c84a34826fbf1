"""The laws of listeners: they hear a run to its end, change no event, and hold up nothing."""

from __future__ import annotations

import contextlib
import copy
import signal
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from genbench.contracts import Score
from genbench.evaluation import CAUGHT
from genbench.events import (
    ArtifactMade,
    Checkpointed,
    Checkpointing,
    EpochDone,
    Evaluated,
    Event,
    Resumed,
    RunFailed,
    StageStarted,
    StartedRun,
    StepsDone,
    Warned,
)
from genbench.registry import Registry
from genbench.settings import Settings
from genbench.spec import RunSpec
from genbench.testing.subject import Subject, subject

METHODS = ("begin", "hear", "end")
EPOCHS, STEPS = 4, 10
QUICK_S, SEVERAL = 0.1, 3
"""Seconds that `hear` may take at its quickest for a kind of event, if it heard several of them."""
PATIENCE_S = 30.0
"""Seconds after which a call counts as one that never returns."""
GRACE_S = 2.0
"""Seconds in which threads may end after ``end``."""


def check_listener(
    listener: str | type,
    settings: Settings | type[Settings] | None = None,
    *,
    registry: Registry | None = None,
    patience_s: float = PATIENCE_S,
) -> None:
    """Check a listener on a run that finishes, one that is resumed and interrupted, one that fails.

    The runs are made up, in a temporary folder that is the working directory meanwhile. A call
    that takes longer than ``patience_s`` counts as one that never returns.
    """
    part = subject("listener", listener, settings, registry)
    missing = [name for name in METHODS if not callable(getattr(part.cls, name, None))]
    assert not missing, (
        f"{part.name} has no method {' or '.join(repr(name) for name in missing)}; a listener has "
        "begin(run), hear(event) and end(status)"
    )
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        folder = Path(name) / "runs" / "0123456789"
        folder.mkdir(parents=True)
        _Trial(part, patience_s).tell(_run(folder), _epochs(folder, 1), "finished")
        continued = [Resumed(step=STEPS, epoch=1), *_epochs(folder, 2)]
        _Trial(part, patience_s).tell(_run(folder, resumed=True), continued, "interrupted")
        failed = [*_epochs(folder, EPOCHS), RunFailed(error="it diverged", kind="DivergedError")]
        _Trial(part, patience_s).tell(_run(folder), failed, "failed")


@dataclass
class _Trial:
    """One run that a new object of the listener's class is told of."""

    part: Subject
    patience_s: float
    seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def tell(self, run: StartedRun, events: list[Event], status: str) -> None:
        """Call the listener from its beginning to its end, and look at what it has done."""
        before = {*threading.enumerate()}
        listener = self._call("its constructor", self.part.cls, self.part.settings)
        self._call(f"begin() of a {'resumed' if run.resumed else 'new'} run", listener.begin, run)
        for event in events:
            self._call(f"hear({type(event).__name__})", listener.hear, event)
        self._check_speed()
        self._call(f"end({status!r})", listener.end, status)
        self._check_threads(before)

    def _call(self, what: str, call: Callable[[Any], Any], given: Any) -> Any:
        """Call a method; it must return, raise nothing, and leave what it is given as it was."""
        kept, begun = copy.deepcopy(given), time.perf_counter()
        try:
            with _alarm(self.patience_s):
                answer = call(given)
        except _TooLateError:
            raise AssertionError(
                f"{self.part.name}: {what} has not returned after {self.patience_s:g} s, so a run "
                "would never end; never wait without a timeout"
            ) from None
        except CAUGHT as error:
            raise AssertionError(
                f"{self.part.name}: {what} raises {type(error).__name__}: {error}; an error in the "
                "constructor stops a run before it begins, a later one leaves the listener out"
            ) from error
        self.seconds[what].append(time.perf_counter() - begun)
        assert given == kept, (
            f"{self.part.name}: {what} changes what it is given, which others are given after it; "
            "copy what you change"
        )
        return answer

    def _check_speed(self) -> None:
        """The quickest of several calls counts: the first may import, and the machine be busy."""
        for what, seconds in self.seconds.items():
            quickest = min(seconds)
            assert quickest <= QUICK_S or len(seconds) < SEVERAL, (
                f"{self.part.name}: {what} takes {quickest:.2g} s, and the training waits for it; "
                f"more than {QUICK_S:g} s is slow: give the work to a thread of your own, and wait "
                "for that in end()"
            )

    def _check_threads(self, before: set[threading.Thread]) -> None:
        """A thread that isn't a daemon keeps the process from ending."""
        left = [t for t in threading.enumerate() if t not in before and not t.daemon]
        deadline = time.monotonic() + GRACE_S
        for thread in left:
            thread.join(max(0.0, deadline - time.monotonic()))
        names = ", ".join(f"'{thread.name}'" for thread in left if thread.is_alive())
        assert not names, (
            f"{self.part.name}: thread {names} still runs after end(), which keeps the process "
            "from ending; end it there, or make it a daemon"
        )


class _TooLateError(BaseException):
    """A call takes too long. A listener that catches each Exception doesn't catch it."""


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise an error in the block once it takes too long, in the main thread of a POSIX system.

    An alarm that was set before, such as that of pytest-timeout, goes on afterwards.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or not hasattr(signal, "setitimer"):
        yield
        return

    def late(*_: object) -> None:
        raise _TooLateError

    handler, begun = signal.signal(signal.SIGALRM, late), time.monotonic()
    rest, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if rest:
            left = max(0.001, rest - (time.monotonic() - begun))
            signal.setitimer(signal.ITIMER_REAL, left, interval)


# --- the run that it is told of


def _run(folder: Path, *, resumed: bool = False) -> StartedRun:
    spec = RunSpec(model="vae", dataset="digits", epochs=EPOCHS, batch_size=10)
    params = {"model.lr": 1e-3, "model.widths": [8, 4], "sampler.drs#2.gamma": None, "seed": 0}
    return StartedRun(
        id=folder.name,
        name=None if resumed else "a run, of <several> words",
        tags=("paper", "x" * 100),
        spec=spec,
        params=params,
        folder=folder,
        store="runs.db",
        resumed=resumed,
    )


def _epochs(folder: Path, first: int) -> list[Event]:
    stage = StageStarted(
        stage="train", index=0, epochs=EPOCHS, steps_per_epoch=STEPS, first_epoch=first
    )
    return [stage, *(e for epoch in range(first, EPOCHS + 1) for e in _epoch(folder, epoch))]


def _epoch(folder: Path, epoch: int) -> Iterator[Event]:
    """All that a run tells in an epoch, in its order; a loss may be infinite."""
    step = STEPS * epoch
    values = [(step - 5, 1.5), (step, float("inf") if epoch == 2 else 1.0 / epoch)]
    yield StepsDone(stage="train", epoch=epoch, step=step, series={"vae/loss": values}, seconds=0.5)
    done = EpochDone(
        stage="train",
        stage_epoch=epoch,
        epoch=epoch,
        step=step,
        images=100,
        train_s=1.0,
        eval_s=0.1,
        wall_s=1.2,
        peak_mem=1 << 20,
        losses={"vae/loss": 1.0 / epoch, "test/loss": -90.0},
    )
    yield done
    picture = folder / f"samples-{epoch}.png"
    Image.new("L", (8, 8), 40 * epoch).save(picture)
    yield ArtifactMade(kind="samples", path=picture, epoch=epoch)
    yield Evaluated(
        epoch=epoch,
        stage="train",
        sampler="plain",
        sampler_settings={},
        scores=[Score(metric="fd_clf", value=20.0 / epoch, n=10, protocol={"n": 10})],
        seconds={"fd_clf": 0.1},
    )
    yield Warned(epoch=epoch, kind="collapsed", message="the generator has collapsed")
    yield Checkpointing(step=step)
    yield Checkpointed(path=folder / "checkpoint", step=step, epoch=epoch, epoch_done=done)
