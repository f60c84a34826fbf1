"""Layers with int8 weights, and layers that round as they do while they are trained.

A layer keeps its name in the network and the names of its tensors: ``weight`` is int8, ``scale``
(outputs,) and ``input_scale`` () are float32 buffers, so that a checkpoint says what each layer is.
Gradients pass an int8 layer to its input as if nothing was rounded, so samplers that follow a
gradient in z work; its weights have no gradients.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench_compress import int8_kernels as kernels

SMALLEST = 1e-8
MOMENTUM = 0.01
"""How far a step of training moves the scale of the activations."""


class Int8Linear(nn.Module):
    """A linear layer; without ``input_scale``, each row of the input has a scale of its own."""

    weight: nn.Parameter
    bias: nn.Parameter | None
    input_scale: Tensor | None

    def __init__(
        self, weight: Tensor, scale: Tensor, bias: Tensor | None, input_scale: Tensor | None
    ) -> None:
        super().__init__()
        _own(self, weight, scale, bias, input_scale)

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs), float32."""
        x = x.float()
        made = self._product(x.detach().reshape(-1, x.shape[-1]))
        made = made.reshape(*x.shape[:-1], made.shape[-1])
        return _with_gradient(made, x, lambda: F.linear(x, _float_weight(self)))

    def _product(self, x: Tensor) -> Tensor:
        scale = self.input_scale
        if scale is None:
            scale = x.abs().amax(1, keepdim=True).clamp_min(SMALLEST) / kernels.MOST
        sums = kernels.linear(kernels.rounded(x, scale), _int8(self))
        made = sums * (scale * _scale(self))
        return made if self.bias is None else made + self.bias


class Int8Conv2d(nn.Module):
    """A convolution with zero padding and one group."""

    weight: nn.Parameter
    bias: nn.Parameter | None
    input_scale: Tensor

    def __init__(
        self,
        weight: Tensor,
        scale: Tensor,
        bias: Tensor | None,
        input_scale: Tensor,
        like: nn.Conv2d,
    ) -> None:
        super().__init__()
        _own(self, weight, scale, bias, input_scale)
        self.stride, self.dilation = list(like.stride), list(like.dilation)
        self.padding = _numbers(like.padding)
        self._packed: tuple[Any, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, outputs, H', W'), float32."""
        x = x.float()
        geometry = (self.stride, self.padding, self.dilation)
        if kernels.convolves_in_float(x):
            levels = kernels.rounded(x.detach(), self.input_scale).float()
            sums = F.conv2d(levels, _int8(self).float(), None, *geometry)
            made = sums * (self.input_scale * _by_channel(_scale(self)))
            made = made if self.bias is None else made + _by_channel(self.bias)
        else:
            made = self._convolved(x.detach())
        return _with_gradient(made, x, lambda: F.conv2d(x, _float_weight(self), None, *geometry))

    def _convolved(self, x: Tensor) -> Tensor:
        input_scale = float(self.input_scale)
        geometry = (self.stride, self.padding, self.dilation)
        weight = _int8(self)
        key = (weight.data_ptr(), weight._version, input_scale)
        if self._packed is None or self._packed[0] != key:
            made = kernels.packed(weight, _scale(self), input_scale, *geometry)
            self._packed = key, made
        return kernels.conv2d(x, self._packed[1], _scale(self), self.bias, input_scale, *geometry)

    def __getstate__(self) -> dict[str, Any]:
        """Without the packed weight, which can't be copied."""
        return {**self.__dict__, "_packed": None}


class RoundingLinear(nn.Linear):
    """A linear layer in float32 that rounds weights and inputs as int8 does (straight-through)."""

    input_scale: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        return F.linear(rounded_input(self, x), rounded_weight(self.weight), self.bias)


class RoundingConv2d(nn.Conv2d):
    """A convolution in float32 that rounds weights and inputs as int8 does (straight-through)."""

    input_scale: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, outputs, H', W')."""
        weight = rounded_weight(self.weight)
        geometry = (self.stride, _numbers(self.padding), self.dilation)
        return F.conv2d(rounded_input(self, x), weight, self.bias, *geometry)


Float = nn.Linear | nn.Conv2d


def float_layers(nets: nn.ModuleDict, names: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """The layers of some nets that have an int8 form, with their names in the model's nets."""
    for net in names:
        for name, layer in nets[net].named_modules(prefix=net):
            if type(layer) in (nn.Linear, RoundingLinear) or (
                type(layer) in (nn.Conv2d, RoundingConv2d)
                and layer.groups == 1
                and layer.padding_mode == "zeros"
                and not isinstance(layer.padding, str)
            ):
                yield name, layer


def rounded_weight(weight: Tensor) -> Tensor:
    """A weight with the values that int8 leaves of it; its gradient is that of the weight."""
    scale = weight.detach().flatten(1).abs().amax(1).clamp_min(SMALLEST) / kernels.MOST
    zero = torch.zeros(len(scale), dtype=torch.int32, device=scale.device)
    most = kernels.MOST
    made: Tensor = torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -most, most)
    return made


def rounded_input(layer: RoundingLinear | RoundingConv2d, x: Tensor) -> Tensor:
    """An input rounded to the values of int8; in train mode the scale follows the input."""
    x = x.float()
    if layer.training:
        seen = x.detach().abs().amax().clamp_min(SMALLEST) / kernels.MOST
        layer.input_scale.lerp_(seen, MOMENTUM)
    zero = torch.zeros(1, dtype=torch.int32, device=x.device)
    most = kernels.MOST
    made: Tensor = torch.fake_quantize_per_tensor_affine(
        x, layer.input_scale.clone(), zero, -most, most
    )
    return made


# --- from one form to another


def as_rounding(layer: Float, input_scale: Tensor) -> nn.Module:
    """The layer as one that rounds while it is trained, with the same parameters."""
    made: RoundingLinear | RoundingConv2d
    bias = layer.bias is not None
    if isinstance(layer, nn.Linear):
        made = RoundingLinear(layer.in_features, layer.out_features, bias=bias)
    else:
        made = RoundingConv2d(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,  # type: ignore[arg-type]
            layer.stride,  # type: ignore[arg-type]
            layer.padding,  # type: ignore[arg-type]
            layer.dilation,  # type: ignore[arg-type]
            bias=bias,
        )
    made.weight, made.bias = layer.weight, layer.bias
    made.register_buffer("input_scale", input_scale.to(layer.weight.device))
    return made.train(layer.training)


def as_int8(layer: Float, input_scale: Tensor | None) -> nn.Module:
    """The layer with int8 weights."""
    weight, scale = kernels.quantized(layer.weight)
    bias = None if layer.bias is None else layer.bias.detach().clone()
    return _int8_layer(layer, weight, scale, bias, input_scale)


def empty_int8(layer: Float, name: str, tensors: Mapping[str, Tensor]) -> nn.Module:
    """An int8 layer with the shapes of a checkpoint's tensors; values are loaded later."""
    given = [tensors.get(f"{name}.{part}") for part in ("weight", "scale", "bias", "input_scale")]
    weight, scale, bias, input_scale = (
        None if each is None else torch.ones_like(each) for each in given
    )
    assert weight is not None
    assert scale is not None
    return _int8_layer(layer, weight, scale, bias, input_scale)


def replaced(nets: nn.Module, name: str, layer: nn.Module) -> None:
    """Put a layer in the place of another one, within its net."""
    parent, _, own = name.rpartition(".")
    nets.get_submodule(parent).register_module(own, layer)


def _int8_layer(
    layer: Float, weight: Tensor, scale: Tensor, bias: Tensor | None, input_scale: Tensor | None
) -> nn.Module:
    if isinstance(layer, nn.Linear):
        return Int8Linear(weight, scale, bias, input_scale)
    assert input_scale is not None, "convolutions have a scale of their input"
    return Int8Conv2d(weight, scale, bias, input_scale, layer)


def _own(
    layer: Int8Linear | Int8Conv2d,
    weight: Tensor,
    scale: Tensor,
    bias: Tensor | None,
    input_scale: Tensor | None,
) -> None:
    """Give a layer its tensors: parameters without gradients, so that they are counted as such."""
    layer.weight = nn.Parameter(weight, requires_grad=False)
    layer.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
    layer.register_buffer("scale", scale)
    layer.register_buffer("input_scale", input_scale)


def _numbers(padding: str | tuple[int, ...]) -> list[int]:
    assert not isinstance(padding, str), "float_layers leaves such layers out"
    return list(padding)


def _int8(layer: nn.Module) -> Tensor:
    return layer.get_parameter("weight").detach()


def _scale(layer: nn.Module) -> Tensor:
    return layer.get_buffer("scale")


def _by_channel(values: Tensor) -> Tensor:
    """Values of the outputs (outputs,) as a tensor that is broadcast to maps."""
    return values.reshape(-1, 1, 1)


def _float_weight(layer: nn.Module) -> Tensor:
    weight = _int8(layer).float()
    return weight * _scale(layer).reshape(-1, *[1] * (weight.dim() - 1))


def _with_gradient(made: Tensor, x: Tensor, smooth: Any) -> Tensor:
    """The values of ``made`` with the gradient of ``smooth()``, if one is asked for."""
    if not (torch.is_grad_enabled() and x.requires_grad):
        return made
    through = smooth()
    result: Tensor = through + (made - through).detach()
    return result
