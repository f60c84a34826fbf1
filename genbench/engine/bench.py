"""Where the time of a training goes: parts of a step, other ways to execute it, and its limit.

All of it is measured on real steps of a newly built model with few samples, in turn, so that other
work on the machine slows all of them alike.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import torch

from genbench.contracts import Batch, Data, Model
from genbench.engine.capture import WARM_UP
from genbench.engine.device import synchronize
from genbench.engine.ema import EMA
from genbench.engine.feed import Samples, first_samples
from genbench.engine.graphs import default_graphs
from genbench.engine.loss_accumulator import ROWS
from genbench.engine.optim import build_optimizers
from genbench.engine.planned_stages import planned_stages
from genbench.engine.randomness import seed_everything
from genbench.engine.stage import ready
from genbench.engine.threads import using_threads
from genbench.errors import GenbenchError, UsageError
from genbench.spec import RunSpec

SIDE, SIDE_CPU = 4096, 1024
"""The side of square matrices; their product shows the arithmetic rate of the machine."""
LEAST_ROUNDS = 5
"""The least number of measurements of anything, however long they take."""
BLOCK_S = 0.05
"""The approximate seconds of a block of steps that is timed as a whole."""

BuildModel = Callable[[], Model]


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way to execute steps: what it changes of the run's own settings, and its threads."""

    name: str
    spec: RunSpec
    threads: int | None = None


@dataclass(frozen=True, kw_only=True)
class StepPart:
    """Milliseconds of a part of a step, the median over steps, and its share of the step."""

    name: str
    ms: float
    share: float


@dataclass(frozen=True, kw_only=True)
class StageBench:
    """What was measured of one stage; ``ms`` are milliseconds of an iteration (a step).

    ``flops`` are those of matrix products and convolutions in an iteration, ``limit_ms`` the time
    that the machine needs for them at its measured rate. ``ways`` maps the name of a way to its
    milliseconds, or to the reason why it couldn't be measured.
    """

    stage: str
    batch_size: int
    images: int
    ms: float
    images_per_s: float
    parts: tuple[StepPart, ...]
    flops: int
    limit_ms: float
    ways: Mapping[str, float | str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def matrix_rate(device: torch.device, precision: str, seconds: float = 0.3) -> float:
    """FLOP/s of a square matrix product, the fastest of those within ``seconds``."""
    side = SIDE_CPU if device.type == "cpu" else SIDE
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a = torch.full((side, side), 0.5, device=device, dtype=dtype)
    taken = _repeated(lambda: torch.mm(a, a), device, seconds)
    return 2.0 * side**3 / min(taken)


def bench_stages(
    build: BuildModel,
    data: Data,
    spec: RunSpec,
    device: torch.device,
    *,
    rate: float,
    ways: Sequence[Way] = (),
    seconds: float,
) -> Iterator[StageBench]:
    """Measure all stages that have steps; each way of executing them for about ``seconds``.

    ``build`` makes a new model for each of them, and ``rate`` is that of `matrix_rate`.
    """
    own = Way(name="as given", spec=spec)
    stages = planned_stages(build())
    for index in (k for k, stage in enumerate(stages) if stage.phases):
        # The parts of a graph can't be told apart, so they are those of ordinary steps.
        ordinary = Way(name="ordinary", spec=replace(spec, capture=False))
        steps = _Steps(build, index, data, ordinary, device)
        flops, parts = steps.flops(), steps.parts(seconds)
        found = _in_turn(build, index, data, (own, *ways), device, seconds)
        ms = found.pop(own.name)
        if isinstance(ms, str):
            raise UsageError(f"stage '{stages[index].name}' can't be measured: {ms}")
        parts["host and rest"] = max(0.0, ms - sum(parts.values()))
        yield StageBench(
            stage=stages[index].name,
            batch_size=steps.run.feed.batch_size,
            images=steps.images,
            ms=ms,
            images_per_s=steps.images / ms * 1e3,
            parts=tuple(StepPart(name=n, ms=t, share=t / ms) for n, t in parts.items()),
            flops=flops,
            limit_ms=flops / rate * 1e3,
            ways=found,
        )


class _Steps:
    """A stage of a newly built model on few samples, executed in one way."""

    def __init__(
        self, build: BuildModel, index: int, data: Data, way: Way, device: torch.device
    ) -> None:
        seed_everything(way.spec.seed)
        model = build()
        model.nets.to(device)
        stage = planned_stages(model)[index]
        width = max(phase.repeat for phase in stage.phases)
        few = first_samples(data.train, width * way.spec.batch_size)
        samples = Samples.of(few, device, data.augment)
        optimizers = build_optimizers(model, clip_norm=way.spec.clip_norm)
        graphs = default_graphs(device) if way.spec.capture else None
        ema = EMA(model, way.spec.ema)
        self.run = ready(index, stage, model, optimizers, samples, way.spec, device, ema, graphs)
        self.images = width * self.run.feed.batch_size
        ema.follow(self.run.learning, reset=True)
        self.run.start_epoch(0)
        self.accumulate = way.spec.accumulate
        self.device, self._step = device, 0

    def step(self) -> None:
        """An iteration as the training takes it; losses are read as rarely as there."""
        run = self.run
        batches = self._batches()
        for update in run.updates:
            if self._step % update.phase.every == 0:
                for batch in batches[: update.phase.repeat]:
                    run.losses.record(update, self._step + 1, update(batch))
        run.average()
        self._step += 1
        if self._step % ROWS == 0:
            run.losses.read(self._step)

    def flops(self) -> int:
        """The floating-point operations of products and convolutions in an iteration."""
        # It imports triton, for a second or two.
        from torch.utils.flop_counter import FlopCounterMode

        total = 0.0
        for update in self.run.updates:
            with FlopCounterMode(display=False) as counter:
                update.trial(self._batches()[0], compiled=False)
            times = self.accumulate * update.phase.repeat / update.phase.every
            total += counter.get_total_flops() * times
        return round(total)

    def parts(self, seconds: float) -> dict[str, float]:
        """Milliseconds of the parts of an iteration, with the device synchronized after each."""
        rounds: list[dict[str, float]] = []
        phases = {update.phase.name: update.phase for update in self.run.updates}
        end = time.perf_counter() + seconds
        while len(rounds) < WARM_UP + LEAST_ROUNDS or time.perf_counter() < end:
            clock = _Clock(self.device)
            batches = self._batches()
            clock.end("data")
            for update in self.run.updates:
                update.in_parts(batches[0], partial(clock.end, update.phase.name))
            rounds.append(clock.ms)
        measured = rounds[WARM_UP:]
        taken = {name: statistics.median(ms[name] for ms in measured) for name in measured[0]}
        for name in taken:
            phase = phases.get(name.partition(":")[0])
            taken[name] *= phase.repeat / phase.every if phase else 1
        return taken

    def _batches(self) -> list[Batch]:
        run = self.run
        return [Batch(x=x, y=y, step=self._step, steps=run.steps) for x, y in run.feed.draw(0)]


class _Clock:
    """Milliseconds between the ends of parts, by name; of parts of one name, their sum."""

    def __init__(self, device: torch.device) -> None:
        self._device, self.ms = device, dict[str, float]()
        synchronize(device)
        self._begun = time.perf_counter()

    def end(self, *names: str) -> None:
        """A part ends here: "data", or a phase with one of its parts."""
        synchronize(self._device)
        now = time.perf_counter()
        name = ": ".join(names)
        self.ms[name] = self.ms.get(name, 0.0) + (now - self._begun) * 1e3
        self._begun = now


def _in_turn(
    build: BuildModel,
    index: int,
    data: Data,
    ways: Sequence[Way],
    device: torch.device,
    seconds: float,
) -> dict[str, float | str]:
    """Name of a way -> milliseconds of an iteration (a median over blocks), or why not."""
    found: dict[str, float | str] = {}
    blocks: dict[str, list[float]] = {}
    steps: list[tuple[Way, _Steps, int]] = []
    for way in ways:
        try:
            with using_threads(way.threads):
                made = _Steps(build, index, data, way, device)
                steps.append((way, made, _warm(made)))
        except (GenbenchError, RuntimeError, MemoryError) as error:
            found[way.name] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    end = time.perf_counter() + seconds * len(steps)
    while steps and (
        time.perf_counter() < end or len(blocks.get(steps[0][0].name, ())) < LEAST_ROUNDS
    ):
        for way, made, size in steps:
            with using_threads(way.threads):
                made.step()  # starts the threads
                blocks.setdefault(way.name, []).append(_block(made, size))
    return {**{name: statistics.median(taken) * 1e3 for name, taken in blocks.items()}, **found}


def _warm(steps: _Steps) -> int:
    """Take the first steps, which compile and capture; the number of steps in a block."""
    for _ in range(WARM_UP + 4):
        steps.step()
    return max(1, min(ROWS, round(BLOCK_S / _block(steps, 2))))


def _block(steps: _Steps, size: int) -> float:
    """Seconds of a step, the mean over a block."""
    synchronize(steps.device)
    begun = time.perf_counter()
    for _ in range(size):
        steps.step()
    synchronize(steps.device)
    return (time.perf_counter() - begun) / size


def _repeated(call: Callable[[], object], device: torch.device, seconds: float) -> list[float]:
    end, taken = time.perf_counter() + seconds, list[float]()
    while len(taken) < LEAST_ROUNDS or time.perf_counter() < end:
        synchronize(device)
        begun = time.perf_counter()
        call()
        synchronize(device)
        taken.append(time.perf_counter() - begun)
    return taken
