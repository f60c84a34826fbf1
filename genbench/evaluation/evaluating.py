"""Score a model: all samplers and metrics of a run, at one epoch.

Samples are processed one minibatch at a time, so that memory doesn't grow with their number. The
same model, data and seed give the same samples, whatever was drawn before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from genbench.contracts import Data, Metric, MetricContext, Sampler
from genbench.engine.randomness import forked_rng
from genbench.errors import IncompatibleError, PluginError
from genbench.evaluation.faults import CAUGHT, Owner, fault, no_owner
from genbench.evaluation.metric_pass import MetricPass
from genbench.evaluation.repeats import mean_of_repeats, repeat_seeds, seed_from
from genbench.events import Evaluated
from genbench.registration.capabilities import BUILTIN, Capabilities
from genbench.spec import Part

MOST_SAMPLES = 10_000
"""The default number of samples is the size of the test split, and at most this."""

Samplers = Sequence[tuple[Part, Sampler]]
Metrics = Sequence[tuple[Part, Metric]]


def evaluate(
    model: Any,
    data: Data,
    *,
    samplers: Samplers,
    metrics: Metrics,
    device: torch.device,
    n: int | None = None,
    repeats: int = 1,
    seed: int,
    cache: Path,
    offline: bool = False,
    epoch: int,
    stage: str,
    batch_size: int = 500,
    quick: bool = False,
    owner: Owner = no_owner,
) -> Iterator[Evaluated]:
    """Score a model in eval mode on ``device``: one record per sampler, then one of the model.

    Each record is yielded as soon as it is ready.

    The record of the model metrics has the sampler ``""``. ``n`` is the number of samples (None:
    `default_n`), drawn ``repeats`` times; ``seed`` is that of the run, from which the seeds of the
    repeats are derived. A metric is in ``skipped``, with the reason, if its reference is not
    available, the samples are not finite, the sampler gave up, or it raised an error; ``owner``
    names the distribution of a plugin in that reason. Seconds are measured with the device
    synchronized, and include the preparation of the reference. Call `check_fit` first.
    """
    context = MetricContext(
        data=data,
        model=model,
        device=device,
        cache=cache,
        n=default_n(data) if n is None else n,
        seed=evaluation_seed(seed),
        offline=offline,
        batch_size=batch_size,
        quick=quick,
    )
    of_samples = [(part, metric) for part, metric in metrics if metric.uses == "samples"]
    of_model = [(part, metric) for part, metric in metrics if metric.uses == "model"]
    for part, sampler in samplers if of_samples else ():
        records = []
        for own_seed in repeat_seeds(context.seed, repeats):
            own = replace(context, seed=own_seed)
            with _seeded(own):
                metric_pass = MetricPass(own, of_samples, owner)
                figures = metric_pass.draw(part, sampler)
                records.append(metric_pass.evaluated(epoch, stage, part, figures))
        yield replace(mean_of_repeats(records), exactness=_exactness(sampler), seed=seed)
    if of_model:
        with _seeded(context):
            metric_pass = MetricPass(context, of_model, owner)
            record = metric_pass.evaluated(epoch, stage, Part(name=""), {})
        yield replace(record, seed=seed)


def default_n(data: Data) -> int:
    """The size of the test split, at most `MOST_SAMPLES`."""
    return min(len(data.test.x), MOST_SAMPLES)


def evaluation_seed(seed: int) -> int:
    """The seed of the scored samples, derived from the seed of the run.

    With the same seed, the samples would not be independent of the initial weights.
    """
    return seed_from(f"genbench evaluation {seed}")


def check_fit(
    model: Any,
    samplers: Samplers,
    metrics: Metrics,
    capabilities: Capabilities = BUILTIN,
    *,
    name: str | None = None,
) -> None:
    """Raise IncompatibleError if the model lacks a capability that a sampler or metric requires.

    ``capabilities`` are the registered ones; ``name`` is the model's name in messages (default: its
    class).
    """
    for part, metric in metrics:
        if getattr(metric, "uses", None) not in ("samples", "model"):
            raise PluginError(f"metric '{part.name}': its 'uses' must be 'samples' or 'model'")
    wanted: list[tuple[str, Part, Any]] = [("sampler", part, sampler) for part, sampler in samplers]
    wanted += [("metric", part, metric) for part, metric in metrics]
    for kind, part, asking in wanted:
        for capability in getattr(asking, "requires", ()):
            capabilities.check_known(capability, f"{kind} '{part.name}'")
            if not capabilities.fits(model, capability):
                raise IncompatibleError(
                    f"{kind} '{part.name}' needs a model {capabilities.in_words(capability)}; "
                    f"'{name or type(model).__name__}' does not"
                )


@contextmanager
def _seeded(context: MetricContext) -> Iterator[None]:
    """Seed the global generators, for models that draw from them, and restore them afterwards."""
    with forked_rng(context.device):
        torch.manual_seed(context.seed)
        yield


def _exactness(sampler: Sampler) -> str:
    """The exactness of a sampler's draws; "" if it has no such method, or the method fails."""
    try:
        return str(getattr(sampler, "exactness", str)())
    except CAUGHT as error:
        fault(error, "exactness")
        return ""
