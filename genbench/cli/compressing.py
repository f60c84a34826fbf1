"""``genbench compress``: a new run that makes the model of another one smaller or faster."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from genbench.cli import completing, options
from genbench.cli.opening import open_store
from genbench.cli.running import access_to, train
from genbench.cli.session import SESSION, say


@options.run_options(
    *("seed", "epochs", "batch_size", "accumulate", "device", "ema"),
    *("evaluate_every", "sample_every", "samples", "repeats"),
)
def compress(
    reference: options.RunArgument,
    method: Annotated[
        str,
        typer.Option(
            help="How to compress it; see: genbench compressors.",
            autocompletion=completing.compressors,
        ),
    ],
    sets: options.SetsOption = None,
    sampler: options.SamplersOption = None,
    metric: options.MetricsOption = None,
    listen: options.ListenOption = None,
    store: options.StoreOption = None,
    data_dir: options.DataDirOption = None,
    offline: options.OfflineOption = False,
    name: options.NameOption = None,
    tag: options.TagsOption = None,
    dry_run: options.PlanOnlyOption = False,
    as_json: options.JsonOption = False,
    **fields: Any,
) -> None:
    """Compress the model of a finished run; the result is a new run, trained, scored and stored."""
    from genbench.cli.planning import print_plan
    from genbench.compare.parents import WEIGHTS
    from genbench.planning.compressing import check_parent, compression_of, data_of
    from genbench.planning.resolve import resolve_parts
    from genbench.spec import RunSpec

    with open_store(store) as opened:
        parent = opened.run(opened.resolve(reference))
        scored = {score.metric for score in opened.scores(parent.id)}
    check_parent(parent.id, parent.model, parent.status)
    access = access_to(data_dir, offline, SESSION.store_url(store))
    before = RunSpec.from_json(parent.spec)
    spec = compression_of(
        before,
        parent.id,
        method,
        SESSION.registry,
        access,
        sets=sets or (),
        samplers=sampler or (),
        metrics=metric or (),
        **fields,
    )
    if dry_run:
        print_plan(spec, data_of(spec, SESSION.registry, access), as_json=as_json)
        return
    if WEIGHTS not in scored:
        say(
            f"note: the size of {parent.id} hasn't been measured; to compare both: genbench "
            f"evaluate {parent.id} --metric size --metric latency"
        )
    listeners = resolve_parts("listener", listen or (), (), SESSION.registry, spec)
    train(spec, access, listeners, store=store, name=name, tags=tag or (), as_json=as_json)
