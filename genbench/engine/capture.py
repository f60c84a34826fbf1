"""Captured steps: moves of a stage that are replayed as CUDA graphs.

The kernels of a small network take a few microseconds each, and Python launches them more slowly
than that. A graph launches all kernels of a move (a draw of batches, the update of a phase, the
averaging of weights) at once.

Law: capture changes no number beyond rounding. A move takes its first steps as always, which also
makes the optimizer's state and the workspaces of libraries; these are real steps, so nothing has to
be restored. Then two steps are rehearsed (`genbench.engine.rehearsal`), and only if a graph would
do the same in each of them, it is captured. Otherwise the move stays as it is, and ``reason`` says
why.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, nullcontext
from typing import Generic

import torch
from torch import nn

from genbench.contracts import Batch
from genbench.engine.graphs import Graphs, Result
from genbench.engine.rehearsal import Rehearsal, difference
from genbench.errors import is_out_of_memory

WARM_UP = 2
"""Ordinary steps before the rehearsals, in which optimizers and libraries set themselves up."""

Form = Callable[[], AbstractContextManager[object]]


class Move(Generic[Result]):
    """A function on tensors that keep their addresses: ordinary at first, then a graph.

    ``reason`` says why it is not captured, and is empty as long as nothing speaks against it.
    ``replayed`` counts the calls that replayed a graph since `start`.
    """

    def __init__(self, graphs: Graphs, device: torch.device, nets: nn.Module) -> None:
        self._graphs, self._device, self._nets = graphs, device, nets
        self._warm_up = WARM_UP
        self._rehearsed: dict[Hashable, Rehearsal] = {}
        self._alike = False
        self._recorded: dict[Hashable, tuple[Result, Callable[[], object]]] = {}
        self._addresses: tuple[int, ...] = ()
        self.rehearsing = False
        self.reason = ""
        self.replayed = 0

    def start(self) -> None:
        """Begin an epoch. Graphs of tensors that were replaced since the last one are dropped."""
        self.replayed = 0
        addresses = tuple(t.data_ptr() for t in (*self._nets.parameters(), *self._nets.buffers()))
        if addresses != self._addresses:
            self._addresses = addresses
            self._recorded.clear()

    def __call__(
        self, key: Hashable, move: Callable[[], Result], form: Form = nullcontext
    ) -> Result:
        """Do the move in the variant ``key``, which has one graph.

        ``form`` is the context in which ``move`` can be captured.
        """
        if key not in self._recorded and self._alike and not self.reason:
            self._record(key, move, form)
        if (found := self._recorded.get(key)) is not None:
            result, replay = found
            replay()
            self.replayed += 1
            return result
        if self.reason or self._warm_up > 0:
            self._warm_up -= 1
            return move()
        return self._rehearse(key, move, form)

    def _rehearse(self, key: Hashable, move: Callable[[], Result], form: Form) -> Result:
        self.rehearsing = True
        try:
            with form(), self._graphs.rehearsal(), Rehearsal(self._device) as seen:
                result = move()
        finally:
            self.rehearsing = False
        self.reason = self.reason or seen.end()
        before = self._rehearsed.get(key)
        if before is not None and not self.reason:
            self.reason = difference(before, seen)
            self._alike = not self.reason
        self._rehearsed[key] = seen
        return result

    def _record(self, key: Hashable, move: Callable[[], Result], form: Form) -> None:
        self._rehearsed.clear()
        try:
            with form():
                self._recorded[key] = self._graphs.capture(move)
        except Exception as error:  # what fails for another reason raises in the ordinary step
            self.reason = _refusal(error)
            self._recorded.clear()


def _refusal(error: Exception) -> str:
    if is_out_of_memory(error):
        return "its graph doesn't fit in the device's memory; try a smaller batch"
    words = " ".join(str(error).split())
    return f"the capture failed ({type(error).__name__}: {words[:200]})"


class WatchedBatch(Batch):
    """A batch that notices when a loss reads the step, which a graph would freeze."""

    def __getattribute__(self, name: str) -> object:
        if name == "step":
            move: Move[object] = object.__getattribute__(self, "move")
            move.reason = "its loss reads batch.step, which a graph would keep as it is"
        return object.__getattribute__(self, name)


def watched(batch: Batch, move: Move[Result]) -> Batch:
    """The batch for the loss of a move: a `WatchedBatch` while the move is rehearsed."""
    if not move.rehearsing:
        return batch
    found = WatchedBatch(x=batch.x, y=batch.y, step=batch.step, steps=batch.steps)
    object.__setattr__(found, "move", move)
    return found
