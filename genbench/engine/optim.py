"""Optimizers: who owns which parameters, at which rate they move, how far at most."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genbench.contracts import Model, Optimizer, Schedule
from genbench.errors import PluginError, suggest


@dataclass(frozen=True, kw_only=True)
class Player:
    """A named optimizer with the parameters that it alone owns."""

    name: str
    settings: Optimizer
    parameters: tuple[nn.Parameter, ...]
    optimizer: torch.optim.Optimizer
    clip_norm: float | None

    def clip(self, *, measure: bool = False) -> Tensor | None:
        """Scale the gradients so that their norm over all parameters is at most ``clip_norm``.

        Returns the norm before that (0-dim, on the device) where ``measure`` asks for it.
        """
        if self.clip_norm is not None:
            norm = nn.utils.clip_grad_norm_(self.parameters, self.clip_norm)
        elif measure:
            grads = [p.grad for p in self.parameters if p.grad is not None]
            norm = nn.utils.get_total_norm(grads)
        return norm.float() if measure else None

    def step(self, step: int, steps: int) -> None:
        """Move the parameters at the rate of iteration ``step`` of ``steps``."""
        schedule = self.settings.schedule
        if schedule.kind != "constant" or schedule.warmup:
            rate = self.settings.lr * factor(schedule, step, steps)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
        self.optimizer.step()


def factor(schedule: Schedule, step: int, steps: int) -> float:
    """The factor on the base rate at iteration ``step`` (from 0) of ``steps``: no state to save.

    Warm-up over w = warmup * steps iterations gives (step + 1) / w, not step / w, so that the
    first step moves. Decay goes over the share p of what follows the warm-up; "step" counts
    its drops over the whole stage.
    """
    warmup = schedule.warmup * steps
    if step + 1 < warmup:
        return (step + 1) / warmup
    p = min(1.0, max(0.0, step - warmup) / max(1.0, steps - warmup))
    if schedule.kind == "linear":
        return 1.0 - (1.0 - schedule.final) * p
    if schedule.kind == "cosine":
        return schedule.final + (1.0 - schedule.final) * 0.5 * (1.0 + math.cos(math.pi * p))
    if schedule.kind == "step":
        return float(schedule.gamma ** math.floor(step / steps / schedule.every))
    return 1.0


def build_players(model: Model, *, clip_norm: float | None) -> dict[str, Player]:
    """The optimizers of a model, on the device where its parameters are.

    ``clip_norm`` is the run's bound, for those that set none. Raises PluginError where one names
    a net that isn't there, owns nothing, or owns what another one owns.
    """
    players: dict[str, Player] = {}
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
        players[name] = Player(
            name=name,
            settings=settings,
            parameters=parameters,
            optimizer=_build(settings, parameters),
            clip_norm=clip_norm if settings.clip_norm is None else settings.clip_norm,
        )
    return players


def updated_nets(players: Mapping[str, Player], names: Sequence[str]) -> frozenset[str]:
    """The names of the nets that the named optimizers own."""
    return frozenset(net for name in names for net in players[name].settings.nets)


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


def _build(settings: Optimizer, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    """Fused kernels where PyTorch has them (one pass over all weights), else foreach."""
    fused = parameters[0].device.type in ("cpu", "cuda", "mps")
    decay = settings.weight_decay
    if settings.kind in ("adam", "adamw"):
        cls = torch.optim.Adam if settings.kind == "adam" else torch.optim.AdamW
        return cls(
            parameters,
            lr=settings.lr,
            betas=settings.betas,
            eps=settings.eps,
            weight_decay=decay,
            fused=fused,
        )
    if settings.kind == "sgd":
        momentum = settings.momentum
        return torch.optim.SGD(
            parameters, lr=settings.lr, momentum=momentum, weight_decay=decay, fused=fused
        )
    if settings.kind == "rmsprop":
        return torch.optim.RMSprop(
            parameters,
            lr=settings.lr,
            eps=settings.eps,
            momentum=settings.momentum,
            weight_decay=decay,
            foreach=True,
        )
    raise PluginError(f"unknown optimizer '{settings.kind}'; known: adam, adamw, rmsprop, sgd.")
