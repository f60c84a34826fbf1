"""Which networks take part in a computation: those with tensors that its operations read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode


class _Seen(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Collects the storages that operations read."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.storages: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for leaf in torch.utils._pytree.tree_leaves((args, kwargs)):
            if isinstance(leaf, Tensor) and not leaf.is_mkldnn:  # packed weights have no storage
                self.storages.add(leaf.untyped_storage().data_ptr())
        return func(*args, **(kwargs or {}))


def used_nets(nets: nn.ModuleDict, work: Callable[[], object]) -> dict[str, nn.Module]:
    """The nets with a parameter or a buffer that ``work`` reads, without gradients.

    Hooks on modules would not do: a flow's inverse, for one, calls none of its modules.
    """
    with torch.no_grad(), _Seen() as seen:
        work()

    def used(net: nn.Module) -> bool:
        state = (*net.parameters(), *net.buffers())
        return any(tensor.untyped_storage().data_ptr() in seen.storages for tensor in state)

    return {name: net for name, net in nets.items() if used(net)}
