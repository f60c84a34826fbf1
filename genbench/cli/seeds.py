"""``genbench run`` with several seeds or swept settings: a grid of runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from genbench.cli.closing import result
from genbench.cli.garbage import collect_as_usual
from genbench.cli.group_display import GroupDisplay
from genbench.cli.output import print_json
from genbench.cli.progress import Display, open_display
from genbench.cli.session import SESSION, say
from genbench.cli.stopping import StopSignals
from genbench.cli.supervising import interrupted
from genbench.errors import GenbenchError, InterruptedRunError, UsageError
from genbench.formatting import counted, duration, measured

if TYPE_CHECKING:
    from genbench.contracts import DataAccess
    from genbench.events import Listener
    from genbench.runner.train_grid import Combination
    from genbench.runner.train_seeds import SeedsDone
    from genbench.spec import Part
    from genbench.store import Store
    from genbench.store.records import Run


def check_seeds(seeds: str | None, *, seed: int | None, together: bool, if_faster: bool) -> None:
    """Raise UsageError for options that don't go together."""
    if seeds is not None and seed is not None:
        raise UsageError("--seed and --seeds are both given; leave out one of them")
    if seeds is None and (together or if_faster):
        option = "--together" if together else "--together-if-faster"
        raise UsageError(f"{option} is for several seeds; add them, such as --seeds 0..7")


def train_grid(
    cells: Sequence[Combination],
    seeds: Sequence[int],
    access: DataAccess,
    listeners: Sequence[Part],
    *,
    together: bool,
    if_faster: bool,
    store: str | None,
    name: str | None,
    tags: Sequence[str],
    as_json: bool,
) -> None:
    """Train all runs of a grid, show them, and report how they ended.

    Raises GenbenchError if some failed.

    Stops are handled as for a single run: all runs that train are interrupted.
    """
    from genbench.runner.train_grid import run_grid
    from genbench.runner.train_seeds import SeedsDone, Together, Watching
    from genbench.store import Store

    collect_as_usual()
    began, done = time.monotonic(), SeedsDone()
    wanted = Together.IF_POSSIBLE if together else Together.NEVER
    wanted = Together.IF_FASTER if if_faster and not together else wanted
    url = SESSION.store_url(store)
    with (
        StopSignals(quiet=SESSION.verbosity < 0) as signals,
        Store.open(url, mode="create") as opened,
    ):
        try:
            with open_display(SESSION.verbosity) as display:
                group = GroupDisplay(display)
                run_grid(
                    cells,
                    seeds,
                    together=wanted,
                    registry=SESSION.registry,
                    store=opened,
                    access=replace(access, progress=display.transfer),
                    watching=Watching(
                        alone=lambda made: [_alone(display, made)],
                        grouped=lambda made: [group.listener(made)],
                        tell=display,
                        begin=group.begin,
                    ),
                    name=name,
                    tags=tags,
                    listen=listeners,
                    should_stop=signals,
                    done=done,
                )
        except (KeyboardInterrupt, InterruptedRunError) as stop:
            raise _stopped(opened, done, len(cells) * max(len(seeds), 1), stop) from None
        finally:
            if done.runs and as_json:
                _print_json(opened, done)
        _say_closing(opened, done, seconds=time.monotonic() - began)
    _raise_failures(done)


def _alone(display: Display, made: Run) -> Listener:
    """A display of its own for each run, on the same screen."""
    own = Display(display.screen, verbosity=display.verbosity, redraws=display.redraws)
    own.started(made)
    return own


def _print_json(store: Store, done: SeedsDone) -> None:
    grid = {made.id: {"set": list(sets)} for made in done.runs if (sets := done.sets[made.id])}
    runs = [{**result(store, made.id), **grid.get(made.id, {})} for made in done.runs]
    print_json({"together": done.together, "store": str(store.url), "runs": runs})


def _stopped(
    store: Store, done: SeedsDone, planned: int, stop: BaseException
) -> InterruptedRunError:
    """The error of a stop, with the number of runs that were not started."""
    error = interrupted(store, done.runs[-1:], stop)
    left = planned - len(done.runs)
    if done.runs and left:
        return InterruptedRunError(
            f"{error}; not started: {counted(left, 'more run')}", hint=error.hint
        )
    return error


def _raise_failures(done: SeedsDone) -> None:
    """Raise the error of the one run that failed, or one that counts them."""
    if not done.errors:
        return
    first, error = next(iter(done.errors.items()))
    if len(done.errors) == 1:
        raise error
    raise GenbenchError(
        f"{len(done.errors)} of {counted(len(done.runs), 'run')} failed; {first}: {error}"
    )


# --- the last words


def _say_closing(store: Store, done: SeedsDone, *, seconds: float) -> None:
    """One line for each seed with its scores, on stderr, and the next commands."""
    first = done.runs[0]
    how = "together" if done.together else "one after the other"
    training = sum(made.train_s for made in done.runs)
    say("")
    say(
        f"{counted(len(done.runs), 'run')} of {first.model} on {first.dataset}, trained {how}: "
        f"{duration(seconds)}, training {duration(training)}"
    )
    for row in _aligned([_row(store, made, done.sets[made.id]) for made in done.runs]):
        say(f"  {row}")
    say(f"  next: genbench compare   genbench show {first.id}")


def _row(store: Store, made: Run, sets: Sequence[str]) -> list[str]:
    scores = store.scores(made.id)
    last = max((score.epoch for score in scores), default=0)
    values: list[Any] = [
        f"{score.metric} {measured(score.value, score.std, score.draws)}".strip()
        for score in scores
        if score.epoch == last
    ]
    row = [f"seed {made.seed}", f"run {made.id}", str(made.status), ", ".join(values)]
    return [", ".join(sets), *row] if sets else row


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
