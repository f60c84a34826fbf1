"""size: how large the networks are that make samples, and how much a sample takes.

Only those networks count that `genbench sample` needs: a generator or a decoder, not the
discriminator or the encoder. A compressed model is compared with its parent by these numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from genbench import MetricContext, Score, rendered
from genbench_compress.cost_settings import SizeSettings
from genbench_compress.int8_kernels import flops
from genbench_compress.nets import generating


class Size:
    """``weights``, ``nonzero_weights``, ``bytes`` of a file, and ``macs`` of one sample."""

    uses = "model"
    requires = ("generates",)

    def __init__(self, settings: SizeSettings | None = None) -> None:
        self.settings = settings or SizeSettings()

    def begin(self, context: MetricContext) -> None:
        """Keep the context."""
        self._context = context

    def update(self, images: Tensor) -> None:
        """Samples are not used: this metric measures the model itself."""

    def result(self) -> Sequence[Score]:
        """Four scores; ``macs`` is left out if no operation of the model is a known one."""
        model = self._context.model
        tensors = made_with(model)
        floats = [t for name, t in tensors.items() if name in _parameters(model)]
        copies = {name: t.cpu().contiguous().clone() for name, t in tensors.items()}
        found = {
            "weights": (sum(t.numel() for t in floats), "weights"),
            "nonzero_weights": (sum(int(torch.count_nonzero(t)) for t in floats), "weights"),
            "bytes": (len(save(copies)), "B"),
            "macs": (macs(model, self._context.device), "MAC"),
        }
        of = {"of": "the networks that make samples", "implementation": "genbench-size-1"}
        return [
            Score(metric=name, value=float(value), unit=unit, n=1, protocol=of)
            for name, (value, unit) in found.items()
            if value or name != "macs"
        ]


def made_with(model: Any) -> dict[str, Tensor]:
    """The parameters and buffers of the networks that make samples, by name."""
    return {
        f"{net}.{name}": tensor
        for net in generating(model)
        for name, tensor in model.nets[net].state_dict().items()
    }


def macs(model: Any, device: torch.device) -> float:
    """Multiply-accumulate operations of a sample: half of its floating-point operations.

    Those of matrix products and convolutions, as PyTorch counts them, in float32 or int8.
    """
    from torch.utils.flop_counter import FlopCounterMode  # it loads triton

    labels = None
    if hasattr(model, "classes"):
        labels = torch.zeros(1, dtype=torch.int64, device=device)
    counter = FlopCounterMode(display=False, custom_mapping=flops())
    with torch.no_grad(), counter:
        rendered(model, model.generate(model.prior(1), labels))
    return float(counter.get_total_flops()) / 2


def _parameters(model: Any) -> frozenset[str]:
    return frozenset(name for name, _ in model.nets.named_parameters())
