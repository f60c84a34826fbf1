"""Optimizers: their parameters, learning rates and gradient clipping."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from genbench.contracts import Model, Optimizer, Schedule
from genbench.engine.eager import eager_step, leave_dynamo_out
from genbench.errors import PluginError, suggest


@dataclass(frozen=True, kw_only=True)
class NamedOptimizer:
    """A named optimizer with the parameters that only it updates."""

    name: str
    settings: Optimizer
    parameters: tuple[nn.Parameter, ...]
    torch_optimizer: torch.optim.Optimizer
    clip_norm: float | None

    def clip(self, *, measure: bool = False) -> Tensor | None:
        """Scale the gradients so that their norm over all parameters is at most ``clip_norm``.

        With ``measure``, returns the norm before clipping (0-dim, on the device).
        """
        if self.clip_norm is not None:
            norm = nn.utils.clip_grad_norm_(self.parameters, self.clip_norm)
        elif measure:
            grads = [p.grad for p in self.parameters if p.grad is not None]
            norm = nn.utils.get_total_norm(grads)
        return norm.float() if measure else None

    def set_rate(self, step: int, steps: int) -> None:
        """Set the learning rate of iteration ``step`` of ``steps``."""
        schedule = self.settings.schedule
        if schedule.kind != "constant" or schedule.warmup:
            rate = self.settings.lr * factor(schedule, step, steps)
            for group in self.torch_optimizer.param_groups:
                group["lr"] = rate
            if "_rate" in vars(self):
                self._rate.fill_(rate)

    @cached_property
    def step(self) -> Callable[[], object]:
        """Take a step, by the gradients and the learning rate that are set."""
        return eager_step(self.torch_optimizer)

    @contextmanager
    def capturable(self) -> Iterator[None]:
        """Inside, a step reads and writes tensors of the device only, as a CUDA graph must.

        The learning rate is a tensor, which `set_rate` keeps up to date, and so are counts of
        steps. A graph has no other form of them, while a step outside of one is slower with them.
        """
        groups = self.torch_optimizer.param_groups
        kept: list[dict[str, Any]] = [
            {key: group[key] for key in ("lr", "capturable") if key in group} for group in groups
        ]
        for group in groups:
            group["lr"] = self._rate
            if "capturable" in group:
                group["capturable"] = True
        for state in self.torch_optimizer.state.values():
            if "step" in state:
                state["step"] = state["step"].to(self._rate.device)
        try:
            yield
        finally:
            for group, values in zip(groups, kept, strict=True):
                group.update(values)

    @cached_property
    def _rate(self) -> Tensor:
        """The learning rate on the device, in the precision of fused kernels."""
        rate = self.torch_optimizer.param_groups[0]["lr"]
        return torch.tensor(rate, dtype=torch.float32, device=self.parameters[0].device)


def factor(schedule: Schedule, step: int, steps: int) -> float:
    """The factor on the base rate at iteration ``step`` (from 0) of ``steps``; it has no state.

    Warm-up over w = warmup * steps iterations gives (step + 1) / w, not step / w, so that the
    first rate isn't 0. The decay uses the share p of the iterations after the warm-up and the
    constant part; "step" counts its drops over the whole stage.
    """
    warmup = schedule.warmup * steps
    if step + 1 < warmup:
        return (step + 1) / warmup
    full = warmup + schedule.hold * steps
    p = min(1.0, max(0.0, step - full) / max(1.0, steps - full))
    if schedule.kind == "linear":
        return 1.0 - (1.0 - schedule.final) * p
    if schedule.kind == "cosine":
        return schedule.final + (1.0 - schedule.final) * 0.5 * (1.0 + math.cos(math.pi * p))
    if schedule.kind == "step":
        return float(schedule.gamma ** math.floor(step / steps / schedule.every))
    return 1.0


def build_optimizers(model: Model, *, clip_norm: float | None) -> dict[str, NamedOptimizer]:
    """The optimizers of a model, on the device of its parameters.

    ``clip_norm`` is the bound of the run, for optimizers without their own. Raises PluginError if
    an optimizer names an unknown net, has no parameters, or shares one with another optimizer.
    """
    leave_dynamo_out()
    optimizers: dict[str, NamedOptimizer] = {}
    owners: dict[nn.Parameter, str] = {}
    for name, settings in model.optimizers().items():
        parameters = _parameters(model.nets, name, settings.nets)
        for parameter in parameters:
            owner = owners.setdefault(parameter, name)
            if owner != name:
                raise PluginError(
                    f"the optimizers '{owner}' and '{name}' share a parameter of the nets "
                    f"{', '.join(settings.nets)}; each parameter may have one owner"
                )
        optimizers[name] = NamedOptimizer(
            name=name,
            settings=settings,
            parameters=parameters,
            torch_optimizer=build_optimizer(settings, parameters),
            clip_norm=clip_norm if settings.clip_norm is None else settings.clip_norm,
        )
    return optimizers


def updated_nets(optimizers: Mapping[str, NamedOptimizer], names: Sequence[str]) -> frozenset[str]:
    """The names of the nets that the named optimizers own."""
    return frozenset(net for name in names for net in optimizers[name].settings.nets)


def _parameters(nets: nn.ModuleDict, name: str, owned: Sequence[str]) -> tuple[nn.Parameter, ...]:
    found: dict[nn.Parameter, None] = {}
    for net in owned:
        if net not in nets:
            raise PluginError(f"optimizer '{name}': unknown net '{net}'{suggest(net, nets)}")
        found.update((parameter, None) for parameter in nets[net].parameters())
    trainable = tuple(parameter for parameter in found if parameter.requires_grad)
    if not trainable:
        raise PluginError(f"optimizer '{name}' owns no parameter: its nets are {tuple(owned)}")
    return trainable


def build_optimizer(
    settings: Optimizer, parameters: Sequence[nn.Parameter]
) -> torch.optim.Optimizer:
    """Build it with fused kernels if PyTorch has them (one pass over all weights), else foreach."""
    common: dict[str, Any] = {"lr": settings.lr, "weight_decay": settings.weight_decay}
    fused = parameters[0].device.type in ("cpu", "cuda", "mps")
    if settings.kind in ("adam", "adamw"):
        cls = torch.optim.Adam if settings.kind == "adam" else torch.optim.AdamW
        return cls(parameters, betas=settings.betas, eps=settings.eps, fused=fused, **common)
    common["momentum"] = settings.momentum
    if settings.kind == "sgd":
        return torch.optim.SGD(parameters, fused=fused, **common)
    if settings.kind == "rmsprop":
        return torch.optim.RMSprop(parameters, eps=settings.eps, foreach=True, **common)
    raise PluginError(f"unknown optimizer '{settings.kind}'; known: adam, adamw, rmsprop, sgd.")
