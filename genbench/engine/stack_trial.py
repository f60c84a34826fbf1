"""Whether models can be trained together, and whether that is faster: a trial finds out.

Each phase is tried on one batch: an update of the stack must give two of its models the terms,
gradients, weights and buffers that an update of each model alone gives it from the same noise.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from genbench.contracts import MONITOR, Batch, Data, Model
from genbench.engine.capture import WARM_UP
from genbench.engine.device import synchronize
from genbench.engine.ema import EMA
from genbench.engine.feed import Pair, Samples, first_samples
from genbench.engine.graphs import default_graphs
from genbench.engine.optim import NamedOptimizer, build_optimizers
from genbench.engine.planned_stages import planned_stages, stage_epochs
from genbench.engine.randomness import forked_rng
from genbench.engine.shared_noise import SharedNoise
from genbench.engine.stack import Stack, StackedEMA, stacked_optimizers
from genbench.engine.stacked_stage import StackedStage, stacked_stage
from genbench.engine.stage import StageRun, ready
from genbench.errors import GenbenchError, is_out_of_memory
from genbench.spec import RunSpec

COMPARED = 2
"""The number of models that are compared with those alone."""
TOLERANCE = 2e-3
"""The relative difference that rounding may make in fp32 on a CPU."""
COARSE_TOLERANCE = 5e-2
"""The same on other devices, where products may be rounded to TF32, and with bf16."""
STRIDES = 25
"""Learning rates by which a weight may differ: a first step has about the size of the rate."""
TIMED = 2
"""The steps that are timed, after one that isn't, or after those that a capture takes."""


@dataclass(frozen=True)
class StackTrial:
    """``refusal`` says why models can't be trained together; it is empty if they can be.

    ``ratio`` is the time of a step of all of them together over that of a step of each, one after
    the other; it is None for a refusal.
    """

    refusal: str = ""
    ratio: float | None = None


def try_together(
    models: Sequence[Model], data: Data, specs: Sequence[RunSpec], device: torch.device
) -> StackTrial:
    """Try all phases of newly built models. They are moved to ``device``, and keep their values."""
    if specs[0].compile:
        return StackTrial(
            "compiled losses can't be stacked; leave out --compile to train them together"
        )
    kept = [{k: v.clone() for k, v in model.nets.state_dict().items()} for model in models]
    try:
        # The training emits again the warnings that matter.
        with forked_rng(device), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _Trying(models, data, specs, device).all_stages()
    except _RefusedError as refused:
        return StackTrial(str(refused))
    except (GenbenchError, RuntimeError, MemoryError) as error:
        return StackTrial(_in_words(error))
    finally:
        for model, state in zip(models, kept, strict=True):
            model.nets.load_state_dict(state)
            model.nets.zero_grad(set_to_none=True)


class _RefusedError(Exception):
    """The models can't be trained together; the message is the reason."""


class _Trying:
    """The models, their stack, and the optimizers of both, for the time of a trial."""

    def __init__(
        self, models: Sequence[Model], data: Data, specs: Sequence[RunSpec], device: torch.device
    ) -> None:
        self.models, self.specs, self.spec, self.device = models, specs, specs[0], device
        for model in models:
            model.nets.to(device)
        self.stages = planned_stages(models[0])
        if any(stage.begin is not None for stage in self.stages):
            raise _RefusedError("a stage that changes the networks (`begin`) can't be stacked")
        repeats = [phase.repeat for stage in self.stages for phase in stage.phases]
        few = first_samples(data.train, max(repeats, default=1) * self.spec.batch_size)
        self.samples = Samples.of(few, device, data.augment)
        self.optimizers = [build_optimizers(m, clip_norm=self.spec.clip_norm) for m in models]
        self.stack = Stack(models)
        self.stacked = stacked_optimizers(self.optimizers, self.stack)
        self.graphs = default_graphs(device) if self.spec.capture else None
        exact = device.type == "cpu" and self.spec.precision == "fp32"
        self.tolerance = TOLERANCE if exact else COARSE_TOLERANCE

    def all_stages(self) -> StackTrial:
        """Compare and time the phases of all stages with steps."""
        alone = together = 0.0
        for index, stage in enumerate(self.stages):
            if stage.phases:
                one, all_of_them = self._stage(index)
                alone += one * len(self.models) * stage_epochs(stage, self.spec)
                together += all_of_them * stage_epochs(stage, self.spec)
        return StackTrial(ratio=together / alone if alone else None)

    def _stage(self, index: int) -> tuple[float, float]:
        """Seconds of an iteration of one model alone, and of the stack."""
        runs = [
            self._ready(index, model, own, spec)
            for model, own, spec in zip(self.models, self.optimizers, self.specs, strict=True)
        ]
        ema = StackedEMA([EMA(model, None) for model in self.models], self.stack)
        whole = stacked_stage(
            runs, self.stack, self.stacked, ema, self.spec, self.device, self.graphs
        )
        whole.feed.start(0)
        pair = whole.feed.draw(0)[0]
        for k, phase in enumerate(self.stages[index].phases):
            try:
                self._compare(runs, whole, k, pair)
            except (GenbenchError, RuntimeError, MemoryError) as error:
                raise _RefusedError(_in_words(error, f"phase '{phase.name}': ")) from error
        return (
            self._seconds(partial(_iteration, runs[0], _one(pair, 0))),
            self._seconds(partial(_iteration, whole, Batch(x=pair[0], y=pair[1]))),
        )

    def _ready(
        self, index: int, model: Model, own: Mapping[str, NamedOptimizer], spec: RunSpec
    ) -> StageRun:
        stage, ema = planned_stages(model)[index], EMA(model, None)
        data, device = self.samples, self.device
        return ready(index, stage, model, own, data, spec, device, ema, self.graphs)

    # --- is it right?

    def _compare(self, runs: Sequence[StageRun], whole: StackedStage, k: int, pair: Pair) -> None:
        """Raise _RefusedError unless update ``k`` does the same in a stack and alone."""
        before = self.stack.kept()
        alone = []
        for i, run in enumerate(runs[:COMPARED]):
            with SharedNoise():
                values = run.updates[k](_one(pair, i))
            updated = run.updates[k].phase.updates
            gradients = {name: _gradient(self.optimizers[i][name]) for name in updated}
            alone.append((values, gradients, _copied(self.models[i])))
        self.stack.restore(before)
        with SharedNoise():
            values = whole.updates[k](Batch(x=pair[0], y=pair[1]))
        self.stack.refresh()
        name = whole.updates[k].phase.name
        for i, (own_values, gradients, tensors) in enumerate(alone):
            self._check_values(whole, k, [value[i] for value in values], own_values)
            for optimizer, own in gradients.items():
                found = _gradient(self.stacked[optimizer], i)
                if not (found - own).norm() <= self.tolerance * own.norm() + 1e-12:
                    raise _RefusedError(
                        f"phase '{name}': '{optimizer}' gets other gradients than alone"
                    )
            self._check_tensors(name, i, tensors)
        self.stack.restore(before)

    def _check_values(
        self, whole: StackedStage, k: int, found: Sequence[Tensor], own: Sequence[Tensor]
    ) -> None:
        update = whole.updates[k]
        assert update.layout is not None
        owners = [(owner, name) for owner, names in update.layout.items() for name in names]
        for (owner, name), a, b in zip(owners, found, own, strict=False):
            # A monitor may count samples on either side of a threshold.
            bound = COARSE_TOLERANCE if owner == MONITOR else self.tolerance
            if not (a - b).abs() <= bound * (1 + b.abs()):
                raise _RefusedError(
                    f"phase '{update.phase.name}': '{owner}/{name}' is {a:.6g} in a stack and "
                    f"{b:.6g} alone, with the same noise"
                )

    def _check_tensors(self, phase: str, i: int, own: dict[str, Tensor]) -> None:
        """Compare weights, which have taken a step, and buffers."""
        stride = STRIDES * max(o.settings.lr for o in self.stacked.values())
        for name, b in own.items():
            a = self.stack.tensors[name][i].detach()
            bound = self.tolerance * (1e-3 + b.double().abs().max())
            bound = bound + (stride if name in self.stack.parameters else 0.0)
            if not (a.double() - b.double()).abs().max() <= bound:
                raise _RefusedError(f"phase '{phase}': '{name}' ends with other values than alone")

    # --- is it faster?

    def _seconds(self, step: Callable[[], None]) -> float:
        best = float("inf")
        for _ in range(WARM_UP + 3 + TIMED if self.graphs else 1 + TIMED):
            synchronize(self.device)
            began = time.perf_counter()
            step()
            synchronize(self.device)
            best = min(best, time.perf_counter() - began)
        return best


def _one(pair: Pair, i: int) -> Batch:
    """The batch of one model, of those of all."""
    x, y = pair
    return Batch(x=x[:, i], y=None if y is None else y[:, i])


def _iteration(run: StageRun | StackedStage, batch: Batch) -> None:
    for update in run.updates:
        for _ in range(update.phase.repeat):
            update(batch)


def _copied(model: Model) -> dict[str, Tensor]:
    named = (*model.nets.named_parameters(), *model.nets.named_buffers())
    return {name: tensor.detach().clone() for name, tensor in named}


def _gradient(optimizer: NamedOptimizer, i: int | None = None) -> Tensor:
    """The gradient of one model after an update, flat; ``i`` is its place in a stack."""
    grads = [p.grad if i is None else p.grad[i] for p in optimizer.parameters if p.grad is not None]
    return torch.cat([grad.detach().flatten() for grad in grads])


def _in_words(error: BaseException, where: str = "") -> str:
    """An error of a trial as half a sentence."""
    if is_out_of_memory(error):
        return "they don't all fit in memory at once"
    words = " ".join(str(error).split())
    if isinstance(error, GenbenchError):
        return words
    known = [reason for sign, reason in _REASONS.items() if sign in words]
    return where + (known[0] if known else f"{words[:200].rstrip()} ({type(error).__name__})")


_REASONS = {
    "data-dependent control flow": "its loss decides by the values of a tensor, which can't be "
    "stacked",
    ".item()": "its loss reads the value of a tensor, which can't be stacked",
    "Batching rule not implemented": "it uses an operation that torch.func.vmap doesn't know",
    "is not possible because there exists a Tensor": "it changes a tensor in place that isn't a "
    "parameter or buffer of its nets",
}
"""What torch.func.vmap refuses: a sign in its message, and the reason."""
