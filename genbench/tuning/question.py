"""What a tuning asks, as data: the space, how it is searched, and what a good trial is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from genbench.errors import UsageError
from genbench.spec import content_hash
from genbench.tuning.space import Categories, Knob, Range, Space, Value

SECONDS = "seconds"
"""The objective that is not a score: the seconds of training."""

SAMPLERS = ("tpe", "random", "grid", "gp", "nsga-ii")
PRUNERS = ("none", "asha", "median", "hyperband")


class State(StrEnum):
    """The state of a trial; a failed one is never the best, however good its score was before."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    PRUNED = "pruned"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class SearchQuestion:
    """What decides the proposals of a tuning: the same question goes on where it was stopped.

    ``options`` are those of ``genbench run`` that all trials share, by the names of its parameters,
    and ``fixed`` its ``--set`` texts; ``first`` is what the first trial takes, the defaults of the
    model, if they are in the space. Trial ``n`` has the random seed ``seed + n``. ``limit`` is
    ("epochs" or "seconds", number), or None for the model's own length.
    """

    model: str
    dataset: str
    options: Mapping[str, Any] = field(default_factory=dict)
    fixed: tuple[str, ...] = ()
    space: Space
    sampler: str = "tpe"
    pruner: str = "none"
    objectives: tuple[str, ...]
    seed: int = 0
    limit: tuple[str, float] | None = None
    first: Mapping[str, Value] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The content hash of the question."""
        return content_hash(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """The question as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SearchQuestion:
        """Read the result of `to_json`, also after a round trip through JSON."""
        space = tuple(_knob(knob) for knob in values["space"])
        limit = values["limit"] and tuple(values["limit"])
        lists = {name: tuple(values[name]) for name in ("fixed", "objectives")}
        return cls(**{**values, **lists, "space": space, "limit": limit})


def check(question: SearchQuestion) -> None:
    """Raise UsageError for a search that can't be made."""
    if not question.space:
        raise UsageError(
            "there is nothing to tune: every setting has one value; give a range or choices, such "
            "as --set lr=1e-5..1e-2"
        )
    if len(question.objectives) > 2 or len(set(question.objectives)) < len(question.objectives):
        raise UsageError("--objective is given for one metric, or for two that differ")
    if len(question.objectives) > 1 and question.pruner != "none":
        raise UsageError(
            f"--pruner {question.pruner} needs one objective, since two can't say which trial is "
            "worse; leave out one of them, or the pruner"
        )
    if question.objectives == (SECONDS,):
        raise UsageError("--objective seconds alone would find the worst model; add a metric")
    if question.sampler == "gp" and len(question.objectives) > 1:
        raise UsageError("--search gp needs one objective; use tpe, nsga-ii or random for two")
    endless = [k.name for k in question.space if _is_endless(k)] if _is_grid(question) else []
    if endless:
        raise UsageError(
            f"--search grid needs choices, and {', '.join(endless)} has a range; give values with "
            "commas, or take another sampler"
        )


def _is_grid(question: SearchQuestion) -> bool:
    return question.sampler == "grid"


def _is_endless(knob: Knob) -> bool:
    return isinstance(knob.domain, Range) and not knob.domain.whole


def _knob(values: Mapping[str, Any]) -> Knob:
    domain = dict(values["domain"])
    made = Categories(values=tuple(domain["values"])) if "values" in domain else Range(**domain)
    return Knob(name=values["name"], paths=tuple(values["paths"]), domain=made)
