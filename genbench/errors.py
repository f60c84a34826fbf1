"""Every error that genbench raises on purpose, in one tree, each with its exit code.

::

    GenbenchError                  1   a run failed
    ├── DivergedError              1   a loss or a weight is no longer finite
    ├── OutOfMemoryError           1   more memory is needed than there is
    ├── SamplingError              1   a sampler can't go on, such as one that accepts nothing
    ├── UsageError                 2   something that was given can't be used
    │   ├── UnknownNameError       2   no such model, dataset, sampler, metric, preset, ...
    │   ├── SettingError           2   a setting that doesn't exist or is out of bounds
    │   ├── IncompatibleError      2   parts that don't fit together
    │   ├── DeviceError            2   a device that isn't there
    │   ├── AmbiguousRunError      2   a run reference that fits several runs
    │   └── DataError              2   data that is missing, corrupt or can't be read
    ├── NoSuchRunError             3   nothing matched
    ├── PluginError                4   a plugin is broken or contradicts another
    ├── StoreError                 5   the store can't be opened, read or written
    │   ├── NoStoreError           5   there is no store at this address
    │   ├── CheckpointError        5   a checkpoint is missing, cut short, changed or another run's
    │   ├── DiskFullError          5   no space left
    │   ├── LockedError            5   another process holds the store's lock
    │   └── TakenOverError         5   another process has taken over the run, or removed it
    └── InterruptedRunError      130   Ctrl-C; the run can be resumed

A message says what was given, what was expected and what to do next; a ``hint`` after it names
the command that helps. Only the command line turns an error into an exit code.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager


class GenbenchError(Exception):
    """The root of all errors with a message for the user.

    ``hint`` names the command that helps ("See: genbench models"), and is printed after the
    message. ``RUN`` in it stands for the id of a run (see `hints_for`).
    """

    exit_code = 1

    def __init__(self, message: str = "", *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = super().__str__()
        end = "" if message[-1:] in ".?" else "."
        return f"{message}{end} {self.hint}" if self.hint else message


class DivergedError(GenbenchError):
    """Training produced a value that is not finite. ``kept``: an earlier checkpoint is kept."""

    kept = False

    def __init__(self, *, stage: str, phase: str, term: str, step: int, value: float) -> None:
        self.stage, self.phase, self.term, self.step, self.value = stage, phase, term, step, value
        super().__init__(
            f"training diverged: {term} of phase '{phase}' (stage '{stage}') is {value} at step "
            f"{step}"
        )

    def __str__(self) -> str:
        kept = "; the last good checkpoint is kept" if self.kept else ""
        return (
            f"{super().__str__()}{kept}. Try a lower learning rate, --clip-norm 1, or "
            "--precision fp32."
        )


class SamplingError(GenbenchError):
    """A sampler can't go on: it accepts nothing, or its chain reached values that are not finite.

    ``places`` are the indices of the samples that were accepted before, unless they are the first
    ones.
    """

    def __init__(
        self, message: str, *, hint: str = "", places: Sequence[int] | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.places = places


class UsageError(GenbenchError):
    """Something that was given can't be used; nothing was started."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that is not registered, with the nearest one that is."""

    def __init__(self, kind: str, given: str, known: Iterable[str], *, see: str = "") -> None:
        self.kind, self.given = kind, given
        hint = see and f"See: {see}"
        super().__init__(f"unknown {kind} '{given}'{suggest(given, known)}", hint=hint)


class SettingError(UsageError):
    """A setting that doesn't exist, has the wrong type or is out of bounds."""


class IncompatibleError(UsageError):
    """Parts that don't fit together: a model and a data shape, a sampler and a model."""


class DeviceError(UsageError):
    """A device that this machine or this PyTorch doesn't have."""


class AmbiguousRunError(UsageError):
    """A run reference that fits more than one run."""


class DataError(UsageError):
    """Data that is missing, corrupt or can't be read; the message names the file and the fix."""


class NoSuchRunError(GenbenchError):
    """A reference or a filter that matched nothing."""

    exit_code = 3


class PluginError(GenbenchError):
    """A plugin that can't be loaded, or that contradicts another one."""

    exit_code = 4


class StoreError(GenbenchError):
    """The store can't be opened, read or written."""

    exit_code = 5


class NoStoreError(StoreError):
    """There is no store at this address."""


class CheckpointError(StoreError):
    """A checkpoint that is missing, cut short or was changed."""


class OutOfMemoryError(GenbenchError):
    """More memory is needed than there is."""


class DiskFullError(StoreError):
    """No space is left where genbench writes."""


class LockedError(StoreError):
    """Another process has held the store's lock for too long."""


class TakenOverError(StoreError):
    """Another process has taken over the run or removed it, so this one may not write it."""


class InterruptedRunError(GenbenchError):
    """Ctrl-C: the step was finished and a checkpoint written; the run can be resumed."""

    exit_code = 130


class GenbenchWarning(UserWarning):
    """Something that may change numbers unexpectedly; the work continues.

    In Python it is an ordinary warning; the command line prints it as a line on stderr.
    """


@contextmanager
def hints_for(run_id: str) -> Iterator[None]:
    """Replace RUN by the id of a run in the hints of errors that are raised inside."""
    try:
        yield
    except GenbenchError as error:
        error.hint = error.hint.replace("RUN", run_id)
        raise


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: Python's, CUDA's or the CPU allocator's.

    PyTorch's CPU allocator raises a plain RuntimeError, and so does a tensor with more bytes than
    64 bits can count.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _MEMORY)


_MEMORY = ("DefaultCPUAllocator", "Storage size calculation overflowed", "out of memory")


def suggest(given: str, known: Iterable[str]) -> str:
    """Return '; did you mean ...?' for a near miss, else a short list of the known names.

    >>> suggest("dcgn", ["dcgan", "vae"])
    "; did you mean 'dcgan'?"
    >>> suggest("modle", ["model", "modes"])
    "; did you mean 'model'?"
    """
    names = sorted(known)
    near = difflib.get_close_matches(given, names, n=3)
    # Among equally near names, the one with the same letters wins: 'modle' is 'model', not 'modes'.
    near.sort(key=lambda name: sorted(name) != sorted(given))
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; known: {', '.join(names)}." if names else "; none is known."
