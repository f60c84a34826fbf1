"""Evolutionary pruning of a generator (Shu et al. 2019, arXiv:1907.10804, co-evolution).

A generator is a string of bits, one for each filter; a filter with bit 0 is removed. The fitness of
a string is 1 / (a * size + distance): the share of the weights that is left, and how far the
samples are from those of the parent on the same noise. The distance is aware of the discriminator
where there is one: the squared difference of the samples, and of the discriminator's scores, each
relative to the parent's variance. Strings are selected by roulette, crossed over at one point and
mutated in single bits; the best one of each generation survives. The smaller generator is then
fine-tuned.

The paper evolves the two generators of CycleGAN together, with a cycle loss; a generator from noise
has no cycle.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from genbench import Batch, Compression, Model, ParentRun
from genbench_compress.channels import Channels, channels_of, check_whole, narrow
from genbench_compress.nets import generating, judging, labels
from genbench_compress.prune_settings import EvolveSettings
from genbench_compress.tuning import fine_tuning

Bits = Tensor
"""One string: bool (filters of all layers,); True is kept."""


class Evolve:
    """The filters of the fittest string are kept, and fine-tuned."""

    requires = ("generates",)

    def __init__(self, settings: EvolveSettings) -> None:
        self.settings = settings

    def check(self, model: Model, parent: ParentRun) -> None:
        """The generator has filters that can be removed."""
        channels_of(model, generating(model))

    def compress(self, model: Model, parent: ParentRun) -> Compression:
        """The model's own training, after the evolution."""

        def begin(batches: Iterator[Batch]) -> None:
            layers = channels_of(model, generating(model))
            best = evolved(Fitness(model, layers, self.settings), self.settings)
            narrow(layers, split(best, layers))
            check_whole(model)

        return Compression(stages=fine_tuning(model, begin=begin))


def evolved(fitness: Fitness, s: EvolveSettings) -> Bits:
    """The fittest string after all generations."""
    drawn = torch.rand(s.population, fitness.bits) >= s.ratio
    population = [fitness.possible(bits) for bits in drawn]
    for _ in range(s.generations):
        values = torch.stack([fitness(bits) for bits in population])
        best = population[int(values.argmax())]
        children = [best]
        while len(children) < s.population:
            first, second = (population[i] for i in torch.multinomial(values, 2))
            cut = int(torch.randint(1, fitness.bits, ()))
            child = torch.cat((first[:cut], second[cut:]))
            flipped = torch.rand(fitness.bits) < s.mutation
            children.append(fitness.possible(child ^ flipped))
        population = children
    values = torch.stack([fitness(bits) for bits in population])
    return population[int(values.argmax())]


class Fitness:
    """1 / (a * size + distance) of a string; a layer has at least one filter."""

    def __init__(self, model: Any, layers: Sequence[Channels], s: EvolveSettings) -> None:
        self._model, self._layers, self._weight = model, layers, s.size_weight
        self.bits = sum(layer.count for layer in layers)
        self._kept = {name: t.clone() for name, t in model.nets.state_dict().items()}
        self._z = model.prior(s.samples)
        self._y = None
        if labels(model) is not None:
            self._y = torch.arange(s.samples, device=self._z.device) % model.classes
        self._judged = bool(judging(model))
        self._aim = self._outputs()
        self._known: dict[bytes, Tensor] = {}

    def __call__(self, bits: Bits) -> Tensor:
        """The fitness, 0-dim float64; the nets are as before afterwards."""
        key = bits.numpy().tobytes()
        if key not in self._known:
            for layer, kept in zip(self._layers, split(bits, self._layers).values(), strict=True):
                layer.silence((~kept).nonzero().flatten().tolist())
            distance = sum(
                ((own - aim).square().mean() / aim.var().clamp_min(1e-12)).double().cpu()
                for own, aim in zip(self._outputs(), self._aim, strict=True)
            )
            self._model.nets.load_state_dict(self._kept)
            cost = self._weight * size(bits, self._layers) + torch.as_tensor(distance)
            self._known[key] = 1.0 / cost.clamp_min(1e-12)
        return self._known[key]

    def possible(self, bits: Bits) -> Bits:
        """The string with one filter, drawn at random, in layers without any."""
        parts = []
        for kept in split(bits, self._layers).values():
            if not kept.any():
                kept = kept.clone()
                kept[int(torch.randint(len(kept), ()))] = True
            parts.append(kept)
        return torch.cat(parts)

    def _outputs(self) -> list[Tensor]:
        """The samples and, if there is a discriminator, its scores of them."""
        with torch.no_grad():
            h = self._model.generate(self._z, self._y)
            return [h, self._model.discriminate(h, self._y)] if self._judged else [h]


def split(bits: Bits, layers: Sequence[Channels]) -> dict[str, Tensor]:
    """The bits of each layer, by its name."""
    parts = torch.split_with_sizes(bits, [layer.count for layer in layers])
    return {layer.name: part for layer, part in zip(layers, parts, strict=True)}


def size(bits: Bits, layers: Sequence[Channels]) -> float:
    """The share of the weights that is left: a layer loses rows and columns."""
    shares: dict[Any, list[float]] = defaultdict(lambda: [1.0, 1.0])
    for layer, kept in zip(layers, split(bits, layers).values(), strict=True):
        for module in layer.makers():
            shares[module][0] = float(kept.float().mean())
        for module in layer.users():
            shares[module][1] = float(kept.float().mean())
    counts: dict[Any, int] = {module: module.weight.numel() for module in shares}
    left: float = sum(counts[m] * rows * columns for m, (rows, columns) in shares.items())
    return left / sum(counts.values())
