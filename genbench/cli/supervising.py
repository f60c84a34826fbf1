"""What ``run``, ``resume`` and ``rerun`` share: signals, the display, the closing words."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from genbench.cli.closing import print_result, say_closing
from genbench.cli.progress import open_display
from genbench.cli.session import SESSION
from genbench.cli.stopping import StopSignals
from genbench.errors import InterruptedRunError

if TYPE_CHECKING:
    from genbench.contracts import DataAccess
    from genbench.store import Store
    from genbench.store.records import Run


def supervise(
    work: Callable[..., Run],
    opening: Callable[[], Store],
    access: DataAccess,
    *,
    as_json: bool,
) -> None:
    """Show a run, let it be stopped by signals, and tell how it ended, whatever happens.

    ``work(store=, access=, listeners=, should_stop=, started=)`` is `genbench.runner.run` or
    ``resume`` with the rest filled in. Raises what it raises; a stop before there is a run is an
    InterruptedRunError too.
    """
    began = time.monotonic()
    made: list[Run] = []
    try:
        with StopSignals(quiet=SESSION.verbosity < 0) as signals, opening() as store:
            try:
                with open_display(SESSION.verbosity) as display:

                    def started(new: Run) -> None:
                        made.append(new)
                        display.started(new)

                    finished = work(
                        store=store,
                        access=replace(access, progress=display.transfer),
                        listeners=[display],
                        should_stop=signals,
                        started=started,
                    )
            finally:
                if made and as_json:
                    print_result(store, made[0].id)
            say_closing(store, finished, seconds=time.monotonic() - began)
    except (KeyboardInterrupt, InterruptedRunError):
        if made:
            raise
        raise InterruptedRunError(
            "interrupted before the training began; nothing was stored"
        ) from None
