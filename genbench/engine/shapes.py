"""Give networks the shapes of stored tensors, without the run that these were made from."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

_SIZES: Mapping[type[nn.Module], tuple[tuple[str, int], ...]] = {
    nn.Linear: (("out_features", 0), ("in_features", 1)),
    nn.modules.conv._ConvNd: (("out_channels", 0), ("in_channels", 1)),
    nn.modules.conv._ConvTransposeNd: (("in_channels", 0), ("out_channels", 1)),
    nn.modules.batchnorm._NormBase: (("num_features", 0),),
}
"""The attributes of a layer that say how long a dimension of its weight is.

A transposed convolution is a convolution as well, and has its dimensions in another order.
"""


@torch.no_grad()
def take_shapes(nets: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give parameters and buffers the shapes of the tensors of the same name, in place.

    A tensor that changes its shape has no meaningful values afterwards; the others are kept. Names
    that only one side has are ignored.
    """
    for name, module in nets.named_modules():
        changed = False
        for own, tensor in _own_tensors(module):
            stored = tensors.get(f"{name}.{own}" if name else own)
            if stored is not None and stored.shape != tensor.shape:
                set_tensor(module, own, tensor.new_zeros(stored.shape))
                changed = True
        if changed:
            state_sizes(module)


def set_tensor(module: nn.Module, name: str, value: Tensor) -> None:
    """Replace a parameter or buffer of a layer by one of any shape; a parameter stays one."""
    old = getattr(module, name)
    if isinstance(old, nn.Parameter):
        setattr(module, name, nn.Parameter(value, requires_grad=old.requires_grad))
    else:
        setattr(module, name, value)


def state_sizes(module: nn.Module) -> None:
    """Set the attributes that describe the sizes of a layer to those of its weight."""
    weight = getattr(module, "weight", None)
    if not isinstance(weight, Tensor):
        weight = getattr(module, "running_mean", None)
    for kind, sizes in _SIZES.items():
        if isinstance(module, kind) and isinstance(weight, Tensor):
            groups = getattr(module, "groups", 1)
            for attribute, dimension in sizes:
                size = weight.shape[dimension]
                setattr(module, attribute, size * groups if dimension == 1 else size)


def _own_tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    parameters = module.named_parameters(recurse=False)
    return [*parameters, *module.named_buffers(recurse=False)]
