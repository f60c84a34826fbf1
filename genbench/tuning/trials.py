"""Carry out the trials of a tuning: each is one ``genbench`` command, perhaps after a pilot.

Everything that is known is in the store, so whoever looks at a trial next can go on with it: a run
that was interrupted is resumed, and one that another process trains is waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from genbench.errors import GenbenchError, InterruptedRunError, UsageError
from genbench.formatting import duration, number
from genbench.spec import RunSpec
from genbench.store import Store, tunings
from genbench.store.tunings import Proposal, TuningRecord
from genbench.study.outcome import Places
from genbench.study.pace import Pace
from genbench.tuning.commands import (
    may_stop,
    pace_key,
    pilot_task,
    resume_task,
    run_name,
    run_task,
    title_of,
)
from genbench.tuning.history import History, read_history, shown
from genbench.tuning.question import SearchQuestion, State
from genbench.tuning.search import Pruning, Trial, best, propose
from genbench.tuning.space import Value
from genbench.work.children import Command, Ended, carry_out

WAIT_S = 0.5
"""Seconds between two looks at a run that another process still trains."""

Specs = Callable[[dict[str, Value]], RunSpec]
"""The spec of a trial with these settings. Raises UsageError if the model refuses them."""


@dataclass(kw_only=True)
class Trials:
    """Carries out proposals of a tuning, ``jobs`` commands at a time.

    ``say`` is told of each one that has ended, of ``planned`` in all.
    """

    tuning: TuningRecord
    question: SearchQuestion
    store: Store
    places: Places
    specs: Specs
    planned: int
    jobs: int = 1
    threads: int = 1
    should_stop: Callable[[], bool]
    say: Callable[[str], None]

    def __post_init__(self) -> None:
        self.given_up: dict[int, str] = {}
        self._at_work: dict[Command, Proposal] = {}
        self._paces: dict[str, Any] = dict(self.tuning.paces)
        self._known = History()
        self._pruned: set[int] = set()
        self._looked: dict[int, int | None] = {}
        prunes = self.question.pruner != "none"
        self._pruning = Pruning(self.question, self.history().trials) if prunes else None

    def history(self) -> History:
        """What is known now."""
        self._known = read_history(self.store, self.tuning, self.question, self._known)
        return self._known

    def waiting(self, history: History, *, confirms: bool) -> Proposal | None:
        """The first proposal that nobody works on and that has no result."""
        busy = {one.number for one in self._at_work.values()} | {*self.given_up}
        for one in history.proposals:
            waits = history.states[one.number] is State.WAITING and one.number not in busy
            if waits and (one.confirms is not None) is confirms:
                return one
        return None

    def wait_for_others(self, only: int | None = None) -> None:
        """Wait for runs of this tuning, or for one of them, that other processes train."""
        told: set[int] = set()
        while not self.should_stop():
            states = self.history().states
            running = [
                one for one, s in states.items() if s is State.RUNNING and only in (None, one)
            ]
            if not running:
                return
            for one in sorted(set(running) - told):
                self.say(f"proposal {one} is still trained by another process; waiting for it")
            told |= set(running)
            time.sleep(WAIT_S)

    # --- proposals

    def propose(self, history: History, number: int) -> Proposal | None:
        """Store a proposal for a trial; None if a grid has no more."""
        found = propose(self.question, history.trials, number)
        if found is None:
            return None
        notes: dict[str, Any] = {"sampler": dict(found.notes)}
        try:
            spec = self.specs(dict(found.settings))
        except UsageError as error:
            notes["refused"] = str(error)
            self.say(f"trial {number}: the model refuses its settings: {error}")
        else:
            notes["epochs"] = self._epochs(spec)
        seed = self.question.seed + number
        return tunings.propose(
            self.store, self.tuning.number, found.settings, seed=seed, notes=notes, number=number
        )

    def _epochs(self, spec: RunSpec) -> int | None:
        """The epochs of a trial; None if a pilot has to measure them first."""
        limit = self.question.limit
        if limit is None:
            return spec.epochs
        return int(limit[1]) if limit[0] == "epochs" else None

    def propose_again(self, trial: Trial, seed: int, number: int) -> Proposal:
        """Store a proposal that repeats a trial, of the same length, with another seed."""
        origin = self.history().runs[trial.number]
        assert origin is not None
        notes = {"epochs": RunSpec.from_json(self.store.run(origin).spec).epochs}
        return tunings.propose(
            self.store,
            self.tuning.number,
            trial.settings,
            seed=seed,
            notes=notes,
            number=number,
            confirms=trial.number,
        )

    # --- their commands

    def command(self, proposal: Proposal) -> Command | None:
        """The next command of a proposal; None if its settings were refused."""
        if proposal.notes.get("refused"):
            return None
        tuning, places = self.tuning.name, self.places
        proposal = self._with_epochs(proposal)
        if proposal.run is not None:
            found = resume_task(self.question, tuning, proposal, places)
        elif proposal.notes.get("epochs") is None:
            assert self.question.limit is not None
            seconds = self.question.limit[1]
            found = pilot_task(self.question, tuning, proposal, places, seconds)
        else:
            found = run_task(self.question, tuning, proposal, places)
        if self._pruning is not None and proposal.confirms is None and found.arguments[0] != "pace":
            found = replace(found, enough=lambda: self._is_hopeless(proposal))
        found = replace(found, threads=self.threads)
        self._at_work[found] = proposal
        return found

    def _with_epochs(self, proposal: Proposal) -> Proposal:
        """The proposal with its epochs, if its pace is known."""
        limit = self.question.limit
        known = self._paces.get(pace_key(self.question, proposal.settings))
        if proposal.notes.get("epochs") is not None or known is None or limit is None:
            return proposal
        epochs = Pace(**known).epochs(limit[1])
        return replace(proposal, notes={**proposal.notes, "epochs": epochs})

    def train(self, follow: Callable[[int], Sequence[Command]]) -> None:
        """Carry out what ``follow(n)`` gives, up to n commands, and again after each that ended.

        Raises InterruptedRunError if ``should_stop`` returned true.
        """

        def ended(end: Ended) -> Sequence[Command]:
            proposal = self._at_work.pop(end.command)
            if self.should_stop():
                return []
            if end.command.arguments[0] == "pace":
                task = self._measured(end, proposal)
                return [task] if task else follow(1)
            self._ended(end, proposal)
            return follow(1)

        first = follow(self.jobs)
        whole = carry_out(first, at_once=self.jobs, should_stop=self.should_stop, ended=ended)
        self._settle_pruned()
        if not whole:
            raise InterruptedRunError(
                f"the tuning {self.tuning.name} was interrupted; its runs so far are in the store",
                hint=f"To continue: genbench tune --resume {self.tuning.name}",
            )

    def finish(self, number: int) -> Proposal:
        """Carry out one proposal to its end, whoever has begun it; return it with its run.

        Raises GenbenchError if it can't be, and InterruptedRunError on a stop.
        """
        while True:
            self.wait_for_others(number)
            entry = self.history().entry(number)
            assert entry is not None
            if may_stop(entry.trial.state):
                return entry.proposal
            if number in self.given_up:
                raise GenbenchError(self.given_up[number])
            self._train_one(entry.proposal)

    def _train_one(self, proposal: Proposal) -> None:
        """Carry out the next command of a proposal, and the run that follows a pilot."""
        task = self.command(proposal)
        commands = [task] if task else []
        self.train(lambda count: [commands.pop()] if commands else [])

    def _measured(self, end: Ended, proposal: Proposal) -> Command | None:
        """Store the pace that a pilot has measured; the run of its proposal comes next."""
        if end.code == UsageError.exit_code:
            raise UsageError(end.error)
        if "pace" not in end.answer:
            self._give_up(proposal, f"its pace could not be measured: {end.reason}")
            return None
        key = pace_key(self.question, proposal.settings)
        self._paces = tunings.add_pace(self.store, self.tuning.number, key, end.answer["pace"])
        return self.command(proposal)

    def _ended(self, end: Ended, proposal: Proposal) -> None:
        self._settle_pruned()
        if self.history().states[proposal.number] is State.RUNNING:
            self.wait_for_others(proposal.number)  # a killed process has left it running
            return
        history = self.history()
        if not may_stop(history.states[proposal.number]):
            self._give_up(proposal, end.reason)
            return
        self._tell(history, proposal, end)

    def _give_up(self, proposal: Proposal, reason: str) -> None:
        """A command that left no run to resume: an error that every trial meets ends the tuning."""
        self.given_up[proposal.number] = reason
        if not any(one.run for one in self.history().proposals):
            raise GenbenchError(f"{title_of(proposal)} could not be started: {reason}")
        self.say(f"{title_of(proposal)} was given up: {reason}")

    # --- pruning

    def _is_hopeless(self, proposal: Proposal) -> bool:
        """Whether the pruner stops the run of a proposal now; nothing is read without a new
        score."""
        assert self._pruning is not None
        one = proposal.number
        last = tunings.last_score(self.store, run_name(self.tuning.name, proposal))
        if one in self._pruned or last == self._looked.get(one):
            return one in self._pruned
        self._looked[one] = last
        trials = {trial.number: trial for trial in self.history().trials}
        own = trials.pop(one)
        for other in trials.values():
            self._pruning.take(other)
        unfinished = max(own.reported, default=0) < 100
        if unfinished and self._pruning.should_prune(one, own.settings, own.reported):
            self._pruned.add(one)
        return one in self._pruned

    def _settle_pruned(self) -> None:
        """Mark the runs that the pruner has stopped."""
        if self._pruned:
            for one in self.history().proposals:
                if one.number in self._pruned and one.run:
                    tunings.prune(self.store, one.run)

    # --- what is said

    def _tell(self, history: History, proposal: Proposal, end: Ended) -> None:
        state = history.states[proposal.number]
        if proposal.confirms is not None:
            entry = history.entry(proposal.number)
            values = entry.trial.values[:1] if entry else ()
            self.say(f"{title_of(proposal)}: {self._in_words(history, values) or state.value}")
            return
        own = next(trial for trial in history.trials if trial.number == proposal.number)
        done = sum(may_stop(trial.state) for trial in history.trials)
        what = self._in_words(history, own.values) or state.value
        if state is State.FAILED:
            what = f"failed: {end.reason}" if end.code else "failed: its score is not finite"
        front = best(history.trials)
        leader = f"; best: trial {front[0].number}" if front and len(own.values) < 2 else ""
        self.say(
            f"[{done}/{self.planned}] trial {own.number}: {what}{leader} "
            f"({run_name(self.tuning.name, proposal)}, {duration(end.seconds)})"
        )

    def _in_words(self, history: History, values: Sequence[float]) -> str:
        """'fd_clf 33.1, seconds 44.8'; empty without values."""
        pairs = zip(self.question.objectives, values, history.directions, strict=False)
        return ", ".join(f"{name} {number(shown(value, way))}" for name, value, way in pairs)
