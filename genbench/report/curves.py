"""Curves of scores, losses and signs of health, over epochs and over training seconds.

A curve is a mean over the seeds of an experiment with its standard deviation (n - 1); repeats of a
seed count once, by their mean. Over seconds, only the runs on one machine count. Seconds are those
of training and of preparing its data, without evaluation, pictures and pauses.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from genbench.compare import Row, RunResult, Table, sampler_label, sampler_titles
from genbench.compare.read_results import quoted
from genbench.report.charts import COLOURS, Curve, Point
from genbench.store import Store

AXES = {"seconds": "training seconds, preparation included", "epochs": "epochs"}
"""What curves are drawn over, and how the axis is called."""

LOSS_COLOURS = (6, 4, 5)
"""The first colours are those of rows."""

MOST_POINTS, FEWEST, PAGE_POINTS = 150, 30, 40_000
"""The points of a curve of losses, and of all such curves on a page at most."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One chart: the losses of one stage, or one metric. ``curves`` has those over each axis.

    ``log`` allows a logarithmic axis.
    """

    title: str
    y_label: str
    curves: Mapping[str, Sequence[Curve]]
    floor: float | None = None
    log: bool = True


Sample = tuple[float, float, float | None]
"""Epochs, training seconds, and a value at that moment, of one run."""

Samples = Mapping[str, Mapping[int, Sample]]
"""Run -> moment -> sample; the same moment is at about the same epoch in each run."""


def averaged(
    row: Row, samples: Samples, label: str, colour: int, rows: Sequence[int] = ()
) -> dict[str, Curve]:
    """The curves of a row over each axis, at the moments at which each of its runs has a sample."""
    made = {}
    for index, axis in enumerate(AXES):
        seeds = _seeds(row, row.timed if axis == "seconds" else row.runs)
        points, spread = _mean_curve(seeds, samples, place=1 - index)
        if points:
            made[axis] = Curve(
                label=label,
                points=points,
                spread=spread,
                colour=colour,
                seeds=len(seeds),
                rows=rows,
            )
    return made


def _seeds(row: Row, runs: Sequence[RunResult]) -> list[list[str]]:
    """The ids of these runs, those of one seed together."""
    kept = {run.id for run in runs}
    found = [[run.id for run in repeats if run.id in kept] for repeats in row.seeds]
    return [repeats for repeats in found if repeats]


def _mean_curve(
    seeds: Sequence[Sequence[str]], samples: Samples, place: int
) -> tuple[list[Point], list[float | None]]:
    """Points over the ``place``-th number of each sample; a value that isn't finite makes a gap."""
    runs = [samples.get(run, {}) for repeats in seeds for run in repeats]
    shared = sorted(set[int]().union(*runs).intersection(*runs)) if runs else []
    points: list[Point] = []
    spread: list[float | None] = []
    for moment in shared:
        found = [[samples[run][moment] for run in repeats] for repeats in seeds]
        xs = [_mean([sample[place] for sample in repeats]) for repeats in found]
        ys = [_mean([sample[2] for sample in repeats]) for repeats in found]
        y, sd = _mean_and_sd(ys)
        points.append((_mean(xs), y))
        spread.append(sd)
    return points, spread


def _mean(values: Sequence[float | None]) -> float:
    """The mean; NaN where a value isn't there or isn't finite."""
    known = [v for v in values if v is not None and math.isfinite(v)]
    return math.fsum(known) / len(known) if len(known) == len(values) else math.nan


def _mean_and_sd(values: Sequence[float]) -> tuple[float | None, float | None]:
    mean = _mean(values)
    if math.isnan(mean):
        return None, None
    if len(values) < 2:
        return mean, None
    return mean, math.hypot(*(v - mean for v in values)) / math.sqrt(len(values) - 1)


# --- scores


def score_panels(store: Store, table: Table, colours: Mapping[str, int]) -> list[Panel]:
    """One panel for each metric, with a curve for each row of the table."""
    histories = _histories(store, table)
    names = row_names(table)
    panels = []
    for column in table.shown:
        curves: dict[str, list[Curve]] = {axis: [] for axis in AXES}
        for index, row in enumerate(table.rows):
            samples = {
                run.id: {
                    **histories.get((run.id, column.metric, column.protocol_hash, ""), {}),
                    **histories.get((run.id, column.metric, column.protocol_hash, row.sampler), {}),
                }
                for run in row.runs
            }
            made = averaged(row, samples, names[index], colours[row.title], [index])
            for axis, curve in made.items():
                curves[axis].append(curve)
        # A single point of each row shows no more than the table.
        if any(len(curve.points) > 1 for found in curves.values() for curve in found):
            floors = [
                row.floors[column.metric] for row in table.rows if column.metric in row.floors
            ]
            panels.append(
                Panel(
                    title=column.metric,
                    y_label=column.metric + (f", {column.unit}" if column.unit else ""),
                    curves=curves,
                    floor=math.fsum(floors) / len(floors) if floors else None,
                    log=column.direction != "max",
                )
            )
    return panels


def row_names(table: Table) -> list[str]:
    """What tells each row from the others: its title, and its sampler if there are several."""
    rows = table.rows
    if len({row.sampler for row in rows if row.sampler}) < 2:
        return [row.title for row in rows]
    titles = sampler_titles(row.sampler for row in rows)
    return [f"{row.title}, {titles[row.sampler]}" for row in rows]


def _histories(
    store: Store, table: Table
) -> Mapping[tuple[str, str, str, str], Mapping[int, Sample]]:
    """(run, metric, protocol, sampler) -> epoch -> sample, for all runs of a table."""
    earlier = {run.id: run.total_s - run.own_s for row in table.rows for run in row.runs}
    found: dict[tuple[str, str, str, str], dict[int, Sample]] = defaultdict(dict)
    # Of several scores at an epoch, the final one counts, else the newest.
    for run, metric, protocol, sampler, settings, epoch, seconds, value in store.rows(
        "SELECT id, metric, protocol_hash, sampler, sampler_settings, epoch, train_s_so_far, value "
        f"FROM v_score_history WHERE id IN ({quoted(earlier)}) ORDER BY final, created_at"
    ):
        key = (run, metric, protocol, sampler_label(sampler, settings))
        # A run that was scored before the end of its first epoch has no seconds yet.
        found[key][epoch] = (float(epoch), float(seconds or 0.0) + earlier[run], value)
    return found


# --- losses and signs of health


class Recorded:
    """The recorded series of one experiment's runs, thinned out by the database."""

    def __init__(self, store: Store, row: Row, clocks: Mapping[str, Clock], limit: int) -> None:
        self._store, self._limit = store, limit
        self._clocks = {run.id: clocks[run.id] for run in row.runs if run.id in clocks}
        self._known: dict[str | None, Mapping[str, Samples]] = {}

    def series(self, stage: str | None = None) -> Mapping[str, Samples]:
        """All series by name, in one stage or in all, as means over groups of as many steps."""
        if stage not in self._known:
            found: dict[str, dict[str, dict[int, Sample]]] = {}
            for run, clock in self._clocks.items():
                for key, group, step, value in self._grouped(run, clock.steps(stage)):
                    at = clock.epochs(step), clock.seconds(step), value
                    found.setdefault(key, {}).setdefault(run, {})[group] = at
            self._known[stage] = dict(sorted(found.items()))
        return self._known[stage]

    def _grouped(
        self, run: str, steps: tuple[int, int]
    ) -> Iterator[tuple[str, int, float, float | None]]:
        """Key, number of the group, mean step and mean value."""
        low, high = steps
        for key, group, step, value in self._store.rows(
            "SELECT k.name, (p.step - 1) / :width, avg(p.step), avg(p.value) FROM points p "
            "JOIN metric_keys k ON k.key = p.key JOIN runs r ON r.run = p.run "
            "WHERE r.id = :run AND p.step > :low AND p.step <= :high "
            "GROUP BY k.name, (p.step - 1) / :width",
            {
                "run": run,
                "low": low,
                "high": high,
                "width": max(1, -(-(high - low) // self._limit)),
            },
        ):
            yield key, int(group), float(step), value

    def test_losses(self, stage: str) -> Samples:
        """The loss on the test split after each epoch of a stage, or after every n-th."""
        found: dict[str, dict[int, Sample]] = defaultdict(dict)
        if not self._clocks:
            return found
        for run, epoch, step, value in self._store.rows(
            "SELECT r.id, p.epoch, p.step, l.value FROM epoch_losses l "
            "JOIN metric_keys k ON k.key = l.key JOIN runs r ON r.run = l.run "
            "JOIN epochs p ON p.run = l.run AND p.epoch = l.epoch "
            f"WHERE k.name = 'test/loss' AND p.stage = :stage AND r.id IN ({quoted(self._clocks)})",
            {"stage": stage},
        ):
            found[run][epoch] = (float(epoch), self._clocks[run].seconds(step), value)
        every = max(1, -(-max(map(len, found.values()), default=1) // self._limit))
        return {
            run: {at: of[at] for at in of if at % every == 0 or at == max(of)}
            for run, of in found.items()
        }


def loss_panels(recorded: Recorded, row: Row) -> list[Panel]:
    """One panel for each stage, with the loss of each optimizer and the test loss."""
    panels = []
    for stage in row.stages:
        of_stage = {
            key.removesuffix("/loss"): samples
            for key, samples in recorded.series(stage).items()
            if key.endswith("/loss") and not key.startswith("test/")
        }
        of_stage["test"] = recorded.test_losses(stage)
        title = f"losses of stage {stage}" if len(row.stages) > 1 else "losses"
        panels.append(panel(row, title, "loss", of_stage))
    return [found for found in panels if found.curves]


def panel(row: Row, title: str, y_label: str, series: Mapping[str, Samples]) -> Panel:
    """A chart of series of one row, each with its name; series without a point are left out."""
    curves: dict[str, list[Curve]] = {}
    known = {name: samples for name, samples in series.items() if any(samples.values())}
    for i, (name, samples) in enumerate(known.items()):
        colour = LOSS_COLOURS[i % len(LOSS_COLOURS)] + COLOURS * (i // len(LOSS_COLOURS))
        for axis, curve in averaged(row, samples, name, colour).items():
            curves.setdefault(axis, []).append(curve)
    return Panel(title=title, y_label=y_label, curves=curves)


# --- steps -> epochs and seconds


ClockEpoch = tuple[str, int, float, float]
"""Stage, last step, seconds of training, and seconds of preparation before it."""


class Clock:
    """Converts steps of a run to epochs and training seconds.

    Both are exact at the end of each epoch and linear within it; ``start`` are seconds that were
    spent before the run. ``epochs`` are those from epoch 1 on.
    """

    def __init__(self, epochs: Sequence[ClockEpoch], *, start: float = 0.0) -> None:
        self._stages = [stage for stage, _, _, _ in epochs]
        self._ends = [step for _, step, _, _ in epochs]
        self._spent = [seconds for _, _, seconds, _ in epochs]
        spent = accumulate(seconds + prepare for _, _, seconds, prepare in epochs)
        self._seconds = [start + seconds for seconds in spent]

    def steps(self, stage: str | None) -> tuple[int, int]:
        """The step before the first step of a stage (None: of all), and its last step."""
        within = [i for i, name in enumerate(self._stages) if stage in (None, name)]
        if not within:
            return 0, 0
        return (self._ends[within[0] - 1] if within[0] else 0), self._ends[within[-1]]

    def within(self, epoch: int) -> tuple[str, int]:
        """The stage of an epoch, and its number within the stage, from 1."""
        if not 1 <= epoch <= len(self._stages):
            return "", epoch
        stage = self._stages[epoch - 1]
        return stage, epoch - self._stages.index(stage)

    def after(self, epoch: int) -> float:
        """The training seconds after an epoch; 0 before the first."""
        there = min(epoch, len(self._seconds))
        return self._seconds[there - 1] if there > 0 else 0.0

    def seconds(self, step: float) -> float:
        """The training seconds after a step."""
        i, share = self._place(step)
        return self._seconds[i] - self._spent[i] * (1 - share)

    def epochs(self, step: float) -> float:
        """The epochs after a step."""
        i, share = self._place(step)
        return i + share

    def _place(self, step: float) -> tuple[int, float]:
        """The epochs that are over before a step, and the share of the next one that is over."""
        i = min(bisect_left(self._ends, step), len(self._ends) - 1)
        start = self._ends[i - 1] if i else 0
        return i, (step - start) / max(1, self._ends[i] - start)


def clocks(
    store: Store, runs: Sequence[RunResult], *, unfinished: Mapping[str, ClockEpoch] | None = None
) -> dict[str, Clock]:
    """The clock of each run that has an epoch; it begins with the seconds of the run's parents.

    ``unfinished`` has the epoch in which a run is right now, with its expected end.
    """
    found: dict[str, list[ClockEpoch]] = defaultdict(list)
    for run, stage, step, train_s, prepare_s in store.rows(
        "SELECT r.id, p.stage, p.step, p.train_s, "
        "CASE WHEN p.stage_epoch = 1 THEN s.prepare_s ELSE 0 END FROM epochs p "
        "JOIN runs r ON r.run = p.run JOIN stages s ON s.run = p.run AND s.stage = p.stage "
        f"WHERE r.id IN ({quoted([run.id for run in runs])}) ORDER BY p.run, p.epoch"
    ):
        found[run].append((stage, int(step), float(train_s), float(prepare_s)))
    for run, epoch in (unfinished or {}).items():
        found[run].append(epoch)
    earlier = {run.id: run.total_s - run.own_s for run in runs}
    return {run: Clock(epochs, start=earlier[run]) for run, epochs in found.items()}


def points_each(experiments: int) -> int:
    """The points of each curve of losses, so that a page stays small."""
    return max(FEWEST, min(MOST_POINTS, PAGE_POINTS // (6 * max(1, experiments))))
