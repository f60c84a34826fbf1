"""The stages of a model, checked before training."""

from __future__ import annotations

from collections.abc import Sequence

from genbench.contracts import Model, Stage
from genbench.errors import PluginError
from genbench.spec import RunSpec


def planned_stages(model: Model) -> tuple[Stage, ...]:
    """The stages of a model. Raises PluginError if they aren't valid."""
    stages = tuple(model.stages())
    if not stages:
        raise PluginError(f"{type(model).__name__} has no stage; stages() must return at least one")
    _check_distinct("stage", [stage.name for stage in stages])
    for stage in stages:
        if not stage.phases and stage.fit is None and stage.begin is None:
            raise PluginError(
                f"stage '{stage.name}' has neither a phase nor `fit` nor `begin`; add one of them"
            )
        if stage.fit is not None and stage.prepare is None:
            raise PluginError(
                f"stage '{stage.name}' has `fit` without `prepare`, which makes its input"
            )
        _check_distinct("phase", [phase.name for phase in stage.phases])
        for phase in stage.phases:
            if phase.every < 1 or phase.repeat < 1:
                raise PluginError(f"phase '{phase.name}': every and repeat must be at least 1")
            if not phase.updates:
                raise PluginError(f"phase '{phase.name}' updates no optimizer")
            _check_distinct(f"optimizer of phase '{phase.name}'", phase.updates)
    return stages


def planned_epochs(model: Model, spec: RunSpec) -> tuple[tuple[str, int], ...]:
    """The name and the number of epochs of each stage."""
    return tuple((stage.name, stage_epochs(stage, spec)) for stage in planned_stages(model))


def stage_epochs(stage: Stage, spec: RunSpec) -> int:
    """The epochs of a stage: its own, else the run's; 1 without phases."""
    if not stage.phases:
        return 1
    return spec.epochs if stage.epochs is None else stage.epochs


def _check_distinct(what: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise PluginError(f"{what} '{name}' occurs twice; give each a name of its own")
