"""Check samples, scores, diagnostics and pictures of plugins before they are used or stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from genbench.contracts import Data, Picture, Score
from genbench.errors import PluginError
from genbench.spec import canonical_json

DIRECTIONS = ("min", "max", "floor")
CHANNELS = (1, 3, 4)
BEYOND = 1 + 1 / 127.5
"""The largest accepted value of an image: one grey level outside [-1, 1], for rounding."""


def checked(minibatches: Iterator[Any], data: Data, n: int, name: str) -> Iterator[Tensor]:
    """The minibatches (b, *shape) of the sampler ``name``, checked.

    Raises PluginError for a minibatch that isn't a float tensor or has another shape or range than
    the data, and if there are more or fewer samples than ``n``. Values that are not finite are
    accepted here, since they come from the model.
    """
    count = 0
    for x in minibatches:
        _check(x, data, name)
        count += len(x)
        if count > n:
            break
        yield x
    if count != n:
        raise PluginError(f"{name} yielded {count} samples instead of {n}")


def _check(x: Any, data: Data, name: str) -> None:
    shape = data.spec.shape
    expected = f"expected float samples (b, {', '.join(map(str, shape))})"
    if not isinstance(x, Tensor):
        raise PluginError(f"{name} yielded {_described(x)}; {expected}")
    if not x.is_floating_point():
        raise PluginError(f"{name} yielded {x.dtype}; {expected} in [-1, 1]")
    if tuple(x.shape[1:]) != tuple(shape) or x.dim() != len(shape) + 1:
        raise PluginError(f"{name} yielded samples of shape {tuple(x.shape)}; {expected}")
    if not data.spec.bounded or not x.numel():
        return
    low, high = (float(value) for value in torch.aminmax(x.detach()))
    if max(-low, high) > BEYOND and max(-low, high) != float("inf"):
        raise PluginError(
            f"{name} yielded values in [{low:.3g}, {high:.3g}]; {expected} in [-1, 1]"
        )


def _described(x: object) -> str:
    kind = type(x)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"a {module}{kind.__qualname__}"


def checked_scores(scores: Iterable[Any], name: str) -> list[Score]:
    """The scores with plain numbers. Raises PluginError, which begins with ``name``."""
    return [_checked(score, name) for score in scores]


def _checked(score: Any, name: str) -> Score:
    if not isinstance(score, Score):
        raise PluginError(f"{name} returned {score!r}, which is not a genbench.Score")
    if score.direction not in DIRECTIONS:
        raise PluginError(
            f"{name}: the direction of '{score.metric}' is {score.direction!r}; expected one of "
            f"{', '.join(DIRECTIONS)}"
        )
    try:
        canonical_json(dict(score.protocol))
        return replace(
            score,
            value=float(score.value),
            std=None if score.std is None else float(score.std),
            floor=None if score.floor is None else float(score.floor),
            n=int(score.n),
        )
    except (TypeError, ValueError) as error:
        raise PluginError(
            f"{name}: '{score.metric}' has a value that is not a number or not JSON: {error}"
        ) from error


def checked_diagnostics(figures: Mapping[str, Any], name: str) -> dict[str, float]:
    """The diagnostics of a sampler as floats. Raises PluginError, which begins with ``name``."""
    try:
        return {str(key): float(value) for key, value in figures.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise PluginError(f"{name} has diagnostics that are not numbers: {error}") from error


def checked_picture(title: str, picture: Any, name: str) -> Picture:
    """A picture on the CPU. Raises PluginError, which begins with ``name``."""
    images = getattr(picture, "images", None)
    if (
        not isinstance(picture, Picture)
        or not isinstance(images, torch.Tensor)
        or images.dtype != torch.uint8
        or images.dim() != 4
        or images.shape[1] not in CHANNELS
        or not len(images)
    ):
        raise PluginError(
            f"the picture '{title}' of {name} is not a genbench.Picture of uint8 images "
            "(N, C, H, W) with 1, 3 or 4 channels"
        )
    if not title.replace("-", "_").isidentifier():
        raise PluginError(f"a picture of {name} is called '{title}'; use letters, digits and _")
    return replace(picture, images=images.detach().cpu())
