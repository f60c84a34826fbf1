"""A watch over the moves of a training: what a loss or a step changes that isn't its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from genbench.contracts import Batch, Phase, Stage, Terms

RUNNING = ("running_mean", "running_var", "num_batches_tracked")
"""What normalisations keep of the batches that they saw."""


class Watch:
    """Wraps the losses of a model's stages; each raises AssertionError at the step that errs.

    A loss may read everything and change no weight and no data; between two losses only the
    weights of the phase's own optimizers may move. Running statistics of a discriminator move in
    its own phases only: elsewhere it sees generated samples alone. Those of the ``makers``, nets
    that samples or codes come from, may move, for they see the same in every phase.
    """

    def __init__(self, model: Any, makers: Collection[str] = ()) -> None:
        self._model = model
        self._owners = _owners(model)
        self._makers = makers
        self._last: tuple[Phase, str, dict[str, Tensor]] | None = None

    def stage(self, stage: Stage) -> Stage:
        """The stage with its phases watched."""
        self._last = None
        return replace(stage, phases=tuple(self.phase(stage, p) for p in stage.phases))

    def phase(self, stage: Stage, phase: Phase) -> Phase:
        """The phase with its loss watched."""

        def loss(batch: Batch) -> Terms:
            where = f"phase '{phase.name}' (stage '{stage.name}', step {batch.step})"
            weights = self._weights()
            self._check_moves(weights)
            terms = self._check_loss(phase, batch, where, weights)
            self._last = (phase, where, weights)
            return terms

        return replace(phase, loss=loss)

    def finish(self) -> None:
        """Look at what the last move changed."""
        self._check_moves(self._weights())
        self._last = None

    def _check_moves(self, weights: dict[str, Tensor]) -> None:
        """Everything that has changed since the last loss belongs to the updated optimizers."""
        if self._last is None:
            return
        phase, where, before = self._last
        others = {n: v for n, v in before.items() if not self._is_own(n, phase)}
        strange = _changed(others, weights)
        assert not strange, (
            f"{where} changed {_few(strange)}, which the optimizers that it updates "
            f"({', '.join(phase.updates)}) don't own; check `after`, hooks and weights that share "
            "storage"
        )

    def _is_own(self, name: str, phase: Phase) -> bool:
        return bool(self._owners.get(name, set()) & {*phase.updates})

    def _check_loss(
        self, phase: Phase, batch: Batch, where: str, weights: dict[str, Tensor]
    ) -> Terms:
        given = [(t, t.clone()) for t in (batch.x, batch.y) if t is not None]
        statistics, needing = self._statistics(), self._needing()
        terms = phase.loss(batch)
        touched = [
            name
            for name, parameter in self._model.nets.named_parameters()
            if parameter.grad is not None and self._is_own(name, phase)
        ]
        assert not touched, (
            f"a loss called backward() itself: {_few(touched)} have gradients in {where}; return "
            "the terms, the engine differentiates them"
        )
        moved = _changed(weights, dict(self._model.nets.named_parameters()))
        assert not moved, (
            f"a loss changed the weights {_few(moved)} in {where}; only the engine updates weights"
        )
        assert needing == self._needing(), (
            f"the loss of {where} changed requires_grad of {_few(needing ^ self._needing())}, "
            "so a gradient reaches another optimizer's weights; leave requires_grad to the engine"
        )
        self._check_statistics(phase, statistics, where)
        assert all(torch.equal(now, before) for now, before in given), (
            f"the loss of {where} changed batch.x or batch.y in place; work on a copy (x = x + ...)"
        )
        return terms

    def _check_statistics(self, phase: Phase, before: dict[str, Tensor], where: str) -> None:
        moved = [
            name
            for name in _changed(before, self._statistics())
            if name in self._owners
            and not self._is_own(name, phase)
            and name.partition(".")[0] not in self._makers
        ]
        assert not moved, (
            f"{where} changed the running statistics {_few(moved)} of another optimizer's net, "
            "which sees only generated samples there; wrap it in genbench.statistics_held(net), or "
            "give the net a normalisation without running statistics (GroupNorm, InstanceNorm)"
        )

    def _weights(self) -> dict[str, Tensor]:
        return {name: p.detach().clone() for name, p in self._model.nets.named_parameters()}

    def _statistics(self) -> dict[str, Tensor]:
        buffers = self._model.nets.named_buffers()
        return {name: b.clone() for name, b in buffers if name.rpartition(".")[2] in RUNNING}

    def _needing(self) -> set[str]:
        return {name for name, p in self._model.nets.named_parameters() if p.requires_grad}


def _owners(model: Any) -> dict[str, set[str]]:
    """The names of the optimizers that own each parameter or buffer."""
    owners: dict[str, set[str]] = {}
    for optimizer, settings in model.optimizers().items():
        for net in settings.nets:
            module = model.nets[net]
            for name, _ in (*module.named_parameters(), *module.named_buffers()):
                owners.setdefault(f"{net}.{name}", set()).add(optimizer)
    return owners


def _changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> list[str]:
    return [name for name, value in before.items() if not torch.equal(value, after[name])]


def _few(names: Iterable[str]) -> str:
    names = sorted(names)
    return ", ".join(f"'{name}'" for name in names[:3]) + (", ..." if len(names) > 3 else "")
