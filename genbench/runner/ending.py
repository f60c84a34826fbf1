"""The end of a run that doesn't finish: its status, an error message, and a traceback in a file.

``error.txt`` in the folder of the run has the whole traceback. Every error becomes a GenbenchError;
those that are one already keep their exit code.
"""

from __future__ import annotations

import contextlib
import errno
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

from genbench.engine.memory import asked_bytes
from genbench.errors import (
    DiskFullError,
    GenbenchError,
    InterruptedRunError,
    LockedError,
    OutOfMemoryError,
    StoreError,
    TakenOverError,
    is_out_of_memory,
)
from genbench.events import Listener, RunFailed
from genbench.spec import RunSpec
from genbench.store import Store

ERROR_FILE = "error.txt"

_ACTIVITIES = {
    "evaluation": ("while scoring", "use fewer --samples"),
    "health": ("while monitoring samples between epochs", "turn that off with --no-watch"),
    "pictures": ("while drawing pictures", "use a smaller model"),
    "engine/checkpoint.py": ("while writing a checkpoint", "use a smaller model"),
    "engine/stage.py": (
        "while preparing the data of a stage",
        "use fewer images, or a smaller model",
    ),
    "engine/feed.py": ("while loading the training data", "use fewer images, or smaller ones"),
    "engine/optim.py": ("while setting up the optimizers", "use a smaller model"),
}
"""By the folder or file of genbench that raised the error: the activity and a suggestion."""


@contextlib.contextmanager
def ending(
    run_id: str, store: Store, spec: RunSpec, listeners: Sequence[Listener] = ()
) -> Iterator[None]:
    """If the block raises an error, store how the run ended."""
    try:
        yield
    except (InterruptedRunError, KeyboardInterrupt):
        try:
            store.interrupt(run_id)
            fate = "is interrupted"
        except LockedError:
            fate = "is stopped at its last checkpoint (and shown as lost: its store is locked)"
        raise InterruptedRunError(
            f"run {run_id} {fate}", hint=f"To resume: genbench resume {run_id}"
        ) from None
    except TakenOverError:
        raise  # the run no longer belongs to this process
    except Exception as error:  # a run may fail with any error, such as a bug of a plugin
        file = store.folder(run_id) / ERROR_FILE
        failure = in_words(error, spec, file)
        if isinstance(failure, StoreError) and not failure.hint:
            failure.hint = "To resume: genbench resume RUN"
        failure.hint = failure.hint.replace("RUN", run_id)
        # On a full disk, both may fail; the error of the run is reported then, too.
        with contextlib.suppress(OSError):
            _write_trace(file, error)
        with contextlib.suppress(GenbenchError):
            store.publish(run_id)
        with contextlib.suppress(GenbenchError):
            store.fail(run_id, str(failure), kind=type(error).__name__)
        for listener in listeners:
            listener(RunFailed(error=str(failure), kind=type(error).__name__))
        if failure is error:
            raise
        raise failure from error


def in_words(error: Exception, spec: RunSpec, file: Path) -> GenbenchError:
    """Any error of a run as a GenbenchError with a hint; ``file`` has the traceback."""
    if isinstance(error, GenbenchError):
        return error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(
            f"no space is left on the disk (writing {error.filename or 'into the run'}); "
            "free some space first",
            hint="To resume: genbench resume RUN",
        )
    if is_out_of_memory(error):
        return _out_of_memory(error, device=spec.device, file=file)
    text = " ".join(str(error).split())
    reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return GenbenchError(f"the run failed: {reason} (traceback: {file})")


def _write_trace(file: Path, error: Exception) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(traceback.format_exception(error)), encoding="utf-8")


def _out_of_memory(error: BaseException, *, device: str, file: Path) -> OutOfMemoryError:
    """The error for a lack of memory outside the training steps: smaller batches don't help there.

    ``file`` has the traceback.
    """
    asked = asked_bytes(error)
    size = f" (it asked for {asked / 1e9:.3g} GB at once)" if asked else ""
    activity, suggestion = _activity(error)
    return OutOfMemoryError(
        f"out of memory on {device} {activity}{size}; {suggestion} (traceback: {file})"
    )


def _activity(error: BaseException) -> tuple[str, str]:
    package = Path(__file__).parents[1]
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        for place, found in _ACTIVITIES.items():
            if path.is_relative_to(package / place):
                return found
    return "outside the training steps", "use a smaller model, smaller images or fewer of them"
