"""Graphs on the CPU: a tape of the ATen operations of a move, which replays them as a graph does.

A replay executes the recorded operations on the recorded tensors, with the numbers that they had
when they were recorded: what a CUDA graph would freeze, the tape freezes too. Like a capture, the
recording itself changes nothing, and reading a value of a tensor within it is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from genbench.engine.rehearsal import WAITING


class Tape:
    """`genbench.engine.graphs.Graphs` on the CPU; ``captures`` counts its graphs."""

    def __init__(self) -> None:
        self.captures = 0

    def rehearsal(self):
        return nullcontext()

    def capture(self, move: Callable[[], object]):
        random = torch.get_rng_state()
        recording = _Recording()
        try:
            with recording:
                result = move()
        finally:
            recording.undo()
            torch.set_rng_state(random)
        self.captures += 1
        return result, recording.replay


class _Recording(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self._operations = []
        self._kept: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}
        self._made: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func._schema.name.partition("::")[2] in WAITING:
            raise RuntimeError("operation not permitted when stream is capturing")
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        for tensor in inputs:
            if (place := _storage(tensor)) not in self._made and place not in self._kept:
                storage = tensor.untyped_storage()
                self._kept[place] = (storage, storage.clone())
        result = func(*args, **kwargs)
        mine = {_storage(tensor) for tensor in inputs}
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        fresh = [_storage(tensor) not in mine for tensor in outputs]
        self._made.update(_storage(t) for t, new in zip(outputs, fresh, strict=True) if new)
        if outputs and not any(fresh) and not func._schema.is_mutable:
            return result  # a view
        self._operations.append((func, args, kwargs, outputs, fresh))
        return result

    def undo(self) -> None:
        for storage, before in self._kept.values():
            storage.copy_(before)
        self._kept.clear()

    @torch.no_grad()
    def replay(self) -> None:
        for func, args, kwargs, outputs, fresh in self._operations:
            result = [x for x in tree_leaves(func(*args, **kwargs)) if isinstance(x, Tensor)]
            for tensor, again, new in zip(outputs, result, fresh, strict=True):
                if new:
                    tensor.copy_(again)


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
