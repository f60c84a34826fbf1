"""Ctrl-C and SIGTERM: the first asks the run to stop, the second stops at once."""

from __future__ import annotations

import os
import signal
from types import FrameType, TracebackType
from typing import Any

_NOTICE = "\nstopping: this step is finished and a checkpoint written (once more stops at once)\n"


class StopSignals:
    """A ``should_stop`` for a run; a context that handles SIGINT and SIGTERM within it.

    The first signal makes it true; a second raises KeyboardInterrupt where the program stands.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.asked = False
        self._quiet = quiet
        self._before: dict[int, Any] = {}

    def __call__(self) -> bool:
        """Whether a stop was asked for."""
        return self.asked

    def __enter__(self) -> StopSignals:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        if not self._quiet:
            # print() may be interrupted by itself here; write(2) may not.
            os.write(2, _NOTICE.encode())
