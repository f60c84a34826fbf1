"""Held-out samples and their posteriors, for nll, elbo and active_units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genbench import Conditional, MetricContext, UsageError, prior_kind, to_float


@dataclass(frozen=True, kw_only=True)
class Posterior:
    """Samples (b, *shape) as floats, with q(z|x) = N(mean, exp(logvar)), each (b, values).

    A grid of codes is flattened; ``code`` is its shape without the batch dimension.
    """

    x: Tensor
    y: Tensor | None
    mean: Tensor
    logvar: Tensor
    code: tuple[int, ...]

    def log_likelihood(self, model: Any, z: Tensor, *, copies: int = 1) -> Tensor:
        """log p(x|z), (b * copies,), for ``copies`` latents of each sample, one after the other.

        z is (b * copies, values).
        """
        z = z.view(len(z), *self.code)
        x = self.x.repeat_interleave(copies, dim=0) if copies > 1 else self.x
        if self.y is None:
            found: Tensor = model.log_likelihood(x, z)
        else:
            y = self.y.repeat_interleave(copies, dim=0)
            found = model.log_likelihood(x, z, y)
        return found


def posteriors(context: MetricContext, n: int, size: int) -> Iterator[Posterior]:
    """The posteriors of the first n test samples, ``size`` at a time, given labels if possible."""
    model, test = context.model, context.data.test
    labels = test.y if takes_labels(context) else None
    for start in range(0, n, size):
        rows = slice(start, min(start + size, n))
        x = torch.from_numpy(np.array(test.x[rows])).to(context.device)
        x = to_float(x) if x.dtype == torch.uint8 else x
        y = None if labels is None else torch.from_numpy(np.array(labels[rows])).to(x.device)
        mean, logvar = model.encode(x, y)
        yield Posterior(
            x=x,
            y=y,
            mean=mean.float().flatten(1),
            logvar=logvar.float().flatten(1),
            code=tuple(mean.shape[1:]),
        )


def check_likelihood(metric: str, context: MetricContext) -> None:
    """Raise UsageError if there is no likelihood for the model and data."""
    kind = prior_kind(context.model)
    if kind != "normal":
        raise UsageError(f"{metric} needs the prior N(0, I), but this model's prior is {kind}")
    check_levels(context)


def check_levels(context: MetricContext) -> None:
    """Raise UsageError for a mass of black and white pixels if the data has other levels."""
    if likelihood_of(context.model) != "bernoulli":
        return
    x = context.data.test.x
    if x.dtype != np.uint8 or not ((x == 0) | (x == 255)).all():
        raise UsageError(
            "cross-entropy on grey levels is not a likelihood; train on black and white pixels "
            "(--set data.binarize=fixed), or with another likelihood"
        )


def check_spread(metric: str, posterior: Posterior) -> None:
    """Raise UsageError for a deterministic encoder, which has no density."""
    if torch.isneginf(posterior.logvar).any():
        raise UsageError(
            f"{metric} needs a posterior with a variance, but this encoder is deterministic"
        )


def likelihood_protocol(context: MetricContext, n: int) -> Mapping[str, Any]:
    """The protocol of a likelihood: its kind, the binarisation, and the data.

    Fixed and dynamic binarisation have the same test images, but models trained with one are not
    ranked with models trained with the other: the difference is about 2 nats.
    """
    likelihood = likelihood_of(context.model)
    return {
        "likelihood": likelihood,
        "binarization": binarization(context) if likelihood == "bernoulli" else None,
        "unit": "nats a sample" + ("" if likelihood == "bernoulli" else ", density of x"),
        "prior": "normal",
        "given": given_by(context),
        **held_out_protocol(context, n),
    }


def binarization(context: MetricContext) -> str:
    """How the black and white pixels of the data were drawn."""
    return "fixed" if context.data.augment is None else "dynamic"


def held_out_protocol(context: MetricContext, n: int) -> Mapping[str, Any]:
    """The part of a protocol that identifies the test samples."""
    test = context.data.test
    return {
        "n": n,
        "reference": "test",
        "reference_n": len(test.x),
        "reference_digest": test.digest,
    }


def likelihood_of(model: Any) -> str:
    """The model's name of p(x|z), or of p(x)."""
    return str(getattr(model, "likelihood", "unnamed"))


def given_by(context: MetricContext) -> str | None:
    """What the likelihood is conditioned on."""
    return "label" if takes_labels(context) else None


def takes_labels(context: MetricContext) -> bool:
    """Whether the model gets the labels of the test samples."""
    return isinstance(context.model, Conditional) and context.data.test.y is not None
