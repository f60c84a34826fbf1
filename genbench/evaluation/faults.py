"""What a plugin raised, in words: its name, its distribution, the cause, and the traceback."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from genbench.errors import GenbenchError, InterruptedRunError, PluginError, StoreError

Owner = Callable[[str, str], str]
"""Kind and name of a part -> its distribution and version; empty where they are not known."""

CAUGHT = (Exception, SystemExit)
"""What a plugin may raise without taking the program down; Ctrl-C is a KeyboardInterrupt."""


def no_owner(kind: str, name: str) -> str:
    """For parts that come from no distribution."""
    return ""


def who(kind: str, name: str, owner: Owner) -> str:
    """A part in messages: "metric 'lpips' (genbench-lpips 0.3)"."""
    whose = owner(kind, name)
    return f"{kind} '{name}'" + (f" ({whose})" if whose else "")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Why a part was skipped. ``trace`` is empty where it said so itself, in a sentence."""

    reason: str
    trace: str = ""


def fault(error: BaseException, name: str) -> Fault:
    """An error of the part that is called ``name`` as a reason.

    Raises the error again where it concerns the run and no plugin: a stop, a full disk, the store.
    """
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or isinstance(error, (InterruptedRunError, StoreError)):
        raise error
    if isinstance(error, GenbenchError) and not isinstance(error, PluginError):
        return Fault(reason=str(error))
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, PluginError):
        return Fault(reason=str(error), trace=trace)
    text = " ".join(str(error).split())
    kind = type(error).__name__
    return Fault(reason=f"{name} raised {kind}" + (f": {text}" if text else ""), trace=trace)
