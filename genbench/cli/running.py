"""``genbench run``, ``resume``, ``rerun`` and ``rm``: the commands that write runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genbench.cli import completing, options
from genbench.cli.opening import ModelOptions, open_store, resolved
from genbench.cli.session import SESSION, say
from genbench.errors import UsageError
from genbench.formatting import counted, spans

if TYPE_CHECKING:
    from genbench.contracts import DataAccess
    from genbench.planning.resolve import ResolvedCell
    from genbench.spec import Part, RunSpec
    from genbench.store import Store
    from genbench.store.records import Run


class PlanFormat(StrEnum):
    """How a plan is printed."""

    TEXT = "text"
    TOML = "toml"


@options.run_options()
def run(
    model: options.ModelArgument,
    dataset: options.DatasetArgument,
    sets: options.SetsOption = None,
    preset: options.PresetOption = None,
    sampler: options.SamplersOption = None,
    metric: options.MetricsOption = None,
    listen: options.ListenOption = None,
    config: options.ConfigOption = None,
    store: options.StoreOption = None,
    data_dir: options.DataDirOption = None,
    offline: options.OfflineOption = False,
    name: options.NameOption = None,
    tag: options.TagsOption = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="SEEDS", help="Several seeds, such as 0,1,2 or 0..31: a run for each of them."
        ),
    ] = None,
    together: Annotated[
        bool,
        typer.Option(
            "--together", help="Train all seeds at once, as one stack, if the model allows it."
        ),
    ] = False,
    together_if_faster: Annotated[
        bool,
        typer.Option(
            "--together-if-faster",
            help="Train them at once only if a trial shows that this is faster.",
        ),
    ] = False,
    dry_run: options.PlanOnlyOption = False,
    format: Annotated[
        PlanFormat | None,
        typer.Option(
            "--format", help="Format of --dry-run: text, or toml, a file that --config takes."
        ),
    ] = None,
    as_json: options.JsonOption = False,
    **fields: Any,
) -> None:
    """Train a model on a data set, score it and store the run."""
    import os

    from genbench.cli.seeds import check_seeds, train_grid
    from genbench.planning.resolve import Request, resolve_grid

    if format is not None and not dry_run:
        raise UsageError("--format is the format of --dry-run; add --dry-run")
    check_seeds(seeds, seed=fields["seed"], together=together, if_faster=together_if_faster)
    many = options.seeds_in(seeds)
    request = Request(
        model=model,
        dataset=dataset,
        run={
            **fields,
            "preset": preset,
            "samplers": sampler,
            "metrics": metric,
            "listeners": listen,
        },
        sets=sets or (),
        config=config,
    )
    access = access_to(data_dir, offline, SESSION.store_url(store))
    cells = resolve_grid(request, SESSION.registry, access, os.environ, Path.cwd())
    resolved = cells[0].resolved
    if many and any(text.removeprefix("run.").startswith("seed=") for text in request.sets):
        raise UsageError("--seeds and --set seed=... are both given; leave out one of them")
    for note in dict.fromkeys(note for cell in cells for note in cell.resolved.notes):
        say(f"note: {note}")
    if dry_run:
        _print_plans(cells, many, as_json=as_json, as_toml=format is PlanFormat.TOML)
        return
    if many or len(cells) > 1:
        from genbench.runner.train_grid import Combination

        train_grid(
            [Combination(spec=cell.resolved.spec, sets=cell.sets) for cell in cells],
            many,
            access,
            resolved.listeners,
            together=together,
            if_faster=together_if_faster,
            store=store,
            name=name,
            tags=tuple(tag or ()),
            as_json=as_json,
        )
        return
    train(
        resolved.spec,
        access,
        resolved.listeners,
        store=store,
        name=name,
        tags=tag or (),
        as_json=as_json,
    )


def _print_plans(
    cells: Sequence[ResolvedCell], seeds: Sequence[int], *, as_json: bool, as_toml: bool
) -> None:
    from genbench.cli.planning import print_grid, print_plan

    if len(cells) > 1:
        print_grid(cells, seeds=seeds, as_json=as_json, as_toml=as_toml)
        return
    resolved = cells[0].resolved
    plan = resolved.spec, resolved.data_spec
    print_plan(*plan, seeds=seeds, as_json=as_json, as_toml=as_toml)


@options.options_of(ModelOptions)
def resume(
    reference: options.RunArgument,
    from_scratch: Annotated[
        bool,
        typer.Option(
            "--from-scratch", help="Drop the checkpoint and the records, and start again."
        ),
    ] = False,
    listen: options.ListenOption = None,
    **common: Any,
) -> None:
    """Resume a run that was interrupted, failed or killed, from its last checkpoint."""
    from genbench.cli.supervising import supervise
    from genbench.store import Store

    given = ModelOptions(**common)

    def work(*, store: Store, **hooks: Any) -> Run:
        run_id = store.resolve(reference)
        listeners = _listeners_of(store, run_id, listen)
        from genbench.runner import resume

        return resume(
            run_id,
            registry=SESSION.registry,
            store=store,
            device=given.device,
            from_scratch=from_scratch,
            listen=listeners,
            **hooks,
        )

    url = SESSION.store_url(given.store)
    access = access_to(given.data_dir, given.offline, url)
    supervise(work, lambda: Store.open(url), access, as_json=given.as_json)


@options.run_options("seed", "epochs", "batch_size", "accumulate", "device", "threads")
def rerun(
    reference: options.RunArgument,
    sets: options.SetsOption = None,
    listen: options.ListenOption = None,
    store: options.StoreOption = None,
    data_dir: options.DataDirOption = None,
    offline: options.OfflineOption = False,
    name: options.NameOption = None,
    tag: options.TagsOption = None,
    as_json: options.JsonOption = False,
    **fields: Any,
) -> None:
    """Train the spec of a stored run again as a new run, with the changes that are given."""
    from genbench.planning.amend import amend, differences
    from genbench.runner.versions import check_versions
    from genbench.spec import RunSpec

    with open_store(store) as opened:
        old = opened.run(opened.resolve(reference))
        check_versions(opened, old.id, SESSION.registry)
        listeners = _listeners_of(opened, old.id, listen)
        together = opened.trained_together(old.id)
    before = RunSpec.from_json(old.spec)
    access = access_to(data_dir, offline, SESSION.store_url(store))
    spec = amend(before, SESSION.registry, access, sets=sets or (), **fields)
    changes = differences(before, spec)
    say(f"rerun of {old.id}: " + ("; ".join(changes) if changes else "the same spec again"))
    if together:
        say(
            f"note: {old.id} was trained together with other seeds ({spans(together)}); alone it "
            "draws other noise, so its numbers will differ"
        )
    train(spec, access, listeners, store=store, name=name, tags=tag or (), as_json=as_json)


def rm(
    references: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Runs to delete.", autocompletion=completing.runs),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
    store: options.StoreOption = None,
) -> None:
    """Delete runs: their rows in the store and their folders."""
    import sys

    from genbench.store import Store

    with Store.open(SESSION.store_url(store)) as opened:
        ids = _builders_first(opened, resolved(opened, references))
        runs = [opened.run(run_id) for run_id in ids]
        for found in runs:
            if found.status == "running":
                raise UsageError(
                    f"run {found.id} is still running; stop it first, with Ctrl-C in its terminal"
                )
        if not yes:
            if not sys.stdin.isatty():
                raise UsageError("deleting runs can't be undone; add --yes to do it without asking")
            for found in runs:
                say(f"{found.id}  {found.model} on {found.dataset}  {found.status}")
            if not typer.confirm(f"Delete {counted(len(runs), 'run')} and all files?", err=True):
                say("nothing was deleted")
                return
        for run_id in ids:
            opened.delete(run_id)
            say(f"deleted {run_id}")


def _builders_first(store: Store, ids: Sequence[str]) -> list[str]:
    """The runs to delete, each after the runs that were made from it.

    Raises UsageError if a run that depends on them, directly or not, would remain.
    """
    from genbench.spec import RunSpec

    order: list[str] = []

    def add(run_id: str) -> None:
        for child in store.children(run_id):
            add(child)
        if run_id not in order:
            order.append(run_id)

    for run_id in ids:
        add(run_id)
    staying = [run_id for run_id in order if run_id not in ids]
    if staying:
        runs = [store.run(run_id) for run_id in staying]
        named = ", ".join(f"{run.id} ({run.model} on {run.dataset})" for run in runs)
        gone = " ".join(ids)
        raise UsageError(
            f"{gone} can't be deleted without {named}: scores are compared with those of a parent"
            if all(RunSpec.from_json(run.spec).compressors for run in runs)
            else f"{gone} can't be deleted without {named}: the latent space is in use",
            hint=f"To delete all of them: genbench rm {' '.join((*ids, *staying))}",
        )
    return order


def _listeners_of(store: Store, run_id: str, named: Sequence[str] | None) -> tuple[Part, ...]:
    """The listeners of a run that is continued or repeated; says which, unless they are named."""
    import os

    from genbench.planning.listening import FILE, listeners_for
    from genbench.spec import RunSpec

    spec = RunSpec.from_json(store.run(run_id).spec)
    folder = store.fetch(run_id, lambda path: path == FILE)
    found = listeners_for(named or (), folder, spec, SESSION.registry, os.environ)
    if found and not named:
        say(f"sent to: {', '.join(part.name for part in found)} (for none: --listen none)")
    return found


def access_to(data_dir: Path | None, offline: bool, url: str) -> DataAccess:
    """The sources of data, including the finished runs of the store."""
    import os

    from genbench.runner import data_access, with_runs

    return with_runs(data_access(data_dir, os.environ, offline=offline), SESSION.registry, url)


def train(
    spec: RunSpec,
    access: DataAccess,
    listeners: Sequence[Part],
    *,
    store: str | None,
    name: str | None,
    tags: Iterable[str],
    as_json: bool,
) -> None:
    """Train a spec as a new run, with its progress shown."""
    from genbench.cli.supervising import supervise
    from genbench.store import Store

    def work(*, store: Store, **hooks: Any) -> Run:
        from genbench.runner import run

        return run(
            spec,
            registry=SESSION.registry,
            store=store,
            name=name,
            tags=tuple(tags),
            listen=listeners,
            **hooks,
        )

    url = SESSION.store_url(store)
    supervise(work, lambda: Store.open(url, mode="create"), access, as_json=as_json)
