"""Further training of a discriminator with the generator frozen (Azadi et al. 2019, section 3.2).

A discriminator that stopped early, or was never meant as a classifier (a critic, an energy), is
brought nearer to log p_data - log p_model. It is a copy: the run's own weights stay as they are.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from genbench import SampleContext, SamplingError, forked_rng
from genbench_samplers.streams import labelled, propose


def retrained(model: Any, steps: int, lr: float, context: SampleContext) -> tuple[Any, float]:
    """A copy of ``model`` whose discriminator took ``steps`` steps of Adam, and the last loss.

    The loss is BCE of real training samples against as many generated ones, in one pass, as the
    statistics of a batch norm need it. The nets it trains are in training mode meanwhile
    (dropout, spectral norm); generating is left to the model itself, in eval mode. Raises
    SamplingError without training samples, or where the loss isn't finite.
    """
    if context.training is None or (context.labels is not None and context.training_labels is None):
        wanted = "training samples" if context.training is None else "labels of training samples"
        raise SamplingError(f"retrain needs {wanted}; there are none: set retrain=0")
    twin = copy.deepcopy(model)
    total = steps * context.batch_size
    batches = labelled(context.training, context.training_labels, total, context)
    loss = torch.tensor(torch.nan)
    optimizer: torch.optim.Optimizer | None = None
    with _own_randomness(context), torch.enable_grad():
        for h, y in batches:
            if optimizer is None:
                weights = _weights_of_discriminator(twin, h[:2], y)
                optimizer = torch.optim.Adam(weights, lr=lr, betas=(0.5, 0.999))
                nets = _owners(twin.nets, weights)
                for net in nets:
                    net.train()
            loss = _loss(model, twin, h, y, context)
            optimizer.zero_grad(set_to_none=True)
            loss.backward(inputs=weights)  # type: ignore[no-untyped-call]
            optimizer.step()
    if not torch.isfinite(loss):
        raise SamplingError(
            f"further training of the discriminator diverged at retrain_lr={lr}; lower it, or set "
            "retrain=0"
        )
    twin.nets.eval()
    return twin, float(loss.detach())


def _loss(model: Any, twin: Any, h: Tensor, y: Tensor | None, context: SampleContext) -> Tensor:
    """-log D(real) - log(1 - D(generated)), the mean over both."""
    fake = propose(model, len(h), y, context)
    both = twin.discriminate(
        torch.cat((h.to(fake.dtype), fake)), None if y is None else torch.cat((y, y))
    )
    real_logits, fake_logits = both.chunk(2)
    loss: Tensor = (softplus(-real_logits).mean() + softplus(fake_logits).mean()) / 2
    return loss


def _weights_of_discriminator(twin: Any, h: Tensor, y: Tensor | None) -> list[nn.Parameter]:
    """The parameters that ``discriminate`` depends on, found by differentiating it."""
    weights = [p.requires_grad_() for p in twin.nets.parameters() if p.is_floating_point()]
    score = twin.discriminate(h, None if y is None else y[: len(h)]).sum()
    reached = torch.autograd.grad(score, weights, allow_unused=True) if weights else ()
    found = [p for p, gradient in zip(weights, reached, strict=True) if gradient is not None]
    if not found:
        raise SamplingError("retrain: the discriminator has no weights to train; set retrain=0")
    return found


def _owners(nets: nn.ModuleDict, weights: list[nn.Parameter]) -> list[nn.Module]:
    ids = {id(weight) for weight in weights}
    return [net for net in nets.values() if any(id(p) in ids for p in net.parameters())]


@contextmanager
def _own_randomness(context: SampleContext) -> Iterator[None]:
    """Dropout draws from the global generators: seed them from the draw's, give them back after."""
    seed = int(torch.randint(2**62, (), generator=context.generator))
    with forked_rng(context.device):
        torch.manual_seed(seed)
        yield
