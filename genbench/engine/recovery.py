"""Recovery from a crash: the position of a run, and when checkpoints are written.

A checkpoint has the nets, their EMA, the optimizers, the generators, the position and the open
sums of the losses: everything that the next step depends on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genbench.contracts import Model
from genbench.engine.checkpoint import AGAIN, RunIdentity, Snapshot, write_checkpoint
from genbench.engine.ema import EMA
from genbench.engine.optim import NamedOptimizer
from genbench.engine.randomness import rng_state, set_rng_state
from genbench.engine.restoring import read_checkpoint, restore_weights
from genbench.engine.stage import StageRun
from genbench.errors import CheckpointError, DivergedError
from genbench.events import Checkpointed, Checkpointing, EpochDone, Listener

SHARE = 0.05
"""The maximum share of time for checkpoints at the ends of very short epochs."""


@dataclass
class Position:
    """The position of a run. ``epoch`` and ``stage_epoch`` count finished epochs.

    ``iteration`` counts the iterations of the open epoch, ``step`` those of the run; ``train_s``,
    ``wall_s`` and ``cpu_s`` are the seconds spent on the open epoch so far.
    """

    stage: int = 0
    stage_epoch: int = 0
    iteration: int = 0
    epoch: int = 0
    step: int = 0
    train_s: float = 0.0
    wall_s: float = 0.0
    cpu_s: float | None = 0.0

    def counts(self) -> dict[str, int]:
        """The position without the seconds."""
        return {name: n for name, n in asdict(self).items() if not name.endswith("_s")}


def _position(stored: Mapping[str, Any]) -> Position:
    """The stored position; old checkpoints have no CPU seconds."""
    return Position(**{"cpu_s": None if stored["train_s"] else 0.0, **stored})


class Recovery:
    """Writes and reads the checkpoints of a run, and emits which epochs are safe with them."""

    def __init__(
        self,
        folder: Path,
        emit: Listener,
        *,
        model: Model,
        optimizers: Mapping[str, NamedOptimizer],
        ema: EMA,
        device: torch.device,
        identity: RunIdentity | None = None,
    ) -> None:
        self._folder, self._emit, self._device = folder, emit, device
        self._identity = identity
        self._model, self._optimizers, self._ema = model, optimizers, ema
        self._waiting: list[EpochDone] = []
        self._written = time.perf_counter()
        self._cost = 0.0

    @property
    def age(self) -> float:
        """Seconds since the last checkpoint, or since the start."""
        return time.perf_counter() - self._written

    def is_due(self, position: Position, run: StageRun, *, runs: int = 1) -> bool:
        """Whether to write a checkpoint at the end of an epoch, unless it would slow the run.

        A checkpoint of 3 M weights with Adam takes about 0.1 s, an epoch of the digits 0.05 s.
        ``runs`` is the number of runs that write one at the same time.
        """
        return position.stage_epoch == run.epochs or runs * self._cost <= SHARE * self.age

    def wait_for(self, done: EpochDone) -> None:
        """Remember an epoch that will be safe with the next checkpoint."""
        self._waiting.append(done)

    def save(self, position: Position, run: StageRun, *, wall_s: float) -> None:
        """Write a checkpoint, then emit Checkpointed for each epoch that is safe with it.

        Its seconds don't count as training. Raises DivergedError, DiskFullError and
        CheckpointError; the last checkpoint is then kept.
        """
        self._check_finite(position, run)
        # A listener stops a process that may not write any more.
        self._emit(Checkpointing(step=position.step))
        began = time.perf_counter()
        optimizers = self._optimizers.items()
        snapshot = Snapshot(
            position=position.counts(),
            weights=self._model.nets.state_dict(),
            ema=self._ema.state(),
            state={
                "position": asdict(replace(position, wall_s=wall_s)),
                "optimizers": {
                    name: optimizer.torch_optimizer.state_dict() for name, optimizer in optimizers
                },
                "generators": rng_state(self._device),
                "sums": run.losses.state(),
            },
            identity=self._identity,
        )
        path = write_checkpoint(self._folder, snapshot)
        self._written = time.perf_counter()
        self._cost = self._written - began
        safe: list[EpochDone | None] = [*self._waiting]
        if position.iteration:
            safe.append(None)
        self._waiting = []
        for done in safe:
            step, epoch = position.step, position.epoch
            self._emit(Checkpointed(path=path, step=step, epoch=epoch, epoch_done=done))

    def follow(self, optimizers: Mapping[str, NamedOptimizer], ema: EMA) -> None:
        """Save and restore these from now on: those of nets that have changed their shapes."""
        self._optimizers, self._ema = optimizers, ema

    def read(self) -> Snapshot:
        """Read the last checkpoint, and restore the weights from it."""
        snapshot = read_checkpoint(self._folder, self._identity)
        restore_weights(self._model, snapshot.weights, snapshot.path or self._folder)
        return snapshot

    def restore(self, snapshot: Snapshot) -> tuple[Position, Mapping[str, Any]]:
        """Restore all but the weights; return the position and the open sums of the losses."""
        path = snapshot.path or self._folder
        try:
            self._ema.restore(snapshot.ema)
            for name, optimizer in self._optimizers.items():
                optimizer.torch_optimizer.load_state_dict(snapshot.state["optimizers"][name])
            set_rng_state(snapshot.state["generators"], self._device)
            return _position(snapshot.state["position"]), snapshot.state["sums"]
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"the training state in {path} doesn't fit this model ({error})",
                hint=AGAIN,
            ) from error

    @torch.no_grad()
    def _check_finite(self, position: Position, run: StageRun) -> None:
        parameters = list(self._model.nets.named_parameters())
        finite = torch.stack([torch.isfinite(p).all() for _, p in parameters] or [torch.tensor(1)])
        if bool(finite.all()):
            return
        name, parameter = parameters[finite.tolist().index(False)]
        raise DivergedError(
            stage=run.stage.name,
            phase=self._updating_phase(run, parameter),
            term=f"the weight '{name}'",
            step=position.step,
            value=parameter[~torch.isfinite(parameter)][0].item(),
        )

    def _updating_phase(self, run: StageRun, parameter: Tensor) -> str:
        for phase in run.stage.phases:
            for name in phase.updates:
                if any(parameter is mine for mine in self._optimizers[name].parameters):
                    return phase.name
        return ""
