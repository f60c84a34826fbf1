"""Whole channels: which can be removed, and everything in other layers that depends on them.

torch-pruning follows a channel through a network (DepGraph, Fang et al. 2023, arXiv:2301.12900):
without a channel, the normalisation after it loses a value and the next layer an input. What it
removes is gone: the networks are smaller, and faster on any machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from genbench import IncompatibleError, Model, UsageError
from genbench_compress.nets import (
    check_floats,
    differentiable,
    evaluated,
    judged,
    judging,
    samples,
    scores,
)

LAYERS = (nn.Linear, nn.modules.conv._ConvNd)


@dataclass(frozen=True, kw_only=True)
class Channels:
    """The ``count`` channels of a layer; each has ``stride`` values of the layer's output.

    A linear layer before a feature map has a whole map for each channel. ``name`` is the layer's
    name in the model's nets.
    """

    name: str
    layer: nn.Module
    count: int
    stride: int
    graph: Any

    def weights(self) -> Tensor:
        """The weights that make each channel, (count, n)."""
        return by_channel(self.layer, _weight(self.layer)).reshape(self.count, -1)

    def gradients(self) -> Tensor:
        """The gradients of `weights`, (count, n)."""
        gradient = _weight(self.layer).grad
        assert gradient is not None, "a loss was differentiated before"
        return by_channel(self.layer, gradient).reshape(self.count, -1)

    def scales(self) -> Tensor | None:
        """The scale of each channel in the batch normalisation after the layer, (count,)."""
        for module, _ in self._members(range(self.count)):
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.weight is not None:
                return module.weight.detach().reshape(self.count, -1).abs().mean(1)
        return None

    @torch.no_grad()
    def remove(self, channels: Iterable[int]) -> None:
        """Remove channels from the layer and from all layers that depend on them."""
        channels = {*channels}
        assert len(channels) < self.count, f"{self.name} would have no channel left"
        if channels:
            values = self._values(channels)
            self.graph.get_pruning_group(self.layer, self._rows, values).prune()

    @torch.no_grad()
    def silence(self, channels: Iterable[int]) -> None:
        """Make channels 0 everywhere, without removing them: weights, biases and normalisations.

        The output is that of the smaller network if activations map 0 to 0, as ReLU and tanh do.
        """
        for module, indices in self._members(channels):
            if isinstance(module, LAYERS):
                by_channel(module, _weight(module))[indices] = 0.0
            elif module.weight is not None:
                module.weight[indices] = 0.0
            if module.bias is not None:
                module.bias[indices] = 0.0

    def makers(self) -> list[Any]:
        """The layers with these channels as outputs."""
        return [layer for layer, _ in self._members(range(self.count)) if isinstance(layer, LAYERS)]

    def users(self) -> list[Any]:
        """The layers with these channels as inputs."""
        group = self.graph.get_pruning_group(self.layer, self._rows, self._values([0]))
        return [
            dep.target.module
            for dep, _ in group
            if isinstance(dep.target.module, LAYERS)
            and not self.graph.is_out_channel_pruning_fn(dep.handler)
        ]

    def _values(self, channels: Iterable[int]) -> list[int]:
        step = self.stride
        return [k for c in sorted(channels) for k in range(c * step, (c + 1) * step)]

    @property
    def _rows(self) -> Callable[..., nn.Module]:
        rows: Callable[..., nn.Module]
        rows = self.graph.get_pruner_of_module(self.layer).prune_out_channels
        return rows

    def _members(self, channels: Iterable[int]) -> list[tuple[Any, list[int]]]:
        """The layers that make or normalise these channels, with the indices of their values."""
        values = self._values(channels)
        if not values:
            return []
        group = self.graph.get_pruning_group(self.layer, self._rows, values)
        return [
            (dep.target.module, list(indices))
            for dep, indices in group
            if self.graph.is_out_channel_pruning_fn(dep.handler)
            and isinstance(dep.target.module, (*LAYERS, nn.modules.batchnorm._BatchNorm))
        ]


def channels_of(model: Model, nets: Sequence[str]) -> list[Channels]:
    """The channels of some nets that can be removed: those of hidden layers, from input to output.

    Raises UsageError without torch-pruning, IncompatibleError if it can't follow a network.
    """
    check_floats(model, nets)
    found: dict[str, Channels] = {}
    for graph in _graphs(model):
        for layers in graph.get_all_groups(_outputs(graph), root_module_types=LAYERS):
            one = _channels(graph, layers)
            if one is not None and one.name.partition(".")[0] in nets:
                found.setdefault(one.name, one)
    if not found:
        raise IncompatibleError(
            f"the nets {', '.join(nets)} of {type(model).__name__} have no hidden layer with "
            "channels that could be removed; use --set granularity=weight"
        )
    order = {name: i for i, (name, _) in enumerate(model.nets.named_modules())}
    return sorted(found.values(), key=lambda channels: order[channels.name])


def keep_first(model: Model, nets: Sequence[str], ratio: float) -> None:
    """Remove a share of the channels of each layer, the last ones: the student's width."""
    layers = channels_of(model, nets)
    first = {one.name: torch.arange(one.count) < kept_of(one.count, ratio) for one in layers}
    narrow(layers, first)
    check_whole(model)


def kept_of(count: int, share: float) -> int:
    """How many of ``count`` are kept if a share is removed, to the nearest number."""
    return count - int(share * count + 0.5)


def narrow(layers: Sequence[Channels], kept: Mapping[str, Tensor]) -> None:
    """Keep only some channels of each layer; ``kept`` maps names to masks (count,)."""
    for channels in layers:
        channels.remove((~kept[channels.name]).nonzero().flatten().tolist())


def check_whole(model: Model) -> None:
    """Raise IncompatibleError if a model no longer works after the removal of channels."""
    try:
        for trial in _trials(model):
            trial()
    except (RuntimeError, ValueError) as error:
        raise IncompatibleError(
            f"the channels of {type(model).__name__} can't be removed, since a part of it relies "
            f"on their number ({' '.join(str(error).split())[:200]}); use --set granularity=weight"
        ) from error


def by_channel(layer: nn.Module, weight: Tensor) -> Tensor:
    """The weight of a layer as a view with its outputs in the first dimension."""
    transposed = isinstance(layer, nn.modules.conv._ConvTransposeNd)
    return weight.transpose(0, 1) if transposed else weight


def _weight(layer: Any) -> Tensor:
    weight: Tensor = layer.weight
    return weight


def _outputs(graph: Any) -> list[nn.Module]:
    """The layers with values that are an output, found by one value of each.

    Following all values of such a layer takes seconds if they become an image [784: 2.6 s].
    """
    import torch_pruning as tp

    def leads_out(layer: nn.Module) -> bool:
        rows = graph.get_pruner_of_module(layer).prune_out_channels
        group = graph.get_pruning_group(layer, rows, [0])
        return any(isinstance(dep.target.module, tp.ops._OutputOp) for dep, _ in group)

    return [layer for layer in graph.module2node if isinstance(layer, LAYERS) and leads_out(layer)]


def _channels(graph: Any, group: Any) -> Channels | None:
    """The channels of a group of torch-pruning; None if they can't be told apart."""
    root = group[0].dep.target.module
    count = min(len(set(indices)) for _, indices in group)
    values = len(group[0].idxs)
    if count < 2 or values % count:
        return None
    name = graph._module2name[root]
    return Channels(name=name, layer=root, count=count, stride=values // count, graph=graph)


def _graphs(model: Model) -> list[Any]:
    """The dependencies on the way to the samples, and on that to the discriminator's scores."""
    try:
        import torch_pruning as tp
    except ImportError as error:
        raise UsageError(
            "to remove channels, genbench needs torch-pruning",
            hint="To install it: pip install 'genbench[compress]'",
        ) from error
    with evaluated(model.nets), differentiable(model.nets):
        return [
            tp.DependencyGraph().build_dependency(
                model.nets,
                example_inputs=torch.empty(0),
                forward_fn=lambda *_, trial=trial: trial(),
                verbose=False,
            )
            for trial in _trials(model)
        ]


def _trials(model: Model) -> list[Callable[[], Tensor]]:
    trials = [lambda: samples(model)]
    if judging(model):
        trials.append(lambda: scores(model, judged(model)))
    return trials
