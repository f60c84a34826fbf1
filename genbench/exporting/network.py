"""What a run draws as one module, z[, y] -> x, and the description that is stored with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from genbench import __version__
from genbench.contracts import Conditional, Data, prior_kind, rendered, samples_data
from genbench.engine.used_nets import used_nets
from genbench.evaluation.loaded_run import LoadedRun
from genbench.pictures.classes import class_name
from genbench.pictures.samples import has_images

PRIORS = {"normal": "N(0, I)", "uniform": "U(-1, 1) in each dimension"}


class SamplingNetwork(nn.Module):
    """z (B, *latent) and, for a conditional model, y int64 (B,) -> samples (B, *shape), float32.

    Samples are what genbench shows: those of a model on latents are decoded by the source run.
    Only the ``nets`` that sampling uses are part of it.
    """

    def __init__(self, model: Any, data: Data) -> None:
        super().__init__()
        # A list hides the model, which may be a module with more nets.
        self._hidden = [model]
        self._render = data.render
        self.nets = nn.ModuleDict()
        given = inputs(model, 2, seed=0)
        self.nets.update(used_nets(model.nets, lambda: self(*given)))
        self.eval()

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Images in [-1, 1], or points in the unit of their data."""
        [model] = self._hidden
        x = rendered(model, model.generate(z, y))
        return (x if self._render is None else self._render(x)).float()


def inputs(model: Any, n: int, *, seed: int) -> tuple[Tensor, ...]:
    """z of the prior, and for a conditional model all classes in turn."""
    z = model.prior(n, torch.Generator().manual_seed(seed))
    return (z, torch.arange(n) % model.classes) if isinstance(model, Conditional) else (z,)


@contextmanager
def without_gradients(network: nn.Module) -> Iterator[None]:
    """Inside, no parameter requires a gradient, so that those of the file don't either."""
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    network.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


def description(loaded: LoadedRun, z: Tensor, x: Tensor, weights: str) -> dict[str, Any]:
    """What the file is, for its metadata: JSON values.

    ``z`` and ``x`` are an input and an output; ``weights`` is the digest of the run's weights.
    """
    model, shown = loaded.model, samples_data(loaded.data).spec
    takes: dict[str, Any] = {
        "z": {
            "dtype": "float32",
            "shape": ["batch", *z.shape[1:]],
            "prior": PRIORS[prior_kind(model)],
        }
    }
    if isinstance(model, Conditional):
        names = [class_name(label, loaded.data.spec) for label in range(model.classes)]
        takes["y"] = {"dtype": "int64", "shape": ["batch"], "class_names": names}
    images = has_images(loaded.data)
    return {
        "genbench": __version__,
        "torch": torch.__version__,
        "run": loaded.id,
        "digest": loaded.spec.digest,
        "weights": weights,
        "model": loaded.spec.model,
        "dataset": loaded.spec.dataset,
        "data": shown.name,
        "epoch": loaded.epoch,
        "inputs": takes,
        "output": {
            "name": "x",
            "dtype": "float32",
            "shape": ["batch", *x.shape[1:]],
            "range": [-1, 1] if images else None,
            "uint8": "clip(round((x + 1) * 127.5), 0, 255)" if images else None,
        },
    }
