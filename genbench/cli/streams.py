"""What the program reads and writes: stdin, stdout and stderr, in whatever state they are.

A descriptor that is closed (``>&-``) would go to the next file that is opened, such as the store,
and text meant for a person would be written into it; so each gets a place of its own first. A
reader of stdout that goes away (``| head``) ends the program well; a stdout that can't be written
is an error in one sentence; a stderr that nobody reads any more takes words and drops them, for a
training doesn't end because nobody watches it.
"""

from __future__ import annotations

import errno
import io
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO


class ReaderGoneError(BaseException):
    """Nobody reads stdout any more. Not an Exception, so that no handler takes it for a fault."""


def prepare() -> None:
    """Replace Python's streams by such ones; streams that a test has set remain."""
    _open_descriptors()
    if sys.stdout is sys.__stdout__:
        sys.stdout = _text(_Stdout(1, "w", closefd=False), sys.stdout, lines=os.isatty(1))
    if sys.stderr is sys.__stderr__:
        sys.stderr = _text(_Stderr(2, "w", closefd=False), sys.stderr, lines=True)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 (a descriptor, for good)


def finish() -> None:
    """Write what is still held back. Raises what a write to stdout raises."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def _open_descriptors() -> None:
    # What is read from a closed stdin is nothing; a closed stdout can't be written afterwards
    # either, but to a descriptor that is ours; what goes to a closed stderr is dropped.
    for descriptor, flags in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, flags)  # the lowest that is free: this one
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            os.set_inheritable(descriptor, True)


def _text(raw: io.RawIOBase, before: TextIO | None, *, lines: bool) -> TextIO:
    """Text over ``raw``; what its encoding lacks is written as an escape (``\\xb1``)."""
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=before.encoding if before else "utf-8",
        errors="backslashreplace",
        line_buffering=lines,
    )


class _Stdout(io.FileIO):
    """Raises our own error for the first write that fails; drops later writes."""

    failed = False

    def write(self, data: Any, /) -> int:
        if self.failed:
            return len(data)
        try:
            return super().write(data)
        except BrokenPipeError:
            self.failed = True
            raise ReaderGoneError from None
        except OSError as error:
            self.failed = True
            raise _unwritable(error) from None


class _Stderr(io.FileIO):
    """Drops what can't be written: a closed pipe, a terminal that is gone, a full disk."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def _unwritable(error: OSError) -> Exception:
    from genbench.errors import DiskFullError, UsageError

    kind = DiskFullError if error.errno in (errno.ENOSPC, errno.EDQUOT) else UsageError
    return kind(f"the output can't be written to stdout: {error.strerror}")
