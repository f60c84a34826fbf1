"""What is removed first: the values of channels and of weights, by several criteria.

- magnitude, l2: the norm of a filter's weights (Li et al. 2017, arXiv:1608.08710), or the absolute
  value of a weight (Han et al. 2015, arXiv:1506.02626).
- bn_scale: the scale of a channel in batch normalisation (Liu et al. 2017, arXiv:1708.06519).
- taylor: |the sum of weight * gradient| over a filter, the change of the loss without it to first
  order (Molchanov et al. 2019, arXiv:1906.10771, eq. 8, of the filter as a group).
- random: the baseline for the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

import torch
from torch import Tensor

from genbench import MONITOR, Batch, IncompatibleError, Model, Stage
from genbench_compress.channels import Channels
from genbench_compress.nets import leave_gradients
from genbench_compress.prune_settings import Criterion


def channel_values(channels: Channels, criterion: Criterion) -> Tensor:
    """The value of each channel of a layer, (count,); the lowest are removed first.

    For taylor, the weights have gradients (`with_gradients`).
    """
    if criterion == "random":
        return torch.rand(channels.count, device=channels.weights().device)
    if criterion == "bn_scale":
        return _scales(channels)
    weights = channels.weights().detach()
    if criterion == "taylor":
        return (weights * channels.gradients()).sum(1).abs()
    norms: Tensor = torch.linalg.vector_norm(weights, ord=2 if criterion == "l2" else 1, dim=1)
    return norms


def weight_values(weight: Tensor, criterion: Criterion) -> Tensor:
    """The value of each single weight, in the shape of the tensor."""
    if criterion == "random":
        return torch.rand_like(weight)
    if criterion == "taylor":
        assert weight.grad is not None, "a loss was differentiated before"
        return (weight.detach() * weight.grad).abs()
    return weight.detach().abs()


def lowest(values: Tensor, n: int) -> Tensor:
    """A mask of the n lowest values, in their shape; of equal ones, the first."""
    order = values.flatten().argsort(stable=True)
    mask = torch.zeros(values.numel(), dtype=torch.bool, device=values.device)
    mask[order[:n]] = True
    return mask.reshape(values.shape)


def with_gradients(model: Model, batches: Iterator[Batch], n: int, nets: Sequence[str]) -> None:
    """Leave the gradients of the model's own losses of some nets, summed over n minibatches.

    The minibatches are those of the data set; each stage gets them as it prepares its own.
    """
    generator = torch.Generator().manual_seed(0)

    def losses() -> None:
        for batch in islice(batches, n):
            for stage in model.stages():
                own = _prepared(stage, batch, generator)
                for phase in stage.phases:
                    _differentiate(model, phase.loss(own), nets)

    leave_gradients(model.nets, losses)


def _prepared(stage: Stage, batch: Batch, generator: torch.Generator) -> Batch:
    if stage.prepare is None:
        return batch
    with torch.no_grad():
        return replace(batch, x=stage.prepare(batch.x, generator))


def _differentiate(model: Model, terms: object, nets: Sequence[str]) -> None:
    assert isinstance(terms, dict)
    optimizers = model.optimizers()
    for name, named in terms.items():
        if name == MONITOR:
            continue
        owned = [net for net in optimizers[name].nets if net in nets]
        parameters = [p for net in owned for p in model.nets[net].parameters()]
        if parameters:
            total = torch.stack([term.float() for term in named.values()]).sum()
            torch.autograd.backward(total, inputs=parameters, retain_graph=True)


def _scales(channels: Channels) -> Tensor:
    scales = channels.scales()
    if scales is None:
        raise IncompatibleError(
            f"criterion=bn_scale: layer '{channels.name}' has no batch normalisation after it; use "
            "--set criterion=magnitude"
        )
    return scales
