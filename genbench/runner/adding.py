"""Scores that are added to a stored run: all that is asked for, or what the run has skipped."""

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
from genbench.runner.parts import owner_in
from genbench.runner.versions import Name, check_versions, installed, with_versions
from genbench.spec import Part, RunSpec, canonical_json, labels
from genbench.store import Store

Round = tuple[Sequence[Part] | None, Sequence[Part] | None]
"""Samplers and metrics of one evaluation; None: the run's own."""


def skipped_parts(store: Store, run_id: str, spec: RunSpec) -> Iterator[Round]:
    """What a run's last evaluation has skipped and nobody has taken since, a sampler at a time."""
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
        """Draw, score and store, a sampler at a time; then what is of the model itself."""
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
        of_model = [pair for pair in self.metrics if pair[1].uses == "model"]
        of_samples = [pair for pair in self.metrics if pair[1].uses == "samples"]
        rounds: list[tuple[list[tuple[Part, Sampler]], list[tuple[Part, Metric]]]] = [
            ([pair], of_samples) for pair in self.samplers
        ]
        done = []
        for samplers, metrics in (*rounds, ([], of_model)):
            for taken in self._take(samplers, metrics, n=n, repeats=repeats, seed=seed):
                record = with_versions(taken, differing)
                self._keep(record)
                done.append(record)
        return done

    def _take(
        self,
        samplers: Sequence[tuple[Part, Sampler]],
        metrics: Sequence[tuple[Part, Metric]],
        *,
        n: int | None,
        repeats: int | None,
        seed: int | None,
    ) -> list[Evaluated]:
        spec, loaded = self.loaded.spec, self.loaded
        with evaluation(loaded.model, loaded.device):
            evaluated = evaluate(
                loaded.model,
                loaded.data,
                samplers=[(p, StoppableSampler(s, self.should_stop)) for p, s in samplers],
                metrics=metrics,
                device=loaded.device,
                n=spec.samples if n is None else n,
                repeats=repeats or spec.repeats,
                seed=spec.seed if seed is None else seed,
                cache=self.access.cache,
                offline=self.access.offline,
                epoch=loaded.epoch,
                stage=loaded.stage,
                owner=owner_in(self.registry),
            )
        return [
            replace(
                record,
                sampler_settings={**record.sampler_settings, **self.labels},
                step=loaded.step,
            )
            for record in evaluated
        ]

    def _keep(self, record: Evaluated) -> None:
        run_id = self.loaded.id
        self.store.add_evaluation(run_id, record, preferred=self.final)
        folder, named = self.store.folder(run_id), [part for part, _ in self.samplers]
        for kind, path in save_beside(record, folder, self.loaded.spec, named, keep=True):
            self.store.add_artifact(run_id, kind, path, record.epoch)
