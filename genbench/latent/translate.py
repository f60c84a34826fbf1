"""Images translated into other classes, as a matrix: images by row, domains by column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genbench.contracts import Data, Picture, samples_data
from genbench.errors import IncompatibleError, UsageError
from genbench.evaluation.loaded_run import LoadedRun
from genbench.latent.needs import need, need_images
from genbench.latent.spaces import BATCH, Rows, at_random, held_out, originals
from genbench.pictures.classes import class_of
from genbench.pictures.domains import Domain, domains_of
from genbench.pictures.samples import as_images
from genbench.pictures.sheet import save_sheet
from genbench.pixels import stored_as_float


@dataclass(frozen=True, kw_only=True)
class Translation:
    """What is translated: domains and the own class of ``images`` as people type them in.

    ``images`` (N, C, H, W), uint8, take the place of random test images; ``labels`` are their
    classes if those are known.
    """

    to: Sequence[str] = ()
    count: int = 8
    seed: int = 0
    images: np.ndarray[Any, Any] | None = None
    labels: np.ndarray[Any, Any] | None = None
    own: str | None = None


def translate(loaded: LoadedRun, options: Translation, out: Path) -> None:
    """Draw images and their translations by a run into ``out``."""
    need_images(loaded)
    need(loaded, "translates", hint="See: genbench models")
    data = loaded.data
    if data.spec.classes is None:
        raise IncompatibleError(f"'{data.spec.name}' has no classes to translate into")
    domains = domains_of(options.to, "--to", data.spec)
    if options.images is None:
        if options.own is not None:
            raise UsageError(f"--from {options.own} is the class of --images; add --images FOLDER")
        chosen = at_random(data, options.count, options.seed)
        picture = translations(loaded.model, data, loaded.device, chosen, domains)
    else:
        picture = _of_given(loaded, options, domains)
    save_sheet(picture, out, loaded.described)


def translations(
    model: Any, data: Data, device: torch.device, rows: Rows, domains: Sequence[Domain]
) -> Picture:
    """A row for each of these test images: the original, then its translations.

    In a latent space, the originals are the images that were encoded.
    """
    x, own = held_out(data, rows)
    shown = originals(data, rows, device)
    if data.encode is not None:  # as one's own images, without a draw of the posterior
        images, _ = held_out(samples_data(data), rows)
        x = _encoded(data, images, own, device)
    return _matrix(model, data, device, x, own, shown, domains, about="Test images")


def _of_given(loaded: LoadedRun, options: Translation, domains: Sequence[Domain]) -> Picture:
    """The matrix of images that a person has given."""
    data, device = loaded.data, loaded.device
    assert options.images is not None, "the caller has looked"
    given = options.images[: options.count]
    own = None if options.labels is None else torch.from_numpy(options.labels[: options.count])
    if options.own is not None:
        own = torch.full((len(given),), class_of(options.own, "--from", data.spec))
    x = stored_as_float(given)
    try:
        if data.encode is not None:
            x = _encoded(data, x, own, device)
        shown = torch.from_numpy(given)
        return _matrix(loaded.model, data, device, x, own, shown, domains, about="Images")
    except UsageError as error:
        if own is not None:
            raise
        raise UsageError(
            f"the class of these images isn't known, and it is needed: {error}",
            hint="Add --from CLASS, or sort them into subfolders named after the classes",
        ) from None


def _encoded(data: Data, images: Tensor, own: Tensor | None, device: torch.device) -> Tensor:
    """The codes of images (n, C, H, W) in [-1, 1] of the classes ``own``, if they are known."""
    assert data.encode is not None, "the caller has looked"
    with torch.no_grad():
        return data.encode(images.to(device), None if own is None else own.to(device))


def _matrix(
    model: Any,
    data: Data,
    device: torch.device,
    x: Tensor,
    own: Tensor | None,
    shown: Tensor,
    domains: Sequence[Domain],
    *,
    about: str,
) -> Picture:
    columns = [shown]
    for domain in domains:
        made = translated(model, x, classes_in(domain, own, len(x)), own, device)
        columns.append(as_images(made.to(device), data))
    return Picture(
        images=torch.stack(columns, dim=1).flatten(0, 1),
        columns=len(columns),
        about=f"{about} and their translations",
        groups=[(name, 1) for name in ("original", *(domain.name for domain in domains))],
    )


def classes_in(domain: Domain, own: Tensor | None, n: int) -> Tensor:
    """The classes (n,) that samples of the classes ``own`` have in a domain.

    Raises UsageError if these depend on their own classes, which are not known.
    """
    if not domain.keep:
        return torch.full((n,), domain.on)
    if own is None:
        raise UsageError(f"'{domain.name}' keeps all other attributes of an image")
    return (own & domain.keep | domain.on) ^ domain.flip


def translated(
    model: Any, x: Tensor, y: Tensor, own: Tensor | None, device: torch.device
) -> Tensor:
    """Samples x (n, *shape) of the classes ``own`` (n,) in the classes y (n,), on the CPU."""
    made = []
    for start in range(0, len(x), BATCH):
        few = slice(start, start + BATCH)
        classes = None if own is None else own[few].to(device)
        with torch.no_grad():
            made.append(model.translate(x[few].to(device), y[few].to(device), classes).cpu())
    return torch.cat(made)
