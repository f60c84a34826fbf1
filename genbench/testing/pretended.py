"""A pretended CUDA device on a machine without one: CPU tensors that are kept apart by their place.

Inside `pretended_cuda`, ``tensor.to("cuda")`` and ``torch.zeros(..., device="cuda")`` give ordinary
tensors of the CPU that say that they are on ``cuda:0``. Every operation is looked at twice: as it
is called in Python, where devices are named, and as it reaches the kernels, below autograd, where
also the backward passes of all orders run. An operation on tensors of both places raises as on a
GPU. Values are real, so that everything runs: solvers, double backward, samplers that reject.

PyTorch's FakeTensorMode knows no values, and its tensors can't be differentiated twice on a PyTorch
that was built without CUDA. What is not seen here: kernels that CUDA lacks, and how it rounds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple
from unittest import mock

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors
from torch.utils._python_dispatch import TorchDispatchMode

CUDA = torch.device("cuda", 0)

Place = Literal["cpu", "cuda", "either"]
"""Where a tensor is. PyTorch itself makes some (in a backward pass, say) that fit ``either``."""


class PretendedDeviceError(RuntimeError):
    """What a GPU would refuse, or would wait for; the message ends with the line that did it."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}, at {_line()}")


class PretendedCUDA:
    """The device while it is pretended; `pretended_cuda` makes it."""

    def __init__(self) -> None:
        self.places = _PLACES
        self.waiting_is_an_error = False

    @contextmanager
    def without_waiting(self) -> Iterator[None]:
        """Inside, an operation for which the host would wait for the device is an error."""
        before, self.waiting_is_an_error = self.waiting_is_an_error, True
        try:
            yield
        finally:
            self.waiting_is_an_error = before

    @contextmanager
    def waiting_allowed(self) -> Iterator[None]:
        """Inside, values may be read: for what waits on the CPU only."""
        before, self.waiting_is_an_error = self.waiting_is_an_error, False
        try:
            yield
        finally:
            self.waiting_is_an_error = before

    def waits(self, what: str) -> None:
        """Raise if waiting is an error at present."""
        if self.waiting_is_an_error:
            raise PretendedDeviceError(f"{what}: the host waits for the device")


@contextmanager
def pretended_cuda() -> Iterator[PretendedCUDA]:
    """Pretend that this machine has the device ``cuda:0``, for tensors that are made or moved."""
    device = PretendedCUDA()
    calls = _Calls(device)
    with ExitStack() as stack:
        for name, stand_in in _RUNTIME.items():
            stack.enter_context(mock.patch(name, stand_in))
        stack.enter_context(_Kernels(device, calls))
        stack.enter_context(calls)
        yield device


class _DeviceGenerator(torch._C.Generator):
    """A generator of the CPU that says that it is one of the device."""

    device = CUDA


class _Generators(type):
    """Stands in for `torch.Generator`, the class."""

    def __call__(cls, device: Any = "cpu") -> torch._C.Generator:
        return _DeviceGenerator() if _place(device) == "cuda" else torch._C.Generator()

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, torch._C.Generator)


class _Generator(metaclass=_Generators):
    """``torch.Generator(device)``."""


def _grouped(lists: Any, with_indices: bool = False) -> Any:
    """`torch._C._group_tensors_by_device_and_dtype` for tensors that are all at one place."""
    found = _REAL_GROUPS(lists, with_indices)
    there = any(t is not None and _PLACES.of(t) == "cuda" for tensors in lists for t in tensors)
    return {(CUDA if there else device, dtype): v for (device, dtype), v in found.items()}


_REAL_GROUPS = torch._C._group_tensors_by_device_and_dtype
_RUNTIME: Mapping[str, Callable[..., Any]] = {
    "torch.cuda.synchronize": lambda device=None: None,
    "torch.cuda.get_rng_state": lambda device=None: torch.get_rng_state(),
    "torch.cuda.set_rng_state": lambda state, device=None: torch.set_rng_state(state),
    "torch.cuda.mem_get_info": lambda device=None: (2**34, 2**34),
    "torch.cuda.max_memory_allocated": lambda device=None: 0,
    "torch.cuda.reset_peak_memory_stats": lambda device=None: None,
    "torch.Generator": _Generator,
    "torch._C._group_tensors_by_device_and_dtype": _grouped,
}
"""What asks for a device beside tensors; the default generator of the device is that of the CPU."""


class _Places:
    """The places of storages; what is not known is on the CPU.

    Weak references keep the address of a storage from being used again while it is an entry.
    """

    def __init__(self) -> None:
        self._known: dict[int | None, tuple[StorageWeakRef, Place]] = {}

    def of(self, tensor: Tensor) -> Place:
        entry = self._known.get(_address(tensor))
        return "cpu" if entry is None else entry[1]

    def put(self, value: Any, place: Place) -> Any:
        """Note the place of every tensor in a result, and return the result."""
        for tensor in _tensors((value,)):
            storage = _storage(tensor)
            if storage is None:
                continue
            address = storage._cdata
            if place == "cpu":
                self._known.pop(address, None)
            elif address not in self._known or self._known[address][1] != place:
                self._known[address] = _weak(storage), place
        if len(self._known) > MOST:
            self._known = {k: v for k, v in self._known.items() if not _expired(v[0])}
        return value


MOST = 10_000
"""Entries from which on those of freed storages are removed."""
_PLACES = _Places()
"""One for all, since caches of the process, such as shared networks, outlive a pretended device."""


def _weak(storage: Any) -> StorageWeakRef:
    return StorageWeakRef(storage)  # type: ignore[no-untyped-call]


def _expired(reference: StorageWeakRef) -> bool:
    return bool(reference.expired())  # type: ignore[no-untyped-call]


def _storage(tensor: Tensor) -> Any:
    """The storage of a tensor, or None for what has none, such as sparse tensors."""
    try:
        return tensor.untyped_storage()
    except (NotImplementedError, RuntimeError):
        if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
            return _storage(torch._C._functorch.get_unwrapped(tensor))
        return None


def _address(tensor: Tensor) -> int | None:
    storage = _storage(tensor)
    return None if storage is None else storage._cdata


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    """The tensors in arguments or results, which hold them bare or in one level of lists."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found.extend(leaf for leaf in value if isinstance(leaf, Tensor))
    return found


# --- calls in Python: devices by name -------------------------------------------------------------


class _Calls(TorchFunctionMode):
    """Answers questions about devices, and makes and moves tensors."""

    def __init__(self, device: PretendedCUDA) -> None:
        super().__init__()
        self.device, self.places = device, device.places
        self.names_devices = False

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        special = _SPECIAL.get(func)
        if special is not None:
            return special(self, func, *args, **kwargs)
        if func in _device_constructors() or "device" in kwargs:
            return self.make(func, args, kwargs)
        return func(*args, **kwargs)

    def make(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """A new tensor on the device that is asked for, else on that of a tensor it is made of."""
        asked = kwargs.get("device")
        given = _tensors(args)
        place = _place(asked) if asked is not None else _first_place(self.places, given)
        if place == "cuda":
            _check_generator(_name(func), [*kwargs.values()])
        if place == "cuda" and func in _FROM_HOST and not given:
            self.device.waits(f"{_name(func)}(..., device=cuda) copies values of the host")
        real = {k: v for k, v in kwargs.items() if k != "pin_memory"}
        if asked is not None:
            real["device"] = "cpu"
        before, self.names_devices = self.names_devices, True
        try:
            made = func(*args, **real)
        finally:
            self.names_devices = before
        if given and self.places.of(made) != place:
            made = made.clone()
        return self.places.put(made, place)

    def move(self, tensor: Tensor, place: Place, *, waits: bool) -> Tensor:
        """The tensor itself if it is there, else a copy through which gradients pass."""
        if self.places.of(tensor) == place:
            return tensor
        if waits:
            self.device.waits(f"a copy from {self.places.of(tensor)} to {place}")
        moved: Tensor = self.places.put(tensor.clone(), place)
        return moved


def _place(device: Any) -> Place:
    return "cuda" if torch.device(device).type == "cuda" else "cpu"


def _first_place(places: _Places, given: Sequence[Tensor]) -> Place:
    return places.of(given[0]) if given else "cpu"


def _device(calls: _Calls, func: Any, tensor: Tensor, *_: Any) -> torch.device:
    real: torch.device = func(tensor)
    return CUDA if calls.places.of(tensor) == "cuda" else real


def _is_cuda(calls: _Calls, func: Any, tensor: Tensor, *_: Any) -> bool:
    return calls.places.of(tensor) == "cuda"


def _is_cpu(calls: _Calls, func: Any, tensor: Tensor, *_: Any) -> bool:
    return calls.places.of(tensor) != "cuda"


def _get_device(calls: _Calls, func: Any, tensor: Tensor) -> int:
    return 0 if calls.places.of(tensor) == "cuda" else -1


def _to(calls: _Calls, func: Any, tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    other, copy = kwargs.pop("other", None), kwargs.pop("copy", False)
    if args and isinstance(args[0], Tensor):
        other, args = args[0], args[1:]
    if other is not None:
        place: Place | None = calls.places.of(other)
        dtype, non_blocking = other.dtype, bool(kwargs.get("non_blocking", args[:1] == (True,)))
    else:
        named, dtype, non_blocking, _ = torch._C._nn._parse_to(*args, **kwargs)
        place = None if named is None else _place(named)
    result = tensor if dtype is None else tensor.to(dtype)
    if kwargs.get("memory_format") is not None:
        result = result.contiguous(memory_format=kwargs["memory_format"])
    if copy and result is tensor:
        result = tensor.clone()
    if place is None or place == "either":
        return result
    return calls.move(result, place, waits=place == "cpu" or not non_blocking)


def _cuda(
    calls: _Calls, func: Any, tensor: Tensor, device: Any = None, non_blocking: bool = False
) -> Tensor:
    return calls.move(tensor, "cuda", waits=not non_blocking)


def _cpu(calls: _Calls, func: Any, tensor: Tensor, *_: Any, **__: Any) -> Tensor:
    return calls.move(tensor, "cpu", waits=True)


def _numpy(calls: _Calls, func: Any, tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
    if calls.places.of(tensor) == "cuda":
        raise PretendedDeviceError(
            f"{_name(func)}() can't convert a tensor on cuda to NumPy; use tensor.cpu() first"
        )
    return func(tensor, *args, **kwargs)


def _read(calls: _Calls, func: Any, tensor: Tensor, *args: Any) -> Any:
    if calls.places.of(tensor) == "cuda":
        calls.device.waits(f"{_name(func)}() reads a value of a tensor on cuda")
    return func(tensor, *args)


def _new_tensor(calls: _Calls, func: Any, *args: Any, **kwargs: Any) -> Any:
    if calls.places.of(args[0]) == "cuda":
        calls.device.waits("new_tensor(...) copies values of the host")
    return calls.make(func, args, kwargs)


def _copied(calls: _Calls, func: Any, tensor: Tensor, memo: Any) -> Any:
    """A deep copy of the storage passes by the kernels."""
    return calls.places.put(func(tensor, memo), calls.places.of(tensor))


def _unwatched(calls: _Calls, func: Any, *args: Any, **kwargs: Any) -> Any:
    """Functions that read values on the CPU only (to check an index)."""
    with calls.device.waiting_allowed():
        return func(*args, **kwargs)


def _assigned(calls: _Calls, func: Any, tensor: Tensor, key: Any, value: Any) -> Any:
    """A Python number is written without a copy from the host."""
    if isinstance(value, Tensor):
        return func(tensor, key, value)
    return _unwatched(calls, func, tensor, key, value)


_SPECIAL: Mapping[Any, Callable[..., Any]] = {
    Tensor.device.__get__: _device,
    vars(torch._C.TensorBase)["is_cuda"].__get__: _is_cuda,
    vars(torch._C.TensorBase)["is_cpu"].__get__: _is_cpu,
    Tensor.get_device: _get_device,
    Tensor.to: _to,
    Tensor.cuda: _cuda,
    Tensor.cpu: _cpu,
    Tensor.pin_memory: lambda calls, func, tensor, *_: tensor,
    Tensor.numpy: _numpy,
    Tensor.__array__: _numpy,
    Tensor.item: _read,
    Tensor.tolist: _read,
    Tensor.__bool__: _read,
    Tensor.__float__: _read,
    Tensor.__int__: _read,
    Tensor.__index__: _read,
    Tensor.__repr__: _read,
    Tensor.__format__: _read,
    Tensor.new_tensor: _new_tensor,
    Tensor.__deepcopy__: _copied,
    Tensor.__setitem__: _assigned,
    torch.nn.functional.one_hot: _unwatched,
}
_FROM_HOST = (torch.tensor, torch.as_tensor, torch.asarray)


# --- kernels: the places of what is computed with -------------------------------------------------


class _Kernels(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operation below autograd; its results are where its inputs are."""

    def __init__(self, device: PretendedCUDA, calls: _Calls) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._device, self._places, self._calls = device, device.places, calls

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled here; otherwise PyTorch imports TorchDynamo first [2 s]."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        given = _tensors((*args, *kwargs.values()))
        places = [self._places.of(tensor) for tensor in given]
        if "cuda" not in places:
            result = func(*args, **kwargs)
            if "cpu" not in places and (given or not self._calls.names_devices):
                self._places.put(result, "either")
            return result
        kind = _kind(func)
        if "cpu" in places:
            self._check_places(kind, args, given, places)
        if self._device.waiting_is_an_error:
            self._check_waiting(kind, args, kwargs, places)
        if kind.draws:
            _check_generator(kind.name, (*args, *kwargs.values()))
        return self._keep(func(*args, **kwargs), given, places)

    def _keep(self, result: Any, given: list[Tensor], places: list[Place]) -> Any:
        """New tensors, and those that could be anywhere, are on the device from now on."""
        pairs = zip(given, places, strict=True)
        here = {_address(tensor) for tensor, place in pairs if place == "cpu"}
        for tensor in _tensors((result,)):
            if not here or _address(tensor) not in here:
                self._places.put(tensor, "cuda")
        return result

    def _check_places(
        self, kind: _Kind, args: Sequence[Any], given: list[Tensor], places: list[Place]
    ) -> None:
        if kind.copies or (kind.indexes and places[0] == "cuda"):
            return
        for tensor, place in zip(given, places, strict=True):
            scalar = kind.takes_scalars and tensor.dim() == 0
            if place == "cpu" and (not scalar or (kind.writes and tensor is args[0])):
                raise PretendedDeviceError(
                    f"all tensors must be on the same device, but {kind.name} gets one on the "
                    f"CPU, of shape {tuple(tensor.shape)}, with others on cuda"
                )

    def _check_waiting(
        self, kind: _Kind, args: Sequence[Any], kwargs: Mapping[str, Any], places: list[Place]
    ) -> None:
        if kind.indexes:
            values = args[2:3]
            if _masked(args[1]) and not (values and values[0].numel() == 1):
                self._device.waits("an index of booleans has a size that the host must know")
            elif "cpu" in places:
                self._device.waits("an index on the CPU is copied to the device")
        elif kind.copies:
            blocking = not kwargs.get("non_blocking", args[2] if len(args) > 2 else False)
            if "cpu" in places and blocking:
                self._device.waits(f"{kind.name} copies between the CPU and the device")
        elif kind.reads:
            self._device.waits(f"{kind.name} gives the host what depends on values")


class _Kind(NamedTuple):
    """What decides how the places of an operation's inputs may differ, and whether it waits."""

    name: str
    copies: bool
    indexes: bool
    takes_scalars: bool
    writes: bool
    reads: bool
    draws: bool


@cache
def _kind(func: Any) -> _Kind:
    name = str(func.overloadpacket).removeprefix("aten.")
    arguments = func._schema.arguments
    return _Kind(
        name=name,
        copies=name in ("copy_", "_foreach_copy_"),
        indexes=name in ("index", "index_put", "index_put_", "_index_put_impl_"),
        takes_scalars=torch.Tag.pointwise in func.tags or name.startswith("_foreach_"),
        writes=arguments[0].alias_info is not None and arguments[0].alias_info.is_write,
        reads=bool(_READS & {*func.tags}),
        draws=any("Generator" in str(argument.type) for argument in arguments),
    )


_READS = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}


def _check_generator(name: str, given: Sequence[Any]) -> None:
    if any(isinstance(g, torch._C.Generator) and g.device.type == "cpu" for g in given):
        raise PretendedDeviceError(
            f"{name} needs a generator on cuda, but it is given one on the CPU"
        )


def _masked(index: Sequence[Any]) -> bool:
    return any(t.dtype in (torch.bool, torch.uint8) for t in _tensors(index))


# --- where it happened ----------------------------------------------------------------------------


def _name(func: Any) -> str:
    return str(getattr(func, "__name__", func))


_TORCH = str(Path(torch.__file__).parent)


def _line() -> str:
    """The innermost line that is neither in PyTorch nor in this file."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        file = frame.f_code.co_filename
        if file != __file__ and not file.startswith((_TORCH, "<")):
            break
        frame = frame.f_back
    folder, name = Path(frame.f_code.co_filename).parts[-2:]
    return f"{folder}/{name}:{frame.f_lineno} ({frame.f_code.co_name})"
