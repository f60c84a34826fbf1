"""Growing and pruning while training (Song et al. 2021, SP-GAN, IEEE TNNLS).

Training starts from a light seed network, with few channels in each layer. It grows in width, up to
that of the parent; new channels have initial weights, and the others keep theirs. In the end
channels that are similar to others, by the cosine of their weights, are removed, and the network
that is left is trained on.

Only the generator grows. We know the paper by its abstract and the document "More on GANs" (HSE
2022): the schedule of widths is ours.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from genbench import Batch, Compression, Model, ParentRun, take_shapes
from genbench_compress.channels import (
    Channels,
    channels_of,
    check_whole,
    keep_first,
    kept_of,
    narrow,
)
from genbench_compress.nets import generating
from genbench_compress.prune import empty_layer
from genbench_compress.prune_settings import GrowSettings
from genbench_compress.tuning import Begin, in_rounds


class Grow:
    """A generator from scratch, of rising width, that ends without its similar channels."""

    requires = ("generates",)

    def __init__(self, settings: GrowSettings) -> None:
        self.settings = settings

    def check(self, model: Model, parent: ParentRun) -> None:
        """The seed and the final network have a channel in each layer."""
        s = self.settings
        for layer in channels_of(model, generating(model)):
            if not kept_of(layer.count, max(s.ratio, 1 - s.start)):
                raise empty_layer(layer.name, layer.count, "channels", max(s.ratio, 1 - s.start))

    def compress(self, model: Model, parent: ParentRun) -> Compression:
        """A round of training at each width, and one after the removal."""
        s = self.settings
        whole = copy.deepcopy(model.nets)

        def growing(share: float) -> Begin:
            def begin(batches: Iterator[Batch]) -> None:
                widened(model, whole, share)

            return begin

        def last(batches: Iterator[Batch]) -> None:
            remove_similar(model, s.ratio)

        begins = [*map(growing, s.widths()), last]
        return Compression(stages=in_rounds(model, begins, round_epochs=s.round_epochs))


@torch.no_grad()
def widened(model: Model, whole: torch.nn.Module, share: float) -> None:
    """Give the generator a share of the channels of ``whole``; it keeps the weights it has.

    ``whole`` are the nets at full width with initial weights, from which new channels come.
    """
    before = {name: tensor.clone() for name, tensor in model.nets.state_dict().items()}
    state = whole.state_dict()
    take_shapes(model.nets, state)
    model.nets.load_state_dict(state)
    keep_first(model, generating(model), 1 - share)
    for name, tensor in model.nets.state_dict().items():
        old = before[name]
        if all(a <= b for a, b in zip(old.shape, tensor.shape, strict=True)):
            tensor[tuple(slice(length) for length in old.shape)] = old


def remove_similar(model: Model, ratio: float) -> None:
    """Remove a share of the channels of each layer: the most similar ones, one by one."""
    layers = channels_of(model, generating(model))
    narrow(layers, {layer.name: distinct(layer, kept_of(layer.count, ratio)) for layer in layers})
    check_whole(model)


def distinct(layer: Channels, n: int) -> Tensor:
    """A mask of n channels; of the two most similar ones, the one with the smaller norm goes."""
    weights = layer.weights().detach()
    norms = torch.linalg.vector_norm(weights, dim=1)
    similar = F.normalize(weights, dim=1) @ F.normalize(weights, dim=1).T
    similar.fill_diagonal_(-torch.inf)
    kept = torch.ones(layer.count, dtype=torch.bool)
    for _ in range(layer.count - n):
        one, other = divmod(int(similar.argmax()), layer.count)
        gone = one if norms[one] <= norms[other] else other
        kept[gone] = False
        similar[gone], similar[:, gone] = -torch.inf, -torch.inf
    return kept
