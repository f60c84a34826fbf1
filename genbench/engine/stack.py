"""Networks of several models of one architecture as one stack, and what steps on a stack.

The parameters and buffers of model i are views: ``stack.parameters[name][i]``. So each model stays
complete: its checkpoint, average, pictures and scores work on it as if it were alone, while one
kernel steps all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.stateless import _reparametrize_module

from genbench.contracts import Model, Optimizer, Stage
from genbench.engine.ema import EMA
from genbench.engine.optim import NamedOptimizer, build_optimizer

Tensors = dict[str, Tensor]


class Stack:
    """The nets of N models: ``parameters`` and ``buffers`` by name, each (N, ...).

    ``nets`` holds the same tensors as a module, for what works on a `Model`. Raises RuntimeError if
    the models differ in the names or shapes of their tensors.
    """

    averaged: tuple[str, ...] = ()

    def __init__(self, models: Sequence[Model]) -> None:
        self.models = models
        if any(_names(model.nets) != _names(models[0].nets) for model in models[1:]):
            raise RuntimeError("the seeds have networks of different names, shapes or types")
        with torch.no_grad():
            self.parameters = {
                name: nn.Parameter(torch.stack(tensors), tensors[0].requires_grad)
                for name, tensors in self._named("parameters")
            }
            self.buffers = {name: torch.stack(tensors) for name, tensors in self._named("buffers")}
        self.tensors: Mapping[str, Tensor] = {**self.parameters, **self.buffers}
        self.nets = nn.ModuleDict({"stack": _module(self.parameters, self.buffers)})
        self.refresh()

    def __len__(self) -> int:
        return len(self.models)

    @torch.no_grad()
    def refresh(self) -> None:
        """Make every tensor of the models a view again, keeping its value.

        A model may assign a new tensor to a buffer between two steps.
        """
        for name, tensors in (*self._named("parameters"), *self._named("buffers")):
            for own, view in zip(tensors, self.tensors[name].detach().unbind(), strict=True):
                if own.data_ptr() != view.data_ptr():
                    view.copy_(own)
                    own.data = view

    @contextmanager
    def swapped_in(self, tensors: Tensors) -> Iterator[None]:
        """Put one model's tensors, as `torch.func.vmap` passes them, into the first model's nets.

        Its losses read them there.
        """
        with _reparametrize_module(self.models[0].nets, tensors, tie_weights=True):
            yield

    def kept(self) -> Tensors:
        """A copy of all values, for `restore`."""
        return {name: tensor.detach().clone() for name, tensor in self.tensors.items()}

    @torch.no_grad()
    def restore(self, kept: Mapping[str, Tensor]) -> None:
        """Restore the values from `kept`."""
        self.refresh()
        for name, tensor in self.tensors.items():
            tensor.copy_(kept[name])

    def optimizers(self) -> Mapping[str, Optimizer]:
        """The optimizers of each of the models."""
        return self.models[0].optimizers()

    def stages(self) -> Sequence[Stage]:
        """The stages of each of the models."""
        return self.models[0].stages()

    def _named(self, kind: str) -> Iterator[tuple[str, tuple[Tensor, ...]]]:
        """The name of each parameter or buffer with the tensors of all models."""
        found = [dict(getattr(model.nets, f"named_{kind}")()) for model in self.models]
        for name in found[0]:
            yield name, tuple(tensors[name] for tensors in found)


def _module(parameters: Mapping[str, nn.Parameter], buffers: Mapping[str, Tensor]) -> nn.Module:
    """The tensors in one module; names of its tensors may not have dots."""
    module = nn.Module()
    for name, parameter in parameters.items():
        module.register_parameter(name.replace(".", "/"), parameter)
    for name, buffer in buffers.items():
        module.register_buffer(name.replace(".", "/"), buffer)
    return module


def _names(nets: nn.ModuleDict) -> list[tuple[object, ...]]:
    named = (*nets.named_parameters(), *nets.named_buffers())
    return [(name, tensor.shape, tensor.dtype) for name, tensor in named]


# --- optimizers


@dataclass(frozen=True, kw_only=True)
class StackedOptimizer(NamedOptimizer):
    """One optimizer over the stacked parameters of N models.

    All kinds of optimizers work element by element, so its step is the step of each of the N.
    ``members`` are the optimizers of the models, in the order of the stack.
    """

    members: tuple[NamedOptimizer, ...]

    @classmethod
    def of(cls, members: Sequence[NamedOptimizer], stack: Stack) -> StackedOptimizer:
        """The optimizer over those stacked parameters that the members update one by one."""
        first = members[0]
        names = {parameter: name for name, parameter in stack.models[0].nets.named_parameters()}
        leaves = tuple(stack.parameters[names[parameter]] for parameter in first.parameters)
        return cls(
            name=first.name,
            settings=first.settings,
            parameters=leaves,
            torch_optimizer=build_optimizer(first.settings, leaves),
            clip_norm=first.clip_norm,
            members=tuple(members),
        )

    def clip(self, *, measure: bool = False) -> Tensor | None:
        """As `NamedOptimizer.clip` for each model alone; with ``measure``, returns norms (N,)."""
        if self.clip_norm is None and not measure:
            return None
        grads = [p.grad for p in self.parameters if p.grad is not None]
        squares = torch.stack([grad.flatten(1).square().sum(1) for grad in grads])
        norms = squares.sum(0).sqrt()
        if self.clip_norm is not None:
            factors = (self.clip_norm / (norms + 1e-6)).clamp(max=1.0)
            shaped = [factors.view(-1, *[1] * (grad.dim() - 1)) for grad in grads]
            torch._foreach_mul_(grads, shaped)
        return norms.float() if measure else None

    def hand_back(self) -> None:
        """Give the optimizer of each member a copy of its part of the stacked state.

        Then it can be written into the checkpoint of its run. A view would be written with the
        parts of all others.
        """
        rate = self.torch_optimizer.param_groups[0]["lr"]
        for index, member in enumerate(self.members):
            for own, leaf in zip(member.parameters, self.parameters, strict=True):
                if (state := self.torch_optimizer.state.get(leaf)) is not None:
                    member.torch_optimizer.state[own] = {
                        name: _part(value, leaf, index) for name, value in state.items()
                    }
            for group in member.torch_optimizer.param_groups:
                group["lr"] = rate


def _part(value: object, leaf: Tensor, index: int) -> object:
    """The part of one model in a value of the stacked state: its elements, or all of a count."""
    if not isinstance(value, Tensor):
        return value
    return (value[index] if value.shape == leaf.shape else value).detach().clone()


def stacked_optimizers(
    members: Sequence[Mapping[str, NamedOptimizer]], stack: Stack
) -> dict[str, StackedOptimizer]:
    """One optimizer for each name, over the stack, for the optimizers of all models."""
    return {
        name: StackedOptimizer.of([member[name] for member in members], stack)
        for name in members[0]
    }


# --- averages


class StackedEMA:
    """The EMAs of N models, updated as one; the weights are views of a stack."""

    def __init__(self, averages: Sequence[EMA], stack: Stack) -> None:
        self.decay = averages[0].decay
        states = [average.state() for average in averages]
        self._shadow = {name: torch.stack([state[name] for state in states]) for name in states[0]}
        self._weights = {name: stack.parameters[name].detach() for name in self._shadow}
        for index, average in enumerate(averages):
            average.become_views({name: whole[index] for name, whole in self._shadow.items()})
        self._followed: tuple[list[Tensor], list[Tensor]] = ([], [])

    def follow(self, nets: Collection[str]) -> None:
        """Average the nets that a stage updates, as `EMA.follow` of each model does."""
        names = [name for name in self._weights if name.partition(".")[0] in nets]
        self._followed = (
            [self._shadow[name] for name in names],
            [self._weights[name] for name in names],
        )

    def update(self) -> None:
        """Update the averages of all models with their weights after an iteration."""
        shadows, weights = self._followed
        if shadows and self.decay is not None:
            with torch.no_grad():
                torch._foreach_lerp_(shadows, weights, 1.0 - self.decay)
