"""The one place that knows torchao and the int8 kernels: quantized weights, products, their count.

torchao chooses scales and rounds the weights, which needs the package; products call the kernels
that torchao calls, without its bookkeeping for each call, and need PyTorch alone. [Linear 512 ->
784, batch 100, one thread of a Xeon with AVX-512 VNNI: float32 0.79 ms; torchao's Int8Tensor 1.8
dynamic, 1.5 static; the same kernel called directly 0.49 and 0.34.] Linear layers use
``_int_mm``, convolutions oneDNN's, to which torchao's x86 quantizer lowers them. There is no
kernel for transposed convolutions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from genbench import UsageError

MOST = 127
"""int8 values are in [-127, 127]: symmetric, so that a scale is enough."""
MIDDLE = 128
"""oneDNN's convolution takes uint8 activations with this zero point."""
KERNELS = ("aten::_int_mm", "onednn::qconv2d_pointwise")


def quantized(weight: Tensor) -> tuple[Tensor, Tensor]:
    """int8 values of a weight (outputs, ...), and the scale of each output, float32 (outputs,).

    Half of the range is used on CPUs without VNNI, since their kernels saturate. Raises UsageError
    without torchao.
    """
    primitives, reduced = _torchao()
    most = MOST // 2 if reduced else MOST
    block = (1, *weight.shape[1:])
    given = {"quant_min": -most, "quant_max": most}
    scale, zero = primitives.choose_qparams_affine(
        weight.detach().float(),
        primitives.MappingType.SYMMETRIC,
        block,
        torch.int8,
        **given,
        eps=torch.finfo(torch.float32).eps,
        scale_dtype=torch.float32,
        zero_point_dtype=torch.int32,
    )
    values = primitives.quantize_affine(
        weight.detach().float(), block, scale, zero, torch.int8, **given
    )
    return values, scale.flatten()


def check_installed() -> None:
    """Raise UsageError without torchao."""
    _torchao()


def rounded(x: Tensor, scale: Tensor) -> Tensor:
    """x / scale as int8 values; ``scale`` is broadcast to x."""
    return (x / scale).round_().clamp_(-MOST, MOST).to(torch.int8)


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """int8 (n, inputs) times int8 (outputs, inputs): float32 (n, outputs) of the exact sums.

    Devices other than the CPU, and ONNX files, multiply in float32.
    """
    if x.device.type == "cpu" and not torch.onnx.is_in_onnx_export():
        return torch._int_mm(x, weight.t()).float()
    return x.float() @ weight.t().float()


def convolves_in_float(x: Tensor) -> bool:
    """Whether a convolution of x multiplies in float32: not on the CPU, or in an exported file.

    No file format has oneDNN's kernel, since its weight is packed for one machine.
    """
    jit: Any = torch.jit
    return x.device.type != "cpu" or torch.compiler.is_exporting() or bool(jit.is_tracing())


def packed(
    weight: Tensor, scale: Tensor, input_scale: float, stride: Any, padding: Any, dilation: Any
) -> Tensor:
    """The weight of a convolution, int8 (outputs, inputs, kernel), as oneDNN's kernel takes it."""
    pack: Any = torch.ops.onednn.qconv_prepack
    found: Tensor = pack(weight, scale, input_scale, MIDDLE, stride, padding, dilation, 1, None)
    return found


def conv2d(
    x: Tensor,
    weight: Tensor,
    scale: Tensor,
    bias: Tensor | None,
    input_scale: float,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """A convolution of x (B, C, H, W) float32 with a `packed` weight, on the CPU; float32."""
    levels = (x / input_scale).round_().clamp_(-MOST, MOST).add_(MIDDLE).to(torch.uint8)
    levels = levels.contiguous(memory_format=torch.channels_last)
    convolve: Any = torch.ops.onednn.qconv2d_pointwise
    zeros = torch.zeros(len(scale), dtype=torch.int32)
    geometry = (list(stride), list(padding), list(dilation), 1)
    made: Tensor = convolve(
        *(levels, input_scale, MIDDLE, weight, scale, zeros, bias),
        *geometry,
        *(1.0, 0, torch.float32, "none", [], ""),
    )
    return made.contiguous()


class CountedKernels(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the int8 products that really run inside, by the names of their kernels."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func._schema.name in KERNELS
        return func(*args, **(kwargs or {}))


def flops() -> dict[Any, Callable[..., int]]:
    """How PyTorch's counter counts the operations of the int8 kernels; it knows none of them."""
    from torch.utils.flop_counter import conv_flop_count  # it loads triton

    def of_product(a: Any, b: Any, **_: Any) -> int:
        return int(2 * a[0] * a[1] * b[1])

    def of_convolution(
        x: Any, x_scale: Any, x_zero: Any, weight: Any, *_: Any, **given: Any
    ) -> int:
        return conv_flop_count(x, weight, given["out_shape"])

    found: dict[Any, Callable[..., int]] = {torch.ops.aten._int_mm: of_product}
    if hasattr(torch.ops.onednn, "qconv2d_pointwise"):
        found[torch.ops.onednn.qconv2d_pointwise] = of_convolution
    return found


def _torchao() -> tuple[Any, bool]:
    """torchao's primitives, and whether this CPU needs a smaller range."""
    # On import, torchao logs that it uses a name of PyTorch in an old way.
    log = logging.getLogger("torch.utils._pytree")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        from torchao.quantization import quant_primitives
        from torchao.utils import should_reduce_range
    except ImportError:
        raise UsageError(
            "quantization needs the package 'torchao'", hint="pip install 'genbench[quantize]'"
        ) from None
    finally:
        log.setLevel(before)
    return quant_primitives, bool(should_reduce_range(torch.device("cpu")))
