"""What a run does right now, as its process has told the store: progress, losses, scores, picture.

A run is *lost* if its process is gone (`genbench.store.process`), and *silent* if its process
exists but has written no heartbeat for a while: it is suspended, or waits for its disk.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from genbench.errors import NoSuchRunError
from genbench.formatting import duration, main_losses
from genbench.store import Filter, Store
from genbench.store.filters import RUN
from genbench.store.process import HEARTBEAT_S
from genbench.store.records import Epoch, Run, StageRecord, Status
from genbench.store.values import seconds_since

LIVE = (Status.RUNNING, Status.LOST, Status.QUEUED)
"""A run with one of these statuses is shown without being asked for."""

SILENT_S = 4 * HEARTBEAT_S
"""Seconds without a heartbeat after which a running run is called silent."""

FORGOTTEN_S = timedelta(days=1).total_seconds()
"""A run that died so long ago is no news any more; `genbench runs` still lists it."""

RECENT = 5
"""The epochs from which the time left is estimated."""

MOST_RUNS = 50
"""The runs that are shown at most, the newest first."""

Series = Sequence[tuple[float, float | None]]
"""Mean steps, and the mean values at them."""


@dataclass(frozen=True, kw_only=True)
class LatestScore:
    """The newest score of a metric; ``direction`` is "min", "max" or "floor"."""

    metric: str
    sampler: str
    value: float | None
    std: float | None
    epoch: int
    direction: str


@dataclass(frozen=True, kw_only=True)
class LiveRun:
    """A run with what its process has written last. ``left_s`` is None if it can't be estimated.

    ``silence_s`` are the seconds since the last heartbeat of a run that is stored as running.
    ``losses`` are those of the current ``stage``, thinned out. ``warnings`` are (epoch, message).
    """

    run: Run
    stage: StageRecord | None
    stages: int
    epoch: Epoch | None
    epoch_s: float | None
    left_s: float | None
    silence_s: float | None
    losses: Mapping[str, Series]
    scores: tuple[LatestScore, ...]
    picture: Path | None
    warnings: tuple[tuple[int, str], ...]

    @property
    def is_live(self) -> bool:
        """Whether its process exists."""
        return self.run.status is Status.RUNNING

    @property
    def state(self) -> str:
        """Its status in a word or two: 'running', 'silent for 1 min 5 s', 'lost', 'finished'."""
        if self.is_live and (self.silence_s or 0.0) > SILENT_S:
            return f"silent for {duration(self.silence_s)}"
        return self.run.status.value


# --- which runs


def live_ids(store: Store, filters: Sequence[Filter]) -> list[str]:
    """The ids of the runs to watch, the newest first.

    Filters narrow the live runs; a run that is named, or a filter of a status, selects others too.
    Raises NoSuchRunError for a name that no run has.
    """
    named = any(one.key in (RUN, "status") for one in filters)
    live = Filter("status", "=", tuple(status.value for status in LIVE))
    found = store.runs(where=[*filters, *(() if named else (live,))], limit=MOST_RUNS)
    return [run.id for run in found if named or not _is_forgotten(run)]


def _is_forgotten(run: Run) -> bool:
    seen = run.heartbeat_at or run.created_at
    return run.status is Status.LOST and seconds_since(seen) > FORGOTTEN_S


def nothing_live(store: Store) -> NoSuchRunError:
    """The error where no run trains."""
    return NoSuchRunError(
        f"no run in {store.url} is training",
        hint="To watch a run that has ended: genbench watch RUN; see: genbench runs",
    )


# --- one run


def read_live(store: Store, run_ids: Sequence[str], *, points: int = 120) -> list[LiveRun]:
    """The state of runs; a run that was removed meanwhile is left out. ``points``: of a curve."""
    wanted = Filter("id", "=", tuple(run_ids))
    runs = store.runs(where=[wanted], limit=len(run_ids)) if run_ids else []
    return [_read(store, run, points) for run in runs]


def _read(store: Store, run: Run, points: int) -> LiveRun:
    stages, epochs = store.stages(run.id), last_epochs(store, run.id)
    stage = _current(stages)
    epoch_s = _epoch_seconds(epochs)
    silence = seconds_since(run.heartbeat_at) if run.heartbeat_at else None
    return LiveRun(
        run=run,
        stage=stage,
        stages=len(stages),
        epoch=epochs[-1] if epochs else None,
        epoch_s=epoch_s,
        left_s=_left(run, epochs, epoch_s),
        silence_s=silence if run.status in (Status.RUNNING, Status.LOST) else None,
        losses=_losses(store, run.id, stage.name if stage else "", points),
        scores=tuple(_scores(store, run.id)),
        picture=_picture(store, run.id),
        warnings=tuple((w.epoch, w.message) for w in store.warnings(run.id)),
    )


def _current(stages: Sequence[StageRecord]) -> StageRecord | None:
    """The first stage that is not complete, else the last one."""
    open_ones = [stage for stage in stages if stage.epochs_done < stage.epochs]
    return next(iter(open_ones or stages[-1:]), None)


def last_epochs(store: Store, run_id: str) -> list[Epoch]:
    """The last few epochs in order, each with the means of its losses."""
    known = store.rows(
        "SELECT e.epoch, e.stage, e.stage_epoch, e.step, e.images, e.train_s, e.eval_s, e.wall_s, "
        "e.peak_mem FROM epochs e JOIN runs r ON r.run = e.run WHERE r.id = :id "
        "ORDER BY e.epoch DESC LIMIT :count",
        {"id": run_id, "count": RECENT},
    )
    losses: dict[int, dict[str, float | None]] = defaultdict(dict)
    for epoch, name, value in store.rows(
        "SELECT l.epoch, k.name, l.value FROM epoch_losses l JOIN metric_keys k ON k.key = l.key "
        "JOIN runs r ON r.run = l.run WHERE r.id = :id AND l.epoch > :since ORDER BY k.key",
        {"id": run_id, "since": known[-1][0] - 1 if known else 0},
    ):
        losses[epoch][name] = value
    names = "epoch", "stage", "stage_epoch", "step", "images", "train_s", "eval_s", "wall_s"
    return [
        Epoch(**dict(zip((*names, "peak_mem"), row, strict=True)), losses=losses[row[0]])
        for row in reversed(known)
    ]


def _epoch_seconds(epochs: Sequence[Epoch]) -> float | None:
    """The mean wall-clock seconds of the last epochs; without the first one, which warms up."""
    last = [epoch for epoch in epochs if epoch.stage == epochs[-1].stage]
    warm = [epoch for epoch in last if epoch.stage_epoch > 1] or last
    return math.fsum(epoch.wall_s for epoch in warm) / len(warm) if warm else None


def _left(run: Run, epochs: Sequence[Epoch], epoch_s: float | None) -> float | None:
    """Seconds until the last epoch, if the next epochs take as long as the last ones did."""
    if run.status is not Status.RUNNING or not epochs or epoch_s is None:
        return None
    return (run.epochs_planned - run.epochs_done) * epoch_s


def _losses(store: Store, run_id: str, stage: str, points: int) -> dict[str, Series]:
    """The main losses of a stage, each as means over groups of as many steps."""
    bounds = store.rows(
        "SELECT r.run, k.name, k.key, (SELECT max(p.step) FROM points p WHERE p.run = r.run "
        "AND p.key = k.key), coalesce((SELECT max(e.step) FROM epochs e WHERE e.run = r.run "
        "AND e.epoch < g.first_epoch), 0) FROM runs r JOIN stages g ON g.run = r.run "
        "JOIN metric_summary s ON s.run = r.run JOIN metric_keys k ON k.key = s.key "
        "WHERE r.id = :id AND g.stage = :stage ORDER BY k.key",
        {"id": run_id, "stage": stage},
    )
    wanted = main_losses(name for _, name, _, last, low in bounds if last > low)
    found: dict[str, Series] = {}
    for run, name, key, last, low in bounds:
        if name in wanted:
            width = max(1, -(-(last - low) // points))
            rows = store.rows(
                "SELECT avg(step), avg(value) FROM points WHERE run = :run AND key = :key "
                "AND step > :low GROUP BY (step - :low - 1) / :width ORDER BY min(step)",
                {"run": run, "key": key, "low": low, "width": width},
            )
            found[name] = [(float(step), value) for step, value in rows]
    return {name: found[name] for name in wanted}


def _scores(store: Store, run_id: str) -> list[LatestScore]:
    """The newest score of each metric and sampler."""
    rows = store.rows(
        "SELECT metric, sampler, value, std, epoch, direction FROM v_score_history h "
        "WHERE id = :id ORDER BY epoch, created_at",
        {"id": run_id},
    )
    newest = {row[:2]: row for row in rows}
    return [
        LatestScore(metric=m, sampler=s, value=v, std=std, epoch=e, direction=way or "min")
        for m, s, v, std, e, way in newest.values()
    ]


def _picture(store: Store, run_id: str) -> Path | None:
    """The newest sample grid."""
    rows = store.rows(
        "SELECT a.path FROM artifacts a JOIN runs r ON r.run = a.run WHERE r.id = :id "
        "AND a.kind = 'samples' ORDER BY a.created_at DESC, a.artifact DESC LIMIT 1",
        {"id": run_id},
    )
    return store.file(run_id, rows[0][0]) if rows else None
