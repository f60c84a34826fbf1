"""Does a model go where its nets go? Tried without a GPU, on PyTorch's device ``meta``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from genbench.contracts import (
    Batch,
    Conditional,
    Data,
    Discriminates,
    Encodes,
    Generates,
    Reconstructs,
    Translates,
    rendered,
)
from genbench.testing.subject import Subject
from genbench.testing.trial import build, images

META = torch.device("meta")
"""Tensors there have shapes and no values; mixed with those of the CPU they raise as a GPU's do."""
_MIXED = ("same device", "not on the expected device", "is on cpu", "device meta", "meta device")


class _LeftBehindError(Exception):
    """A tensor is on the CPU although the nets were moved."""


def check_device(part: Subject, data: Data) -> None:
    """All that the model computes with moves with ``nets``: no tensor is left on the CPU.

    Code that reads values (``if x.mean() > 0``) can't be followed on ``meta``; what it calls
    from there on isn't checked.
    """
    model = build(part, data)
    held = [name for name, tensor in _plain_tensors(model) if tensor.dim() > 0]
    model.nets.to(META)
    for name, call in _calls(model, data):
        try:
            call()
        except Exception as error:  # the model's own code, which may raise anything
            message = str(error)
            if isinstance(error, _LeftBehindError) or any(words in message for words in _MIXED):
                raise AssertionError(
                    f"{name} mixes devices once nets are moved: {message.splitlines()[0]}\n"
                    f"{_advice(held)}"
                ) from error


def _advice(held: list[str]) -> str:
    suspects = f" Tensors that don't move with nets: {', '.join(held)}." if held else ""
    return (
        "Keep a tensor as a buffer (register_buffer) of a module in nets, or make it on the "
        f"device of the input (device=x.device).{suspects}"
    )


def _calls(model: Any, data: Data) -> Iterator[tuple[str, Callable[[], object]]]:
    """What can be called without values: the capabilities, then the losses."""
    x, y = images(data, 8)
    x, y = x.to(META), None if y is None else y.to(META)
    labels = y if isinstance(model, Conditional) else None
    model.nets.eval()
    if isinstance(model, Generates):

        def generated() -> Tensor:
            z = model.prior(8, torch.Generator().manual_seed(0))
            if z.device != META:
                raise _LeftBehindError(
                    f"prior(n, generator) gives latents on {z.device}, not where nets are; draw "
                    "on the CPU with the generator, then move them: .to(device)"
                )
            h = model.generate(z, labels)
            if isinstance(model, Discriminates):
                model.discriminate(h, labels)
            return rendered(model, h)

        yield "render(generate(prior(n)))", generated
    if isinstance(model, Encodes):
        yield "encode(x)", lambda: model.encode(x, labels)
    if isinstance(model, Reconstructs):
        yield "reconstruct(x)", lambda: model.reconstruct(x, labels)
    if isinstance(model, Translates) and y is not None:
        yield "translate(x, y, own)", lambda: model.translate(x, y, y)
    model.nets.train()
    for stage in model.stages():
        if stage.prepare is None:
            for phase in stage.phases:
                loss = partial(phase.loss, Batch(x=x, y=y))
                yield f"the loss of phase '{phase.name}'", loss


def _plain_tensors(model: Any) -> Iterator[tuple[str, Tensor]]:
    """Attributes of the model or of its modules that are tensors, but no parameter or buffer."""
    yield from _tensors_of(vars(model), type(model).__name__)
    for name, module in model.nets.named_modules():
        own = {key: v for key, v in vars(module).items() if not key.startswith("_")}
        yield from _tensors_of(own, f"nets.{name}" if name else "nets")


def _tensors_of(attributes: Mapping[str, Any], owner: str) -> Iterator[tuple[str, Tensor]]:
    for name, value in attributes.items():
        if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
            yield f"{owner}.{name}", value
