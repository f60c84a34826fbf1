"""``genbench evaluate`` and ``sample``: more scores and samples of a stored run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genbench.cli import options
from genbench.cli.destination import file_for, folder_for
from genbench.cli.opening import ModelOptions, open_store
from genbench.cli.output import print_json, print_path
from genbench.cli.session import SESSION, say
from genbench.errors import UsageError
from genbench.spec import MOST, MOST_REPEATS, MOST_SEED

if TYPE_CHECKING:
    from genbench.events import Evaluated
    from genbench.planning.choices import Choices
    from genbench.spec import Part, RunSpec
    from genbench.store import ScoreRecord, Store


@options.options_of(ModelOptions)
def evaluate(
    reference: options.RunArgument,
    metric: options.MetricsOption = None,
    sampler: options.SamplersOption = None,
    samples: Annotated[
        int | None,
        typer.Option(
            min=2, max=MOST, help="Number of samples to score (default: as many as the run)."
        ),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(
            min=1, max=MOST_REPEATS, help="Number of draws that a score is averaged over."
        ),
    ] = None,
    sets: options.SetsOption = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=MOST_SEED, help="Random seed of the samples.")
    ] = None,
    final: Annotated[
        bool, typer.Option("--final", help="Make these the final scores of the run.")
    ] = False,
    missing: Annotated[
        bool, typer.Option("--missing", help="Only metrics for which the run has no score.")
    ] = False,
    **common: Any,
) -> None:
    """Score a stored run: what it skipped, otherwise everything again, or what is named.

    Scores are added, never overwritten; the run's own scores remain the final ones, unless --final
    is given.
    """
    from genbench.planning.choices import choose
    from genbench.store import Store

    given = ModelOptions(**common)
    with Store.open(SESSION.store_url(given.store)) as opened:
        run_id, spec = _find(opened, reference)
        choices = choose(
            run_id,
            spec,
            SESSION.registry,
            samplers=sampler or (),
            metrics=metric or (),
            sets=sets or (),
        )
        if missing:
            choices = _lacking(opened, run_id, spec, choices)
            if not choices.metrics:
                say(f"run {run_id} has all of these scores")
                _tell(opened, run_id, [], set(), as_json=given.as_json)
                return

        def work(**hooks: Any) -> list[Evaluated]:
            from genbench.runner import evaluate_run

            return evaluate_run(
                run_id,
                registry=SESSION.registry,
                store=opened,
                samplers=choices.samplers,
                metrics=choices.metrics,
                drawing=choices.drawing,
                n=samples,
                repeats=repeats,
                seed=seed,
                final=final,
                **hooks,
            )

        before = {score.draw for score in opened.scores(run_id)}
        evaluated = given.watched(work, lambda: len(_new(opened, run_id, before)))
        _tell(opened, run_id, evaluated, before, as_json=given.as_json)


@options.options_of(ModelOptions)
def sample(
    reference: options.RunArgument,
    count: Annotated[
        int | None,
        typer.Option(
            "-n",
            "--samples",
            min=1,
            max=MOST,
            help="Number of samples (default: 64; with --as-scored: all).",
        ),
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(help="Sampler (default: the model's own, or plain); see: genbench samplers."),
    ] = None,
    sets: options.SetsOption = None,
    out: Annotated[
        str | None,
        typer.Option(
            help="File or folder to write: grid.png, samples.npz or folder/ (default: a grid)."
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=MOST_SEED, help="Random seed of the noise (default: 0)."),
    ] = None,
    as_scored: Annotated[
        bool,
        typer.Option(
            "--as-scored", help="Draw the samples that the run's final scores were computed on."
        ),
    ] = False,
    label: Annotated[
        list[str] | None,
        typer.Option(help="Class to draw from a conditional model, by number or name; repeatable."),
    ] = None,
    **common: Any,
) -> None:
    """Draw samples of a stored run into a picture, an array file or a folder."""
    if as_scored and (seed is not None or label or sets):
        raise UsageError(
            "--as-scored decides seed, classes and settings; leave out --seed, --label and --set"
        )
    given = ModelOptions(**common)
    with open_store(given.store) as opened:
        run_id, spec = _find(opened, reference)
        scored = None
        if as_scored:
            from genbench.runner.as_scored import scored_draw

            scored = scored_draw(opened, run_id, sampler)
            part, drawing, count = scored.sampler, scored.drawing, count or scored.n
        else:
            part, drawing = _one_sampler(run_id, spec, sampler, sets)
            count = count or 64
        path = _destination(out, run_id, SESSION.store_url(given.store))

        def work(**hooks: Any) -> Path:
            from genbench.runner import sample_run

            return sample_run(
                run_id,
                registry=SESSION.registry,
                store=opened,
                out=path,
                n=count,
                sampler=part,
                drawing=drawing,
                seed=None if as_scored else seed or 0,
                label=label,
                **hooks,
            )

        written = given.watched(work)
    if scored is not None:
        say(f"as scored: {scored}")
    print_path({"run": run_id, "sampler": part.name, "n": count}, written, as_json=given.as_json)


def _lacking(store: Store, run_id: str, spec: RunSpec, choices: Choices) -> Choices:
    """The choices with only those samplers that lack a score, and those metrics that they lack."""
    from genbench.spec import Part
    from genbench.study import lacking

    metrics = choices.metrics or spec.metrics
    names, run = [part.name for part in metrics], store.run(run_id)
    samplers, lacked = list[Part](), set[str]()
    for sampler in choices.samplers or spec.samplers or (Part(name=""),):
        left = lacking(store, run, sampler, names)
        lacked |= set(left)
        samplers += [sampler] if left and sampler.name else []
    return replace(
        choices,
        samplers=tuple(samplers) or choices.samplers,
        metrics=tuple(part for part in metrics if part.name in lacked),
    )


def _find(store: Store, reference: str) -> tuple[str, RunSpec]:
    from genbench.runner.versions import check_versions
    from genbench.spec import RunSpec

    run = store.run(store.resolve(reference))
    # Before anything is asked of the registry, which knows only what is installed now.
    check_versions(
        store, run.id, SESSION.registry, (("model", run.model), ("dataset", run.dataset))
    )
    return run.id, RunSpec.from_json(run.spec)


def _one_sampler(
    run_id: str, spec: RunSpec, sampler: str | None, sets: list[str] | None
) -> tuple[Part, Mapping[str, Any]]:
    """The sampler of ``sample`` with its settings, and the model's sampling settings."""
    from genbench.planning.choices import choose

    name = sampler or SESSION.registry.get("model", spec.model).default_sampler or "plain"
    own = () if sampler else tuple(part for part in spec.samplers if part.name == name)[:1]
    choices = choose(
        run_id,
        replace(spec, samplers=own),
        SESSION.registry,
        samplers=() if own else [name],
        metrics=None,
        sets=sets or (),
    )
    [part] = choices.samplers or own
    return part, choices.drawing


def _destination(out: str | None, run_id: str, store: str) -> Path:
    """A file, by its suffix, or a folder with one picture for each sample."""
    import os

    path = Path(out or f"samples-{run_id}.png").expanduser()
    there = os.path.isdir(path)  # noqa: PTH112 (Path.is_dir raises where a name is too long)
    if out and (out.endswith(("/", os.sep)) or not path.suffix or there):
        return folder_for(out, store=store)
    if path.suffix not in (".png", ".npz"):
        raise UsageError(f"--out {out}: expected a name in .png or .npz, or a folder ending in /")
    return file_for(path, (".png", ".npz"), store=store)


def _new(store: Store, run_id: str, before: set[int]) -> list[ScoreRecord]:
    """The scores that were added since, not those that a live run takes itself."""
    return [
        score
        for score in store.scores(run_id)
        if score.origin == "evaluate" and score.draw not in before
    ]


def _tell(
    store: Store, run_id: str, evaluated: Sequence[Evaluated], before: set[int], *, as_json: bool
) -> None:
    from genbench.cli.closing import say_scores, score_as_json

    new = _new(store, run_id, before)
    reasons: dict[str, list[str]] = {}
    for record in evaluated:
        for name, why in record.skipped.items():
            reasons.setdefault(why, []).append(name)
    causes = [f"no {', '.join(dict.fromkeys(names))}: {why}" for why, names in reasons.items()]
    for cause in causes if new else ():
        say(cause)
    if SESSION.verbosity > 0 or SESSION.debug:
        for trace in dict.fromkeys(t for record in evaluated for t in record.traces.values()):
            say(trace)
    for record in evaluated:
        if record.scores and record.exactness:
            say(f"{record.sampler}: {record.exactness}")
    if as_json:
        scores = [score_as_json(score) for score in new]
        status = str(store.run(run_id).status)
        print_json({"run": run_id, "status": status, "store": str(store.url), "scores": scores})
    else:
        say_scores(new)
    additional = list(dict.fromkeys(score.metric for score in new if not score.final))
    if additional:
        say(
            f"added to this run ({', '.join(additional)}); its final scores are the earlier ones, "
            "unless --final is given"
        )
    if causes and not new:
        raise UsageError(f"nothing could be scored. {'; '.join(causes)}")
