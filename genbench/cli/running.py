"""``genbench run``, ``resume``, ``rerun`` and ``rm``: the commands that write runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genbench.cli.session import SESSION, say

if TYPE_CHECKING:
    from genbench.contracts import DataAccess
    from genbench.spec import RunSpec
    from genbench.store import Store
    from genbench.store.records import Run

# Typer reads these at run time.
StoreOption = Annotated[
    str | None, typer.Option("--store", help="Path or SQLAlchemy URL; GENBENCH_STORE.")
]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="A torchvision root; GENBENCH_DATA.")
]
Offline = Annotated[bool, typer.Option("--offline", help="Never download; GENBENCH_OFFLINE=1.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Json = Annotated[bool, typer.Option("--json", help="End stdout with one JSON object.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="A setting, k=v; repeatable.")]
Reference = Annotated[str, typer.Argument(metavar="RUN", help="Id, prefix, name, @1 (newest).")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("run")(run)
    app.command("resume")(resume)
    app.command("rerun")(rerun)
    app.command("rm")(remove)


def run(
    model: Annotated[str, typer.Argument(help="See: genbench models.")],
    dataset: Annotated[
        str, typer.Argument(help="See: genbench datasets; or NAME:ARGUMENT, such as latents:@1.")
    ],
    epochs: Annotated[int | None, typer.Option(help="Epochs of the last stage.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images an optimizer step.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, order and noise.")] = None,
    device: Device = None,
    precision: Annotated[str | None, typer.Option(help="fp32 or bf16.")] = None,
    compile: Annotated[bool | None, typer.Option(help="torch.compile the losses.")] = None,
    accumulate: Annotated[
        int | None, typer.Option(help="Gradient-accumulation steps per batch.")
    ] = None,
    clip_norm: Annotated[float | None, typer.Option(help="Bound of the gradient norm.")] = None,
    ema: Annotated[float | None, typer.Option(help="Decay of averaged weights.")] = None,
    sets: Sets = None,
    preset: Annotated[str | None, typer.Option(help="See: genbench presets.")] = None,
    sampler: Annotated[list[str] | None, typer.Option(help="Repeatable.")] = None,
    metric: Annotated[list[str] | None, typer.Option(help="Repeatable.")] = None,
    evaluate_every: Annotated[
        int | None, typer.Option(help="Epochs between scores (0: at the end).")
    ] = None,
    sample_every: Annotated[
        int | None, typer.Option(help="Epochs between sample grids (0: a few).")
    ] = None,
    log_every: Annotated[
        int | None, typer.Option(help="Steps that a recorded loss is a mean of.")
    ] = None,
    watch: Annotated[
        bool | None,
        typer.Option("--watch/--no-watch", help="Look for collapse between epochs."),
    ] = None,
    epoch_images: Annotated[
        int | None, typer.Option(help="Training images an epoch of any stage goes through (all).")
    ] = None,
    samples: Annotated[int | None, typer.Option(help="Number of samples scored.")] = None,
    repeats: Annotated[int | None, typer.Option(help="Draws that a score is the mean of.")] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file of settings.")] = None,
    store: StoreOption = None,
    data_dir: DataDir = None,
    offline: Offline = False,
    name: Annotated[str | None, typer.Option(help="A name for the run.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Repeatable.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
    as_json: Json = False,
) -> None:
    """Train a model on a data set, score it and store the run."""
    import os

    from genbench.planning.resolve import Request, resolve

    request = Request(
        model=model,
        dataset=dataset,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        device=device,
        precision=precision,
        compile=compile,
        accumulate=accumulate,
        clip_norm=clip_norm,
        ema=ema,
        evaluate_every=evaluate_every,
        sample_every=sample_every,
        log_every=log_every,
        watch=watch,
        epoch_images=epoch_images,
        samples=samples,
        repeats=repeats,
        preset=preset,
        sets=sets or (),
        samplers=sampler or (),
        metrics=metric or (),
        config=config,
    )
    access = _access(data_dir, offline, SESSION.store_url(store))
    resolved = resolve(request, SESSION.registry, access, os.environ, Path.cwd())
    for note in resolved.notes:
        say(f"note: {note}")
    if dry_run:
        from genbench.cli.planning import print_plan

        print_plan(resolved.spec, resolved.data_spec, as_json=as_json)
        return
    _train(resolved.spec, access, store=store, name=name, tags=tag or (), as_json=as_json)


def resume(
    reference: Reference,
    device: Device = None,
    from_scratch: Annotated[
        bool,
        typer.Option("--from-scratch", help="Drop its checkpoint and records, and start again."),
    ] = False,
    store: StoreOption = None,
    data_dir: DataDir = None,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Go on with a run that was interrupted, failed or killed, from its last checkpoint."""
    from genbench.cli.supervising import supervise
    from genbench.store import Store

    def work(*, store: Store, **hooks: Any) -> Run:
        run_id = store.resolve(reference)
        from genbench.runner import resume

        return resume(
            run_id,
            registry=SESSION.registry,
            store=store,
            device=device,
            from_scratch=from_scratch,
            **hooks,
        )

    url = SESSION.store_url(store)
    supervise(work, lambda: Store.open(url), _access(data_dir, offline, url), as_json=as_json)


def rerun(
    reference: Reference,
    seed: Annotated[int | None, typer.Option(help="Another seed.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Other epochs of the last stage.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Another batch size.")] = None,
    accumulate: Annotated[int | None, typer.Option(help="Other chunks a batch.")] = None,
    device: Device = None,
    sets: Sets = None,
    store: StoreOption = None,
    data_dir: DataDir = None,
    offline: Offline = False,
    name: Annotated[str | None, typer.Option(help="A name for the new run.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Repeatable.")] = None,
    as_json: Json = False,
) -> None:
    """Train the spec of a stored run again as a new run, with changes if any are given."""
    from genbench.planning.amend import amend, differences
    from genbench.runner.versions import check_versions
    from genbench.spec import RunSpec
    from genbench.store import Store

    url = SESSION.store_url(store)
    with Store.open(url, mode="read") as opened:
        old = opened.run(opened.resolve(reference))
        check_versions(opened, old.id, SESSION.registry)
    before, access = RunSpec.from_json(old.spec), _access(data_dir, offline, url)
    spec = amend(
        before,
        SESSION.registry,
        access,
        sets=sets or (),
        seed=seed,
        epochs=epochs,
        batch_size=batch_size,
        accumulate=accumulate,
        device=device,
    )
    changes = differences(before, spec)
    say(f"rerun of {old.id}: " + ("; ".join(changes) if changes else "the same spec again"))
    _train(spec, access, store=store, name=name, tags=tag or (), as_json=as_json)


def remove(
    references: Annotated[list[str], typer.Argument(metavar="RUN...", help="Runs to delete.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    store: StoreOption = None,
) -> None:
    """Delete runs: their rows in the store and their folders."""
    import sys

    from genbench.errors import UsageError
    from genbench.store import Store

    with Store.open(SESSION.store_url(store)) as opened:
        ids = list(dict.fromkeys(opened.resolve(reference) for reference in references))
        ids = _builders_first(opened, ids)
        runs = [opened.run(run_id) for run_id in ids]
        for found in runs:
            if found.status == "running":
                raise UsageError(f"run {found.id} is still running; stop it first (Ctrl-C there)")
        if not yes:
            if not sys.stdin.isatty():
                raise UsageError("deleting runs can't be undone; add --yes to do it without asking")
            for found in runs:
                say(f"{found.id}  {found.model} on {found.dataset}  {found.status}")
            if not typer.confirm(f"Delete {len(runs)} run(s) and their files?", err=True):
                say("nothing was deleted")
                return
        for run_id in ids:
            opened.delete(run_id)
            say(f"deleted {run_id}")


def _builders_first(store: Store, ids: Sequence[str]) -> list[str]:
    """The runs to delete, each after those that build upon it.

    Raises UsageError where one that builds upon them, directly or not, would stay.
    """
    from genbench.errors import UsageError

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
        raise UsageError(
            f"{_described(store, staying)} can't do without {' '.join(ids)}, which lent the latent "
            f"space; to delete all of them: genbench rm {' '.join((*ids, *staying))}"
        )
    return order


def _described(store: Store, ids: Sequence[str]) -> str:
    found = [store.run(run_id) for run_id in ids]
    return ", ".join(f"{run.id} ({run.model} on {run.dataset})" for run in found)


def _access(data_dir: Path | None, offline: bool, url: str) -> DataAccess:
    """Where data may come from, the finished runs of the store among it."""
    import os

    from genbench.runner import data_access, with_runs

    return with_runs(data_access(data_dir, os.environ, offline=offline), SESSION.registry, url)


def _train(
    spec: RunSpec,
    access: DataAccess,
    *,
    store: str | None,
    name: str | None,
    tags: Iterable[str],
    as_json: bool,
) -> None:
    from genbench.cli.supervising import supervise
    from genbench.store import Store

    def work(*, store: Store, **hooks: Any) -> Run:
        from genbench.runner import run

        return run(
            spec, registry=SESSION.registry, store=store, name=name, tags=tuple(tags), **hooks
        )

    url = SESSION.store_url(store)
    supervise(work, lambda: Store.open(url, mode="create"), access, as_json=as_json)
