"""A plugin's parts together with those of genbench: they must work with one another."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from genbench.contracts import Data, Generates, MetricContext, rendered, samples_data
from genbench.engine.randomness import forked_rng
from genbench.errors import SamplingError, UsageError
from genbench.evaluation import sample_context, scored_labels
from genbench.pixels import to_uint8
from genbench.registry import Kind, Registration, Registry
from genbench.testing.subject import Subject, subject
from genbench.testing.trial import CPU, build, first, fitting_data, is_sample, train_model

SAMPLES = 12


def check_together(registry: Registry) -> None:
    """Draw and score a plugin's models with all samplers and metrics that fit them.

    The metrics are the plugin's own, the built-in ones of a model and the built-in ones that are
    cheap enough to watch a training. What a part refuses in a sentence (UsageError,
    SamplingError), such as a reference that would have to be downloaded, is no fault.
    """
    builtin = Registry.from_environment(environ={"GENBENCH_PLUGINS": ""})
    for registration in registry.of("model"):
        part = subject("model", registration.name, None, registry)
        data = first(fitting_data(part.settings), 32)
        model = build(part, data)
        train_model(model, data, epochs=2)
        model.nets.eval()
        for sampler in _fitting("sampler", model, registry, builtin):
            what = f"sampler '{sampler.name}' on model '{part.name}'"
            _try(what, _drawing, sampler, model, data)
        for metric in _fitting("metric", model, registry, builtin):
            what = f"metric '{metric.name}' on model '{part.name}'"
            _try(what, _scoring, metric, model, data)


def _try(what: str, action: Callable[..., None], *given: Any) -> None:
    try:
        action(*given)
    except (UsageError, SamplingError):
        return
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}") from error
    except Exception as error:  # the code of two plugins, which may raise anything
        raise AssertionError(
            f"{what} raises {type(error).__name__}: {error}; the two must work together, or refuse "
            "with a genbench.UsageError that says why"
        ) from error


def _fitting(kind: Kind, model: Any, own: Registry, builtin: Registry) -> Iterator[Subject]:
    """The parts of both registries that fit the model and can be built without a setting."""
    for registry in (own, builtin):
        for registration in registry.of(kind):
            settings = registry.settings(kind, registration.name)
            if settings and any(f.is_required() for f in settings.model_fields.values()):
                continue
            part = subject(kind, registration.name, None, registry)
            if registry is builtin and kind == "metric" and not _is_cheap(registration, part):
                continue
            if all(own.capabilities.fits(model, wanted) for wanted in part.cls.requires):
                yield part


def _is_cheap(registration: Registration, metric: Subject) -> bool:
    return registration.watch or metric.cls.uses == "model"


def _drawing(sampler: Subject, model: Any, data: Data) -> None:
    labels = scored_labels(model, data, SAMPLES, 0)
    context = sample_context(model, data, device=CPU, seed=0, labels=labels, batch_size=7)
    x = torch.cat(list(sampler.cls(sampler.settings).draw(model, SAMPLES, context)))
    assert len(x) == SAMPLES, f"{len(x)} samples were drawn instead of {SAMPLES}"
    is_sample(x, data, "what was drawn")


def _scoring(metric: Subject, model: Any, data: Data) -> None:
    with tempfile.TemporaryDirectory() as folder, forked_rng(CPU):
        built = metric.cls(metric.settings)
        shown = data if built.uses == "model" else samples_data(data)
        context = MetricContext(
            data=shown,
            model=model,
            device=CPU,
            cache=Path(folder),
            n=SAMPLES,
            offline=True,
            quick=True,
        )
        built.begin(context)
        if built.uses == "samples" and isinstance(model, Generates):
            labels = scored_labels(model, data, SAMPLES, 0)
            with torch.no_grad():
                x = rendered(model, model.generate(model.prior(SAMPLES), labels))
                built.update(to_uint8(x) if x.dim() == 4 else x)
        with torch.no_grad():
            built.result()
