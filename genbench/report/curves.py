"""Scores and losses over training seconds, as curves."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from genbench.compare import Contender, Table, Trial, sampler_label
from genbench.report.charts import Curve, Point, downsample
from genbench.store import Store
from genbench.store.records import Epoch

LOSS_COLOURS = (6, 4, 5)
"""Not the first ones, which stand for models."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A drawing of its own: the losses of one stage, or one metric."""

    title: str
    curves: tuple[Curve, ...]
    x_label: str
    y_label: str


# --- scores over seconds


def score_panels(store: Store, table: Table, colours: Mapping[str, int]) -> list[Panel]:
    """One panel for each metric; a curve for each row of the table."""
    panels = []
    for column in table.shown:
        curves = []
        for row in table.rows:
            points, spread = _history(store, row.contender, column.metric, column.protocol_hash)
            label = row.contender.title
            if points:
                curves.append(
                    Curve(
                        label=label,
                        points=points,
                        colour=colours[label],
                        spread=spread,
                        marks=True,
                    )
                )
        # One mark alone says no more than the table.
        if sum(len(curve.points) for curve in curves) > 1:
            panels.append(
                Panel(
                    title=f"{column.metric} over training time",
                    curves=tuple(curves),
                    x_label="training seconds, preparation included",
                    y_label=column.metric + (f", {column.unit}" if column.unit else ""),
                )
            )
    return panels


def _history(
    store: Store, contender: Contender, metric: str, protocol: str
) -> tuple[list[Point], list[float | None]]:
    """(mean seconds, mean score) and its sd over seeds at each epoch that all were scored at.

    Seconds and scores are those of the runs of one machine and device.
    """
    at: dict[int, dict[str, Point]] = {}
    for trial in contender.timed:
        taken: dict[int, Point] = {}
        for epoch, sampler, settings, seconds, value in store.rows(
            "SELECT epoch, sampler, sampler_settings, train_s_so_far, value FROM v_score_history "
            "WHERE id = :id AND metric = :metric AND protocol_hash = :protocol "
            "ORDER BY created_at",
            {"id": trial.run, "metric": metric, "protocol": protocol},
        ):
            if sampler_label(sampler, settings) in ("", contender.sampler):
                taken[epoch] = (float(seconds) + trial.parents_s, value)
        for epoch, point in taken.items():
            at.setdefault(epoch, {})[trial.run] = point
    here = replace(contender, trials=contender.timed)
    points: list[Point] = []
    spread: list[float | None] = []
    for _, found in sorted(at.items()):
        if all(trial.run in found and found[trial.run][1] is not None for trial in here.trials):
            seconds = here.over_seeds(_nth(found, 0))
            values = here.over_seeds(_nth(found, 1))
            assert seconds is not None
            assert values is not None
            points.append((seconds.mean, values.mean))
            spread.append(values.sd)
    return points, spread


def _nth(found: Mapping[str, Point], index: int) -> Callable[[Trial], float | None]:
    return lambda trial: found[trial.run][index]


# --- losses over seconds


def loss_panels(store: Store, contender: Contender, epochs: Sequence[Epoch]) -> list[Panel]:
    """One panel for each stage of the first run: each optimizer's loss, and the test loss."""
    if not epochs:
        return []
    run = contender.first.run
    prepare = {stage.name: stage.prepare_s for stage in contender.first.stages}
    clock = Clock(epochs, prepare)
    keys = [key for key in store.keys(run) if key.endswith("/loss") and not key.startswith("test/")]
    series = {key: store.series(run, key) for key in keys}
    panels = []
    for stage in contender.stages:
        low, high = clock.steps(stage)
        curves = []
        for key, points in series.items():
            within = [(clock.seconds(step), value) for step, value in points if low < step <= high]
            if within:
                curves.append((key.removesuffix("/loss"), downsample(within)))
        test = [
            (clock.seconds(e.step), e.losses["test/loss"])
            for e in epochs
            if e.stage == stage and "test/loss" in e.losses
        ]
        if test:
            curves.append(("test", downsample(test)))
        title = contender.title + (f", stage {stage}" if len(contender.stages) > 1 else "")
        panels.append(
            Panel(
                title=title,
                curves=tuple(
                    Curve(label=label, points=points, colour=LOSS_COLOURS[i % len(LOSS_COLOURS)])
                    for i, (label, points) in enumerate(curves)
                ),
                x_label="training seconds",
                y_label="loss",
            )
        )
    return [panel for panel in panels if panel.curves]


class Clock:
    """Steps -> training seconds since the run began: exact at each epoch's end, linear between."""

    def __init__(self, epochs: Sequence[Epoch], prepare_s: Mapping[str, float]) -> None:
        self._epochs = epochs
        self._ends = [epoch.step for epoch in epochs]
        spent = [
            epoch.train_s + (prepare_s.get(epoch.stage, 0.0) if epoch.stage_epoch == 1 else 0.0)
            for epoch in epochs
        ]
        self._seconds = list(accumulate(spent))

    def steps(self, stage: str) -> tuple[int, int]:
        """The step before the first of a stage, and its last one."""
        within = [i for i, epoch in enumerate(self._epochs) if epoch.stage == stage]
        if not within:
            return 0, 0
        first = within[0]
        return (self._ends[first - 1] if first else 0), self._ends[within[-1]]

    def seconds(self, step: int) -> float:
        """When a step was done."""
        i = min(bisect_left(self._ends, step), len(self._ends) - 1)
        start = self._ends[i - 1] if i else 0
        share = (step - start) / max(1, self._ends[i] - start)
        return self._seconds[i] - self._epochs[i].train_s * (1 - share)
