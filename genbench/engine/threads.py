"""The number of CPU threads that trains a model fastest, found by a short trial.

The networks of this bench are small: more threads than they can use only wait for one another, and
take cores from other work. How many that is depends on the networks, the batch and the machine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from genbench.contracts import Batch, Data, Model, Stage
from genbench.engine.ema import EMA
from genbench.engine.feed import Samples, first_samples
from genbench.engine.optim import build_optimizers
from genbench.engine.planned_stages import planned_stages, stage_epochs
from genbench.engine.randomness import forked_rng, seed_everything
from genbench.engine.stage import ready
from genbench.engine.update import Update
from genbench.spec import RunSpec

LEAST_STEPS = 1000
"""The iterations of a run below which a trial isn't worth its time."""
LIMIT_S = 0.5
"""The seconds after which a trial ends; networks that are too large for it use all threads."""
ROUNDS = 6
"""How often each number of threads is tried, in turn; the fastest one counts."""
TIED = 1.02
"""The ratio of times up to which fewer threads are as good."""
WORTH = 1.25
"""The ratio of times from which other numbers of threads may change the rounding of sums."""

ENVIRONMENT = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""The variables by which a user chooses the number of threads for all programs."""


def threads_are_chosen() -> bool:
    """Whether the environment sets the number of threads, or there is only one."""
    return torch.get_num_threads() == 1 or any(os.environ.get(name) for name in ENVIRONMENT)


@contextmanager
def using_threads(threads: int | None) -> Iterator[None]:
    """Use this number of threads inside, but not more than there are cores; None: as it is."""
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(min(threads, max(before, os.cpu_count() or 1)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fastest_threads(model: Model, data: Data, spec: RunSpec) -> int:
    """The number of threads that trains all stages of a newly built model on the CPU fastest.

    It is PyTorch's own number, half of it, a quarter, and so on. Results should not depend on the
    load of the machine at the time of a trial: a number that changes a bit of a loss or a gradient
    is taken only if it is 1.25 times as fast. Nothing is trained; weights, buffers and generators
    are restored. A run that is too short for a trial, a model that fails in it and a step that
    takes too long get PyTorch's own number.
    """
    most = torch.get_num_threads()
    counts = [most >> k for k in range(most.bit_length())]
    kept = {name: value.clone() for name, value in model.nets.state_dict().items()}
    with using_threads(most), forked_rng(torch.device("cpu")):
        try:
            stages = [stage for stage in planned_stages(model) if stage.phases]
            if sum(_iterations(stage, data, spec) for stage in stages) < LEAST_STEPS:
                return most
            trials = _trials(model, data, spec)
            seconds = _seconds(trials, counts)
            return _best(seconds, most, lambda count: _outcome(model, trials, kept, count))
        except Exception:  # what fails here fails in the training, which says why
            return most
        finally:
            model.nets.load_state_dict(kept)
            model.nets.zero_grad(set_to_none=True)


@dataclass(frozen=True)
class _Trial:
    """A phase with a batch for it, and the number of its updates in the run."""

    update: Update
    batch: Batch
    updates: float


def _trials(model: Model, data: Data, spec: RunSpec) -> list[_Trial]:
    """One for each phase; what `Stage.prepare` makes of the first samples stands for all of it."""
    device, spec = torch.device("cpu"), replace(spec, compile=False)
    optimizers = build_optimizers(model, clip_norm=spec.clip_norm)
    found = []
    for index, stage in enumerate(planned_stages(model)):
        if not stage.phases:
            continue
        few = first_samples(data.train, _width(stage) * spec.batch_size)
        samples = Samples.of(few, device, data.augment)
        ema = EMA(model, None)
        run = ready(index, stage, model, optimizers, samples, spec, device, ema, None)
        run.feed.start(0)
        x, y = run.feed.draw(0)[0]
        batch = Batch(x=x, y=y, step=0, steps=run.steps)
        iterations = _iterations(stage, data, spec)
        found += [
            _Trial(update, batch, iterations * update.phase.repeat / update.phase.every)
            for update in run.updates
        ]
    return found


def _iterations(stage: Stage, data: Data, spec: RunSpec) -> int:
    images = min(len(data.train.x), spec.epoch_images or len(data.train.x))
    return stage_epochs(stage, spec) * max(1, images // spec.batch_size // _width(stage))


def _width(stage: Stage) -> int:
    return max(phase.repeat for phase in stage.phases)


def _seconds(trials: Sequence[_Trial], counts: Sequence[int]) -> dict[int, float]:
    """Number of threads -> seconds of all updates of the run; empty if there was no time."""
    end = time.perf_counter() + LIMIT_S
    found: dict[int, list[float]] = {count: [] for count in counts}
    for trial in trials:
        trial.update.trial(trial.batch)
    for _ in range(ROUNDS):
        for count in counts:
            if time.perf_counter() > end:
                break
            torch.set_num_threads(count)
            trials[0].update.trial(trials[0].batch)  # starts the threads
            found[count].append(sum(_time(trial) * trial.updates for trial in trials))
    return {count: min(s) for count, s in found.items()} if all(found.values()) else {}


def _time(trial: _Trial) -> float:
    begun = time.perf_counter()
    trial.update.trial(trial.batch)
    return time.perf_counter() - begun


def _best(seconds: Mapping[int, float], most: int, outcome: Callable[[int], list[Tensor]]) -> int:
    """The fastest number; of those that are about as fast, the smallest."""
    if not seconds:
        return most
    least = min(seconds.values())
    order = sorted(seconds, key=lambda n: n if seconds[n] <= TIED * least else most + seconds[n])
    usual = outcome(most)
    for count in order:
        if seconds[count] * WORTH <= seconds[most]:
            return count
        if all(map(torch.equal, outcome(count), usual)):
            return count
    return most


def _outcome(
    model: Model, trials: Sequence[_Trial], state: Mapping[str, Tensor], threads: int
) -> list[Tensor]:
    """The losses and gradients of all phases with this number of threads, from the same noise."""
    torch.set_num_threads(threads)
    model.nets.load_state_dict(state)
    seed_everything(0)
    return [tensor for trial in trials for tensor in trial.update.trial(trial.batch)]
