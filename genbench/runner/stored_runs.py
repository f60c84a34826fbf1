"""Operations on stored runs: load their weights, score them again, draw samples.

Nothing of a stored run is changed: scores are added to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genbench.contracts import Conditional, Data, DataAccess, Sampler
from genbench.engine import evaluation
from genbench.errors import (
    GenbenchError,
    IncompatibleError,
    PluginError,
    SamplingError,
    UsageError,
)
from genbench.evaluation import (
    CAUGHT,
    check_fit,
    checked,
    evaluation_seed,
    fault,
    sample_context,
    scored_labels,
    who,
)
from genbench.evaluation.loaded_run import LoadedRun
from genbench.evaluation.stoppable import StoppableSampler, stoppable
from genbench.events import Evaluated, ShouldStop, never
from genbench.formatting import counted
from genbench.pictures.classes import class_of
from genbench.pictures.samples import (
    COLUMNS,
    as_shown,
    has_images,
    has_pictures,
    labels_in_turn,
    save_image,
    save_samples,
    write_arrays,
)
from genbench.registry import Registry
from genbench.runner.adding import add_scores, skipped_parts
from genbench.runner.as_scored import ScoredDraw, scored_draw
from genbench.runner.build_parts import (
    build_metrics,
    build_samplers,
    default_sampler,
    owner_in,
)
from genbench.runner.loading import load
from genbench.runner.source_runs import with_runs
from genbench.runner.versions import check_versions
from genbench.spec import Part
from genbench.store import Store

BATCH = 500
"""Number of samples that are drawn at a time."""
SAMPLES = 64
"""Default number of samples."""


def load_run(
    run_id: str,
    *,
    registry: Registry,
    store: Store,
    access: DataAccess,
    device: str = "auto",
    should_stop: ShouldStop = never,
) -> LoadedRun:
    """Rebuild the model of a run from its spec and load its last weights: the EMA if it has one.

    A stop ends the loading of the data. Raises UsageError for a run without a checkpoint,
    CheckpointError for a damaged one.
    """
    access = with_runs(stoppable(access, should_stop), registry, store)
    return load(run_id, registry, store, access, device)


def evaluate_run(
    run_id: str,
    *,
    registry: Registry,
    store: Store,
    access: DataAccess,
    samplers: Sequence[Part] | None = None,
    metrics: Sequence[Part] | None = None,
    drawing: Mapping[str, Any] | None = None,
    n: int | None = None,
    repeats: int | None = None,
    seed: int | None = None,
    final: bool = False,
    device: str = "auto",
    should_stop: ShouldStop = never,
) -> list[Evaluated]:
    """Score the last weights of a run and add the scores to the store; nothing is overwritten.

    None means the value of the run: its samplers, metrics, number of samples and of draws, seed. If
    no argument is given and the run has skipped metrics, only these are computed. ``drawing``
    replaces drawing settings of the model, and is stored with the scores; ``final`` makes them the
    final scores of the run. Each record is stored as soon as it is ready.
    """
    reading = with_runs(stoppable(access, should_stop), registry, store)
    loaded = load(run_id, registry, store, reading, device, drawing)
    spec = loaded.spec
    rounds = [(samplers, metrics)]
    if (samplers, metrics, n, repeats, seed) == (None,) * 5 and not drawing:
        rounds = list(skipped_parts(store, run_id, spec)) or rounds
    done: list[Evaluated] = []
    for own_samplers, own_metrics in rounds:
        drawn_by = spec.samplers if own_samplers is None else own_samplers
        scored_by = spec.metrics if own_metrics is None else own_metrics
        done += add_scores(
            loaded,
            build_samplers(drawn_by, registry, strict=False),
            build_metrics(scored_by, registry, strict=False),
            registry=registry,
            store=store,
            access=access,
            drawing=drawing or {},
            n=n,
            repeats=repeats,
            seed=seed,
            final=final,
            should_stop=should_stop,
        )
    return done


def sample_run(
    run_id: str,
    *,
    registry: Registry,
    store: Store,
    access: DataAccess,
    out: Path,
    n: int | None = None,
    sampler: Part | None = None,
    drawing: Mapping[str, Any] | None = None,
    seed: int | None = 0,
    label: int | str | Sequence[int | str] | None = None,
    device: str = "auto",
    should_stop: ShouldStop = never,
) -> Path:
    """Draw ``n`` samples (None: 64) of a stored run into ``out``; return the path of the file.

    ``out`` may end in .png, for a grid of images or a scatter plot of points in the plane, or in
    .npz, with ``images`` (n, H, W, C) uint8 or ``points`` (n, D) float32, and ``labels`` (n,) for a
    conditional model. Otherwise it is a folder with one PNG per image.

    ``sampler`` None is the default one (see `default_sampler`); ``drawing`` replaces drawing
    settings of the model. ``seed`` None repeats the samples that the final scores were computed on,
    or the first ``n`` of them, with the same seed, settings, number and distribution of classes;
    only the name of ``sampler`` is used then. ``label`` is a class of a conditional model, by
    number or name, or several classes, with equally many samples of each, one class after the
    other; by default, classes alternate. If the sampler gives up, the samples that it has drawn are
    written before SamplingError is raised.
    """
    scored = None
    if seed is None:
        scored = scored_draw(store, store.resolve(run_id), sampler.name if sampler else None)
        sampler, drawing = scored.sampler, scored.drawing
    reading = with_runs(stoppable(access, should_stop), registry, store)
    loaded = load(run_id, registry, store, reading, device, drawing)
    kept = _kept(n, scored)
    n = scored.n if scored else kept
    wanted = [label] if isinstance(label, int | str) else label
    labels = labels_of(loaded, n, wanted)
    if scored is not None:
        scored.check_weights(loaded)
        seed = evaluation_seed(scored.seed)
        labels = scored_labels(loaded.model, loaded.data, n, seed)
    chosen = sampler or default_sampler(loaded.spec, registry)
    check_versions(store, loaded.id, registry, [("sampler", chosen.name)])
    fitting = build_samplers([chosen], registry)
    check_fit(loaded.model, fitting, [], registry.capabilities, name=loaded.spec.model)
    [(part, built)] = fitting
    name = who("sampler", part.name, owner_in(registry))
    _check_destination(loaded.data, out)
    with evaluation(loaded.model, loaded.device):
        stoppable_sampler = StoppableSampler(built, should_stop)
        samples, failure = draw_samples(loaded, stoppable_sampler, n, seed or 0, labels, name)
    if failure is None:
        labels = None if labels is None else labels[:kept]
        write_samples(samples[:kept], labels, loaded.data, out, loaded.described)
        return out
    if not len(samples):
        raise failure
    places = range(len(samples)) if failure.places is None else failure.places
    labels = None if labels is None else labels[torch.tensor(places)]
    write_samples(samples, labels, loaded.data, out, loaded.described)
    raise SamplingError(
        f"{failure}; the {len(samples):,} of {n:,} samples that were drawn are in {out}"
    )


def _kept(n: int | None, scored: ScoredDraw | None) -> int:
    """The number of samples to keep."""
    if scored is None:
        return SAMPLES if n is None else n
    if n is not None and n > scored.n:
        raise UsageError(f"--samples {n}: the final scores were computed on {scored.n} samples")
    return scored.n if n is None else n


def write_samples(samples: Tensor, labels: Tensor | None, data: Data, out: Path, run: str) -> None:
    """Write uint8 images (n, C, H, W) or float points (n, D) as described in `sample_run`.

    ``run`` is the description of the run in the caption of a picture.
    """
    if out.suffix == ".npz":
        is_image = samples.dim() == 4
        array = (samples.permute(0, 2, 3, 1) if is_image else samples).contiguous().numpy()
        arrays = {"images" if is_image else "points": array}
        if labels is not None:
            arrays["labels"] = labels.numpy()
        write_arrays(out, arrays)
    elif out.suffix == ".png":
        square = max(COLUMNS, round(len(samples) ** 0.5))
        save_samples(samples, labels, data, out, run, square)
    else:
        digits = len(str(len(samples) - 1))
        for index, image in enumerate(samples):
            save_image(image, out / f"{index:0{digits}d}.png")


def _check_destination(data: Data, out: Path) -> None:
    """Raise UsageError if such samples can't be written there."""
    if has_images(data) or out.suffix == ".npz":
        return
    if not has_pictures(data):
        raise UsageError(
            f"'{data.spec.name}' has points of {data.spec.shape[0]} values, and only points of 2 "
            "values can be drawn; use --out points.npz"
        )
    if out.suffix != ".png":
        raise UsageError(
            f"--out {out}: '{data.spec.name}' has points, and a point is not a picture file; use "
            "--out points.npz or points.png"
        )


def draw_samples(
    loaded: LoadedRun, sampler: Sampler, n: int, seed: int, labels: Tensor | None, name: str
) -> tuple[Tensor, SamplingError | None]:
    """The samples; if the sampler gave up, the samples before that, and its error.

    Raises PluginError, which names the sampler, for samples that don't have the form of the data.
    """
    # Models may draw noise from the global generators, which are forked here.
    torch.manual_seed(seed)
    context = sample_context(
        loaded.model,
        loaded.data,
        device=loaded.device,
        seed=seed,
        labels=labels,
        batch_size=BATCH,
    )
    drawn: list[Tensor] = []
    failure = None
    try:
        for samples in checked(sampler.draw(loaded.model, n, context), loaded.data, n, name):
            with torch.no_grad():
                drawn.append(as_shown(samples, loaded.data))
    except SamplingError as error:
        failure = error
    except CAUGHT as error:
        if isinstance(error, GenbenchError):
            raise
        raise PluginError(fault(error, name).reason) from error
    return torch.cat(drawn) if drawn else torch.empty(0), failure


def labels_of(
    loaded: LoadedRun, n: int, wanted: Sequence[int | str] | None, *, option: str = "--label"
) -> Tensor | None:
    """The classes (n,) of the samples; those of a class are consecutive.

    ``option`` is what an error calls the argument by which they were chosen.
    """
    if not isinstance(loaded.model, Conditional):
        if not wanted:
            return None
        given = " ".join(f"{option} {label}" for label in wanted)
        raise IncompatibleError(
            f"{given}: model '{loaded.spec.model}' of run {loaded.id} is not "
            f"conditional, so it has no classes to draw; leave out {option}"
        )
    if not wanted:
        return labels_in_turn(loaded.model, n)
    if n < len(wanted):
        raise UsageError(
            f"{counted(n, 'sample')} of {len(wanted)} classes: draw at least one of each class"
        )
    classes = [class_of(str(label), option, loaded.data.spec) for label in wanted]
    return torch.tensor(classes)[torch.arange(n) * len(classes) // n]
