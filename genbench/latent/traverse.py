"""A stored run's latent space along its dimensions, or as a grid over two, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from genbench.contracts import Conditional, Decodes, Encodes, Picture
from genbench.errors import UsageError
from genbench.evaluation.loaded_run import LoadedRun
from genbench.latent import walks
from genbench.latent.needs import asked_class, need, need_images, row_labels
from genbench.latent.spaces import LatentSpace, at_random, code_space, encoded, prior_space
from genbench.latent.walks import Unit
from genbench.pictures.sheet import save_sheet

MEASURED = 2_000
"""Number of test samples on which activity and spread of the dimensions are measured."""

WALKS = 10
"""Maximum number of dimensions unless --dims names some: those that change the images most."""

STEPS, WALK_STEPS = 21, 11
"""Stops along a dimension of a latent with one or two dimensions, and with more."""

Scale = Literal["linear", "quantiles", "codes"]


@dataclass(frozen=True, kw_only=True)
class Traversal:
    """What to traverse; None is the default for the model (see docs/latents.md)."""

    scale: Scale | None = None
    reach: float | None = None
    steps: int | None = None
    dims: tuple[int, ...] = ()
    start: Literal["zero", "image"] = "zero"
    label: str | None = None
    seed: int = 0


def traverse(loaded: LoadedRun, options: Traversal, out: Path) -> None:
    """Draw a run's latent space into ``out``.

    It is the space of its codes if the model encodes and decodes, else the space of its noise.
    """
    need_images(loaded)
    save_sheet(_traversal(loaded, options), out, loaded.described)


def _traversal(loaded: LoadedRun, options: Traversal) -> Picture:
    space, codes = _space(loaded)
    scale = options.scale or ("linear" if space.law else "codes")
    unit = _unit(loaded, scale, space, codes)
    values = _values(options, scale, space)
    walking = space.size > 2 or bool(options.dims)
    _check_start(loaded, options, walking)
    if space.size == 1:
        rows = 1 if options.label is not None else getattr(loaded.model, "classes", 1)
        return walks.line(space, values, unit, row_labels(loaded, options.label, rows))
    label = row_labels(loaded, options.label, 1)
    if not walking:
        return walks.grid(space, values, unit, label)
    start = unit.latents(torch.zeros(space.shape))
    if options.start == "image":
        start, label = _image(loaded, options)
    dims = _checked(options.dims, space)
    if not dims and codes is not None:
        dims = walks.most_active(codes, WALKS)
    elif not dims:
        dims = walks.most_telling(space, values[-1], unit, label, WALKS)
    return walks.walks(space, values, unit, label, start=start, dims=dims)


def _space(loaded: LoadedRun) -> tuple[LatentSpace, Tensor | None]:
    """The space, and the codes of some test samples where it is that of codes."""
    model, data, device = loaded.model, loaded.data, loaded.device
    if not (isinstance(model, Encodes) and isinstance(model, Decodes)):
        need(loaded, "generates", hint="See: genbench models")
        return prior_space(model, data, device), None
    codes, _, _ = encoded(model, data, at_random(data, MEASURED, 0), device)
    return code_space(model, data, device), codes


def _unit(loaded: LoadedRun, scale: Scale, space: LatentSpace, codes: Tensor | None) -> Unit:
    if scale != "codes":
        return walks.plain_unit(space.shape)
    if codes is None:
        need(loaded, "encodes", "decodes", hint="Use --scale linear or quantiles")
        raise AssertionError("a model that encodes and decodes has codes")
    return walks.unit_of(codes)


def _values(options: Traversal, scale: Scale, space: LatentSpace) -> list[float]:
    """The stops of the walk, ascending. Raises UsageError where they make no sense."""
    steps = options.steps or (STEPS if space.size <= 2 else WALK_STEPS)
    if scale == "quantiles":
        if options.reach is not None:
            raise UsageError(
                f"--range {options.reach:g}: --scale quantiles has a range of its own, which "
                "--steps widens; leave --range out"
            )
        return walks.stops("quantiles", 0.0, steps, space.law)
    reach = walks.usual_reach(space, scale) if options.reach is None else options.reach
    if space.law == "uniform" and scale == "linear" and reach > 1:
        raise UsageError(
            f"--range {reach:g}: this model's prior is uniform on [-1, 1], and nothing was "
            "learned beyond it; use --range 1 or less"
        )
    return walks.stops("linear", reach, steps)


def _checked(dims: Sequence[int], space: LatentSpace) -> Sequence[int]:
    for dim in dims:
        if not 0 <= dim < space.size:
            raise UsageError(f"--dims {dim}: this latent has the dimensions 0 to {space.size - 1}")
    return dims


def _check_start(loaded: LoadedRun, options: Traversal, walking: bool) -> None:
    if options.start != "image":
        return
    need(loaded, "encodes", "decodes", hint="Use --from zero")
    if not walking:
        raise UsageError(
            "--from image: this picture goes through all dimensions of the latent, so it has no "
            "start; leave --from out, or name dimensions with --dims"
        )


def _image(loaded: LoadedRun, options: Traversal) -> tuple[Tensor, Tensor | None]:
    """The code of a test image, (*shape), and the class to decode it as, (1,) or None."""
    model, data = loaded.model, loaded.data
    code, _, own = encoded(model, data, at_random(data, 1, options.seed), loaded.device)
    if not isinstance(model, Conditional):
        return code[0], None
    asked = asked_class(loaded, options.label)
    return code[0], own if asked is None else torch.tensor([asked])
