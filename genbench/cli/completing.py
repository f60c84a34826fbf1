"""What the shell offers after <TAB>: models, data sets, presets, settings, metrics, runs, ...

Registrations and settings classes are read, and the store; torch and the files of models are not.
Whatever goes wrong, nothing is offered and nothing is said: a person is in the middle of a line.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import redirect_stderr
from typing import TYPE_CHECKING

from genbench.cli.session import SESSION

if TYPE_CHECKING:
    from genbench.registry import Kind
    from genbench.store import Store

Offers = list[tuple[str, str]]
"""Completions with their help."""
FEW = 50
"""The number of runs that are offered, the newest ones."""
COMPLETE = "_GENBENCH_COMPLETE"
"""The variable by which Typer's shell scripts ask for completions."""


def command_line(environ: Mapping[str, str]) -> list[str]:
    """The words of the line that is completed, without the program's name.

    Typer's own reading of an unfinished line has no arguments where it ends with an option.
    """
    words = environ.get("COMP_WORDS") or environ.get("_TYPER_COMPLETE_ARGS") or ""
    return words.split()[1:]


def _offered(found: Callable[[], Iterable[tuple[str, str]]]) -> Callable[..., Offers]:
    """A callback for Typer: what begins with the open word; nothing on an error."""

    def offer(incomplete: str) -> Offers:
        try:
            with redirect_stderr(io.StringIO()):
                return [(word, told) for word, told in found() if word.startswith(incomplete)]
        except Exception:  # plugins, settings files and the store may raise anything
            return []  # the command itself will say what is wrong

    return offer


def _of_kind(kind: Kind) -> Callable[..., Offers]:
    return _offered(lambda: ((r.name, r.summary) for r in SESSION.registry.of(kind)))


models = _of_kind("model")
datasets = _of_kind("dataset")
samplers = _of_kind("sampler")
metrics = _of_kind("metric")
listeners = _of_kind("listener")
compressors = _of_kind("compressor")


def _found_presets() -> Iterator[tuple[str, str]]:
    command, first, _ = _words()
    known = [r.name for r in SESSION.registry.of("model")]
    for name in [first] if command == "run" and first in known else known:
        for preset in SESSION.registry.presets(name):
            yield preset.name, preset.source


def _found_runs() -> Iterator[tuple[str, str]]:
    with _store() as store:
        for run in store.runs(limit=FEW):
            told = f"{run.model} on {run.dataset}, {run.status}"
            if run.name:
                yield run.name, told
            yield run.id, told


def _found_tags() -> Iterator[tuple[str, str]]:
    with _store() as store:
        rows = store.rows("SELECT tag, count(*) FROM run_tags GROUP BY tag ORDER BY tag")
        yield from ((tag, f"{count} runs") for tag, count in rows)


def _found_settings() -> Iterator[tuple[str, str]]:
    """Settings of the model, of its data set, of samplers, metrics and listeners; run fields."""
    from genbench.planning.sources import RunSettings
    from genbench.settings import describe_settings

    model, dataset = _chosen()
    parts: list[tuple[Kind, str, str]] = [("model", model, ""), ("dataset", dataset, "data.")]
    shown: tuple[Kind, ...] = ("sampler", "metric", "listener")
    parts += [(k, r.name, f"{k}.{r.name}.") for k in shown for r in SESSION.registry.of(k)]
    for kind, name, prefix in parts:
        cls = SESSION.registry.settings(kind, name) if name else None
        for setting in describe_settings(cls) if cls else ():
            yield f"{prefix}{setting.name}=", setting.help
    for name in RunSettings.model_fields:
        yield f"run.{name}=", "field of the run"


def _chosen() -> tuple[str, str]:
    """The model and the data set of the line, or of the run that it names; else empty."""
    command, first, second = _words()
    if command == "run":
        return first, second.partition(":")[0]
    with _store() as store:
        run = store.run(first)
        return run.model, run.dataset


def _words() -> tuple[str, str, str]:
    """The command of the line and its first two arguments, empty if they aren't there yet."""
    words = [*command_line(os.environ), "", "", ""]
    command, *given = words
    plain = [word if not word.startswith("-") else "" for word in given]
    return command, plain[0], plain[1]


def _store() -> Store:
    from genbench.store import Store

    words = [*command_line(os.environ), "", ""]
    given = words[words.index("--store") + 1] if "--store" in words else None
    return Store.open(SESSION.store_url(given), mode="read")


presets = _offered(_found_presets)
runs = _offered(_found_runs)
tags = _offered(_found_tags)
settings = _offered(_found_settings)
