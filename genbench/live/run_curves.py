"""The charts of one run, finished or not: losses, scores and signs of health, as in the report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from genbench.compare import Row, RunResult, sampler_label
from genbench.compare.read_results import read_results
from genbench.report.curves import (
    Clock,
    ClockEpoch,
    Panel,
    Recorded,
    Sample,
    Samples,
    clocks,
    loss_panels,
    panel,
    points_each,
)
from genbench.report.health_curves import health_panels
from genbench.store import Store
from genbench.store.values import seconds_since


class RunCurves:
    """Reads the panels of one run. ``row`` is the run as a row of its own."""

    def __init__(self, store: Store, run_id: str) -> None:
        ((number,),) = store.rows("SELECT run FROM runs WHERE id = :id", {"id": run_id})
        self._store = store
        self.result: RunResult = next(iter(read_results(store, [number])))
        self.row = Row(runs=(self.result,), sampler="")
        unfinished = _unfinished(store, run_id)
        found = clocks(store, [self.result], unfinished={run_id: unfinished} if unfinished else {})
        self._clocks: dict[str, Clock] = found
        self._recorded = Recorded(store, self.row, found, points_each(1))

    def losses(self) -> list[Panel]:
        """One panel for each stage."""
        return loss_panels(self._recorded, self.row)

    def signs(self) -> list[Panel]:
        """The signs of health, if the run was monitored."""
        return health_panels(self._recorded, self.row)

    def scores(self) -> list[Panel]:
        """One panel for each metric that was computed at several epochs."""
        found: dict[str, dict[str, dict[int, Sample]]] = defaultdict(lambda: defaultdict(dict))
        for metric, sampler, settings, epoch, seconds, value in self._store.rows(
            "SELECT metric, sampler, sampler_settings, epoch, train_s_so_far, value "
            "FROM v_score_history WHERE id = :id ORDER BY final, created_at",
            {"id": self.result.id},
        ):
            label = sampler_label(sampler, settings) or metric
            found[metric][label][epoch] = (float(epoch), float(seconds or 0.0), value)
        panels = (self._score_panel(metric, series) for metric, series in found.items())
        return [made for made in panels if _has_a_line(made)]

    def _score_panel(self, metric: str, series: dict[str, dict[int, Sample]]) -> Panel:
        samples: dict[str, Samples] = {
            label: {self.result.id: epochs} for label, epochs in series.items()
        }
        return panel(self.row, metric, metric, samples)


def _has_a_line(made: Panel) -> bool:
    curves: Iterable[int] = (len(c.points) for of in made.curves.values() for c in of)
    return any(count > 1 for count in curves)


def _unfinished(store: Store, run_id: str) -> ClockEpoch | None:
    """The epoch in which a run is, if it has recorded a step of it; None between epochs.

    It is taken to last as long as the last epoch of its stage, else as the steps so far suggest.
    """
    rows = store.rows(
        "SELECT g.stage, g.steps_per_epoch, g.prepare_s, g.epochs_done, r.started_at, "
        "coalesce((SELECT max(e.step) FROM epochs e WHERE e.run = r.run), 0), "
        "(SELECT max(p.step) FROM points p WHERE p.run = r.run), "
        "(SELECT e.train_s FROM epochs e WHERE e.run = r.run AND e.stage = g.stage "
        "ORDER BY e.epoch DESC LIMIT 1) FROM runs r JOIN stages g ON g.run = r.run "
        "WHERE r.id = :id AND g.epochs_done < g.epochs AND g.steps_per_epoch > 0 "
        "ORDER BY g.position LIMIT 1",
        {"id": run_id},
    )
    if not rows:
        return None
    stage, steps, prepare_s, done, started_at, before, last, epoch_s = rows[0]
    if last is None or last <= before:
        return None
    if epoch_s is None:
        epoch_s = seconds_since(started_at) * steps / (last - before) if started_at else 0.0
    return (
        stage,
        int(before + max(steps, last - before)),
        float(epoch_s),
        0.0 if done else prepare_s,
    )
