"""The genbench commands of a tuning: a run for each trial, and pilots that measure its pace."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from genbench.spec import content_hash
from genbench.store.tunings import Proposal
from genbench.study.assignments import words
from genbench.study.outcome import Places
from genbench.tuning.question import SearchQuestion, State
from genbench.tuning.search import FIRST_CHECK
from genbench.tuning.space import Range, Value, assignments
from genbench.work.children import Command

FRESH = 1_000_000
"""Added to a seed for the runs that confirm: no trial has such a seed."""


def run_name(tuning: str, proposal: Proposal) -> str:
    """The name of the run of a proposal: NAME-7, or NAME-7-confirm-0."""
    if proposal.confirms is None:
        return f"{tuning}-{proposal.number}"
    return f"{tuning}-{proposal.confirms}-confirm-{proposal.seed % FRESH}"


def tag(tuning: str) -> str:
    """The tag of all runs of a tuning."""
    return f"tune:{tuning}"


def run_task(question: SearchQuestion, tuning: str, proposal: Proposal, places: Places) -> Command:
    """``genbench run`` for a proposal."""
    epochs = proposal.notes.get("epochs")
    is_trial = proposal.confirms is None
    prunes = is_trial and question.pruner != "none"
    options = {
        **_options(question),
        "set": (*question.fixed, *assignments(question.space, proposal.settings)),
        "epochs": epochs,
        "evaluate-every": _between_reports(epochs) if prunes else None,
        "seed": proposal.seed,
        "scored-on": "search" if is_trial else "validation",
        "name": run_name(tuning, proposal),
        "tag": tag(tuning),
    }
    title = f"{tuning}, {title_of(proposal)}"
    return _command(
        title,
        places,
        "run",
        question.model,
        question.dataset,
        *words(options),
        *places.flags,
        "--json",
    )


def resume_task(
    question: SearchQuestion, tuning: str, proposal: Proposal, places: Places
) -> Command:
    """``genbench resume`` for the run of a proposal."""
    title = f"{tuning}, {title_of(proposal)}"
    return _command(title, places, "resume", str(proposal.run), *places.flags, "--json")


def pilot_task(
    question: SearchQuestion, tuning: str, proposal: Proposal, places: Places, seconds: float
) -> Command:
    """``genbench pace``, which measures how many epochs of a proposal fit into so many seconds."""
    settings = proposal.settings
    own = {name: value for name, value in _options(question).items() if name not in _OF_SCORES}
    sets = (*question.fixed, *assignments(question.space, settings))
    kept = [text for text in sets if not text.startswith(("metric.", "sampler."))]
    options = {
        **own,
        "set": tuple(kept),
        "seed": question.seed,
        "scored-on": "search",
    }
    run = (question.model, question.dataset, *words(options), *places.flags)
    title = f"{tuning}, pilot of {title_of(proposal)}"
    return _command(title, places, "pace", f"{seconds:g}", "--", *run)


def next_command(question: SearchQuestion, proposal: Proposal) -> str:
    """``genbench run`` with the settings of a proposal, scored on the test split."""
    options = {
        **_options(question),
        "set": (*question.fixed, *assignments(question.space, proposal.settings)),
        "epochs": proposal.notes.get("epochs"),
    }
    return shlex.join(("genbench", "run", question.model, question.dataset, *words(options)))


def pace_key(question: SearchQuestion, settings: Mapping[str, Value]) -> str:
    """A hash of what the duration of an epoch depends on: all settings but the real numbers.

    A learning rate or a weight doesn't change how long a step takes, so trials that differ in these
    alone share a pilot.
    """
    floats = {
        knob.name
        for knob in question.space
        if isinstance(knob.domain, Range) and not knob.domain.whole
    }
    return content_hash({name: value for name, value in settings.items() if name not in floats})


def title_of(proposal: Proposal) -> str:
    """'trial 7', or 'trial 7 again with seed 1000003'."""
    if proposal.confirms is None:
        return f"trial {proposal.number}"
    return f"trial {proposal.confirms} again with seed {proposal.seed}"


def may_stop(state: State) -> bool:
    """Whether nothing is left to do for a proposal in this state."""
    return state in (State.DONE, State.PRUNED, State.FAILED)


def _command(title: str, places: Places, *arguments: str) -> Command:
    name = re.sub(r"[^\w.+-]+", "-", title).strip("-").lower()
    return Command(
        title=title,
        arguments=arguments,
        log=places.folder / f"{name}.log",
        environ=places.environ,
    )


_OF_SCORES = ("sampler", "metric", "samples", "repeats", "no-watch", "evaluate-every")


def _options(question: SearchQuestion) -> dict[str, Any]:
    """The options as those of a command line; what is switched off is ``--no-NAME``."""
    found: dict[str, Any] = {}
    for name, value in question.options.items():
        dashed = name.replace("_", "-")
        found |= {f"no-{dashed}": True} if value is False else {dashed: value}
    return found


def _between_reports(epochs: Any) -> int | None:
    """Epochs between two scores, so that a pruner sees about ten."""
    return max(1, int(epochs) * FIRST_CHECK // 100) if epochs else None
