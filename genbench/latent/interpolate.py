"""Interpolations between samples, test images or classes of a stored run, as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from genbench.contracts import Conditional, Decodes, Encodes, Picture, prior_kind
from genbench.errors import IncompatibleError, UsageError
from genbench.evaluation.loaded_run import LoadedRun
from genbench.latent import rows as drawn
from genbench.latent.needs import need, need_images, noise, row_labels, who
from genbench.latent.paths import Path as PathKind
from genbench.latent.spaces import Rows, at_random, code_space, codes_of_samples, prior_space
from genbench.pictures.classes import pair_of
from genbench.pictures.sheet import save_sheet


@dataclass(frozen=True, kw_only=True)
class Interpolation:
    """What is interpolated: classes as people type them in, None for the default."""

    between: Literal["samples", "images", "classes"] = "samples"
    path: PathKind | None = None
    rows: int | None = None
    steps: int = 10
    label: str | None = None
    classes: str | None = None
    seed: int = 0


def interpolate(loaded: LoadedRun, options: Interpolation, out: Path) -> None:
    """Draw interpolations between samples, test images or classes of a run into ``out``."""
    need_images(loaded)
    if options.label is not None and options.between != "samples":
        raise UsageError(f"--label {options.label} needs --between samples; leave it out")
    if options.classes is not None and options.between != "classes":
        raise UsageError(f"--classes {options.classes} needs --between classes; add it")
    between = {
        "samples": _between_samples,
        "images": _between_images,
        "classes": _between_classes,
    }
    save_sheet(between[options.between](loaded, options), out, loaded.described)


def _between_samples(loaded: LoadedRun, options: Interpolation) -> Picture:
    need(loaded, "generates", hint="Use --between images")
    space, model = prior_space(loaded.model, loaded.data, loaded.device), loaded.model
    rows = options.rows or 8
    y = row_labels(loaded, options.label, rows)
    z = noise(model, 2 * rows, options.seed)
    has_codes = isinstance(model, Encodes) and isinstance(model, Decodes)
    through_codes = has_codes and getattr(model, "piecewise", False)
    if through_codes:
        space = code_space(model, loaded.data, loaded.device)
        twice = None if y is None else y.repeat_interleave(2)
        z = codes_of_samples(model, z, twice, loaded.device)
    kind = _path_of(options, model, spherical=not through_codes)
    return drawn.between_samples(space, z[::2], z[1::2], y, kind=kind, steps=options.steps)


def _between_images(loaded: LoadedRun, options: Interpolation) -> Picture:
    rows = min(options.rows or 8, len(loaded.data.test.x) // 2)
    chosen = at_random(loaded.data, 2 * rows, options.seed)
    return _between_these(loaded, options, chosen[::2], chosen[1::2])


def _between_classes(loaded: LoadedRun, options: Interpolation) -> Picture:
    model, data = loaded.model, loaded.data
    if data.spec.classes is None:
        raise IncompatibleError(f"--between classes: '{data.spec.name}' has no classes")
    pair = None if options.classes is None else pair_of(options.classes, data.spec)
    if not isinstance(model, Conditional):
        return _between_images_of_classes(loaded, options, pair)
    if options.path is not None:
        raise UsageError(
            f"--path {options.path}: between classes, the noise of a conditional model is fixed; "
            "leave --path out"
        )
    if pair is None:
        # One noise for all rows: what changes is the class alone.
        a = torch.arange(options.rows or model.classes) % model.classes
        b, z = (a + 1) % model.classes, noise(model, 1, options.seed)
        z = z.expand(len(a), *z.shape[1:])
    else:
        a, b = (torch.full((options.rows or 8,), label) for label in pair)
        z = noise(model, len(a), options.seed)
    space = prior_space(model, data, loaded.device)
    return drawn.between_classes(space, model, z, a, b, steps=options.steps)


def _between_images_of_classes(
    loaded: LoadedRun, options: Interpolation, pair: tuple[int, int] | None
) -> Picture:
    """Go from a test image of one class to one of the other, for a model without labels."""
    model, data = loaded.model, loaded.data
    if not (isinstance(model, Encodes) and isinstance(model, Decodes)):
        raise IncompatibleError(
            f"--between classes: {who(loaded)} takes no labels and encodes no images, so it has "
            "no classes; use --between samples"
        )
    count, places = data.spec.classes or 0, at_random(data, len(data.test.x), options.seed)
    labels = np.asarray(data.test.y)[places]
    members = {label: places[labels == label] for label in range(count)}
    if pair is None:
        turns = [(row % count, (row + 1) % count) for row in range(options.rows or count)]
    else:
        turns = [pair] * (options.rows or 8)
    for label in {label for turn in turns for label in turn}:
        if not len(members[label]):
            raise UsageError(f"the test split of '{data.spec.name}' has no image of class {label}")
    a, b = (
        np.array(
            [members[turn[end]][row % len(members[turn[end]])] for row, turn in enumerate(turns)]
        )
        for end in (0, 1)
    )
    return _between_these(loaded, options, a, b)


def _between_these(loaded: LoadedRun, options: Interpolation, a: Rows, b: Rows) -> Picture:
    need(loaded, "encodes", "decodes", hint="Use --between samples")
    space = code_space(loaded.model, loaded.data, loaded.device)
    kind = _path_of(options, loaded.model, spherical=False)
    return drawn.between_images(space, loaded.model, a, b, kind=kind, steps=options.steps)


def _path_of(options: Interpolation, model: Any, *, spherical: bool) -> PathKind:
    """The path of the options; by default spherical for draws of N(0, I), and linear otherwise.

    Codes lie where the data is, not on a shell, and those of an autoencoder have no centre.
    """
    uniform = spherical and prior_kind(model) == "uniform"
    if options.path == "spherical" and uniform:
        raise IncompatibleError(
            "--path spherical: this model's prior is uniform on a cube, which a spherical path "
            "would leave; use --path linear"
        )
    return options.path or ("spherical" if spherical and not uniform else "linear")
