"""Add scores to a stored run: the given ones, or those that the run has skipped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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


@dataclass(frozen=True, kw_only=True)
class StoredScoring:
    """One evaluation of a stored run. ``labels`` distinguish its rows from those of the run."""

    loaded: LoadedRun
    registry: Registry
    store: Store
    access: DataAccess
    samplers: Sequence[tuple[Part, Sampler]]
    metrics: Sequence[tuple[Part, Metric]]
    labels: Mapping[str, Any]
    final: bool
    should_stop: ShouldStop

    def take(self, *, n: int | None, repeats: int | None, seed: int | None) -> list[Evaluated]:
        """Draw, score and store, one sampler at a time, then the metrics of the model itself."""
        check_fit(
            self.loaded.model,
            self.samplers,
            self.metrics,
            self.registry.capabilities,
            name=self.loaded.spec.model,
        )
        names: list[Name] = [("sampler", part.name) for part, _ in self.samplers]
        names += [("metric", part.name) for part, _ in self.metrics]
        run_id = self.loaded.id
        others = check_versions(self.store, run_id, self.registry, names)
        self.store.add_plugins(run_id, installed(names, self.registry))
        differing = [*self.loaded.differing, *others]
        done = []
        stoppable = [(p, StoppableSampler(s, self.should_stop)) for p, s in self.samplers]
        spec, loaded = self.loaded.spec, self.loaded
        with evaluation(loaded.model, loaded.device):
            for evaluated in evaluate(
                loaded.model,
                loaded.data,
                samplers=stoppable,
                metrics=self.metrics,
                device=loaded.device,
                n=spec.samples if n is None else n,
                repeats=repeats or spec.repeats,
                seed=spec.seed if seed is None else seed,
                cache=self.access.cache,
                offline=self.access.offline,
                epoch=loaded.epoch,
                stage=loaded.stage,
                owner=owner_in(self.registry),
            ):
                settings = {**evaluated.sampler_settings, **self.labels}
                record = replace(evaluated, sampler_settings=settings, step=loaded.step)
                record = with_versions(record, differing)
                self._keep(record)
                done.append(record)
        return done

    def _keep(self, record: Evaluated) -> None:
        run_id = self.loaded.id
        self.store.add_evaluation(run_id, record, preferred=self.final)
        folder, named = self.store.folder(run_id), [part for part, _ in self.samplers]
        for kind, path in save_beside(record, folder, self.loaded.spec, named, keep=True):
            self.store.add_artifact(run_id, kind, path, record.epoch)
