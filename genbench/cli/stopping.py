"""Ctrl-C, SIGTERM and SIGHUP: the first asks the run to stop, a second Ctrl-C stops at once."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from types import FrameType
from typing import Any

from genbench.store.process import ENDS_WITH, process_start

_NOTICE = "\nstopping after this step, with a checkpoint if possible (again: stop now)\n"
_CODE = 130
_end = os._exit  # kept, because it is replaced while a plugin is imported

_HANGUP: int | None = getattr(signal, "SIGHUP", None)  # Windows has none
_STOPS = [n for n in (signal.SIGINT, signal.SIGTERM, _HANGUP) if n is not None]
ONE_PRESS_S = 0.3
"""Signals so close to the one before count as the same: a terminal and its shell send both."""

ONE_LOOK_S = 1.0
"""Seconds between two checks of the parent process; each reads a file of the system."""


class StopSignals:
    """A ``should_stop`` for a run; a context that handles the signals within it.

    The first makes it true. A second SIGINT or SIGTERM raises KeyboardInterrupt immediately, but
    only once: later signals don't disturb the saving that follows for ``patience`` seconds; after
    that they end the process. A SIGHUP never counts as a second signal: closing a terminal costs
    no checkpoint. A command that was started with an end that only its parent knows (a pilot) is
    also stopped when that process is gone.
    """

    def __init__(self, *, quiet: bool = False, patience: float = 10.0) -> None:
        self.asked = False
        self._quiet, self._patience = quiet, patience
        self._counted = self._raised = float("-inf")
        self._looked = float("-inf")
        self._before: dict[int, Any] = {}

    def __call__(self) -> bool:
        """Whether a stop was asked for."""
        return self.asked or self._is_orphan()

    def _is_orphan(self) -> bool:
        """Whether the process that would end this one is gone; this is checked every second."""
        parent, now = os.environ.get(ENDS_WITH), time.monotonic()
        if parent is None or now - self._looked < ONE_LOOK_S or sys.platform == "win32":
            return False
        self._looked = now
        self.asked = process_start(int(parent)) is None
        return self.asked

    def __enter__(self) -> StopSignals:
        for number in _STOPS:
            if number == _HANGUP and signal.getsignal(number) is signal.SIG_IGN:
                continue  # nohup: the run is to go on when the terminal is closed
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            # A terminal that is closed may say so again while the last words are written.
            gone = number == _HANGUP and self.asked
            signal.signal(number, signal.SIG_IGN if gone else handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if now - self._counted < ONE_PRESS_S or (self.asked and number == _HANGUP):
            return
        self._counted = now
        if not self.asked:
            self.asked = True
            self._tell()
        elif self._raised == float("-inf"):
            self._raised = now
            raise KeyboardInterrupt
        elif now - self._raised > self._patience:
            _end(_CODE)

    def _tell(self) -> None:
        if not self._quiet:
            # print() may be interrupted by itself here; write(2) may not.
            with suppress(OSError):
                os.write(2, _NOTICE.encode())
