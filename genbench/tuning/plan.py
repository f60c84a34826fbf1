"""Plan a tuning: everything that could be wrong is found before anything trains, without torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from genbench.contracts import DataAccess
from genbench.errors import SettingError, UnknownNameError, UsageError, suggest
from genbench.planning.resolve import Request, resolve
from genbench.planning.sources import Scope, literal
from genbench.registry import Registry
from genbench.spec import RunSpec
from genbench.store import Store, tunings
from genbench.store.tunings import TuningRecord
from genbench.tuning.question import PRUNERS, SAMPLERS, SECONDS, SearchQuestion, check
from genbench.tuning.search import check_optuna, propose
from genbench.tuning.space import (
    Categories,
    Space,
    Value,
    assignments,
    default_space,
    named_space,
    read_sets,
)
from genbench.tuning.work import Effort


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """What was asked for on the command line; ``options`` are those of ``genbench run``."""

    model: str
    dataset: str
    sets: Sequence[str] = ()
    space: str | None = None
    search: str = "tpe"
    pruner: str = "none"
    objectives: Sequence[str] = ()
    limit: str | None = None
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Planner:
    """What is needed to plan runs: plugins, data, environment and folder."""

    registry: Registry
    access: DataAccess
    environ: Mapping[str, str]
    cwd: Path

    def question(self, given: SearchOptions) -> SearchQuestion:
        """The question of these options. Raises UsageError for what can't be searched for."""
        _among("--search", given.search, SAMPLERS)
        _among("--pruner", given.pruner, PRUNERS)
        scope = self._scope(given)
        knobs, fixed = read_sets(given.sets, scope)
        if given.space is not None:
            knobs = _over(named_space(given.space, scope), knobs, fixed)
        elif not knobs:
            knobs = _over(default_space(scope), (), fixed)
        asked = SearchQuestion(
            model=given.model,
            dataset=given.dataset,
            options=dict(given.options),
            fixed=fixed,
            space=knobs,
            sampler=given.search,
            pruner=given.pruner,
            objectives=tuple(given.objectives) or ("?",),
            seed=given.seed,
            limit=_limit(given.limit),
        )
        check(asked)
        asked = self._with_objectives(asked, given)
        asked = replace(asked, first=self._defaults(asked))
        self._check_ends(asked)
        check_optuna()
        return asked

    def specs(self, question: SearchQuestion) -> Callable[[Mapping[str, Value]], RunSpec]:
        """The spec of a trial by its settings."""

        def spec(settings: Mapping[str, Value]) -> RunSpec:
            return self._spec(question, assignments(question.space, settings))

        return spec

    def _scope(self, given: SearchOptions) -> Scope:
        model = self.registry.get("model", given.model)
        dataset = self.registry.get("dataset", given.dataset.partition(":")[0])
        return Scope(registry=self.registry, model=model.name, dataset=dataset.name)

    def _spec(self, question: SearchQuestion, sets: Sequence[str] = ()) -> RunSpec:
        options = dict(question.options)
        run = {
            **{name: options.get(name) for name in options if name not in _ELSEWHERE},
            "samplers": options.get("sampler"),
            "metrics": options.get("metric"),
            "scored_on": "search",
        }
        config = options.get("config")
        request = Request(
            model=question.model,
            dataset=question.dataset,
            run=run,
            sets=(*question.fixed, *sets),
            config=Path(config) if config else None,
        )
        return resolve(request, self.registry, self.access, self.environ, self.cwd).spec

    def _with_objectives(self, question: SearchQuestion, given: SearchOptions) -> SearchQuestion:
        """The question with objectives that its runs compute: by default, their first metric."""
        spec = self._spec(question)
        names = [part.name for part in spec.metrics]
        if not given.objectives:
            if not names:
                raise UsageError(
                    f"model '{given.model}' has no metric by default; add one, such as --objective "
                    "fd_pixel"
                )
            return replace(question, objectives=(names[0],))
        for objective in given.objectives:
            known = {metric.name for metric in self.registry.of("metric")}
            if objective != SECONDS and objective not in known:
                raise UnknownNameError(
                    "objective", objective, {*known, SECONDS}, see="genbench metrics"
                )
        new = [one for one in given.objectives if one != SECONDS and one not in names]
        options = {**question.options, "metric": [*names, *new]} if new else question.options
        return replace(question, options=options)

    def _defaults(self, question: SearchQuestion) -> dict[str, Value]:
        """The settings of a run without a search, by knob; empty if one isn't in the space."""
        spec = self._spec(question)
        found: dict[str, Value] = {}
        for knob in question.space:
            values = [_value(spec, path) for path in knob.paths]
            if isinstance(knob.domain, Categories):
                texts = {repr(literal(text)): text for text in knob.domain.values}
                value = texts.get(repr(_plain(values[0])))
            else:
                value = values[0] if knob.domain.holds(values[0]) else None
            if value is None or len({repr(one) for one in values}) > 1:
                return {}
            found[knob.name] = value
        return found

    def _check_ends(self, question: SearchQuestion) -> None:
        """Raise SettingError if a setting can't have an end of its range, or one of its values.

        The other settings are those of the first trial.
        """
        base = question.first or dict(_middle(question.space))
        for knob in question.space:
            domain = knob.domain
            ends: Sequence[Value] = domain.values if isinstance(domain, Categories) else domain.ends
            for value in ends:
                texts = [f"{path}={value}" for path in knob.paths]
                others = {name: one for name, one in base.items() if name != knob.name}
                rest = tuple(one for one in question.space if one.name in others)
                try:
                    self._spec(question, (*assignments(rest, others), *texts))
                except SettingError as error:
                    raise SettingError(f"--set {knob.name}: {domain}: {error}") from None


def find(store: Store, name: str) -> TuningRecord:
    """A tuning by its name. Raises UnknownNameError."""
    known = {one.name: one for one in tunings.tunings(store)}
    if name not in known:
        raise UnknownNameError("tuning", name, known)
    return known[name]


def begin(store: Store, question: SearchQuestion, effort: Effort, name: str | None) -> TuningRecord:
    """The stored tuning of a question, or a new one. Raises UsageError for a name that is taken."""
    body = {"question": question.to_json(), "effort": vars(effort)}
    for one in tunings.tunings(store):
        if one.digest == question.digest:
            if name not in (None, one.name):
                raise UsageError(f"this tuning is in the store as '{one.name}'; leave out --name")
            if one.body != body:
                tunings.replace_body(store, one.number, body)
            return one
        if one.name == name:
            raise UsageError(
                f"the name '{name}' is taken by another tuning; give another --name",
                hint=f"To continue that one: genbench tune --resume {name}",
            )
    words = re.sub(r"[^\w.+-]+", "-", f"{question.model}-{question.dataset}")
    named = name or f"{words}-{question.digest[:4]}"
    return tunings.create(store, named, question.digest, body)


def first_settings(question: SearchQuestion, count: int) -> list[Mapping[str, Value]]:
    """The settings of the first trials, as far as they don't depend on scores."""
    found = []
    for number in range(count):
        proposed = propose(question, [], number)
        if proposed is None:
            break
        found.append(proposed.settings)
    return found


def seconds_in(text: str, option: str) -> float:
    """The seconds in '90', '90s', '30min' or '2h'. Raises UsageError."""
    found = re.fullmatch(r"\s*([0-9.]+)\s*(s|min|h|d)?\s*", text)
    try:
        value = float(found.group(1)) if found else 0.0
    except ValueError:
        value = 0.0
    if not found or value <= 0:
        raise UsageError(f"{option} {text}: expected a time such as 90s, 30min or 2h")
    return value * {"s": 1, "min": 60, "h": 3_600, "d": 86_400}[found.group(2) or "s"]


_ELSEWHERE = ("sampler", "metric", "config")
"""Options that a `Request` takes under another name."""


def _limit(text: str | None) -> tuple[str, float] | None:
    if text is None:
        return None
    kind, equals, value = text.partition("=")
    if equals and kind == "seconds":
        return "seconds", seconds_in(value, "--limit seconds =")
    if equals and kind == "epochs" and value.isdecimal() and int(value):
        return "epochs", int(value)
    raise UsageError(f"--limit {text}: expected seconds=60 or epochs=20")


def _among(option: str, given: str, known: Sequence[str]) -> None:
    if given not in known:
        raise UsageError(
            f"{option} {given}: it is one of {', '.join(known)}{suggest(given, known)}"
        )


def _over(space: Space, knobs: Space, fixed: Sequence[str]) -> Space:
    """A named space without what ``--set`` gives, which is added or fixed."""
    given = {path for knob in knobs for path in knob.paths}
    given |= {text.partition("=")[0].strip() for text in fixed}
    kept = []
    for knob in space:
        paths = tuple(path for path in knob.paths if path not in given)
        if paths:
            kept.append(replace(knob, paths=paths))
    return (*kept, *knobs)


def _value(spec: RunSpec, path: str) -> Any:
    """The value of a setting in a spec by its path for ``--set``; None if it has none there."""
    prefix, _, rest = path.partition(".")
    if not rest:
        return spec.model_settings.get(path, getattr(spec, path, None))
    if prefix == "run":
        return getattr(spec, rest, None)
    own = {"model": spec.model_settings, "data": spec.dataset_settings}.get(prefix, {})
    return own.get(rest)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _middle(space: Space) -> list[tuple[str, Value]]:
    """A point of the space: the first choice, or the lower end."""
    return [
        (k.name, k.domain.values[0] if isinstance(k.domain, Categories) else k.domain.ends[0])
        for k in space
    ]
