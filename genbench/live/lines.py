"""The view for a log or a pipe: one line for each epoch, score, picture and end of any run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from genbench.formatting import duration, losses_in_words, visible
from genbench.live.screen import advice, near, scores_in_words
from genbench.live.state import LiveRun, last_epochs
from genbench.store import Store


@dataclass
class _Told:
    """What was already said about a run."""

    epoch: int = -1
    state: str = ""
    scores: str = ""
    picture: str = ""
    warnings: int = 0


class Lines:
    """Says what is new about runs, in lines that begin with a run's id."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._told: dict[str, _Told] = {}

    def news(self, run: LiveRun) -> Iterator[str]:
        """The lines for what has happened since the last call; at first, where the run stands."""
        told = self._told.setdefault(run.run.id, _Told())
        for text in self._news(run, told):
            yield visible(f"{run.run.id} {text}")

    def _news(self, run: LiveRun, told: _Told) -> Iterator[str]:
        if told.epoch < 0:
            name = f" '{run.run.name}'" if run.run.name else ""
            yield f"{run.run.model} on {run.run.dataset}{name}, seed {run.run.seed}: {run.state}"
            told.state = run.state
        yield from self._epochs(run, told)
        for epoch, message in run.warnings[told.warnings :]:
            yield f"warning after epoch {epoch}: {message}"
        told.warnings = len(run.warnings)
        scores = scores_in_words(run.scores)
        if scores != told.scores:
            yield f"scores {scores}"
        told.scores = scores
        picture = near(run.picture) if run.picture else ""
        if picture != told.picture:
            yield f"picture {picture}"
        told.picture = picture
        if run.state.split()[0] != told.state.split()[0]:
            yield f"{run.state}{': ' * bool(advice(run))}{advice(run)}"
        told.state = run.state

    def _epochs(self, run: LiveRun, told: _Told) -> Iterator[str]:
        """A line for each epoch since the last call: of many that were quick, the last few."""
        last = run.epoch.epoch if run.epoch else 0
        if told.epoch != last:
            known = last_epochs(self._store, run.run.id)
            new = known[-1:] if told.epoch < 0 else [e for e in known if e.epoch > told.epoch]
            for epoch in new:
                left = f"  {duration(run.left_s)} left" if run.left_s is not None else ""
                yield (
                    f"epoch {epoch.epoch}/{run.run.epochs_planned}  {epoch.stage}  "
                    f"{losses_in_words(epoch.losses)}  {duration(epoch.train_s)}{left}"
                )
        told.epoch = last
