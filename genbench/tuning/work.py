"""Carry out a tuning: propose, train, prune, and confirm the best, ``jobs`` commands at a time.

Everything that is known is in the store, so the same call continues a tuning that was stopped. Each
trial is one ``genbench`` command, which writes its run; this process reads what it scored.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from genbench.errors import GenbenchError, InterruptedRunError, UsageError
from genbench.formatting import duration, number
from genbench.spec import RunSpec
from genbench.store import Store, tunings
from genbench.store.tunings import Proposal, TuningRecord
from genbench.study.outcome import Places
from genbench.study.pace import Pace, check_budget, read_pilot
from genbench.tuning.commands import (
    FRESH,
    may_stop,
    pace_key,
    pilot_task,
    resume_task,
    run_name,
    run_task,
    title_of,
)
from genbench.tuning.history import History, read_history, shown
from genbench.tuning.question import Question, State
from genbench.tuning.search import Pruning, Trial, best, propose
from genbench.tuning.space import Value
from genbench.work.children import Command, Ended, carry_out

WAIT_S = 0.5
"""Seconds between two looks at a run that another process still trains."""

CONFIRMS_FROM = 1_000_000
"""The number of the first proposal that confirms a trial."""

Specs = Callable[[dict[str, Value]], RunSpec]
"""The spec of a trial with these settings. Raises UsageError if the model refuses them."""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How long to search: ``trials``, and wall seconds of all runs (None: no bound).

    The ``top`` best trials are repeated with ``confirm`` fresh seeds.
    """

    trials: int = 20
    budget_s: float | None = None
    top: int = 3
    confirm: int = 0


def carry_on(
    tuning: TuningRecord,
    question: Question,
    effort: Effort,
    store: Store,
    places: Places,
    specs: Specs,
    *,
    jobs: int = 1,
    threads: int = 1,
    should_stop: Callable[[], bool],
    say: Callable[[str], None],
) -> History:
    """Do what is missing of a tuning; return its history.

    Raises InterruptedRunError if ``should_stop`` returned true, UsageError if the limit is too
    small, and GenbenchError if no trial can be started.
    """
    with tempfile.TemporaryDirectory(prefix="genbench-tune-") as scratch:
        work = _Work(
            tuning,
            question,
            effort,
            store,
            places,
            specs,
            jobs,
            threads,
            should_stop,
            say,
            Path(scratch),
        )
        work.wait_for_others()
        work.search()
        work.confirm()
    return read_history(store, tuning, question)


@dataclass
class _Work:
    """The state of one call of `carry_on`; ``at_work`` are the proposals whose command runs."""

    tuning: TuningRecord
    question: Question
    effort: Effort
    store: Store
    places: Places
    specs: Specs
    jobs: int
    threads: int
    should_stop: Callable[[], bool]
    say: Callable[[str], None]
    scratch: Path
    at_work: dict[Command, Proposal] = field(default_factory=dict)
    pilots: dict[Command, tuple[str, Path]] = field(default_factory=dict)
    pruned: set[int] = field(default_factory=set)
    given_up: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.paces: dict[str, Any] = dict(self.tuning.paces)
        self.pruning: Pruning | None = None
        if self.question.pruner != "none":
            self.pruning = Pruning(self.question, self.history().trials)

    def history(self) -> History:
        """What is known now."""
        return read_history(self.store, self.tuning, self.question)

    def wait_for_others(self) -> None:
        """Wait for runs that a killed process of this tuning has left running."""
        told: set[int] = set()
        while not self.should_stop():
            running = [n for n, s in self.history().states.items() if s is State.RUNNING]
            if not running:
                return
            for one in sorted(set(running) - told):
                self.say(f"proposal {one} is still trained by another process; waiting for it")
            told |= set(running)
            time.sleep(WAIT_S)

    # --- trials

    def search(self) -> None:
        """Train trials until there are enough, or the budget is spent."""
        self._carry_out(self._trials(self.jobs))

    def _trials(self, count: int) -> list[Command]:
        """The commands of up to ``count`` trials: those that wait first, then new ones."""
        found: list[Command] = []
        while len(found) < count:
            history = self.history()
            proposal = self._waiting(history, confirms=False) or self._proposed(history)
            if proposal is None:
                break
            if task := self._task(proposal):
                found.append(task)
        return found

    def _waiting(self, history: History, *, confirms: bool) -> Proposal | None:
        busy = {proposal.number for proposal in self.at_work.values()} | self.given_up
        for one in history.proposals:
            waits = history.states[one.number] is State.WAITING and one.number not in busy
            if waits and (one.confirms is not None) is confirms:
                return one
        return None

    def _proposed(self, history: History) -> Proposal | None:
        """A new proposal; None if there are enough, or the grid is at its end."""
        made = len(history.trials)
        over = self.effort.budget_s is not None and history.spent_s >= self.effort.budget_s
        if made >= self.effort.trials or over:
            return None
        found = propose(self.question, history.trials, made)
        if found is None:
            return None
        notes: dict[str, Any] = {"sampler": dict(found.notes)}
        try:
            spec = self.specs(dict(found.settings))
        except UsageError as error:
            notes["refused"] = str(error)
            self.say(f"trial {made}: the model refuses its settings: {error}")
        else:
            notes["epochs"] = self._epochs(spec)
        return tunings.propose(
            self.store,
            self.tuning.number,
            found.settings,
            seed=self.question.seed + made,
            notes=notes,
            number=made,
        )

    def _epochs(self, spec: RunSpec) -> int | None:
        """The epochs of a trial; None if a pilot has to measure them first."""
        limit = self.question.limit
        if limit is None:
            return spec.epochs
        return int(limit[1]) if limit[0] == "epochs" else None

    # --- the commands

    def _task(self, proposal: Proposal) -> Command | None:
        """The next command of a proposal; None if its settings were refused."""
        if proposal.notes.get("refused"):
            return None
        if proposal.run is not None:
            task = resume_task(self.question, self.tuning.name, proposal, self.places)
        else:
            proposal = self._with_epochs(proposal)
            if proposal.notes.get("epochs") is None:
                return self._pilot(proposal)
            task = run_task(self.question, self.tuning.name, proposal, self.places)
        if self.pruning is not None and proposal.confirms is None:
            task = replace(task, enough=lambda: self._is_hopeless(proposal))
        task = replace(task, threads=self.threads)
        self.at_work[task] = proposal
        return task

    def _with_epochs(self, proposal: Proposal) -> Proposal:
        """The proposal with its epochs, if its pace is known."""
        limit = self.question.limit
        known = self.paces.get(pace_key(self.question, proposal.settings))
        if proposal.notes.get("epochs") is not None or known is None or limit is None:
            return proposal
        epochs = Pace(**known).epochs(limit[1])
        return replace(proposal, notes={**proposal.notes, "epochs": epochs})

    def _pilot(self, proposal: Proposal) -> Command:
        assert self.question.limit is not None
        key = pace_key(self.question, proposal.settings)
        folder = self.scratch / f"{key}-{proposal.number}"
        folder.mkdir()
        seconds = self.question.limit[1]
        task = pilot_task(self.question, proposal.settings, folder, self.places, seconds)
        task = replace(task, threads=self.threads)
        self.at_work[task], self.pilots[task] = proposal, (key, folder / "runs.db")
        return task

    def _is_hopeless(self, proposal: Proposal) -> bool:
        """Whether the pruner stops the run of a proposal now."""
        assert self.pruning is not None
        own = next((t for t in self.history().trials if t.number == proposal.number), None)
        if own is None or proposal.number in self.pruned or max(own.reported, default=0) >= 100:
            return False
        if self.pruning.should_prune(own.number, own.settings, own.reported):
            self.pruned.add(proposal.number)
        return proposal.number in self.pruned

    def _carry_out(
        self, tasks: Iterable[Command], follow: Callable[[], list[Command]] | None = None
    ) -> None:
        further = follow or (lambda: self._trials(1))

        def ended(end: Ended) -> list[Command]:
            proposal = self.at_work.pop(end.command)
            if self.should_stop():
                return []
            if end.command in self.pilots:
                return self._measured(end, proposal)
            self._ended(end, proposal)
            return further()

        whole = carry_out(
            list(tasks),
            at_once=self.jobs,
            should_stop=self.should_stop,
            ended=ended,
        )
        self._settle_pruned()
        if not whole:
            raise InterruptedRunError(
                f"the tuning {self.tuning.name} was interrupted; its runs so far are in the store",
                hint=f"To continue: genbench tune --resume {self.tuning.name}",
            )

    def _measured(self, end: Ended, proposal: Proposal) -> list[Command]:
        """Store the pace that a pilot has measured; the run of its proposal comes next."""
        key, store = self.pilots.pop(end.command)
        reading = read_pilot(store)
        assert self.question.limit is not None
        if reading is not None:
            check_budget(
                title_of(proposal), reading.earlier_s + reading.later_s, self.question.limit[1]
            )
        pace = reading.pace() if reading else None
        if pace is None:
            self._give_up(proposal, f"its pace could not be measured: {end.reason}")
            return self._trials(1)
        self.paces[key] = asdict(pace)
        tunings.update(self.store, self.tuning.number, paces=self.paces)
        task = self._task(proposal)
        return [task] if task else []

    def _ended(self, end: Ended, proposal: Proposal) -> None:
        self._settle_pruned()
        history = self.history()
        state = history.states[proposal.number]
        if state is State.RUNNING:  # a process that was killed before has left it running
            self.wait_for_others()
            return
        if not may_stop(state):
            self._give_up(proposal, end.reason)
            return
        own = next((t for t in history.trials if t.number == proposal.number), None)
        if own is not None and self.pruning is not None:
            self.pruning.ended(own)
        self._tell(history, proposal, own, end)

    def _give_up(self, proposal: Proposal, reason: str) -> None:
        """A command that left no run to resume: an error that every trial meets ends the tuning."""
        self.given_up.add(proposal.number)
        history = self.history()
        if not any(one.run for one in history.proposals):
            raise GenbenchError(f"{title_of(proposal)} could not be started: {reason}")
        self.say(f"{title_of(proposal)} was given up: {reason}")

    def _settle_pruned(self) -> None:
        """Mark the runs that the pruner has stopped."""
        if self.pruned:
            for one in self.history().proposals:
                if one.number in self.pruned and one.run:
                    tunings.prune(self.store, one.run)

    # --- the best again

    def confirm(self) -> None:
        """Train the best trials with fresh seeds."""
        wanted = self._missing_confirmations()
        for trial, seed in wanted:
            known = [one for one in self.history().proposals if one.confirms is not None]
            origin = next(p for p in self.history().proposals if p.number == trial.number)
            tunings.propose(
                self.store,
                self.tuning.number,
                trial.settings,
                seed=seed,
                notes={"epochs": self._with_epochs(origin).notes.get("epochs")},
                number=CONFIRMS_FROM + len(known),
                confirms=trial.number,
            )
        self._carry_out(self._confirming(self.jobs), lambda: self._confirming(1))

    def _missing_confirmations(self) -> list[tuple[Trial, int]]:
        history = self.history()
        made = {(one.confirms, one.seed) for one in history.proposals}
        seeds = [FRESH + self.question.seed + k for k in range(self.effort.confirm)]
        return [
            (trial, seed)
            for trial in best(history.trials)[: self.effort.top]
            for seed in seeds
            if (trial.number, seed) not in made
        ]

    def _confirming(self, count: int) -> list[Command]:
        found: list[Command] = []
        while len(found) < count:
            proposal = self._waiting(self.history(), confirms=True)
            task = proposal and self._task(proposal)
            if not task:
                break
            found.append(task)
        return found

    # --- what is said

    def _tell(self, history: History, proposal: Proposal, own: Trial | None, end: Ended) -> None:
        state = history.states[proposal.number]
        done = sum(may_stop(history.states[trial.number]) for trial in history.trials)
        if own is None:
            values = history.confirmed.get(proposal.confirms or 0, ())
            told = f"{self.question.objectives[0]} {number(shown(values[-1], history.direction))}"
            self.say(f"{title_of(proposal)}: {told if values else state.value}")
            return
        what = state.value if not own.values else self._in_words(history, own)
        if state is State.FAILED:
            what = f"failed: {end.reason}" if end.code else "failed: its score is not finite"
        front = best(history.trials)
        leader = f"; best: trial {front[0].number}" if front and len(own.values) < 2 else ""
        self.say(
            f"[{done}/{self.effort.trials}] trial {own.number}: {what}{leader} "
            f"({run_name(self.tuning.name, proposal)}, {duration(end.seconds)})"
        )

    def _in_words(self, history: History, own: Trial) -> str:
        directions = (history.direction, "min")
        pairs = zip(self.question.objectives, own.values, directions, strict=False)
        return ", ".join(f"{name} {number(shown(value, way))}" for name, value, way in pairs)
