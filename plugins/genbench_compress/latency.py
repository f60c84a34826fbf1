"""latency: how long a draw of few samples takes, and the memory that it needs.

`samples_per_second` measures large batches. These times matter to a person who waits for one
picture, or to a game that draws a hundred.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from genbench import Conditional, MetricContext, Score, cpu_name, rendered, synchronize
from genbench_compress.cost_settings import LatencySettings
from genbench_compress.size import made_with


class Latency:
    """``ms_at_B`` and ``samples_per_second_at_B`` for batches of B, and ``peak_memory``."""

    uses = "model"
    requires = ("generates",)

    def __init__(self, settings: LatencySettings | None = None) -> None:
        self.settings = settings or LatencySettings()

    def begin(self, context: MetricContext) -> None:
        """Keep the context."""
        self._context = context

    def update(self, images: Tensor) -> None:
        """Samples are not used: this metric measures the model itself."""

    def result(self) -> Sequence[Score]:
        """Two scores for each batch size, and the memory with the largest of them."""
        found: list[Score] = []
        for size in self.settings.batch_sizes:
            self._draw(size)
            ms = 1e3 * median(self._seconds(size) for _ in range(self.settings.runs))
            found.append(self._score(f"ms_at_{size}", ms, "ms", "min", size))
            rate = 1e3 * size / ms
            found.append(self._score(f"samples_per_second_at_{size}", rate, "1/s", "max", size))
        largest = max(self.settings.batch_sizes)
        found.append(self._score("peak_memory", self._peak(largest), "B", "min", largest))
        return found

    def _score(self, name: str, value: float, unit: str, direction: Any, size: int) -> Score:
        return Score(
            metric=name,
            value=value,
            n=size * self.settings.runs,
            direction=direction,
            unit=unit,
            protocol={
                "batch_size": size,
                "runs": self.settings.runs,
                "statistic": "median after one untimed run",
                **_machine(self._context.device),
                "torch": torch.__version__,
                "implementation": "genbench-latency-1",
            },
        )

    def _seconds(self, size: int) -> float:
        synchronize(self._context.device)
        start = time.perf_counter()
        self._draw(size)
        synchronize(self._context.device)
        return time.perf_counter() - start

    def _draw(self, size: int) -> None:
        model, device = self._context.model, self._context.device
        labels = None
        if isinstance(model, Conditional):
            labels = torch.arange(size, device=device) % model.classes
        generator = torch.Generator().manual_seed(self._context.seed)
        with torch.no_grad():
            rendered(model, model.generate(model.prior(size, generator), labels))

    def _peak(self, size: int) -> float:
        """Bytes of the weights, and of all tensors that exist at once during a draw."""
        weights = sum(t.numel() * t.element_size() for t in made_with(self._context.model).values())
        with LiveTensors() as live:
            self._draw(size)
        return float(weights + live.peak)


class LiveTensors(TorchDispatchMode):  # type: ignore[no-untyped-call]  # of its base class
    """Counts the bytes of tensors that operations make, while they exist.

    The allocator of a CPU has no such number, and that of a GPU rounds it.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        """Call the operation, and count the storages that are new in its result."""
        given = {t.untyped_storage()._cdata for t in tree_leaves((args, kwargs)) if _is_tensor(t)}
        result = func(*args, **(kwargs or {}))
        for tensor in filter(_is_tensor, tree_leaves(result)):
            storage = tensor.untyped_storage()
            if storage._cdata not in given and storage._cdata not in self._known:
                self._add(storage._cdata, storage.nbytes(), tensor)
        return result

    def _add(self, key: int, size: int, tensor: Tensor) -> None:
        def gone() -> None:
            self._known.discard(key)
            self.now -= size

        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(tensor, gone)


def _is_tensor(value: object) -> bool:
    return isinstance(value, Tensor) and not value.is_mkldnn  # packed weights have no storage


def _machine(device: torch.device) -> Mapping[str, Any]:
    if device.type == "cuda":
        return {"device": torch.cuda.get_device_name(device)}
    return {"device": f"{device.type} {cpu_name()}", "threads": torch.get_num_threads()}
