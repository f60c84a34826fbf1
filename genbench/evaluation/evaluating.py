"""Score a model: all samplers and metrics of a run, at one epoch.

Samples are processed minibatch by minibatch, so that memory doesn't grow with their number. The
same model, data and seed give the same samples, whatever was drawn before.
"""

from __future__ import annotations

import hashlib
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
from genbench.evaluation.repeats import mean_of_repeats, repeat_seeds
from genbench.evaluation.taking import Taking
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
) -> list[Evaluated]:
    """Score a model in eval mode on ``device``: one record a sampler, then one of the model itself.

    The record of the model metrics has the sampler ``""``. ``n`` is the number of samples (None:
    `default_n`), drawn ``repeats`` times; ``seed`` is the run's, from which the draws' own are
    derived. A metric whose reference can't be had, whose samples are not finite or whose sampler
    gave up, and one that raised, stands in ``skipped`` with the reason; ``owner`` says whose it is.
    Seconds are read after a device synchronize; a metric's include getting its reference. That the
    parts fit the model was seen to by `check_fit`.
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
    evaluated = []
    for part, sampler in samplers if of_samples else ():
        draws = []
        for own_seed in repeat_seeds(context.seed, repeats):
            own = replace(context, seed=own_seed)
            with _own_randomness(own):
                taking = Taking(own, of_samples, owner)
                figures = taking.draw(part, sampler)
                draws.append(taking.evaluated(epoch, stage, part, figures))
        evaluated.append(replace(mean_of_repeats(draws), exactness=_exactness(sampler)))
    if of_model:
        with _own_randomness(context):
            taking = Taking(context, of_model, owner)
            evaluated.append(taking.evaluated(epoch, stage, Part(name=""), {}))
    return [replace(record, seed=seed) for record in evaluated]


def default_n(data: Data) -> int:
    """As many samples as the test split has images, at most `MOST_SAMPLES`."""
    return min(len(data.test.x), MOST_SAMPLES)


def evaluation_seed(seed: int) -> int:
    """The seed of the samples that are scored: derived from the run's, but not the same.

    Samples drawn from the seed that also drew the weights would not be independent of them.
    """
    return int.from_bytes(hashlib.sha256(f"genbench evaluation {seed}".encode()).digest()[:6])


def check_fit(
    model: Any,
    samplers: Samplers,
    metrics: Metrics,
    capabilities: Capabilities = BUILTIN,
    *,
    name: str | None = None,
) -> None:
    """Raise IncompatibleError where a sampler or metric asks for what the model can't do.

    ``capabilities`` are those that are registered; ``name`` is what the message calls the model
    (default: its class).
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
def _own_randomness(context: MetricContext) -> Iterator[None]:
    """Seed the global generators for a model that draws from them, and give them back after."""
    with forked_rng(context.device):
        torch.manual_seed(context.seed)
        yield


def _exactness(sampler: Sampler) -> str:
    """What a sampler says of its draws; nothing where it can't."""
    try:
        return str(getattr(sampler, "exactness", str)())
    except CAUGHT as error:
        fault(error, "exactness")
        return ""
