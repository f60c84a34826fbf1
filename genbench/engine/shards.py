"""The processes of one run on several devices: each computes the gradients of a part of the batch.

Every process has the whole model, the whole data and the same generators. `Update` computes its
loss on the rows of its own part, the gradients are averaged here, and every process takes the same
step. So the engine stays the owner of the optimizers, and models don't change.

This is not `torch.nn.parallel.DistributedDataParallel`: its hooks belong to the forward pass of one
module, whereas a phase is a closure over several networks, differentiates with respect to the
parameters of its own optimizers (``backward(inputs=...)``), and may differentiate twice; its
documentation excludes `torch.autograd.grad`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from genbench.engine.whole_batch import WholeBatch
from genbench.errors import GenbenchError, PluginError

BUCKET = 25 * 2**20
"""The bytes of gradients that are summed in one operation; the next one starts meanwhile."""
LOST_S = 300.0
"""The seconds after which the first process gives up waiting for the others."""
PATIENCE_S = 30 * 86_400.0
"""The same for the others: the first one also scores and draws. They end when it ends."""
LOOPBACK = {"linux": "lo", "darwin": "lo0"}
"""The network interface within one machine, by platform."""


@dataclass(kw_only=True)
class Shards:
    """This process among the ``count`` processes of a run; ``rank`` 0 is the first.

    ``interleaved`` is how a loss orders several draws for each sample (see `WholeBatch`).

    Law: all processes call the same methods in the same order, and have the same weights after
    each update.
    """

    rank: int
    count: int
    backend: str
    device: torch.device
    interleaved: bool = False
    _reached: dict[tuple[int, ...], tuple[bool, ...]] = field(default_factory=dict)

    # --- batches

    def own(self, rows: Tensor, microbatches: int) -> Tensor:
        """The rows of this process of a batch (B, ...), an equal part of each microbatch."""
        parts = torch.unflatten(rows, 0, (microbatches, self.count, -1))
        return parts.select(1, self.rank).flatten(0, 1)

    def whole_batch(self, rows: int, *, interleaved: bool | None = None) -> WholeBatch:
        """A context in which a loss on ``rows`` rows of a microbatch sees noise of the whole one.

        Batch normalisation is by the statistics of the whole microbatch then.
        """
        return WholeBatch(
            rows,
            rank=self.rank,
            count=self.count,
            interleaved=self.interleaved if interleaved is None else interleaved,
            total=_sum,
        )

    # --- gradients

    def exchange(
        self, values: Sequence[Tensor], parameters: Sequence[nn.Parameter]
    ) -> list[Tensor]:
        """Average gradients and 0-dim fp32 ``values`` over all processes; returns the values.

        Raises PluginError if a parameter gets a gradient in some updates only.
        """
        grads = [p.grad for p in parameters if p.grad is not None]
        self._check_reached(parameters)
        told = torch.stack([value.detach() for value in values])
        sums = [self._start(bucket) for bucket in _buckets([told, *grads])]
        for flat, tensors, work in sums:
            work.wait()
            parts = torch.split(flat / self.count, [t.numel() for t in tensors])
            torch._foreach_copy_(
                tensors, [part.view(t.shape) for part, t in zip(parts, tensors, strict=True)]
            )
        return list(told.unbind())

    def _start(self, tensors: list[Tensor]) -> tuple[Tensor, list[Tensor], Any]:
        import torch.distributed as dist

        flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
        return flat, [t.detach() for t in tensors], dist.all_reduce(flat, async_op=True)

    def _check_reached(self, parameters: Sequence[nn.Parameter]) -> None:
        """Raise unless all processes have gradients for the same parameters, as sums need them."""
        reached = tuple(p.grad is not None for p in parameters)
        key = tuple(map(id, parameters))
        if key not in self._reached:
            self._check_equal(list(reached), "gradients for the same parameters")
            self._reached[key] = reached
        if self._reached[key] != reached:
            raise PluginError(
                "a parameter gets a gradient in some updates only, which several devices can't "
                "average; use one device"
            )

    # --- states

    def share(self, tensors: Sequence[Tensor]) -> None:
        """Give all processes the values that these tensors have in the first process."""
        import torch.distributed as dist

        for tensor in tensors:
            value = tensor.detach().contiguous()
            dist.broadcast(value, src=0)
            tensor.detach().copy_(value)

    def agree(self, answer: bool) -> bool:
        """The answer of the first process."""
        told = torch.tensor([answer], dtype=torch.uint8, device=self.device)
        self.share([told])
        return bool(told.item())

    def check_alike(self, nets: nn.Module, *position: int) -> None:
        """Raise GenbenchError unless all processes have the same weights at the same position."""
        bits = [p.detach().float().contiguous().view(torch.int32) for p in nets.parameters()]
        total = torch.stack([b.sum(dtype=torch.int64) for b in bits]).sum() if bits else 0
        self._check_equal([*position, int(total)], "the same weights")

    def _check_equal(self, own: Sequence[int], what: str) -> None:
        import torch.distributed as dist

        found: list[Any] = [None] * self.count
        dist.all_gather_object(found, list(own))
        if any(other != found[0] for other in found):
            raise GenbenchError(
                f"the processes of this run no longer have {what}, so it was stopped; its last "
                "checkpoint is kept; use one device"
            )


@contextmanager
def joined(
    rank: int, count: int, device: torch.device, meeting: Path, *, lost_s: float = LOST_S
) -> Iterator[Shards]:
    """The process ``rank`` of ``count`` while they belong together; all of them have to join.

    They find one another by the file ``meeting``, which the first one creates. The backend is NCCL
    on CUDA devices, if PyTorch has it, else gloo. Raises RuntimeError if they don't meet.
    """
    import torch.distributed as dist

    nccl = device.type == "cuda" and dist.is_nccl_available()
    if nccl:
        torch.cuda.set_device(device)
    else:
        _stay_on_this_machine()
    wait_s = lost_s if rank == 0 else PATIENCE_S
    backend = "nccl" if nccl else "gloo"
    dist.init_process_group(
        backend,
        store=dist.FileStore(str(meeting), count),  # type: ignore[attr-defined]
        rank=rank,
        world_size=count,
        timeout=timedelta(seconds=wait_s),
        device_id=device if nccl else None,
    )
    try:
        yield Shards(rank=rank, count=count, backend=backend, device=device)
    except BaseException:
        leave(abort=nccl)  # a sum that another process never joins would be waited for
        raise
    leave()


def leave(*, abort: bool = False) -> None:
    """Leave the other processes; ``abort`` gives up operations that a CUDA device waits for."""
    from torch.distributed import distributed_c10d as c10d

    if c10d.is_initialized():
        give_up = getattr(c10d, "_abort_process_group", c10d.destroy_process_group)
        give_up() if abort else c10d.destroy_process_group()


def _stay_on_this_machine() -> None:
    """Let gloo use the loopback interface, unless the user has chosen another one."""
    import os
    import sys

    if sys.platform in LOOPBACK:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", LOOPBACK[sys.platform])


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """The tensors in their order, in groups of one type and about `BUCKET` bytes."""
    bucket: list[Tensor] = []
    for tensor in tensors:
        full = sum(t.nbytes for t in bucket) + tensor.nbytes > BUCKET
        if bucket and (full or bucket[0].dtype != tensor.dtype):
            yield bucket
            bucket = []
        bucket.append(tensor)
    yield bucket


def _sum(x: Tensor) -> Tensor:
    """The sum of ``x`` over all processes, which can be differentiated, also twice."""
    total: Tensor = _Sum.apply(x)
    return total


class _Sum(torch.autograd.Function):
    """The sum over all processes. Its gradient is the sum of theirs: each has a loss of its own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        import torch.distributed as dist

        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return _sum(grads[0])
