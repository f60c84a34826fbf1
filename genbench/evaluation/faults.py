"""Errors of plugins as text: the plugin, its distribution, the cause, and the traceback."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from genbench.errors import GenbenchError, InterruptedRunError, PluginError, StoreError

Owner = Callable[[str, str], str]
"""Kind and name of a plugin -> its distribution and version; empty if they are not known."""

LONGEST = 300
"""Characters of a cause in a message; the traceback that is kept has all of them."""

CAUGHT = (Exception, SystemExit)
"""Errors of plugins that don't end the program: all, since their authors may raise anything.

Ctrl-C is a KeyboardInterrupt, which is not among them.
"""


def no_owner(kind: str, name: str) -> str:
    """An `Owner` for plugins without a distribution."""
    return ""


def who(kind: str, name: str, owner: Owner) -> str:
    """A plugin in messages: "metric 'lpips' (genbench-lpips 0.3)"."""
    distribution = owner(kind, name)
    return f"{kind} '{name}'" + (f" ({distribution})" if distribution else "")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Why a plugin was skipped; ``trace`` is empty for one of genbench's own errors."""

    reason: str
    trace: str = ""


def fault(error: BaseException, name: str) -> Fault:
    """The fault of the plugin ``name`` for an error that it raised.

    Raises the error again if it isn't the plugin's: a stop, an error of the store, or a disk that
    is full or fails.
    """
    disk = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO)
    if disk or isinstance(error, (InterruptedRunError, StoreError)):
        raise error
    if isinstance(error, GenbenchError) and not isinstance(error, PluginError):
        return Fault(reason=str(error))
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, PluginError):
        return Fault(reason=str(error), trace=trace)
    text = " ".join(str(error).split())
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]} ... (see its traceback)"
    kind = type(error).__name__
    return Fault(reason=f"{name} raised {kind}" + (f": {text}" if text else ""), trace=trace)
