"""The import of other people's modules, in which nothing of theirs harms the caller.

What a module prints goes to stderr, for stdout belongs to genbench's own data. A module that calls
``os._exit`` or raises KeyboardInterrupt raises `LeftPythonError` instead, and a Ctrl-C that the
user pressed meanwhile stays a KeyboardInterrupt. All of it costs microseconds [some 70 us a block].
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn

HEAVY = ("torch", "torchvision", "numpy", "scipy", "sklearn", "pandas", "tensorflow", "jax")
"""Packages that a listing can't afford to import."""
SLOW = 0.5
"""Seconds from which on the import of one plugin is called slow."""


class LeftPythonError(Exception):
    """A module tried to end the process while it was imported."""


@dataclass
class Cost:
    """What a block of imports cost: seconds of the wall clock, and which `HEAVY` it loaded."""

    seconds: float = 0.0
    heavy: tuple[str, ...] = ()

    def __add__(self, other: Cost) -> Cost:
        """Both blocks together."""
        return Cost(self.seconds + other.seconds, self.heavy + other.heavy)


@contextmanager
def foreign_code() -> Iterator[Cost]:
    """Run other people's code inside; the cost is known when the block is left.

    Raises LeftPythonError where the code would have ended the process. A crash of the interpreter
    itself (a segmentation fault) can't be caught: the traceback of Python that is then written to
    stderr names the module.
    """
    cost, start = Cost(), time.perf_counter()
    before = {name for name in HEAVY if name in sys.modules}
    try:
        with ExitStack() as guards:
            for guard in (_stdout_to_stderr, _exit_is_caught, _ctrl_c_is_known, _crash_is_told):
                guards.enter_context(guard())
            yield cost
    finally:
        cost.seconds = time.perf_counter() - start
        cost.heavy = tuple(name for name in HEAVY if name in sys.modules and name not in before)


@contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Python's ``sys.stdout``, and file descriptor 1 for child processes and ``os.write``."""
    with redirect_stdout(sys.stderr):
        saved = _to_stderr()
        try:
            yield
        finally:
            if saved is not None:
                os.dup2(saved, 1)
                os.close(saved)


def _to_stderr() -> int | None:
    """Point descriptor 1 at 2; return a copy of what it was, None where it is closed."""
    with suppress(OSError, AttributeError):
        if sys.__stdout__ is not None:
            sys.__stdout__.flush()
        saved = os.dup(1)
        os.dup2(2, 1)
        return saved
    return None


@contextmanager
def _exit_is_caught() -> Iterator[None]:
    """``os._exit`` raises in this thread of this process; a forked child still ends by it."""
    real = os._exit
    armed = (os.getpid(), threading.get_ident())

    def caught(status: int) -> NoReturn:
        # A module may keep this function for later, by `from os import _exit`.
        if armed != (os.getpid(), threading.get_ident()):
            real(status)
        raise LeftPythonError(f"it called os._exit({status}), which would end genbench")

    os._exit = caught
    try:
        yield
    finally:
        armed = (0, 0)
        os._exit = real


@contextmanager
def _ctrl_c_is_known() -> Iterator[None]:
    """A KeyboardInterrupt that no signal caused is the module's own: LeftPythonError."""
    pressed = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        if callable(before):
            before(number, frame)

    # Only the main thread may set handlers; elsewhere Ctrl-C doesn't arrive.
    main = threading.current_thread() is threading.main_thread()
    before: Any = signal.getsignal(signal.SIGINT) if main else None
    ours = main and callable(before)
    if ours:
        signal.signal(signal.SIGINT, handle)
    try:
        yield
    except KeyboardInterrupt:
        if pressed:
            raise
        raise LeftPythonError(
            "it raised KeyboardInterrupt although nobody pressed Ctrl-C"
        ) from None
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)


@contextmanager
def _crash_is_told() -> Iterator[None]:
    """A fatal signal writes Python's traceback to stderr, unless somebody arranged that already."""
    if faulthandler.is_enabled():
        yield
        return
    with suppress(OSError, ValueError):
        faulthandler.enable(2)
    try:
        yield
    finally:
        faulthandler.disable()
