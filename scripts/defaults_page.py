"""Write the tables of docs/tables/defaults.md from the runs of scripts/tune_defaults.sh.

    python scripts/defaults_page.py STORE.db docs/tables/defaults.md

A default is said to change only if both tests tell it from the one that it replaces: the mean of
fresh seeds on the validation split, and that of longer runs on the test split.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from genbench.compare.certainty import Difference, against_best
from genbench.compare.measure import Measure
from genbench.formatting import duration, number, plus_minus
from genbench.spec import RunSpec
from genbench.store import Store, tunings
from genbench.store.records import Status
from genbench.tuning.history import History, read_history
from genbench.tuning.question import SearchQuestion
from genbench.tuning.result import Winner, against_defaults, confirmed_defaults, winners
from genbench.tuning.search import Trial

METRIC = "fd_clf"
FIRST = "## What the searches found"
"""The heading of the first table: the text above it is written by hand."""


@dataclass(frozen=True, kw_only=True)
class Searched:
    """One model: its search, the best of it and the defaults, both with fresh seeds.

    ``images`` are those of a run with the defaults and of one with the best settings; they differ
    where the batch size does. ``tests`` has the scores on the test split by ``old`` and ``new``,
    and ``tested`` is the spec of the new ones.
    """

    question: SearchQuestion
    history: History
    images: tuple[int, ...]
    best: Winner
    defaults: Winner
    difference: Difference | None
    tests: Mapping[str, Measure]
    tested: RunSpec | None

    @property
    def test_difference(self) -> Difference | None:
        """New minus old on the test split."""
        if set(self.tests) != {"old", "new"}:
            return None
        return against_best(self.tests["old"], {"new": self.tests["new"]}, 2).get("new")

    @property
    def decision(self) -> str:
        """What the numbers say about the defaults."""
        if self.difference is None:
            return "kept: no trial was better"
        if not _is_lower(self.difference):
            return "kept: not told apart"
        if self.test_difference is None:
            return "kept: not measured on the test split"
        if not _is_lower(self.test_difference):
            return "kept: not better in longer runs"
        return "**changed**"


def _is_lower(found: Difference) -> bool:
    return found.distinguishable and found.estimate < 0


def read(store: Store) -> Iterator[Searched]:
    """The finished searches for defaults in a store, in their order."""
    for record in tunings.tunings(store):
        question = SearchQuestion.from_json(record.body["question"])
        history = read_history(store, record, question)
        found = winners(
            history.trials, record.body["effort"]["top"], history.runs, history.confirmed
        )
        defaults = confirmed_defaults(question, history)
        if not record.name.startswith("defaults-") or defaults is None or not found[0].confirmed:
            continue
        differences = against_defaults(defaults, found, history.directions[0])
        tests, tested = _tests(store, question.model)
        yield Searched(
            question=question,
            history=history,
            images=tuple(_images(_spec(store, str(one.run))) for one in (defaults, found[0])),
            best=found[0],
            defaults=defaults,
            difference=differences.get(found[0].trial.number),
            tests=tests,
            tested=tested,
        )


def _images(spec: RunSpec) -> int:
    return (spec.epochs or 0) * (spec.epoch_images or 0)


def _spec(store: Store, run: str) -> RunSpec:
    return RunSpec.from_json(store.run(run).spec)


def _tests(store: Store, model: str) -> tuple[dict[str, Measure], RunSpec | None]:
    """The scores of the runs of both settings on the test split, and a spec of the new ones."""
    found: dict[str, Measure] = {}
    spec = None
    for which in ("old", "new"):
        runs = store.runs(tag=f"defaults:{model}:{which}")
        finished = [run.id for run in runs if run.status is Status.FINISHED]
        scores = [one for run in finished for one in store.scores(run) if one.metric == METRIC]
        values = tuple(one.value for one in scores if one.value is not None)
        if values:
            found[which] = Measure(values=values)
            spec = _spec(store, finished[0])
    return found, spec


def page(text: str, found: list[Searched]) -> str:
    """The page with new tables below its own text."""
    return text.partition(FIRST)[0] + "\n".join(_lines(found)) + "\n"


def _lines(found: list[Searched]) -> Iterator[str]:
    yield from (FIRST, "")
    yield from _table(
        (
            *("model", "trials", "images each", "all runs took", "present defaults"),
            *("best found", "n", "difference", "defaults"),
        ),
        [_searched(one) for one in found],
    )
    yield from ("", "## The settings", "")
    yield from _table(
        ("model", "setting", "range", "present default", "best found"),
        [row for one in found for row in _settings(one)],
    )
    yield from ("", "## Longer runs on the test split", "")
    yield from _table(
        ("model", "images each", "present defaults", "new settings", "n", "difference", "new"),
        [_longer(one, one.tested) for one in found if one.tested and one.test_difference],
    )


def _longer(one: Searched, spec: RunSpec) -> tuple[str, ...]:
    values = {**spec.model_settings, "batch_size": spec.batch_size}
    return (
        one.question.model,
        f"{_images(spec):,}",
        _told(one.tests["old"]),
        _told(one.tests["new"]),
        str(min(measure.n for measure in one.tests.values())),
        _difference(one.test_difference),
        ", ".join(f"`{knob.name}={values[knob.name]:g}`" for knob in one.question.space),
    )


def _searched(one: Searched) -> tuple[str, ...]:
    return (
        one.question.model,
        str(len(one.history.trials)),
        " and ".join(f"{count:,}" for count in dict.fromkeys(one.images)),
        duration(one.history.spent_s),
        _told(Measure(values=one.defaults.confirmed)),
        _told(Measure(values=one.best.confirmed)),
        str(len(one.best.confirmed)),
        _difference(one.difference),
        one.decision,
    )


def _settings(one: Searched) -> Iterator[tuple[str, ...]]:
    for knob in one.question.space:
        yield (
            one.question.model,
            f"`{knob.name}`",
            str(knob.domain),
            _value(one.defaults.trial, knob.name),
            _value(one.best.trial, knob.name),
        )


def _value(trial: Trial, name: str) -> str:
    value = trial.settings[name]
    return number(value, 3) if isinstance(value, float) else str(value)


def _told(measure: Measure) -> str:
    return plus_minus(measure.mean, measure.sd)


def _difference(found: Difference | None) -> str:
    if found is None:
        return ""
    if found.interval is None:
        return number(found.estimate, 3)
    low, high = found.interval
    return f"{number(found.estimate, 3)} ({number(low, 3)} to {number(high, 3)})"


def _table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield f"| {' | '.join('---' for _ in headings)} |"
    yield from (f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    with Store.open(sys.argv[1], mode="read") as opened:
        written = Path(sys.argv[2])
        written.write_text(page(written.read_text(), list(read(opened))))
