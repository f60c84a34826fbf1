"""Add scores to a stored run: the given ones, or those that the run has skipped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from genbench.contracts import DataAccess, Metric, Sampler
from genbench.engine import evaluation
from genbench.evaluation import check_fit, evaluate
from genbench.evaluation.loaded_run import LoadedRun
from genbench.evaluation.run_files import save_beside
from genbench.evaluation.stoppable import StoppableSampler
from genbench.events import Evaluated, ShouldStop
from genbench.registry import Registry
from genbench.runner.build_parts import owner_in
from genbench.runner.versions import Name, check_versions, installed, with_versions
from genbench.spec import Part, RunSpec, canonical_json, labels
from genbench.store import Store

Round = tuple[Sequence[Part] | None, Sequence[Part] | None]
"""The samplers and metrics of one evaluation; None means those of the run."""


def skipped_parts(store: Store, run_id: str, spec: RunSpec) -> Iterator[Round]:
    """The metrics still missing at the last scored epoch of a run, one sampler at a time."""
    draws = store.draws(run_id)
    last = max((draw.epoch for draw in draws), default=0)
    named = dict(zip(labels(spec.metrics), spec.metrics, strict=True))
    for sampler in (*spec.samplers, Part(name="")):
        key = (sampler.name, canonical_json(dict(sampler.settings)))
        skipped = {
            name
            for draw in draws
            if draw.epoch == last
            and (draw.sampler, canonical_json(dict(draw.sampler_settings))) == key
            for name in draw.skipped
        }
        metrics = [part for label, part in named.items() if label in skipped]
        if metrics:
            yield [sampler] if sampler.name else [], metrics


def add_scores(
    loaded: LoadedRun,
    samplers: Sequence[tuple[Part, Sampler]],
    metrics: Sequence[tuple[Part, Metric]],
    *,
    registry: Registry,
    store: Store,
    access: DataAccess,
    drawing: Mapping[str, Any],
    n: int | None,
    repeats: int | None,
    seed: int | None,
    final: bool,
    should_stop: ShouldStop,
) -> Iterator[Evaluated]:
    """Score a loaded run; store each record as soon as it is ready, and yield it.

    The arguments are those of `genbench.runner.evaluate_run`.
    """
    spec, folder = loaded.spec, store.folder(loaded.id)
    check_fit(loaded.model, samplers, metrics, registry.capabilities, name=spec.model)
    names: list[Name] = [("sampler", part.name) for part, _ in samplers]
    names += [("metric", part.name) for part, _ in metrics]
    others = check_versions(store, loaded.id, registry, names)
    store.add_plugins(loaded.id, installed(names, registry))
    labels = {f"model.{key}": value for key, value in drawing.items()}
    with evaluation(loaded.model, loaded.device):
        for evaluated in evaluate(
            loaded.model,
            loaded.data,
            samplers=[(part, StoppableSampler(s, should_stop)) for part, s in samplers],
            metrics=metrics,
            device=loaded.device,
            n=spec.samples if n is None else n,
            repeats=repeats or spec.repeats,
            seed=spec.seed if seed is None else seed,
            cache=access.cache,
            offline=access.offline,
            epoch=loaded.epoch,
            stage=loaded.stage,
            owner=owner_in(registry),
        ):
            settings = {**evaluated.sampler_settings, **labels}
            record = replace(evaluated, sampler_settings=settings, step=loaded.step)
            record = with_versions(record, [*loaded.differing, *others])
            store.add_evaluation(loaded.id, record, preferred=final)
            named = [part for part, _ in samplers]
            for kind, path in save_beside(record, folder, spec, named, keep=True):
                store.add_artifact(loaded.id, kind, path, record.epoch)
            yield record
