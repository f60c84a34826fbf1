"""What ``run``, ``resume`` and ``rerun`` share: signals, the display, the final report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from genbench.cli.closing import print_result, say_closing
from genbench.cli.garbage import collect_as_usual
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
    """Show a run, let it be stopped by signals, and report how it ended, whatever happens.

    ``work(store=, access=, listeners=, should_stop=, started=)`` is `genbench.runner.run` or
    ``resume`` with the rest filled in. Raises what it raises; a stop before there is a run is an
    InterruptedRunError too.
    """
    began = time.monotonic()
    made: list[Run] = []
    with StopSignals(quiet=SESSION.verbosity < 0) as signals, opening() as store:
        try:
            with open_display(SESSION.verbosity) as display:

                def started(new: Run) -> None:
                    collect_as_usual()
                    made.append(new)
                    display.started(new)

                finished = work(
                    store=store,
                    access=replace(access, progress=display.transfer),
                    listeners=[display],
                    should_stop=signals,
                    started=started,
                )
        except (KeyboardInterrupt, InterruptedRunError) as stop:
            raise interrupted(store, made, stop) from None
        finally:
            if made and as_json:
                print_result(store, made[0].id)
        say_closing(store, finished, seconds=time.monotonic() - began)


def interrupted(store: Store, made: Sequence[Run], stop: BaseException) -> InterruptedRunError:
    """The error of a stop; a run of this process that is still marked as running is interrupted.

    A second signal comes at any moment: before there is a run, while its row is committed, while
    it is noted that it is interrupted, or when it is finished.
    """
    if isinstance(stop, InterruptedRunError) and made:
        return stop
    running = store.running_here()
    for run_id in running:
        store.interrupt(run_id)
    for run_id in (*running, *(run.id for run in made)):
        if store.run(run_id).status == "finished":
            return InterruptedRunError(f"interrupted, but run {run_id} is finished and stored")
        return InterruptedRunError(
            f"run {run_id} is interrupted", hint=f"To resume: genbench resume {run_id}"
        )
    return InterruptedRunError("interrupted before the training began; nothing was stored")
