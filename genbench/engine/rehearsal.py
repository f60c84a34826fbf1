"""What a step does, operation by operation: would a graph of it compute the same as the step?

A graph repeats its kernels on the same addresses with the same numbers. So a step can be captured
if it waits for no value of the device, draws no random number on the host, and if two calls of it
are alike in all operations, numbers and addresses of tensors that they don't make themselves.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITING = frozenset(
    (
        "_local_scalar_dense",
        "nonzero",
        "masked_select",
        "_unique2",
        "unique_dim",
        "unique_consecutive",
        "bincount",
        "equal",
        "repeat_interleave",
    )
)
"""ATen operations that read values of the device, or make a tensor of a size that depends on them.
"""
FEW = 1_000
"""The number of values up to which tensors made of Python's numbers are compared."""
COPIES = frozenset(("_to_copy", "copy_"))
BY_MASK = frozenset(("index", "index_put", "index_put_", "_index_put_impl_"))
"""Operations that read a value of the device if they get a boolean mask."""


class Rehearsal(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows the operations of one step on ``device``; ``with Rehearsal(device) as seen: step()``.

    ``operations`` describes each of them: its name, and each tensor, number and generator that it
    got. ``obstacle`` says what can't be captured, and is empty if nothing was found.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._device = device
        self._made: set[int] = set()
        self._host = self._host_generators()
        self.operations: list[tuple[object, ...]] = []
        self.obstacle = ""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Describe one operation, and execute it."""
        given = tree_leaves((args, kwargs or {}))
        result = func(*args, **(kwargs or {}))
        inputs = [leaf for leaf in given if isinstance(leaf, Tensor)]
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        name = func._schema.name.partition("::")[2]
        self.obstacle = self.obstacle or self._found(name, inputs, outputs)
        before = {_address(tensor) for tensor in inputs}
        if name == "lift_fresh":  # what torch.tensor returns: known by its values
            self.operations.append((str(func), *(_values(tensor) for tensor in inputs)))
            before = set()
        else:
            self.operations.append((str(func), *(self._described(leaf) for leaf in given)))
        self._made.update(_address(tensor) for tensor in outputs if _address(tensor) not in before)
        return result

    def end(self) -> str:
        """The obstacle after the step, which may be that it drew random numbers on the host."""
        if not self.obstacle and self._host != self._host_generators():
            self.obstacle = "it draws random numbers on the host"
        return self.obstacle

    def _described(self, leaf: object) -> object:
        if isinstance(leaf, Tensor) and self._is_number(leaf):
            return _values(leaf)
        if isinstance(leaf, Tensor):
            address = _address(leaf)
            known = "" if address in self._made else address
            return (tuple(leaf.shape), str(leaf.dtype), leaf.stride(), known)
        if isinstance(leaf, torch.Generator):
            return id(leaf)
        return repr(leaf)

    def _found(self, name: str, inputs: list[Tensor], outputs: list[Tensor]) -> str:
        masked = name in BY_MASK and any(x.dtype in (torch.bool, torch.uint8) for x in inputs[1:])
        if name in WAITING or masked:
            return f"it waits for a value of the device ({name})"
        kinds = {tensor.device.type for tensor in (*inputs, *outputs)}
        if (name in COPIES and len(kinds) > 1) or (name == "lift_fresh" and kinds - {"cpu"}):
            return f"it copies values between the host and the device ({name})"
        foreign = {
            tensor.device.type for tensor in (*inputs, *outputs) if not self._is_number(tensor)
        } - {self._device.type}
        return f"it uses a tensor on {', '.join(sorted(foreign))} ({name})" if foreign else ""

    def _is_number(self, tensor: Tensor) -> bool:
        """Whether an operation of another device reads a tensor as it reads a number of Python."""
        return tensor.dim() == 0 and tensor.device.type == "cpu" != self._device.type

    def _host_generators(self) -> tuple[object, ...]:
        """The states of the generators of the host; on the CPU, torch's own is the device's."""
        numpy: Any = np.random.get_state(legacy=True)
        found: tuple[object, ...] = (random.getstate(), numpy[1].tobytes(), *numpy[2:])
        if self._device.type == "cpu":
            return found
        return (*found, torch.get_rng_state().numpy().tobytes())


def difference(a: Rehearsal, b: Rehearsal) -> str:
    """What two steps did differently, which a graph would not do; empty if they are alike."""
    if len(a.operations) != len(b.operations):
        return "its number of operations differs from step to step"
    for first, second in zip(a.operations, b.operations, strict=True):
        if first != second:
            return f"an operation differs from step to step ({_shown(first, second)})"
    return ""


def _shown(first: tuple[object, ...], second: tuple[object, ...]) -> str:
    """'aten.mul.Tensor: 0.1, then 0.2', or the name alone if a tensor differs."""
    name = str(first[0])
    if first[0] != second[0]:
        return f"{name}, then {second[0]}"
    pairs = zip(first[1:], second[1:], strict=False)
    one, other = next(((x, y) for x, y in pairs if x != y), ("", ""))
    if isinstance(one, str) and isinstance(other, str):
        return f"{name}: {one}, then {other}"
    return f"{name}: another tensor"


def _values(tensor: Tensor) -> str:
    """The values of a small tensor of the host; reading one of the device would be a wait."""
    readable = tensor.device.type == "cpu" and tensor.numel() <= FEW
    return repr(tensor.tolist()) if readable else repr(tuple(tensor.shape))


def _address(tensor: Tensor) -> int:
    """The address of a tensor's storage; 0 for a sparse tensor, which has none."""
    return tensor.untyped_storage().data_ptr() if tensor.layout is torch.strided else 0
