"""What a baseline's name means: one row of each table, or a question that names the candidates."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from genbench.compare.experiments import Contender, Trial, Variant
from genbench.compare.labels import flat_settings, labels_of, short
from genbench.errors import UsageError

SHORTEST = 4
"""Characters of an experiment's hash that name it, at least."""


def meant(rows: Sequence[Contender], name: str, dataset: str) -> list[Contender]:
    """The rows that a baseline's name means: those of one experiment; [] where it names none.

    A name is a run's id or name, (the beginning of) an experiment, a model, a preset, a row's title
    or some of the settings in it ("beta=4"). Raises UsageError where it fits several experiments.
    """
    one = only(named([trial for row in rows for trial in row.trials], name), name, dataset)
    return [row for row in rows if one and row.first.variant == one.variant]


def named(trials: Sequence[Trial], name: str) -> list[Trial]:
    """One trial of each experiment that a name means, by the first of its meanings that fits."""
    tests: tuple[Callable[[Trial], bool], ...] = (
        lambda t: name == t.model,
        lambda t: name in (t.run, t.name),
        lambda t: len(name) >= SHORTEST and t.experiment.startswith(name),
        lambda t: name == t.preset,
        lambda t: _is_called(t, name),
    )
    for test in tests:
        found = _each(trial for trial in trials if test(trial))
        if found:
            # A model's name means its runs on the data themselves, where there are any.
            return [trial for trial in found if not trial.sources] or found
    return []


def only(candidates: Sequence[Trial], name: str, dataset: str) -> Trial | None:
    """The one candidate; None where there is none. Raises UsageError where there are several."""
    if len(candidates) < 2:
        return next(iter(candidates), None)
    labels = labels_of(candidates)
    listed = "; ".join(f"'{_title(t, labels[t.variant])}' (run {t.run})" for t in candidates[:6])
    more = f"; and {len(candidates) - 6} more" if len(candidates) > 6 else ""
    raise UsageError(
        f"--baseline {name} is {len(candidates)} experiments on {dataset}: {listed}{more}; give "
        "one of these titles, a preset, a run (its id or name) or the beginning of an "
        "experiment's hash"
    )


def _title(trial: Trial, label: str) -> str:
    return f"{trial.kind} ({label})" if label else trial.kind


def _each(trials: Iterable[Trial]) -> list[Trial]:
    """The newest trial of each variant."""
    newest: dict[Variant, Trial] = {}
    for trial in trials:
        known = newest.get(trial.variant)
        if known is None or trial.created_at > known.created_at:
            newest[trial.variant] = trial
    return list(newest.values())


def _is_called(trial: Trial, title: str) -> bool:
    """Whether a title as a table shows it is that of a trial.

    Its parts are looked up one by one: in which settings titles differ depends on who else is
    shown, and a title that was copied from a table must mean the same in another one.
    """
    kind, parts = _parts(title)
    if kind not in ("", trial.kind) or not parts:
        return False
    settings = {f"{key}={short(value)}" for key, value in flat_settings(trial).items()}
    return all(
        part in settings
        or part == trial.preset
        or (len(part) >= SHORTEST and trial.experiment.startswith(part))
        or re.fullmatch(r"\+\d+ more", part)
        for part in parts
    )


def _parts(title: str) -> tuple[str, list[str]]:
    """('vae', ['lin2023', 'beta=4']) of 'vae (lin2023, beta=4)'; ('', ['beta=4']) of 'beta=4'."""
    found = re.fullmatch(r"(.*?) \((.*)\)", title)
    kind, inside = (found[1], found[2]) if found else ("", title)
    return kind, [part for part in inside.split(", ") if part]
