"""Quantization to int8: weights and activations of the networks that make samples.

Jacob et al. 2018 (arXiv:1712.05877): w = s q with q in [-127, 127] and a scale for each output;
activations have a scale for each sample (dynamic), or one that is measured on samples of the prior
(static). In quantization-aware training the network rounds while it learns, and gradients pass the
rounding (straight-through; Bengio et al. 2013, arXiv:1308.3432); it has the model's own losses.

Linear layers and convolutions have int8 kernels on the CPU. Transposed convolutions, normalisations
and activations stay in float32. How many int8 products one draw of samples runs is counted as they
run, and stored with the run as the series ``test/int8_ops``; 0 is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from genbench import (
    Batch,
    Compression,
    Conditional,
    IncompatibleError,
    Model,
    ParentRun,
    Stage,
    take_shapes,
)
from genbench_compress import int8_kernels as kernels
from genbench_compress.int8_layers import (
    SMALLEST,
    Int8Conv2d,
    Int8Linear,
    as_int8,
    as_rounding,
    empty_int8,
    float_layers,
    replaced,
)
from genbench_compress.nets import device_of, generating, samples
from genbench_compress.quantize_settings import QuantizeSettings
from genbench_compress.student import drawn
from genbench_compress.tuning import fine_tuning

CHUNK = 128


class Quantize:
    """int8 layers in place of the float32 ones, with or without a training before."""

    requires = ("generates",)

    def __init__(self, settings: QuantizeSettings) -> None:
        self.settings = settings

    def check(self, model: Model, parent: ParentRun) -> None:
        """torchao is installed, and there are layers with an int8 kernel."""
        kernels.check_installed()
        if not list(self._layers(model)):
            raise nothing_to_quantize(model)

    def compress(self, model: Model, parent: ParentRun) -> Compression:
        """A last stage without steps turns the layers into int8; aware: after a training."""
        counted: dict[str, Tensor] = {}

        def begin(batches: Iterator[Batch]) -> None:
            if self.settings.mode != "aware":
                self._convert(model, self._scales(model, batches))
            else:
                self._convert(model, {})

        def validate(batch: Batch) -> Mapping[str, Tensor]:
            if not counted:
                counted.update(int8_ops=torch.tensor(float(count_int8(model))))
            return counted

        def prepare(batches: Iterator[Batch]) -> None:
            scales = self._scales(model, batches)
            for name, layer in list(self._layers(model)):
                replaced(model.nets, name, as_rounding(layer, scales[name]))

        last = Stage(name="int8", phases=(), begin=begin, validate=validate)
        aware = fine_tuning(model, begin=prepare) if self.settings.mode == "aware" else ()
        stages = (*aware, last)
        return Compression(stages=stages, reshape=lambda tensors: self._reshape(model, tensors))

    def _layers(self, model: Model) -> Iterator[tuple[str, Any]]:
        dynamic = self.settings.mode == "dynamic"
        for name, layer in float_layers(model.nets, generating(model)):
            if not (dynamic and isinstance(layer, nn.Conv2d)):
                yield name, layer

    def _convert(self, model: Model, scales: Mapping[str, Tensor]) -> None:
        for name, layer in list(self._layers(model)):
            scale = getattr(layer, "input_scale", scales.get(name))
            replaced(model.nets, name, as_int8(layer, scale))
        if not count_int8(model):
            raise nothing_to_quantize(model)

    def _scales(self, model: Model, batches: Iterator[Batch]) -> dict[str, Tensor]:
        """The scale of each layer's input: the largest value in samples of the prior, over 127."""
        if self.settings.mode == "dynamic":
            return {}
        layers = dict(self._layers(model))
        largest = {name: layer.weight.new_tensor(SMALLEST) for name, layer in layers.items()}

        def note(name: str) -> Any:
            def hook(_: nn.Module, given: tuple[Tensor, ...]) -> None:
                largest[name] = torch.maximum(largest[name], given[0].detach().abs().amax())

            return hook

        hooks = [layer.register_forward_pre_hook(note(name)) for name, layer in layers.items()]
        try:
            draw_from_prior(model, self.settings.calibration, batches)
        finally:
            for hook in hooks:
                hook.remove()
        return {name: value / kernels.MOST for name, value in largest.items()}

    def _reshape(self, model: Model, tensors: Mapping[str, Tensor]) -> None:
        """Give layers the form that the tensors of a checkpoint have."""
        take_shapes(model.nets, {k: v for k, v in tensors.items() if v.dtype != torch.int8})
        for name, layer in list(float_layers(model.nets, generating(model))):
            weight, scale = tensors.get(f"{name}.weight"), tensors.get(f"{name}.input_scale")
            if weight is not None and weight.dtype == torch.int8:
                replaced(model.nets, name, empty_int8(layer, name, tensors))
            elif weight is not None and scale is not None:
                replaced(model.nets, name, as_rounding(layer, scale.clone()))


def draw_from_prior(model: Any, n: int, batches: Iterator[Batch]) -> None:
    """Draw n samples, with the labels of training samples for a conditional model."""
    with torch.no_grad():
        for start in range(0, n, CHUNK):
            z, y = model.prior(min(CHUNK, n - start)), None
            if isinstance(model, Conditional):
                batch = next(batches)
                assert batch.y is not None
                y = batch.y.repeat(-(-len(z) // len(batch.y)))[: len(z)]
            drawn(model, z, y)


def count_int8(model: Model) -> int:
    """The number of int8 products that run to make samples."""
    with kernels.CountedKernels() as counted, torch.no_grad():
        samples(model)
    return int(counted.count)


def nothing_to_quantize(model: Model) -> IncompatibleError:
    """The error of a model in which no int8 product would run."""
    if device_of(model).type != "cpu":
        return IncompatibleError(
            f"no int8 operation would run on {device_of(model).type}, where int8 layers multiply "
            "in float32; add --device cpu"
        )
    layers = [layer for name in generating(model) for layer in model.nets[name].modules()]
    if any(isinstance(layer, Int8Linear | Int8Conv2d) for layer in layers):
        return IncompatibleError(
            f"{type(model).__name__} is quantized already; compress the run that it was made from"
        )
    kinds = sorted({type(layer).__name__ for layer in layers if hasattr(layer, "weight")})
    return IncompatibleError(
        f"no int8 operation would run in {type(model).__name__}: its layers are "
        f"{', '.join(kinds)}: linear layers have int8 kernels, and convolutions in the modes "
        "static and aware, but transposed convolutions have none; use a model with such layers, "
        "as dcgan is with upsample=resize"
    )
