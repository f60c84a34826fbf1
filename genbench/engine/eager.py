"""torch's optimizers without TorchDynamo, which takes as long to import as torch itself.

`torch.optim` imports TorchDynamo at its first use only to keep `torch.compile` out of its own
functions. The engine compiles losses and never a step, so there is nothing to keep out: a run
starts 1 s earlier on an ordinary core (4.1 of 8.5 s of a slow one), and a step of a small network
takes less time. This uses private parts of torch; where a version has others, the ordinary
functions are called, which do the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from inspect import unwrap
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

_ENGINE: Any = getattr(torch.autograd.Variable, "_execution_engine", None)
WRAPPED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")


@functools.cache
def leave_dynamo_out() -> None:
    """Tell torch that nothing has to be hidden from TorchDynamo in these methods."""
    for name in WRAPPED:
        plain = getattr(getattr(Optimizer, name), "__wrapped__", None)
        if plain is not None:
            vars(plain).setdefault("__dynamo_disable", plain)


def eager_step(optimizer: Optimizer) -> Callable[[], object]:
    """The step of ``optimizer`` without graph breaks, profiler ranges and hooks."""
    plain = functools.partial(torch.no_grad()(unwrap(type(optimizer).step)), optimizer)
    return FusedAdam(optimizer, plain) if _is_fused_adam(optimizer) else plain


def eager_backward(
    total: Tensor, *, inputs: Sequence[Tensor] | None = None, retain_graph: bool = False
) -> None:
    """`torch.autograd.backward` of a scalar on the CPU without its checks of arguments.

    It also copies the context of the thread, which only the threads of other devices need.
    """
    if _ENGINE is None:
        torch.autograd.backward(total, inputs=inputs, retain_graph=retain_graph)
        return
    leaves = () if inputs is None else tuple(inputs)
    one = torch.ones_like(total)
    _ENGINE.run_backward(
        (total,), (one,), retain_graph, False, leaves, allow_unreachable=True, accumulate_grad=True
    )


def _is_fused_adam(optimizer: Optimizer) -> bool:
    """Whether one call of torch's fused kernel is the whole step."""
    [group, *others] = optimizer.param_groups
    kinds = {(p.device, p.dtype) for p in group["params"]}
    fused = isinstance(optimizer, Adam) and group.get("fused")
    odd = any(group.get(name) for name in ("amsgrad", "maximize", "differentiable"))
    return bool(fused) and not (odd or others or len(kinds) > 1)


class FusedAdam:
    """A step of fused Adam or AdamW; its lists of tensors are made once.

    torch makes them again in each step, and counts the steps of each parameter by itself, which
    takes as long as the kernel for a small network. Here these counts are views of one tensor, so
    that one operation counts for all; the state keeps its form, and all numbers are the same.
    """

    def __init__(self, optimizer: Optimizer, plain: Callable[[], object]) -> None:
        self._optimizer, self._plain = optimizer, plain
        self._state: object = None

    @torch.no_grad()
    def __call__(self) -> None:
        """Take a step; the first one, and one without all gradients, is torch's own."""
        if self._state is not self._optimizer.state:
            self._gather()
        grads: list[Any] = [p.grad for p in self._parameters]
        if self._state is None or any(grad is None for grad in grads):
            self._plain()
            return
        self._count.add_(1)
        group = self._group
        beta1, beta2 = group["betas"]
        self._kernel(
            self._parameters,
            grads,
            self._means,
            self._squares,
            [],
            self._counts,
            amsgrad=False,
            lr=group["lr"],
            beta1=beta1,
            beta2=beta2,
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )

    def _gather(self) -> None:
        """Take over the state, which the first step makes, and which loading it replaces."""
        self._state = None
        [self._group] = self._optimizer.param_groups
        self._parameters: list[Tensor] = self._group["params"]
        states: list[dict[str, Any]] = [
            self._optimizer.state[p] for p in self._parameters if p in self._optimizer.state
        ]
        if len(states) < len(self._parameters):
            return
        decoupled = self._group.get("decoupled_weight_decay", False)
        self._kernel = torch._fused_adamw_ if decoupled else torch._fused_adam_
        self._means = [state["exp_avg"] for state in states]
        self._squares = [state["exp_avg_sq"] for state in states]
        self._count = torch.stack([state["step"] for state in states])
        self._counts = list(self._count.unbind())
        for state, count in zip(states, self._counts, strict=True):
            state["step"] = count
        self._state = self._optimizer.state
