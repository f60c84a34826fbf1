"""One update of a phase: loss, gradients, clipping, optimizer step.

Law: no gradient of one optimizer's loss ever reaches another optimizer's weights. This holds by
construction: parameters that the phase doesn't update require no gradient while its loss is
computed, and if several optimizers share a phase, the total of each is differentiated with respect
to its own parameters only. All totals are differentiated before any optimizer steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn

from genbench.contracts import MONITOR, Batch, Model, Phase, Terms
from genbench.engine.capture import Move, watched
from genbench.engine.compiling import compiled
from genbench.engine.device import autocast
from genbench.engine.eager import eager_backward
from genbench.engine.memory import step_out_of_memory
from genbench.engine.optim import NamedOptimizer
from genbench.engine.shards import Shards
from genbench.errors import PluginError, is_out_of_memory, suggest

Layout = dict[str, tuple[str, ...]]
"""The names that a loss returns: optimizer -> its terms; ``MONITOR`` -> its values comes last."""

NORM = "_grad_norm"
"""The suffix of gradient norms among the monitors, as in ``d_grad_norm`` for optimizer ``d``."""


class Update:
    """A phase that can be called with batches; each call returns the values of its `layout`.

    Every ``measure_every``-th update (0: none) also returns the gradient norms of its optimizers,
    before clipping. Which updates these are depends on the step of the stage only, so that a
    resumed run measures the same ones.

    With ``accumulate`` k, a batch is split into k microbatches, and each loss is weighted by the
    share of its microbatch. This gives the gradient of the whole batch if the loss is a mean over
    samples (but BatchNorm then sees microbatches).

    With ``shards``, batches are the parts of this process, and values and gradients are averaged
    over all processes before anything else uses them.

    With a ``move``, an update may become a CUDA graph. Its batches must then be the same tensors in
    each iteration, with new content. ``count`` is the number of updates since `start`.
    """

    def __init__(
        self,
        phase: Phase,
        optimizers: Mapping[str, NamedOptimizer],
        model: Model,
        *,
        device: torch.device,
        precision: str = "fp32",
        compile: bool = False,
        accumulate: int = 1,
        measure_every: int = 0,
        move: Move[list[Tensor]] | None = None,
        shards: Shards | None = None,
    ) -> None:
        self.phase, self._model, self._shards = phase, model, shards
        self.norms = tuple(f"{name}{NORM}" for name in phase.updates)
        self.layout: Layout | None = None
        self.count = 0
        self._optimizers = [_named_optimizer(phase, name, optimizers) for name in phase.updates]
        self._parameters = [p for optimizer in self._optimizers for p in optimizer.parameters]
        self._others = _others(model.nets, self._parameters)
        self._device, self.precision, self._accumulate = device, precision, accumulate
        self._measure_every, self.move = measure_every, move
        self.compiled = compile and phase.compile
        self._loss = compiled(phase) if self.compiled else phase.loss
        self._backward = (
            eager_backward
            if device.type == "cpu" and not self.compiled
            else torch.autograd.backward
        )

    def start(self) -> None:
        """Begin an epoch."""
        self.count = 0
        if self.move is not None:
            self.move.start()

    def __call__(self, batch: Batch) -> list[Tensor]:
        """Update on ``batch``; returns 0-dim fp32 tensors on the device, in the layout's order.

        Raises OutOfMemoryError with a hint.
        """
        self.count += 1
        measure = self._measures(batch.step)
        for optimizer in self._optimizers:
            optimizer.set_rate(batch.step, batch.steps)
        try:
            if self.move is None:
                return self._step(batch, measure)
            key = (id(batch.x), measure)
            return self.move(key, partial(self._step, batch, measure), self._capturable)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise step_out_of_memory(
                error,
                self._model,
                images=len(batch),
                accumulate=self._accumulate,
                device=self._device,
            ) from error

    def trial(
        self, batch: Batch, *, compiled: bool = True, precision: str | None = None
    ) -> list[Tensor]:
        """The values and gradients of the loss, or of its first microbatch; no weight changes.

        With ``compiled`` false, the loss is not compiled; a ``precision`` replaces that of the run.
        """
        loss = self._loss if compiled else self.phase.loss
        batch = _microbatches(batch, self._accumulate)[0]
        with _WithoutGradients(self._others), self._casts(precision), self._whole(batch):
            terms = loss(batch)
        values = self._values(terms)
        self._differentiate(values)
        values = self._averaged(values)
        found = [value.detach() for value in values]
        for parameter in self._parameters:
            if parameter.grad is not None:
                found.append(parameter.grad)
            parameter.grad = None
        return found

    def in_parts(self, batch: Batch, ended: Callable[[str], None]) -> None:
        """An ordinary update that says when its forward pass, backward pass and optimizers end."""
        for optimizer in self._optimizers:
            optimizer.set_rate(batch.step, batch.steps)
        for parameter in self._parameters:
            parameter.grad = None
        for microbatch in _microbatches(batch, self._accumulate):
            values = self._values(self._compute(microbatch))
            ended("forward")
            self._differentiate(values)
            ended("backward")
        for optimizer in self._optimizers:
            optimizer.clip()
            optimizer.step()
        if self.phase.after is not None:
            with torch.no_grad():
                self.phase.after(self._terms([value.detach() for value in values]))
        ended("optimizer")

    @contextmanager
    def _capturable(self) -> Iterator[None]:
        with ExitStack() as stack:
            for optimizer in self._optimizers:
                stack.enter_context(optimizer.capturable())
            yield

    def _step(self, batch: Batch, measure: bool) -> list[Tensor]:
        for parameter in self._parameters:
            parameter.grad = None
        if self._accumulate == 1:
            terms = self._compute(batch)
            values = self._values(terms)
            self._differentiate(values)
        else:
            values = self._accumulated(batch)
        if self._shards is not None:
            values = self._averaged(values)
        if self._shards is not None or self._accumulate > 1:
            terms = self._terms(values)
        norms = [optimizer.clip(measure=measure) for optimizer in self._optimizers]
        for optimizer in self._optimizers:
            optimizer.step()
        if self.phase.after is not None:
            with torch.no_grad():
                self.phase.after(terms)
        if self.move is not None:  # a graph keeps its values, but not what they were made from
            values = [value.detach() for value in values]
        return [*values, *(norm for norm in norms if norm is not None)]

    def _measures(self, step: int) -> bool:
        every = self._measure_every
        return every > 0 and step // self.phase.every % every == 0

    def _accumulated(self, batch: Batch) -> list[Tensor]:
        sums: list[Tensor] = []
        for microbatch in _microbatches(batch, self._accumulate):
            share = len(microbatch) / len(batch)
            values = [share * value for value in self._values(self._compute(microbatch))]
            self._differentiate(values)
            values = [value.detach() for value in values]
            sums = [a + b for a, b in zip(sums, values, strict=True)] if sums else values
        return sums

    def _compute(self, batch: Batch) -> Terms:
        loss = self._loss
        if self.move is not None:
            batch = watched(batch, self.move)
            # Compiled code can't be followed operation by operation.
            loss = self.phase.loss if self.move.rehearsing else loss
        with _WithoutGradients(self._others), self._casts(), self._whole(batch):
            return loss(batch)

    def _averaged(self, values: list[Tensor]) -> list[Tensor]:
        """The values, averaged over all processes; gradients are averaged too."""
        return values if self._shards is None else self._shards.exchange(values, self._parameters)

    def _whole(self, batch: Batch) -> AbstractContextManager[object]:
        """The context in which a loss on a part of a batch sees noise of the whole batch."""
        return nullcontext() if self._shards is None else self._shards.whole_batch(len(batch.x))

    def _casts(self, precision: str | None = None) -> AbstractContextManager[object]:
        """The precision of a loss; a graph has no cache of weights that autocast has cast."""
        return autocast(self._device, precision or self.precision, self.move is None)

    def _values(self, terms: Terms) -> list[Tensor]:
        """All terms in fp32; under autocast, a sum in bf16 would keep 8 bits of a loss."""
        if self.layout is None:
            self.layout = check_terms(self.phase, terms, self._device)
        values = [terms[owner][name] for owner, names in self.layout.items() for name in names]
        values = [value if value.dtype is torch.float32 else value.float() for value in values]
        if sum(map(len, terms.values())) != len(values):
            raise PluginError(
                f"phase '{self.phase.name}' returned other terms than at its first step: "
                f"{_described(terms)} instead of {self.layout}; return the same names each time"
            )
        return values

    def _differentiate(self, values: list[Tensor]) -> None:
        assert self.layout is not None
        last = self._optimizers[-1]
        start = 0
        for optimizer in self._optimizers:
            stop = start + len(self.layout[optimizer.name])
            total = values[start]
            for value in values[start + 1 : stop]:
                total = total + value
            if total.dim():  # one total for each of several models, which share no weight
                total = total.sum()
            if not total.requires_grad:
                raise self._detached(optimizer)
            # A single optimizer needs no `inputs`, since no other weights require gradients here;
            # passing them costs about 10 us per update.
            inputs = optimizer.parameters if len(self._optimizers) > 1 else None
            self._backward(total, inputs=inputs, retain_graph=optimizer is not last)
            if optimizer.parameters[0].grad is None:
                self._check_reached(optimizer)
            start = stop

    def _check_reached(self, optimizer: NamedOptimizer) -> None:
        if all(parameter.grad is None for parameter in optimizer.parameters):
            raise self._detached(optimizer)

    def _detached(self, optimizer: NamedOptimizer) -> PluginError:
        return PluginError(
            f"phase '{self.phase.name}': the loss for optimizer '{optimizer.name}' doesn't depend "
            f"on the weights of its nets ({', '.join(optimizer.settings.nets)})"
        )

    def _terms(self, values: list[Tensor]) -> dict[str, dict[str, Tensor]]:
        assert self.layout is not None
        rest = iter(values)
        return {owner: {name: next(rest) for name in names} for owner, names in self.layout.items()}


def check_terms(phase: Phase, terms: Terms, device: torch.device) -> Layout:
    """The layout of the terms that a loss returned. Raises PluginError if they aren't valid."""
    where = f"phase '{phase.name}'"
    if not isinstance(terms, Mapping) or not all(isinstance(v, Mapping) for v in terms.values()):
        raise PluginError(f"{where}: the loss must return {{optimizer: {{term: tensor}}}}")
    given = set(terms) - {MONITOR}
    if given != set(phase.updates):
        raise PluginError(
            f"{where}: the loss returned terms for {sorted(given)}, but updates names "
            f"{sorted(phase.updates)}"
        )
    for owner, named in terms.items():
        if not named and owner != MONITOR:
            raise PluginError(f"{where}: the loss has no term for optimizer '{owner}'")
        if "loss" in named and len(named) > 1 and owner != MONITOR:
            raise PluginError(f"{where}: a term may be called 'loss' only if it is the only one")
        for name, value in named.items():
            if owner == MONITOR and name.endswith(NORM):
                raise PluginError(
                    f"{where}: the monitor '{name}' must have another name; the engine records "
                    f"the gradient norm of each optimizer as 'OPTIMIZER{NORM}'"
                )
            if not isinstance(value, Tensor) or value.dim() or value.device.type != device.type:
                raise PluginError(
                    f"{where}: '{owner}/{name}' must be a 0-dim tensor on {device.type}, "
                    f"not {_kind(value)}"
                )
    owners = [*phase.updates, *([MONITOR] if terms.get(MONITOR) else [])]
    return {owner: tuple(terms[owner]) for owner in owners}


class _WithoutGradients:
    """Inside, these parameters require no gradient; a generator would take twice as long."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self._parameters = parameters

    def __enter__(self) -> None:
        for parameter in self._parameters:
            parameter.requires_grad = False

    def __exit__(self, *error: object) -> None:
        for parameter in self._parameters:
            parameter.requires_grad = True


def _named_optimizer(
    phase: Phase, name: str, optimizers: Mapping[str, NamedOptimizer]
) -> NamedOptimizer:
    if name not in optimizers:
        raise PluginError(
            f"phase '{phase.name}' updates unknown optimizer '{name}'{suggest(name, optimizers)}"
        )
    return optimizers[name]


def _others(nets: nn.ModuleDict, own: list[nn.Parameter]) -> list[nn.Parameter]:
    mine = set(own)
    return [p for p in nets.parameters() if p.requires_grad and p not in mine]


def _microbatches(batch: Batch, count: int) -> list[Batch]:
    xs = batch.x.chunk(count)
    ys = [None] * len(xs) if batch.y is None else batch.y.chunk(count)
    return [
        Batch(x=x, y=y, step=batch.step, steps=batch.steps) for x, y in zip(xs, ys, strict=True)
    ]


def _described(terms: Terms) -> Layout:
    return {owner: tuple(named) for owner, named in terms.items()}


def _kind(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)} on {value.device.type}"
    return f"{type(value).__name__}"
