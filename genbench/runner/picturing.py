"""What pictures of a stored run share: its model at work, and what they need of it.

Nothing is added to the run: a picture is written where it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genbench.contracts import CAPABILITIES, Conditional, DataAccess
from genbench.engine import evaluation
from genbench.errors import IncompatibleError
from genbench.latent.classes import class_of
from genbench.pictures import has_images
from genbench.registry import Registry
from genbench.runner.loading import LoadedRun
from genbench.runner.parts import ShouldStop, never, stoppable
from genbench.runner.stored import load_run
from genbench.store import Store

LACKS = {
    "generates": "makes no samples",
    "encodes": "encodes no images",
    "decodes": "decodes no codes",
    "reconstructs": "reconstructs no images",
}


@dataclass(frozen=True, kw_only=True)
class Opened:
    """Where a stored run is found, and where it is put to work."""

    registry: Registry
    store: Store
    access: DataAccess
    device: str = "auto"
    should_stop: ShouldStop = never


@contextmanager
def at_work(run_id: str, opened: Opened, seed: int) -> Iterator[LoadedRun]:
    """The run in eval mode; random generators are as before afterwards.

    A model may draw noise of its own from the global ones, which start from ``seed`` here.
    """
    loaded = load_run(
        run_id,
        registry=opened.registry,
        store=opened.store,
        access=stoppable(opened.access, opened.should_stop),
        device=opened.device,
    )
    with evaluation(loaded.model, loaded.device):
        torch.manual_seed(seed)
        yield loaded


def who(loaded: LoadedRun) -> str:
    """What messages call the model."""
    return f"model '{loaded.spec.model}' of run {loaded.run.id}"


def need(loaded: LoadedRun, *capabilities: str, mend: str) -> None:
    """Raise IncompatibleError, which ends in ``mend``, where the model lacks one of them."""
    for capability in capabilities:
        if not isinstance(loaded.model, CAPABILITIES[capability]):
            raise IncompatibleError(f"{who(loaded)} {LACKS[capability]}; {mend}")


def need_images(loaded: LoadedRun) -> None:
    """Raise IncompatibleError where what the model makes are no images."""
    if not has_images(loaded.data):
        raise IncompatibleError(
            f"'{loaded.data.spec.name}' has points of {loaded.data.spec.shape[0]} values, and a "
            f"point is no picture; genbench sample {loaded.run.id} draws them all in one"
        )


def noise(model: Any, n: int, seed: int) -> Tensor:
    """z (n, *shape) of the model's prior: the noise that ``seed`` names."""
    with torch.no_grad():
        z: Tensor = model.prior(n, torch.Generator().manual_seed(seed))
    return z


def asked_class(loaded: LoadedRun, label: str | None) -> int | None:
    """The class that ``--label`` asks a conditional model for; None where nothing was asked.

    Raises IncompatibleError for a model without labels, UsageError for an unknown class.
    """
    if label is None:
        return None
    if not isinstance(loaded.model, Conditional):
        raise IncompatibleError(
            f"--label {label}: {who(loaded)} is not conditional, so it can't be asked for a "
            "class; leave --label out"
        )
    return class_of(label, "--label", loaded.data.spec)


def row_labels(loaded: LoadedRun, label: str | None, rows: int) -> Tensor | None:
    """The classes of rows (rows,): the one asked for, else one after the other; None without."""
    asked = asked_class(loaded, label)
    if not isinstance(loaded.model, Conditional):
        return None
    if asked is None:
        return torch.arange(rows) % loaded.model.classes
    return torch.full((rows,), asked)
