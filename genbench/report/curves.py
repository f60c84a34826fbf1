"""Curves of scores and losses over training seconds."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from genbench.compare import Row, RunResult, Table, sampler_label
from genbench.report.charts import Curve, Point, downsample
from genbench.store import Store
from genbench.store.records import Epoch

LOSS_COLOURS = (6, 4, 5)
"""The first colours are those of models."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One chart: the losses of one stage, or one metric."""

    title: str
    curves: tuple[Curve, ...]
    x_label: str
    y_label: str


# --- scores over seconds


def score_panels(store: Store, table: Table, colours: Mapping[str, int]) -> list[Panel]:
    """One panel per metric, with a curve for each row of the table."""
    panels = []
    for column in table.shown:
        curves = []
        for row in table.rows:
            points, spread = _history(store, row, column.metric, column.protocol_hash)
            label = row.title
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
        # A single point shows no more than the table.
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
    store: Store, row: Row, metric: str, protocol: str
) -> tuple[list[Point], list[float | None]]:
    """(mean seconds, mean score) and the sd over seeds, for each epoch at which all were scored.

    Only the timed runs of the row count, which trained on one machine and device.
    """
    at: dict[int, dict[str, Point]] = {}
    for run in row.timed:
        scored: dict[int, Point] = {}
        for epoch, sampler, settings, seconds, value in store.rows(
            "SELECT epoch, sampler, sampler_settings, train_s_so_far, value FROM v_score_history "
            "WHERE id = :id AND metric = :metric AND protocol_hash = :protocol "
            "ORDER BY created_at",
            {"id": run.id, "metric": metric, "protocol": protocol},
        ):
            if sampler_label(sampler, settings) in ("", row.sampler):
                scored[epoch] = (float(seconds) + run.parents_s, value)
        for epoch, point in scored.items():
            at.setdefault(epoch, {})[run.id] = point
    here = replace(row, runs=row.timed)
    points: list[Point] = []
    spread: list[float | None] = []
    for _, found in sorted(at.items()):
        if all(run.id in found and found[run.id][1] is not None for run in here.runs):
            seconds = here.over_seeds(_nth(found, 0))
            values = here.over_seeds(_nth(found, 1))
            assert seconds is not None
            assert values is not None
            points.append((seconds.mean, values.mean))
            spread.append(values.sd)
    return points, spread


def _nth(found: Mapping[str, Point], index: int) -> Callable[[RunResult], float | None]:
    return lambda run: found[run.id][index]


# --- losses over seconds


def loss_panels(store: Store, row: Row, epochs: Sequence[Epoch]) -> list[Panel]:
    """One panel per stage of the first run, with the loss of each optimizer and the test loss."""
    if not epochs:
        return []
    run = row.first.id
    prepare = {stage.name: stage.prepare_s for stage in row.first.stages}
    clock = Clock(epochs, prepare)
    keys = [key for key in store.keys(run) if key.endswith("/loss") and not key.startswith("test/")]
    series = {key: store.series(run, key) for key in keys}
    panels = []
    for stage in row.stages:
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
        title = row.title + (f", stage {stage}" if len(row.stages) > 1 else "")
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
    """Converts steps to training seconds: exact at the end of each epoch, linear in between."""

    def __init__(self, epochs: Sequence[Epoch], prepare_s: Mapping[str, float]) -> None:
        self._epochs = epochs
        self._ends = [epoch.step for epoch in epochs]
        spent = [
            epoch.train_s + (prepare_s.get(epoch.stage, 0.0) if epoch.stage_epoch == 1 else 0.0)
            for epoch in epochs
        ]
        self._seconds = list(accumulate(spent))

    def steps(self, stage: str) -> tuple[int, int]:
        """The step before the first step of a stage, and its last step."""
        within = [i for i, epoch in enumerate(self._epochs) if epoch.stage == stage]
        if not within:
            return 0, 0
        first = within[0]
        return (self._ends[first - 1] if first else 0), self._ends[within[-1]]

    def seconds(self, step: int) -> float:
        """The training seconds at the end of a step."""
        i = min(bisect_left(self._ends, step), len(self._ends) - 1)
        start = self._ends[i - 1] if i else 0
        share = (step - start) / max(1, self._ends[i] - start)
        return self._seconds[i] - self._epochs[i].train_s * (1 - share)
