"""One update of a phase for N models at once, by `torch.func.vmap` over their stacked tensors.

The phase's own loss is called once, with tensors that stand for those of each model in turn. The
laws of `genbench.engine.update` hold, since the rest is its code: the totals of the models are
added, which changes no gradient, because no weight belongs to two of them. Each model draws other
random numbers, all of them from one generator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch._functorch.pyfunctorch import temporarily_pop_interpreter_stack
from torch.overrides import TorchFunctionMode

from genbench.contracts import Batch, Phase, Terms
from genbench.engine.capture import Move, watched
from genbench.engine.stack import Stack, StackedOptimizer
from genbench.engine.update import Update, check_terms
from genbench.errors import OutOfMemoryError
from genbench.spec import RunSpec

_functorch: Any = torch._C._functorch


class StackedUpdate(Update):
    """An `Update` of N models, called with batches (B, N, ...); its values are (N,).

    A batch has the models in its second dimension, so that a microbatch is a part of the first.
    """

    def __init__(
        self,
        phase: Phase,
        optimizers: Mapping[str, StackedOptimizer],
        stack: Stack,
        spec: RunSpec,
        device: torch.device,
        move: Move[list[Tensor]] | None = None,
    ) -> None:
        self._stack, self._single = stack, phase
        after = None if phase.after is None else self._after
        super().__init__(
            replace(phase, loss=self._losses, after=after),
            optimizers,
            stack,
            device=device,
            precision=spec.precision,
            accumulate=spec.accumulate,
            measure_every=max(1, spec.log_every // phase.every),
            move=move,
        )

    def __call__(self, batch: Batch) -> list[Tensor]:
        """Update all models; returns tensors (N,), in the layout's order.

        Raises OutOfMemoryError, which says that fewer models need less.
        """
        try:
            return super().__call__(batch)
        except OutOfMemoryError as error:
            raise OutOfMemoryError(
                f"out of memory on {self._device.type} in a training step of {len(self._stack)} "
                "seeds together; train fewer of them at once (--seeds), or leave out --together"
            ) from error

    def _losses(self, batch: Batch) -> Terms:
        """The terms of all models, each (N,)."""
        # A watched batch would take this for a loss that reads the step.
        step, steps = vars(batch)["step"], batch.steps

        def loss(tensors: dict[str, Tensor], x: Tensor, y: Tensor | None) -> dict[str, Any]:
            own = Batch(x=x, y=y, step=step, steps=steps)
            with self._stack.swapped_in(tensors):
                terms = self._single.loss(watched(own, self.move) if self.move else own)
                if self.layout is None:
                    self.layout = check_terms(self._single, terms, self._device)
                return {owner: dict(named) for owner, named in terms.items()}

        mapped = torch.func.vmap(
            loss, in_dims=(0, 1, None if batch.y is None else 1), randomness="different"
        )
        # Phases that differentiate within their loss can't be compiled either, and say so.
        with _quiet_fallbacks(), nullcontext() if self._single.compile else InnerGradients():
            terms: Terms = mapped(dict(self._stack.tensors), batch.x, batch.y)
        return terms

    def _after(self, terms: Terms) -> None:
        """Call the phase's ``after`` for all models; it changes their stacked tensors in place."""
        after = self._single.after
        assert after is not None

        def call(tensors: dict[str, Tensor], own: Terms) -> Tensor:
            with self._stack.swapped_in(tensors):
                after(own)
            return next(iter(tensors.values()))  # vmap wants a result

        own = {owner: dict(named) for owner, named in terms.items()}
        with _quiet_fallbacks():
            torch.func.vmap(call, randomness="different")(dict(self._stack.tensors), own)


@contextmanager
def _quiet_fallbacks() -> Iterator[None]:
    """Don't warn of operations that vmap calls once for each model, such as ``clamp_``.

    They are right, and the trial has measured what they cost.
    """
    _functorch._set_vmap_fallback_warning_enabled(False)
    try:
        yield
    finally:
        _functorch._set_vmap_fallback_warning_enabled(True)


class InnerGradients(TorchFunctionMode):
    """`torch.autograd.grad` within a function that `torch.func.vmap` maps, as penalties need it.

    vmap refuses it. But the models share nothing, so the gradient of a sum over all of them with
    respect to a stacked tensor is the gradient of each one; autograd knows the stacked tensors, and
    here it gets them.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Unwrap what `requires_grad_` and `torch.autograd.grad` get; pass on all else."""
        kwargs = kwargs or {}
        if func is torch.Tensor.requires_grad_ and _is_mapped(args[0]):
            with unmapped():
                _stacked(args[0]).requires_grad_(*args[1:], **kwargs)
            return args[0]
        if func is torch.autograd.grad:
            return _gradients(*args, **kwargs)
        return func(*args, **kwargs)


def unmapped() -> AbstractContextManager[object]:
    """Inside, functions see stacked tensors as they are, also within a mapped function."""
    if _functorch.peek_interpreter_stack() is None:
        return nullcontext()
    return temporarily_pop_interpreter_stack()


def _gradients(
    outputs: Any, inputs: Any, grad_outputs: Any = None, **options: Any
) -> tuple[Tensor | None, ...]:
    """The gradients of mapped outputs with respect to mapped inputs, mapped like the inputs."""
    outputs, inputs = _many(outputs), _many(inputs)
    if not any(map(_is_mapped, outputs)):
        alone: tuple[Tensor | None, ...] = torch.autograd.grad(
            outputs, inputs, grad_outputs, **options
        )
        return alone
    level = next(_functorch.maybe_get_level(o) for o in outputs if _is_mapped(o))
    given = [None] * len(outputs) if grad_outputs is None else _many(grad_outputs)
    weights = [_weights(out, weight) for out, weight in zip(outputs, given, strict=True)]
    with unmapped():
        found = torch.autograd.grad(
            [_stacked(out) for out in outputs], [_stacked(x) for x in inputs], weights, **options
        )
    return tuple(
        _functorch._add_batch_dim(gradient, _functorch.maybe_get_bdim(x), level)
        if gradient is not None and _is_mapped(x)
        else gradient
        for gradient, x in zip(found, inputs, strict=True)
    )


def _weights(output: Tensor, weight: Tensor | None) -> Tensor:
    """The gradient of the sum with respect to an output, stacked as the output is."""
    ones = torch.ones_like(output)
    given = ones if weight is None else weight * ones
    if not _is_mapped(output):
        return given
    at, to = _functorch.maybe_get_bdim(given), _functorch.maybe_get_bdim(output)
    with unmapped():
        return _stacked(given).movedim(at, to)


def _many(tensors: Any) -> list[Any]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _is_mapped(value: Any) -> bool:
    return isinstance(value, Tensor) and bool(_functorch.is_batchedtensor(value))


def _stacked(tensor: Tensor) -> Tensor:
    found: Tensor = _functorch.get_unwrapped(tensor) if _is_mapped(tensor) else tensor
    return found
