"""How a run ends that does not finish: a status, an error message, a traceback in a file.

``error.txt`` in the run's folder has the whole traceback. Every error that leaves here is a
GenbenchError; those that were one already keep their exit code.
"""

from __future__ import annotations

import contextlib
import errno
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

from genbench.errors import (
    DiskFullError,
    GenbenchError,
    InterruptedRunError,
    LockedError,
    TakenOverError,
    is_out_of_memory,
)
from genbench.events import Listener, RunFailed
from genbench.runner.shortage import out_of_memory
from genbench.spec import RunSpec
from genbench.store import Store

ERROR_FILE = "error.txt"


@contextlib.contextmanager
def ending(
    run_id: str, store: Store, spec: RunSpec, listeners: Sequence[Listener] = ()
) -> Iterator[None]:
    """Note in the store how the run within ended, unless it ended well."""
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
    except Exception as error:
        file = store.folder(run_id) / ERROR_FILE
        failure = in_words(error, spec, file)
        failure.hint = failure.hint.replace("RUN", run_id)
        # On a full disk neither may succeed, and the first error is the one to report.
        with contextlib.suppress(OSError):
            _write_trace(file, error)
        with contextlib.suppress(GenbenchError):
            store.fail(run_id, str(failure), kind=type(error).__name__)
        for listener in listeners:
            listener(RunFailed(error=str(failure), kind=type(error).__name__))
        if failure is error:
            raise
        raise failure from error


def in_words(error: Exception, spec: RunSpec, file: Path) -> GenbenchError:
    """Any error of a run as one that says what to do; ``file`` has the traceback."""
    if isinstance(error, GenbenchError):
        return error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(
            f"no space is left on the disk (writing {error.filename or 'into the run'}); "
            "free some space first",
            hint="To resume: genbench resume RUN",
        )
    if is_out_of_memory(error):
        return out_of_memory(error, device=spec.device, file=file)
    text = " ".join(str(error).split())
    reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return GenbenchError(f"the run failed: {reason} (traceback: {file})")


def _write_trace(file: Path, error: Exception) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
