"""Find the experiment that the name of a baseline refers to, or report the candidates."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from genbench.compare.row import Row
from genbench.compare.row_labels import flat_settings, labels_of, short
from genbench.compare.run_results import RunResult, Variant
from genbench.errors import UsageError

SHORTEST = 4
"""The minimum length of a prefix of an experiment's hash."""


def rows_named(rows: Sequence[Row], name: str, dataset: str) -> list[Row]:
    """The rows of the one title that has an experiment with this name; [] if there is none.

    A name is a run's id or name, a prefix of an experiment's hash, a model, a preset, the title of
    a row, or settings from such a title ("beta=4"). Raises UsageError if it fits several
    experiments.
    """
    titles = {run.variant: row.title for row in rows for run in row.runs}
    found = named([run for row in rows for run in row.runs], name)
    # Experiments that one row pools are one candidate.
    one = only(list({titles[run.variant]: run for run in found}.values()), name, dataset)
    return [row for row in rows if one and row.title == titles[one.variant]]


def named(runs: Sequence[RunResult], name: str) -> list[RunResult]:
    """One run of each experiment with this name; the first possible meaning that fits counts."""
    tests: tuple[Callable[[RunResult], bool], ...] = (
        lambda t: name == t.model,
        lambda t: name in (t.id, t.name),
        lambda t: len(name) >= SHORTEST and t.experiment.startswith(name),
        lambda t: name == t.preset,
        lambda t: _is_called(t, name),
    )
    for test in tests:
        found = _each(run for run in runs if test(run))
        if found:
            # The name of a model means its runs on the data itself, if there are any.
            return [run for run in found if not run.sources] or found
    return []


def only(candidates: Sequence[RunResult], name: str, dataset: str) -> RunResult | None:
    """The one candidate; None if there is none. Raises UsageError if there are several."""
    if len(candidates) < 2:
        return next(iter(candidates), None)
    labels = labels_of(candidates)
    listed = "; ".join(f"'{_title(t, labels[t.variant])}' (run {t.id})" for t in candidates[:6])
    more = f"; and {len(candidates) - 6} more" if len(candidates) > 6 else ""
    raise UsageError(
        f"--baseline {name} matches {len(candidates)} experiments on {dataset}: {listed}{more}; "
        "give one of these titles, a preset, a run (its id or name) or a prefix of an "
        "experiment's hash"
    )


def _title(run: RunResult, label: str) -> str:
    return f"{run.kind} ({label})" if label else run.kind


def _each(runs: Iterable[RunResult]) -> list[RunResult]:
    """The newest run of each variant."""
    newest: dict[Variant, RunResult] = {}
    for run in runs:
        known = newest.get(run.variant)
        if known is None or run.created_at > known.created_at:
            newest[run.variant] = run
    return list(newest.values())


def _is_called(run: RunResult, title: str) -> bool:
    """Whether a title, as a table shows it, fits a run.

    The parts of the title are checked one by one: the settings in a title depend on the other rows
    of the table, and a title that was copied from one table must mean the same in another.
    """
    kind, parts = _parts(title)
    if kind not in ("", run.kind) or not parts:
        return False
    settings = {f"{key}={short(value)}" for key, value in flat_settings(run).items()}
    return all(
        part in settings
        or part == run.preset
        or (len(part) >= SHORTEST and run.experiment.startswith(part))
        or re.fullmatch(r"\+\d+ more", part)
        for part in parts
    )


def _parts(title: str) -> tuple[str, list[str]]:
    """('vae', ['lin2023', 'beta=4']) for 'vae (lin2023, beta=4)'; ('', ['beta=4']) for 'beta=4'."""
    found = re.fullmatch(r"(.*?) \((.*)\)", title)
    kind, inside = (found[1], found[2]) if found else ("", title)
    return kind, [part for part in inside.split(", ") if part]
