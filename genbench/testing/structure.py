"""The laws of how a model is built: who owns which weights, and what decides their first values."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch

from genbench.contracts import Data
from genbench.testing.subject import Subject
from genbench.testing.trial import build, differs, state_of


def check_structure(part: Subject, data: Data) -> None:
    """Nets, optimizers and stages fit one another; each parameter has one owner at most."""
    model = build(part, data)
    assert isinstance(model.nets, torch.nn.ModuleDict), f"{part.name}.nets must be a ModuleDict"
    nets, optimizers = set(model.nets), model.optimizers()
    stray = set(model.averaged) - nets
    assert not stray, f"{part.name}.averaged names {stray}, which are not nets; the nets are {nets}"
    owners: dict[int, str] = {}
    for name, optimizer in optimizers.items():
        for net in optimizer.nets:
            assert net in nets, f"optimizer '{name}' names the net '{net}'; the nets are {nets}"
            for parameter in model.nets[net].parameters():
                other = owners.setdefault(id(parameter), name)
                assert other == name, (
                    f"a parameter of net '{net}' belongs to the optimizers '{other}' and "
                    f"'{name}'; give each parameter one owner"
                )
    _check_storage(model)
    for stage in model.stages():
        for phase in stage.phases:
            unknown = set(phase.updates) - set(optimizers)
            assert not unknown, f"phase '{phase.name}' updates {unknown}, which are not optimizers"


def _check_storage(model: Any) -> None:
    """Two parameters of two optimizers may not share memory either: a step would move both."""
    spans = sorted(
        (parameter.data_ptr(), parameter.data_ptr() + parameter.nbytes, optimizer, f"{net}.{name}")
        for optimizer, settings in model.optimizers().items()
        for net in settings.nets
        for name, parameter in model.nets[net].named_parameters()
        if parameter.nbytes and parameter.is_contiguous()
    )
    for (_, end, one, name), (start, _, two, other) in pairwise(spans):
        assert start >= end or one == two, (
            f"'{name}' of optimizer '{one}' and '{other}' of optimizer '{two}' share their "
            "storage, so each steps the other's weights; give each a copy of its own (clone())"
        )


def check_seeds(part: Subject, data: Data) -> None:
    """The weights are a function of the seed: the same again, others of another one.

    A model that draws none, because each of its parameters starts as a constant, has no others.
    """
    one, again, other = (build(part, data, seed) for seed in (0, 0, 1))
    names = [name for name, p in one.nets.named_parameters() if p.requires_grad]
    strange = [name for name in names if differs(again, state_of(one), name)]
    assert not strange, (
        f"the same seed gives other weights {strange[:3]}; draw them from torch's own generators"
    )
    drawn = [name for name in names if not _is_constant(one.nets.get_parameter(name))]
    assert not drawn or any(differs(other, state_of(one), name) for name in drawn), (
        "all seeds give the same weights; don't seed a generator in the model: the run does"
    )


def _is_constant(values: torch.Tensor) -> bool:
    return values.numel() == 0 or bool((values == values.flatten()[0]).all())
