"""The trials of a tuning, read from its proposals and the runs of them in a few statements."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from genbench.compare.read_results import quoted
from genbench.store import Store
from genbench.store.records import Status
from genbench.store.tunings import Proposal, TuningRecord, attach, proposals
from genbench.tuning.commands import run_name
from genbench.tuning.question import SECONDS, SearchQuestion, State
from genbench.tuning.search import Trial

_STATES = {
    Status.FINISHED: State.DONE,
    Status.FAILED: State.FAILED,
    Status.PRUNED: State.PRUNED,
    Status.RUNNING: State.RUNNING,
}
"""The state of a trial by the status of its run; with any other one it waits for a resume."""

AT_ONCE = 500
"""Runs in one statement."""


@dataclass(frozen=True, kw_only=True)
class HistoryEntry:
    """A proposal as a trial, with the wall seconds of its run.

    ``directions`` are those of the objectives; empty before there are scores.
    """

    proposal: Proposal
    trial: Trial
    spent_s: float = 0.0
    directions: tuple[str, ...] = ()

    @property
    def is_settled(self) -> bool:
        """Whether the run has ended, so that nothing of it is read again."""
        return self.trial.state in (State.DONE, State.PRUNED, State.FAILED)


@dataclass(frozen=True)
class History:
    """All proposals of a tuning with what their runs have scored, in the order of their numbers."""

    entries: tuple[HistoryEntry, ...] = ()

    @cached_property
    def proposals(self) -> tuple[Proposal, ...]:
        """The proposals, those that confirm a trial included."""
        return tuple(entry.proposal for entry in self.entries)

    @cached_property
    def trials(self) -> tuple[Trial, ...]:
        """The trials of the search."""
        return tuple(one.trial for one in self.entries if one.proposal.confirms is None)

    @cached_property
    def states(self) -> Mapping[int, State]:
        """The state of each proposal."""
        return {entry.proposal.number: entry.trial.state for entry in self.entries}

    @cached_property
    def runs(self) -> Mapping[int, str | None]:
        """The run of each proposal."""
        return {one.number: one.run for one in self.proposals}

    @cached_property
    def confirmed(self) -> Mapping[int, tuple[float, ...]]:
        """By the number of a trial: the first objective of its repeats, NaN for a failed one."""
        found: dict[int, tuple[float, ...]] = {}
        for entry in self.entries:
            trial, origin = entry.trial, entry.proposal.confirms
            if origin is not None and trial.state in (State.DONE, State.FAILED):
                found[origin] = (*found.get(origin, ()), *(trial.values[:1] or (math.nan,)))
        return found

    @property
    def spent_s(self) -> float:
        """The wall seconds of all runs."""
        return sum(entry.spent_s for entry in self.entries)

    @property
    def directions(self) -> Sequence[str]:
        """Those of the objectives, of which there are at most two: min, max or floor."""
        known = [entry.directions for entry in self.entries if entry.directions]
        return known[-1] if known else ("min", "min")

    def entry(self, number: int) -> HistoryEntry | None:
        """The entry of a proposal."""
        return next((one for one in self.entries if one.proposal.number == number), None)


def read_history(
    store: Store, tuning: TuningRecord, question: SearchQuestion, known: History | None = None
) -> History:
    """The history of a tuning. A run is found by its name, too, and is then stored as its own,
    unless the store is open for reading only.

    Entries of ``known`` that are settled are not read again.
    """
    settled = {e.proposal.number: e for e in known.entries if e.is_settled} if known else {}
    stored = [one for one in proposals(store, tuning.number) if one.number not in settled]
    facts = _facts(store, [one.run for one in stored if one.run])
    found = _by_name(store, tuning, stored, facts)
    facts |= _facts(store, [one.run for one in found if one.run and one.run not in facts])
    scores = _scores(store, list(facts))
    new = {
        one.number: _entry(question, one, facts.get(one.run or ""), scores.get(one.run or "", []))
        for one in found
    }
    both = {**settled, **new}
    return History(tuple(both[number] for number in sorted(both)))


def _entry(
    question: SearchQuestion, one: Proposal, run: _Run | None, scores: Sequence[_Score]
) -> HistoryEntry:
    values = _values(question, run, scores)
    state = _state(one, run, values)
    trial = Trial(
        number=one.number,
        settings=one.settings,
        state=state,
        values=values if state is State.DONE else (),
        reported=_reported(question, run, scores),
        notes=one.notes.get("sampler", {}),
    )
    known = {SECONDS: "min"} | {score.metric: score.direction or "min" for score in scores}
    ways = tuple(known[name] for name in question.objectives if name in known)
    return HistoryEntry(
        proposal=one,
        trial=trial,
        spent_s=run.wall_s if run else 0.0,
        directions=ways if len(ways) == len(question.objectives) else (),
    )


@dataclass(frozen=True)
class _Run:
    status: str
    epochs: int
    train_s: float
    wall_s: float


@dataclass(frozen=True)
class _Score:
    metric: str
    direction: str | None
    value: float | None
    floor: float | None
    epoch: int
    final: bool

    @property
    def merit(self) -> float:
        """The value, where lower is better; NaN for one that isn't finite."""
        if self.value is None:
            return math.nan
        if self.direction == "floor":
            return abs(self.value - (self.floor or 0.0))
        return -self.value if self.direction == "max" else self.value


def shown(value: float, direction: str) -> float:
    """A value of the search in the direction of its metric."""
    return -value if direction == "max" else value


def _by_name(
    store: Store, tuning: TuningRecord, found: Sequence[Proposal], known: Mapping[str, _Run]
) -> list[Proposal]:
    """The proposals with runs that were begun and not yet stored as theirs, or deleted."""
    open_ones = {run_name(tuning.name, one): one for one in found if one.run not in known}
    names = quoted(open_ones)
    rows = store.rows(f"SELECT name, id FROM runs WHERE name IN ({names})") if names else []
    runs = {open_ones[name].number: str(run) for name, run in rows}
    for number, run in runs.items() if store.can_write else ():
        attach(store, tuning.number, number, run)
    here = {one.number: one.run if one.run in known else None for one in found}
    return [replace(one, run=runs.get(one.number, here[one.number])) for one in found]


def _facts(store: Store, ids: Sequence[str]) -> dict[str, _Run]:
    found = {}
    for start in range(0, len(ids), AT_ONCE):
        for run, status, epochs, train_s, wall_s in store.rows(
            "SELECT id, status, epochs_planned, train_s, wall_s FROM runs "
            f"WHERE id IN ({quoted(ids[start : start + AT_ONCE])})"
        ):
            known = str(store.run(run).status) if status == Status.RUNNING else status
            found[str(run)] = _Run(known, epochs, train_s, wall_s)
    return found


def _scores(store: Store, ids: Sequence[str]) -> dict[str, list[_Score]]:
    """The scores of each run, of its first sampler or of the model itself."""
    found: dict[str, list[_Score]] = defaultdict(list)
    first: dict[str, Any] = {}
    for start in range(0, len(ids), AT_ONCE):
        for run, metric, direction, sampler, settings, value, floor, epoch, final in store.rows(
            "SELECT r.id, k.name, k.direction, e.sampler, e.sampler_settings, e.value, e.floor, "
            "e.epoch, e.final FROM evals e JOIN runs r ON r.run = e.run "
            "JOIN metric_keys k ON k.key = e.key "
            f"WHERE r.id IN ({quoted(ids[start : start + AT_ONCE])}) ORDER BY e.eval"
        ):
            if sampler and first.setdefault(run, (sampler, settings)) != (sampler, settings):
                continue
            found[run].append(_Score(metric, direction, value, floor, epoch, bool(final)))
    return found


def _values(
    question: SearchQuestion, run: _Run | None, scores: Sequence[_Score]
) -> tuple[float, ...]:
    """The objectives of a finished run, lower is better; empty if one of them is missing."""
    if run is None or run.status != Status.FINISHED:
        return ()
    found = []
    for objective in question.objectives:
        own = [one.merit for one in scores if one.metric == objective and one.final]
        if objective == SECONDS:
            own = [run.train_s]
        if not own or not math.isfinite(own[-1]):
            return ()
        found.append(own[-1])
    return tuple(found)


def _state(one: Proposal, run: _Run | None, values: Sequence[float]) -> State:
    if one.notes.get("refused"):
        return State.FAILED
    if run is None:
        return State.WAITING
    state = _STATES.get(Status(run.status), State.WAITING)
    return State.FAILED if state is State.DONE and not values else state


def _reported(
    question: SearchQuestion, run: _Run | None, scores: Sequence[_Score]
) -> dict[int, float]:
    """Percentage of the training -> the first objective."""
    if run is None or not run.epochs:
        return {}
    return {
        max(1, min(100, 100 * one.epoch // run.epochs)): one.merit
        for one in scores
        if one.metric == question.objectives[0] and one.epoch
    }
