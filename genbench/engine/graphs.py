"""The one seam to CUDA graphs: record the kernels of a function, and launch them again at once.

`genbench.engine.capture` decides what is recorded. A test may give it another `Graphs`, which runs
on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Protocol, TypeVar

import torch

Result = TypeVar("Result")


class Graphs(Protocol):
    """Makes graphs of functions that read and write tensors at fixed addresses."""

    def rehearsal(self) -> AbstractContextManager[object]:
        """The context for an ordinary call shortly before the capture."""

    def capture(self, move: Callable[[], Result]) -> tuple[Result, Callable[[], object]]:
        """Record ``move`` without executing it; return its tensors and what executes it.

        Raises an error if it does something that can't be recorded.
        """


class CudaGraphs:
    """The graphs of a stage. They share one pool of memory, since they never run side by side.

    What a graph returns keeps its memory in the pool as long as it is referenced, so that a later
    graph doesn't overwrite it.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool: Any = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Run on the stream of the capture, so that its libraries have their workspaces there."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            yield
        current.wait_stream(self._stream)

    def capture(self, move: Callable[[], Result]) -> tuple[Result, Callable[[], object]]:
        """Record the kernels that ``move`` launches, with those of its backward pass."""
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads (the recorder's) may call CUDA meanwhile.
            with torch.cuda.graph(
                graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
            ):
                result = move()
        except BaseException:
            self._recover()
            raise
        return result, graph.replay

    def _recover(self) -> None:
        """Leave the capture mode of the generator, in which a capture that failed may keep it.

        It would raise "Offset increment outside graph capture" at its next use.
        """
        with suppress(RuntimeError):
            torch.cuda.synchronize(self._device)
            with torch.cuda.graph(torch.cuda.CUDAGraph(), stream=self._stream):
                torch.empty(1, device=self._device).zero_()


def default_graphs(device: torch.device) -> Graphs | None:
    """CUDA graphs on a CUDA device; None elsewhere."""
    return CudaGraphs(device) if device.type == "cuda" else None
