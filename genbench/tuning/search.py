"""What to try next, and what to give up: optuna, asked from the history of the trials alone.

The history comes from the store. An in-memory study is built from it for every proposal, so the
same question, history and number give the same proposal, whoever asks and however often the search
was stopped. optuna is imported when it is first needed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from genbench.errors import UsageError
from genbench.spec import content_hash
from genbench.tuning.question import SearchQuestion, State
from genbench.tuning.space import Categories, Knob, Value

STUDY = "genbench"
"""The name of every in-memory study: Hyperband derives the bracket of a trial from it."""

POPULATION = 10
"""The size of a generation of NSGA-II; optuna's 50 is more than most searches have trials."""

GP_TRIALS = 100
"""How many trials a Gaussian process is fitted to: the best half of them, and the newest half.

Its cost grows with their cube: a proposal from 1,000 trials takes 13 s on a slow core.
"""

FIRST_CHECK = 10
"""The percentage of a training after which a pruner may stop it."""

REDUCTION = 3
"""ASHA keeps the best third of the trials at each of the `RUNGS`."""

RUNGS = (10, 30, 90)
"""The percentages of the training at which ASHA and Hyperband compare trials."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial: ``values`` of the objectives once it is done, lower is better.

    ``reported`` maps the percentage of its training to the first objective; ``notes`` is what the
    sampler attached to its proposal.
    """

    number: int
    settings: Mapping[str, Value]
    state: State
    values: tuple[float, ...] = ()
    reported: Mapping[int, float] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        """Whether it may be the best."""
        finite = bool(self.values) and all(map(math.isfinite, self.values))
        return self.state is State.DONE and finite


@dataclass(frozen=True, kw_only=True)
class Next:
    """A proposal: the settings, and what the sampler has to know of it later."""

    settings: Mapping[str, Value]
    notes: Mapping[str, Any] = field(default_factory=dict)


def propose(question: SearchQuestion, history: Sequence[Trial], number: int) -> Next | None:
    """The settings of trial ``number``; None if a grid has no more."""
    if question.sampler == "grid":
        return _cell(question, number)
    if number == 0 and question.first:
        return Next(settings=question.first)
    study = _study(question, history, number)
    trial = study.ask()
    for knob in question.space:
        distribution = _distribution(knob)
        trial._suggest(knob.name, distribution)
    asked = study.get_trials(deepcopy=False)[-1]
    return Next(settings=dict(asked.params), notes=dict(asked.system_attrs))


def cells(question: SearchQuestion) -> int | None:
    """The number of trials of a grid; None for a search without an end."""
    if question.sampler != "grid":
        return None
    return math.prod(len(axis) for axis in _axes(question))


def best(history: Iterable[Trial]) -> list[Trial]:
    """The trials that are done, the best first; with two objectives, those of the Pareto front."""
    done = [trial for trial in history if trial.is_good]
    if any(len(trial.values) > 1 for trial in done):
        done = [one for one in done if not any(_dominates(other, one) for other in done)]
    return sorted(done, key=lambda trial: (trial.values, trial.number))


def of_defaults(question: SearchQuestion, history: Iterable[Trial]) -> Trial | None:
    """The trial that took the defaults of the model; None if they aren't in the space."""
    if not question.first:
        return None
    return next((one for one in history if one.settings == question.first), None)


class Pruning:
    """The decision to stop a trial, from what all trials have reported by then."""

    def __init__(self, question: SearchQuestion, history: Sequence[Trial]) -> None:
        optuna = _optuna()
        self._question = question
        self._study = optuna.create_study(study_name=STUDY, pruner=_pruner(question.pruner))
        self._trials: dict[int, Any] = {}
        self._taken: dict[int, Trial] = {}
        for trial in sorted(history, key=lambda trial: trial.number):
            self.take(trial)

    def should_prune(
        self, number: int, settings: Mapping[str, Value], reported: Mapping[int, float]
    ) -> bool:
        """Take in the reports of a trial; return whether it is to stop after the last new one."""
        return self._report(number, settings, reported, reported)

    def _report(
        self,
        number: int,
        settings: Mapping[str, Value],
        reported: Mapping[int, float],
        asked: Collection[int],
    ) -> bool:
        """Take in reports, and ask the pruner after the steps ``asked``; return its last answer."""
        trial = self._trials.get(number) or self._begin(number, settings)
        known = self._study._storage.get_trial(trial._trial_id).intermediate_values
        stop = False
        for step in sorted(set(reported) - set(known)):
            trial.report(reported[step], step)
            stop = step in asked and trial.should_prune()
        return stop

    def take(self, trial: Trial) -> None:
        """Take in what a trial has reported, and its end; later ones are compared with it."""
        if self._taken.get(trial.number) == trial:
            return
        self._taken[trial.number] = trial
        self._report(trial.number, trial.settings, trial.reported, self._rungs(trial.reported))
        optuna = _optuna()
        states = optuna.trial.TrialState
        own = self._trials[trial.number]
        if trial.is_good:
            self._study.tell(own, trial.values[0])
        elif trial.state is State.PRUNED:
            self._study.tell(own, state=states.PRUNED)
        elif trial.state in (State.FAILED, State.DONE):
            self._study.tell(own, state=states.FAIL)

    def _rungs(self, reported: Mapping[int, float]) -> set[int]:
        """The steps of another trial at which ASHA and Hyperband note what it is compared by.

        The median needs none. Each question to a pruner costs time that grows with the trials.
        """
        if self._question.pruner == "median":
            return set()
        after = ([step for step in reported if step >= rung] for rung in RUNGS)
        return {min(steps) for steps in after if steps}

    def _begin(self, number: int, settings: Mapping[str, Value]) -> Any:
        """A trial with this number, which decides its bracket; earlier missing ones are failed."""
        optuna = _optuna()
        states = optuna.trial.TrialState
        while len(self._study.get_trials(deepcopy=False)) < number:
            self._study.add_trial(optuna.trial.create_trial(state=states.FAIL))
        distributions = {knob.name: _distribution(knob) for knob in self._question.space}
        self._study.add_trial(
            optuna.trial.create_trial(
                state=states.RUNNING, params=dict(settings), distributions=distributions
            )
        )
        made = self._study.get_trials(deepcopy=False)[-1]
        self._trials[number] = optuna.trial.Trial(self._study, made._trial_id)
        return self._trials[number]


def frozen(question: SearchQuestion, trial: Trial) -> Any:
    """A trial as optuna knows it, an `optuna.trial.FrozenTrial`."""
    optuna = _optuna()
    states = optuna.trial.TrialState
    state = {
        State.DONE: states.COMPLETE if trial.is_good else states.FAIL,
        State.PRUNED: states.PRUNED,
        State.FAILED: states.FAIL,
    }.get(trial.state, states.RUNNING)
    reported = trial.reported if len(question.objectives) == 1 else {}
    return optuna.trial.create_trial(
        state=state,
        values=list(trial.values) if state is states.COMPLETE else None,
        params=dict(trial.settings),
        distributions={knob.name: _distribution(knob) for knob in question.space},
        system_attrs=dict(trial.notes),
        intermediate_values=dict(reported),
    )


def frozen_for_export(question: SearchQuestion, trial: Trial) -> Any:
    """A trial as a file keeps it: one that is not done yet waits, so nothing takes it as lost."""
    made = frozen(question, trial)
    states = _optuna().trial.TrialState
    if made.state is states.RUNNING:
        made.state, made.datetime_start = states.WAITING, None
    return made


def importance(question: SearchQuestion, history: Sequence[Trial]) -> dict[str, float]:
    """The share of each setting in what the first objective depends on, the largest first.

    PED-ANOVA (Watanabe et al. 2023, arXiv:2304.10255), from the trials that are done.
    """
    optuna = _optuna()
    study = optuna.create_study()
    for trial in history:
        if trial.is_good:
            study.add_trial(frozen(question, replace(trial, values=trial.values[:1], reported={})))
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {str(name): float(share) for name, share in found.items()}


def _study(question: SearchQuestion, history: Sequence[Trial], number: int) -> Any:
    optuna = _optuna()
    study = optuna.create_study(
        study_name=STUDY,
        directions=["minimize"] * len(question.objectives),
        sampler=_sampler(question, number),
    )
    if question.sampler == "gp":
        history = _for_gp(history)
    study.add_trials([frozen(question, trial) for trial in history])
    return study


def _for_gp(history: Sequence[Trial]) -> list[Trial]:
    """The best and the newest trials, in the order of their numbers."""
    if len(history) <= GP_TRIALS:
        return list(history)
    half = GP_TRIALS // 2
    kept = {trial.number for trial in (*history[-half:], *best(history)[:half])}
    return [trial for trial in history if trial.number in kept]


def _sampler(question: SearchQuestion, number: int) -> Any:
    """A sampler; its random numbers depend on the question's seed and the trial alone."""
    optuna = _optuna()
    seed = int(content_hash([question.seed, number])[:8], 16)
    if question.sampler == "gp":
        return optuna.samplers.GPSampler(seed=seed)
    if question.sampler == "nsga-ii":
        return optuna.samplers.NSGAIISampler(seed=seed, population_size=POPULATION)
    if question.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed)


def _pruner(name: str) -> Any:
    optuna = _optuna()
    if name == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=FIRST_CHECK)
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner(
            min_resource=FIRST_CHECK, max_resource=100, reduction_factor=REDUCTION
        )
    if name == "asha":
        return optuna.pruners.SuccessiveHalvingPruner(
            min_resource=FIRST_CHECK, reduction_factor=REDUCTION
        )
    return optuna.pruners.NopPruner()


def _distribution(knob: Knob) -> Any:
    distributions = _optuna().distributions
    domain = knob.domain
    if isinstance(domain, Categories):
        return distributions.CategoricalDistribution(domain.values)
    if domain.whole:
        low, high = int(domain.low), int(domain.high)
        return distributions.IntDistribution(low, high, log=domain.log)
    return distributions.FloatDistribution(domain.low, domain.high, log=domain.log)


def _cell(question: SearchQuestion, number: int) -> Next | None:
    """A cell of the grid; the last setting varies fastest."""
    values, left = list[Value](), number
    for axis in reversed(_axes(question)):
        left, place = divmod(left, len(axis))
        values.append(axis[place])
    names = (knob.name for knob in question.space)
    return None if left else Next(settings=dict(zip(names, reversed(values), strict=True)))


def _axes(question: SearchQuestion) -> list[Sequence[Value]]:
    """The values of each setting of a grid."""
    domains = [knob.domain for knob in question.space]
    return [
        domain.values
        if isinstance(domain, Categories)
        else range(int(domain.low), int(domain.high) + 1)
        for domain in domains
    ]


def _dominates(one: Trial, other: Trial) -> bool:
    pairs = list(zip(one.values, other.values, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def check_optuna() -> None:
    """Raise UsageError if optuna can't be imported, or is too old."""
    _optuna()


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise UsageError(
            "genbench tune needs the package 'optuna'", hint="pip install 'genbench[tune]'"
        ) from error
    if int(optuna.__version__.partition(".")[0]) < 5:
        raise UsageError(
            f"genbench tune needs optuna 5 or newer, and optuna {optuna.__version__} is installed",
            hint="pip install -U 'genbench[tune]'",
        )
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
