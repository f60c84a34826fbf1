"""Carry out a tuning: propose and train trials, and confirm the best with fresh seeds.

`carry_on` does all that is missing in this process. Workers on any machines call `carry_out_task`
for each task that `enqueue_tuning` has written: the settings of a trial are proposed when its task
is claimed, from all results that are in the store by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from genbench.store import Store
from genbench.store.enqueuing import enqueue
from genbench.store.tasks import NewTask
from genbench.store.tunings import Proposal, TuningRecord
from genbench.tuning.commands import FRESH, may_stop, tag
from genbench.tuning.history import History, read_history
from genbench.tuning.question import SearchQuestion
from genbench.tuning.search import Trial, best, cells, of_defaults
from genbench.tuning.trials import Trials
from genbench.work.children import Command

CONFIRMS_FROM, CONFIRMS_EACH = 1_000_000, 1_000
"""The number of the first proposal that confirms a trial, and how many are kept for each trial."""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How long to search: ``trials``, and wall seconds of all runs (None: no bound).

    The ``top`` best trials are repeated with ``confirm`` fresh seeds, and with ``defaults`` the
    trial that took the defaults too, if it is not among them.
    """

    trials: int = 20
    budget_s: float | None = None
    top: int = 3
    confirm: int = 0
    defaults: bool = False

    @property
    def repeats(self) -> int:
        """The most runs that confirm a trial."""
        return (self.top + self.defaults) * self.confirm


def carry_on(trials: Trials, effort: Effort) -> History:
    """Do what is missing of a tuning; return its history.

    Raises InterruptedRunError if the trials are to stop, UsageError if the limit is too small, and
    GenbenchError if no trial can be started.
    """
    trials.wait_for_others()
    trials.train(lambda count: _search(trials, effort, count))
    for rank in range(effort.repeats):
        _confirmation(trials, effort, rank)
    trials.train(lambda count: _confirm(trials, count))
    return trials.history()


def _search(trials: Trials, effort: Effort, count: int) -> list[Command]:
    """The commands of up to ``count`` trials: those that wait first, then new ones."""
    found: list[Command] = []
    while len(found) < count:
        history = trials.history()
        proposal = trials.waiting(history, confirms=False)
        if proposal is None and not _is_enough(history, effort):
            proposal = trials.propose(history, len(history.trials))
        if proposal is None:
            break
        if task := trials.command(proposal):
            found.append(task)
    return found


def _is_enough(history: History, effort: Effort) -> bool:
    return len(history.trials) >= effort.trials or _is_over(history, effort)


def _is_over(history: History, effort: Effort) -> bool:
    """Whether the budget is spent."""
    return effort.budget_s is not None and history.spent_s >= effort.budget_s


def _confirm(trials: Trials, count: int) -> list[Command]:
    """The commands of up to ``count`` proposals that confirm a trial."""
    found: list[Command] = []
    while len(found) < count:
        proposal = trials.waiting(trials.history(), confirms=True)
        task = proposal and trials.command(proposal)
        if not task:
            break
        found.append(task)
    return found


def _confirmation(trials: Trials, effort: Effort, rank: int) -> Proposal | None:
    """The stored repeat ``rank`` of the best trials, all seeds of the best one first."""
    history = trials.history()
    wanted = _winner(history, trials.question, effort, rank)
    if wanted is None:
        return None
    trial, seed = wanted
    if found := _stored(history, trial, seed):
        return found
    number = CONFIRMS_FROM + CONFIRMS_EACH * (1 + trial.number) + rank % effort.confirm
    return trials.propose_again(trial, seed, number)


def _winner(
    history: History, question: SearchQuestion, effort: Effort, rank: int
) -> tuple[Trial, int] | None:
    """The trial and the seed of a repeat; None if there are not so many good trials."""
    place, k = divmod(rank, effort.confirm)
    repeated = best(history.trials)[: effort.top]
    default = of_defaults(question, history.trials) if effort.defaults else None
    if default is not None and default.is_good and default not in repeated:
        repeated.append(default)
    return (repeated[place], FRESH + question.seed + k) if place < len(repeated) else None


def _stored(history: History, trial: Trial, seed: int) -> Proposal | None:
    pairs = {(one.confirms, one.seed): one for one in history.proposals}
    return pairs.get((trial.number, seed))


# --- as tasks of the queue


def enqueue_tuning(
    store: Store,
    tuning: TuningRecord,
    question: SearchQuestion,
    effort: Effort,
    *,
    priority: int = 0,
) -> int:
    """Enqueue what is missing of a tuning for workers anywhere; return the number of new tasks.

    There is a task for each trial, and one for each repeat of the best, which waits for all trials.
    """
    history, count = read_history(store, tuning, question), effort.trials
    done = {one.trial.number for one in history.entries if one.is_settled}
    missing = [n for n in range(min(cells(question) or count, count)) if n not in done]
    tasks = [_new_task(tuning, question, ("trial", str(n)), priority) for n in missing]
    trials = [task.identity for task in tasks]
    for rank in range(effort.repeats):
        if trials or not _is_confirmed(history, question, effort, rank):
            words = ("trial", "--confirm", str(rank))
            tasks.append(_new_task(tuning, question, words, priority, trials))
    return len(enqueue(store, tasks, retry=True))


def _is_confirmed(history: History, question: SearchQuestion, effort: Effort, rank: int) -> bool:
    """Whether nothing is left to do for a repeat of the best."""
    wanted = _winner(history, question, effort, rank)
    if wanted is None:
        return True
    found = _stored(history, *wanted)
    return found is not None and may_stop(history.states[found.number])


def _new_task(
    tuning: TuningRecord,
    question: SearchQuestion,
    words: Sequence[str],
    priority: int,
    parents: Sequence[str] = (),
) -> NewTask:
    title = " ".join(words).replace("trial --", "")
    return NewTask(
        batch=tag(tuning.name),
        identity=title,
        title=f"{tuning.name}, {title}",
        command=(*words[:1], tuning.name, *words[1:]),
        device=str(question.options.get("device", "auto")).partition(":")[0],
        threads=int(question.options.get("threads", 1)),
        priority=priority,
        parents=tuple(parents),
    )


def carry_out_task(
    trials: Trials, effort: Effort, *, number: int | None = None, rank: int | None = None
) -> Proposal | None:
    """Carry out the task of a trial, or of a repeat of the best; return its proposal.

    None if there is nothing to do: the budget is spent, a grid is at its end, or there are fewer
    good trials. Raises GenbenchError if the run could not be trained to its end.
    """
    if number is not None:
        proposal = _trial(trials, effort, number)
    else:
        proposal = _confirmation(trials, effort, rank or 0)
    return None if proposal is None else trials.finish(proposal.number)


def _trial(trials: Trials, effort: Effort, number: int) -> Proposal | None:
    history = trials.history()
    entry = history.entry(number)
    if entry is not None:
        return entry.proposal
    return None if _is_over(history, effort) else trials.propose(history, number)
