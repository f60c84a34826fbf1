"""Train a grid: several combinations of settings, each with one or several seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from genbench.errors import GenbenchError, InterruptedRunError
from genbench.runner.train_seeds import SeedsDone, run_seeds
from genbench.spec import RunSpec
from genbench.store import Store


@dataclass(frozen=True, kw_only=True)
class Combination:
    """One combination: its spec, and the settings in which it differs from the others."""

    spec: RunSpec
    sets: tuple[str, ...] = ()

    def name(self, name: str | None) -> str | None:
        """The name of the runs of this cell, to which their seed is added."""
        return name if name is None or not self.sets else f"{name}-{','.join(self.sets)}"


def run_grid(
    cells: Sequence[Combination],
    seeds: Sequence[int],
    *,
    store: Store,
    name: str | None,
    done: SeedsDone,
    **options: Any,
) -> None:
    """Train and score all seeds of each cell, as new runs; ``options`` are those of `run_seeds`.

    Without ``seeds``, a cell has the seed of its spec. All specs and names are checked before the
    first run. A cell that can't be started doesn't stop the others, unless it is the first one.
    Raises InterruptedRunError; the errors of single runs are in ``done``.
    """
    named = [(cell, seeds or (cell.spec.seed,)) for cell in cells]
    if name:
        store.check_names([f"{cell.name(name)}-{seed}" for cell, own in named for seed in own])
    for cell, own in named:
        before = len(done.runs)
        try:
            run_seeds(cell.spec, own, store=store, name=cell.name(name), done=done, **options)
        except InterruptedRunError:
            raise
        except GenbenchError as error:
            if not done.runs:
                raise
            done.errors[", ".join(cell.sets)] = error
        finally:
            done.sets.update({made.id: cell.sets for made in done.runs[before:]})
