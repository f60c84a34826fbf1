"""Fine-tuning: the model's own stages once more, with what a method adds to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from genbench import Batch, Model, Phase, Stage

Begin = Callable[[Iterator[Batch]], None]


def fine_tuning(
    model: Model,
    *,
    begin: Begin | None = None,
    prefix: str = "",
    epochs: int | None = None,
    changed: Callable[[Phase], Phase] | None = None,
) -> tuple[Stage, ...]:
    """The stages of a model again, each for ``epochs`` (None: the epochs of the run).

    ``begin`` is called before the first of them, ``prefix`` is put before their names, and
    ``changed`` makes a phase of each of their phases.
    """
    change = changed or (lambda phase: phase)
    stages = [
        replace(
            stage,
            name=f"{prefix}{stage.name}",
            epochs=epochs,
            phases=tuple(change(phase) for phase in stage.phases),
        )
        for stage in model.stages()
    ]
    return (replace(stages[0], begin=begin), *stages[1:])


def in_rounds(
    model: Model,
    begins: Sequence[Begin],
    *,
    round_epochs: int,
    finetune: bool = True,
    changed: Callable[[Phase], Phase] | None = None,
) -> tuple[Stage, ...]:
    """A fine-tuning after each of ``begins``; the last one takes the epochs of the run."""
    if not finetune:
        return tuple(Stage(name="prune", phases=(), begin=begin) for begin in begins)
    stages: list[Stage] = []
    for number, begin in enumerate(begins, start=1):
        last = number == len(begins)
        stages += fine_tuning(
            model,
            begin=begin,
            prefix="" if last else f"round-{number}-",
            epochs=None if last else round_epochs,
            changed=changed,
        )
    return tuple(stages)
