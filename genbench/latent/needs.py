"""What pictures of latent spaces need from a stored run: capabilities, noise and classes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from genbench.contracts import CAPABILITIES, Conditional
from genbench.errors import IncompatibleError
from genbench.evaluation.loaded_run import LoadedRun
from genbench.pictures.classes import class_of
from genbench.pictures.samples import has_images
from genbench.registration.capabilities import BUILTIN


def who(loaded: LoadedRun) -> str:
    """What messages call the model."""
    return f"model '{loaded.spec.model}' of run {loaded.id}"


def need(loaded: LoadedRun, *capabilities: str, hint: str) -> None:
    """Raise IncompatibleError with the hint if the model lacks one of the capabilities."""
    for capability in capabilities:
        if not isinstance(loaded.model, CAPABILITIES[capability]):
            kind = BUILTIN.in_words(capability)
            raise IncompatibleError(f"{who(loaded)} is not a model {kind}", hint=hint)


def need_images(loaded: LoadedRun) -> None:
    """Raise IncompatibleError if the model doesn't make images."""
    if not has_images(loaded.data):
        raise IncompatibleError(
            f"'{loaded.data.spec.name}' has points of {loaded.data.spec.shape[0]} values, which "
            "can't be shown as images",
            hint=f"To draw all points in one plot: genbench sample {loaded.id}",
        )


def noise(model: Any, n: int, seed: int) -> Tensor:
    """z (n, *shape) of the model's prior: the noise that ``seed`` names."""
    with torch.no_grad():
        z: Tensor = model.prior(n, torch.Generator().manual_seed(seed))
    return z


def asked_class(loaded: LoadedRun, label: str | None) -> int | None:
    """The class that ``--label`` names for a conditional model; None without ``--label``.

    Raises IncompatibleError for a model without labels, UsageError for an unknown class.
    """
    if label is None:
        return None
    if not isinstance(loaded.model, Conditional):
        raise IncompatibleError(
            f"--label {label}: {who(loaded)} is not conditional, so it takes no class; leave "
            "--label out"
        )
    return class_of(label, "--label", loaded.data.spec)


def row_labels(loaded: LoadedRun, label: str | None, rows: int) -> Tensor | None:
    """The classes of the rows (rows,): the one in ``label``, else all in turn.

    None for a model that takes no labels.
    """
    asked = asked_class(loaded, label)
    if not isinstance(loaded.model, Conditional):
        return None
    if asked is None:
        return torch.arange(rows) % loaded.model.classes
    return torch.full((rows,), asked)
