"""Batches of a split on the device, in an order that depends on (seed, stage, epoch) only.

Images stay uint8 until they are part of a batch: in one tensor on the device if it fits, else in a
memory map on the host. All batches have the same size, which BatchNorm and compiled graphs need:
the last short batch of an epoch is dropped (its samples differ in each epoch, like the order), and
a data set smaller than a batch is one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genbench.contracts import Split
from genbench.engine.capture import Move
from genbench.engine.randomness import cpu_generator, rng_state, set_rng_state
from genbench.engine.shards import Shards
from genbench.errors import PluginError
from genbench.pixels import as_float

HOST_LIMIT = 2 * 2**30
"""Memory maps up to this size (bytes) are read in full if the free device memory isn't known."""

Pair = tuple[Tensor, Tensor | None]
Augment = Callable[[Tensor], Tensor]


class Samples:
    """The samples of a split: ``x`` as floats on the device on demand, ``y`` as int64 or None."""

    def __init__(
        self,
        x: Tensor | np.ndarray[Any, Any],
        y: Tensor | None,
        device: torch.device,
        augment: Augment | None = None,
    ):
        self._x, self._y, self._device, self._augment = x, y, device, augment

    @classmethod
    def of(cls, split: Split, device: torch.device, augment: Augment | None = None) -> Samples:
        """Put a split on the device, or keep its memory map on the host if it doesn't fit."""
        y = None if split.y is None else torch.from_numpy(np.array(split.y, np.int64)).to(device)
        x: Tensor | np.ndarray[Any, Any] = split.x
        if _fits(split.x, device):
            x = torch.from_numpy(np.require(split.x, requirements=["C", "W"])).to(device)
        return cls(x, y, device, augment)

    def __len__(self) -> int:
        return len(self._x)

    @property
    def device(self) -> torch.device:
        """The device of the batches."""
        return self._device

    def replaced(self, x: Tensor) -> Samples:
        """The same labels with other values, such as latents, instead of ``x``.

        They are not augmented: augmentation applies to samples of the data set only.
        """
        return Samples(x, self._y, self._device)

    @property
    def index_device(self) -> torch.device:
        """The device that the indices for `take` must be on."""
        return self._device if isinstance(self._x, Tensor) else torch.device("cpu")

    def take(self, index: Tensor) -> Pair:
        """The samples at ``index`` (B,) as (B, ...) float, augmented, and their labels."""
        if isinstance(self._x, Tensor):
            x = self._x.index_select(0, index)
        else:
            x = self._upload(np.take(self._x, index.numpy(), axis=0))
        y = self._y
        if y is not None:
            y = y.index_select(0, index.to(y.device, non_blocking=True))
        return self._augmented(as_float(x)), y

    def in_order(self, size: int) -> Iterator[Pair]:
        """All samples without augmentation, in order, ``size`` at a time; the last may be short."""
        for start in range(0, len(self), size):
            x = self._x[start : start + size]
            if not isinstance(x, Tensor):
                x = self._upload(np.array(x))
            y = None if self._y is None else self._y[start : start + size]
            yield as_float(x), y

    def _augmented(self, x: Tensor) -> Tensor:
        """Augment; raises PluginError if the data set's ``augment`` changes shape or type."""
        if self._augment is None:
            return x
        with torch.no_grad():
            made = self._augment(x)
        if made.shape != x.shape or made.dtype != x.dtype:
            raise PluginError(
                f"the data set's augment turned {x.dtype} {tuple(x.shape)} into {made.dtype} "
                f"{tuple(made.shape)}; it must keep shape and type"
            )
        return made

    def _upload(self, rows: np.ndarray[Any, Any]) -> Tensor:
        x = torch.from_numpy(np.asarray(rows))
        if self._device.type == "cuda":
            return x.pin_memory().to(self._device, non_blocking=True)
        return x.to(self._device)


class Feed:
    """The batches of a stage: ``width`` new ones in each of the ``steps`` iterations per epoch.

    An epoch uses all samples, or ``limit`` of them, different ones in each epoch. If it has fewer
    batches than one iteration needs, it has one iteration, in which batches are repeated; with a
    ``width`` of 0 it has no iterations. With a ``move``, the batches of all iterations are the same
    tensors with new content, and drawing them may become a CUDA graph. ``count`` is the number of
    draws since `start`. With ``shards``, a draw has only the rows of this process: an equal part of
    each of the ``accumulate`` microbatches.
    """

    def __init__(
        self,
        samples: Samples,
        *,
        batch_size: int,
        width: int,
        seed: int,
        stage: int,
        limit: int | None = None,
        move: Move[None] | None = None,
        shards: Shards | None = None,
        accumulate: int = 1,
    ):
        self._shards, self._accumulate = shards, accumulate
        self._samples, self._width, self._seed, self._stage = samples, width, seed, stage
        self.move, self._fixed = move, list[Pair]()
        self.count = 0
        self.batch_size = min(batch_size, len(samples))
        self._batches = max(1, min(len(samples), limit or len(samples)) // self.batch_size)
        self.steps = max(1, self._batches // width) if width else 0

    @property
    def images(self) -> int:
        """The number of samples in an epoch."""
        return self.steps * self._width * self.batch_size

    def start(self, epoch: int) -> None:
        """Shuffle for an epoch of the stage, counted from 0."""
        generator = cpu_generator(self._seed, "order", self._stage, epoch)
        order = torch.randperm(len(self._samples), generator=generator)
        self._order = order.to(self._samples.index_device)
        self.count = 0
        if self.move is not None:
            self.move.start()

    def draw(self, iteration: int) -> list[Pair]:
        """The ``width`` batches of an iteration of the epoch, counted from 0."""
        first = iteration * self._width
        indices = [self._index((first + k) % self._batches) for k in range(self._width)]
        self.count += 1
        if self.move is None:
            with self._whole():
                return [self._samples.take(index) for index in indices]
        return self._filled(indices, self.move)

    def _index(self, k: int) -> Tensor:
        whole = self._order.narrow(0, k * self.batch_size, self.batch_size)
        return whole if self._shards is None else self._shards.own(whole, self._accumulate)

    def _whole(self) -> AbstractContextManager[object]:
        """An augmentation draws noise for the whole batch."""
        if self._shards is None:
            return nullcontext()
        rows = self.batch_size // self._shards.count // self._accumulate
        return self._shards.whole_batch(rows, interleaved=False)

    def _filled(self, indices: list[Tensor], move: Move[None]) -> list[Pair]:
        """Draw into tensors that stay the same, as captured updates need."""
        if not self._fixed:
            self._indices = [index.clone() for index in indices]
            state = rng_state(self._samples.device)
            self._fixed = [self._samples.take(index) for index in indices]
            # An augmentation draws again for the same batches.
            set_rng_state(state, self._samples.device)
        for fixed, index in zip(self._indices, indices, strict=True):
            fixed.copy_(index)
        move("draw", self._fill)
        return self._fixed

    def _fill(self) -> None:
        for (x, y), index in zip(self._fixed, self._indices, strict=True):
            new_x, new_y = self._samples.take(index)
            x.copy_(new_x)
            if y is not None and new_y is not None:
                y.copy_(new_y)


def first_samples(split: Split, n: int) -> Split:
    """The first samples of a split, for trials."""
    y = None if split.y is None else split.y[:n]
    return Split(x=split.x[:n], y=y, digest=f"{split.digest}[:{n}]")


def _fits(x: np.ndarray[Any, Any], device: torch.device) -> bool:
    """Whether a split fits the device; half of the free CUDA memory is left for training."""
    if device.type == "cuda":
        return x.nbytes <= torch.cuda.mem_get_info(device)[0] // 2
    return x.nbytes <= HOST_LIMIT or not isinstance(x, np.memmap)
