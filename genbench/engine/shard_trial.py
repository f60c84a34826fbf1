"""Whether a run can be trained on several devices: this is tried, whatever its model is called.

Each phase is tried on one small batch: the losses and gradients of the parts of the batch,
averaged, must be those of the whole batch from the same noise, and so must the buffers. They are
not if a loss compares the samples of a batch with one another, other than by batch normalisation.
A model that says so itself (``mixes_samples``) isn't tried.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product

import torch
from torch import Tensor

from genbench.contracts import MONITOR, Batch, Data, Model, Stage
from genbench.engine.ema import EMA
from genbench.engine.feed import Samples, first_samples
from genbench.engine.optim import build_optimizers
from genbench.engine.planned_stages import planned_stages
from genbench.engine.randomness import forked_rng, seed_everything
from genbench.engine.shards import Shards
from genbench.engine.stage import StageRun, ready
from genbench.errors import IncompatibleError
from genbench.spec import RunSpec

LEAST_ROWS = 2
"""The rows that each device gets of a microbatch; one row has no statistics of its own."""
TRIED_ROWS = 4
"""The same in a trial: with fewer, the statistics of a part differ more from the whole."""
FEW = 200
"""The samples that are prepared for a trial, for stages that fit something to them."""
TOLERANCE = 1e-4
"""The relative difference that rounding may make in fp32 on a CPU [1e-6 at most]."""
GPU_TOLERANCE = 1e-3
"""The same on other devices, where a batch of another size may take another algorithm."""
SEEDS = (0, 1)
"""The seeds of the noise in a trial; a model is refused if none of them gives the same.

Rounding alone may put a value on the other side of a ReLU's kink [``ebgan`` on digits, seed 0: the
gradients differ by 0.8 %], but hardly twice.
"""


def check_shards(
    model: Model, data: Data, spec: RunSpec, device: torch.device, shards: Shards
) -> None:
    """Try all phases of a newly built model, which is moved to ``device`` and keeps its values.

    All processes call this; the first one compares and raises IncompatibleError.
    """
    first = shards.rank == 0
    parts = shards.count * spec.accumulate
    if first:
        _check_declared(model)
        _check_sizes(data, spec, shards)
    model.nets.to(device)
    kept = {name: value.clone() for name, value in model.nets.state_dict().items()}
    tried = min(spec.batch_size, TRIED_ROWS * parts)
    trying = _Trying(model, data, replace(spec, batch_size=tried), device, kept)
    # The training emits again the warnings that matter.
    exact = torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False)
    refusals = []
    with forked_rng(device), warnings.catch_warnings(), exact:
        warnings.simplefilter("ignore")
        try:
            for seed, shards.interleaved in product(SEEDS, (False, True)):
                refusals.append(_attempt(trying, shards, seed))
                if shards.agree(not refusals[-1]):
                    return
        finally:
            trying.restore()
    raise IncompatibleError(refusals[0])


def _attempt(trying: _Trying, shards: Shards, seed: int) -> str:
    """Try all phases; the first process returns why they can't be split, or nothing."""
    refusal = ""
    for index, stage in enumerate(planned_stages(trying.model)):
        alone = trying.outcomes(index, stage, None, seed) if shards.rank == 0 else {}
        found = trying.outcomes(index, stage, shards, seed)
        for phase, whole in alone.items():
            refusal = refusal or _difference(phase, whole, found[phase], trying.tolerance)
    return refusal


def _check_declared(model: Model) -> None:
    parts = (model, *model.nets.modules())
    if any(getattr(part, "mixes_samples", False) for part in parts):
        raise IncompatibleError(
            "this model can't be trained on several devices: it says that its loss compares "
            "samples of a batch with one another; use one device"
        )
    if any(stage.begin is not None for stage in planned_stages(model)):
        raise IncompatibleError(
            "a stage that changes the networks when it begins can be trained on one device "
            "only; use one device"
        )


def _check_sizes(data: Data, spec: RunSpec, shards: Shards) -> None:
    batch, parts = min(spec.batch_size, len(data.train.x)), shards.count * spec.accumulate
    if batch % parts or batch < LEAST_ROWS * parts:
        fits = max(LEAST_ROWS, batch // parts) * parts
        each = f" in {spec.accumulate} microbatches" if spec.accumulate > 1 else ""
        raise IncompatibleError(
            f"a batch of {batch} images can't be split over {shards.count} devices{each}, with "
            f"{LEAST_ROWS} or more for each; set --batch-size {fits}"
        )


@dataclass(frozen=True)
class _Outcome:
    """What a phase computes: values by name, gradients, and the buffers that it leaves."""

    values: Mapping[str, Tensor]
    gradients: Tensor
    buffers: Mapping[str, Tensor]


@dataclass(frozen=True)
class _Trying:
    """A model and the first samples of its data; ``kept`` is its state."""

    model: Model
    data: Data
    spec: RunSpec
    device: torch.device
    kept: Mapping[str, Tensor]

    @property
    def tolerance(self) -> float:
        """The relative difference that rounding may make."""
        return TOLERANCE if self.device.type == "cpu" else GPU_TOLERANCE

    def restore(self) -> None:
        """Give the model its state again."""
        self.model.nets.load_state_dict(self.kept)
        self.model.nets.zero_grad(set_to_none=True)

    def outcomes(
        self, index: int, stage: Stage, shards: Shards | None, seed: int
    ) -> dict[str, _Outcome]:
        """The outcome of each phase of a stage, on whole batches without ``shards``."""
        if not stage.phases:
            return {}
        self.restore()
        run = self._ready(index, stage, shards)
        found = {}
        for update in run.updates:
            self.restore()
            seed_everything(seed)
            x, y = run.feed.draw(0)[0]
            values = update.trial(Batch(x=x, y=y, step=0, steps=run.steps), precision="fp32")
            assert update.layout is not None
            names = [
                f"{owner}/{name}"
                for owner, own in update.layout.items()
                for name in own
                if owner != MONITOR
            ]
            count = sum(map(len, update.layout.values()))
            found[update.phase.name] = _Outcome(
                values=dict(zip(names, values, strict=False)),
                gradients=torch.cat([grad.flatten() for grad in values[count:]]),
                buffers={k: b.detach().clone() for k, b in self.model.nets.named_buffers()},
            )
        return found

    def _ready(self, index: int, stage: Stage, shards: Shards | None) -> StageRun:
        width = max(phase.repeat for phase in stage.phases)
        few = first_samples(self.data.train, max(FEW, width * self.spec.batch_size))
        samples = Samples.of(few, self.device, self.data.augment)
        optimizers = build_optimizers(self.model, clip_norm=None)
        ema = EMA(self.model, None)
        run = ready(
            *(index, stage, self.model, optimizers, samples, self.spec, self.device, ema),
            *(None, shards),
        )
        run.feed.start(0)
        return run


def _difference(phase: str, whole: _Outcome, found: _Outcome, tolerance: float) -> str:
    """A sentence about what the parts of a batch don't give as the whole batch does, or ''."""
    for name, a in found.values.items():
        b = whole.values[name]
        if not (a - b).abs() <= tolerance * (1 + b.abs()):
            return _refusal(f"the value of '{name}' in phase '{phase}' ({a:.6g})", f" ({b:.6g})")
    a, b = found.gradients, whole.gradients
    if not (a - b).norm() <= tolerance * b.norm() + 1e-12:
        return _refusal(f"the gradients of phase '{phase}'")
    for name, buffer in whole.buffers.items():
        b = buffer.double()
        if not torch.allclose(
            found.buffers[name].double(), b, rtol=0, atol=tolerance * (1e-3 + _most(b))
        ):
            return _refusal(f"the '{name}' of phase '{phase}'")
    return ""


def _most(x: Tensor) -> float:
    return float(x.abs().max()) if x.numel() else 0.0


def _refusal(what: str, expected: str = "") -> str:
    return (
        f"this model can't be trained on several devices: the parts of a batch don't give {what} "
        f"that the whole batch gives{expected}, so its loss compares samples of a batch with one "
        "another, or is not a mean over them; use one device"
    )
