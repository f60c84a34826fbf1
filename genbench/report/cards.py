"""A card for each experiment: what it is, where and how it ran, and how to run it again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from genbench.compare import RunResult, Table
from genbench.compare.row_labels import short
from genbench.formatting import counted, duration, in_words, markup as escape, number, plus_minus
from genbench.report.charts import key
from genbench.report.content import Experiment, Section
from genbench.report.figures import charts, image
from genbench.report.rerun_command import picture_commands, rerun_command

CAPTIONS = {
    "nearest": "Samples and the training images nearest to them",
    "reconstructions": "Test images and their reconstructions",
    "translations": "Test images and their translations into other classes",
    "traversal": "What the latent space decodes to",
    "latents": "Codes of the test images",
}

Abilities = Callable[[str, str], frozenset[str]]
"""What a model on a data set can do, by the names of capabilities; "images" if samples are."""


def cards(section: Section, index: int, can: Abilities) -> str:
    """The cards of a section; a single one is open."""
    alone = len(section.experiments) == 1
    made = (
        _card(section.table, experiment, f"e{index}-{i}", can, is_open=alone)
        for i, experiment in enumerate(section.experiments)
    )
    return f'<h3>Experiments</h3>\n<div class="cards">{"".join(made)}</div>'


def _card(
    table: Table, experiment: Experiment, identity: str, can: Abilities, *, is_open: bool
) -> str:
    row = experiment.first
    lost = counted(len(experiment.warnings), "warning") if experiment.warnings else ""
    facts = " · ".join(
        filter(None, (_score(table, experiment), duration(row.total_s.mean), escape(lost)))
    )
    parts = [
        _differing(experiment),
        _runs(table, experiment),
        "".join(f'<p class="warning">{escape(text)}</p>' for text in experiment.warnings),
        _pictures(experiment, can),
        charts(experiment.losses, f"l{identity}", own_legend=True),
        _folded("Signs of health", charts(experiment.signs, f"h{identity}", own_legend=True)),
        _commands(experiment),
        _folded("All settings", facts_list({k: short(v) for k, v in experiment.settings.items()})),
        _environments(experiment),
    ]
    return (
        f'<details class="card" id="{identity}" data-rows="{" ".join(map(str, experiment.rows))}"'
        f"{' open' if is_open else ''}><summary>{key(experiment.colour)}"
        f'<span class="name">{escape(row.title)}</span><small>{facts}</small></summary>\n'
        f'<div class="inside">{"".join(filter(None, parts))}</div></details>\n'
    )


def _score(table: Table, experiment: Experiment) -> str:
    column = table.ranking
    measure = experiment.first.scores.get(column.metric) if column else None
    if column is None or measure is None:
        return ""
    return escape(f"{column.metric} {plus_minus(measure.mean, measure.sd)}")


def _differing(experiment: Experiment) -> str:
    found = {name: short(experiment.settings[name]) for name in experiment.differing}
    return f"<h4>Settings that differ</h4>{facts_list(found)}" if found else ""


def _runs(table: Table, experiment: Experiment) -> str:
    """A table of the runs: each seed with its scores, as the means in the section are made of."""
    columns = [
        c
        for c in table.shown
        if any(
            _value(run, c.metric, c.protocol_hash, experiment.first.sampler) is not None
            for run in experiment.first.runs
        )
    ]
    heads = "".join(f'<th scope="col" class="num">{escape(c.metric)}</th>' for c in columns)
    rows = "".join(
        f'<tr><th scope="row" class="num">{run.seed}</th><td><code>{escape(run.id)}</code>'
        f"{' ' + escape(run.name) if run.name else ''}</td>"
        + "".join(
            f'<td class="num">'
            f"{number(_value(run, c.metric, c.protocol_hash, experiment.first.sampler))}</td>"
            for c in columns
        )
        + f'<td class="num">{number(run.total_s, 3)}</td><td>{escape(str(run.place))}</td></tr>'
        for run in experiment.first.runs
    )
    sampler = f" with {escape(experiment.first.sampler)}" if len(experiment.rows) > 1 else ""
    return (
        f'<h4>Seeds{sampler}</h4><div class="scroll"><table class="runs"><thead><tr>'
        f'<th scope="col" class="num">seed</th><th scope="col">run</th>{heads}'
        '<th scope="col" class="num">total s</th><th scope="col">trained on</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _value(run: RunResult, metric: str, protocol: str, sampler: str) -> float | None:
    wanted = [(metric, protocol, ""), (metric, protocol, sampler)]
    found = (s for s in run.scores if (s.metric, s.protocol_hash, s.sampler) in wanted)
    return next((score.value for score in found), None)


def _pictures(experiment: Experiment, can: Abilities) -> str:
    """The pictures that the run has, and the commands for those that it could have."""
    row, run = experiment.first, experiment.shown
    shots = [shot for shot in experiment.shots if shot.kind in CAPTIONS]
    figures = "".join(
        f"<figure><figcaption>{CAPTIONS[shot.kind]} <small>seed {run.seed}</small></figcaption>"
        f"{image(row.title, shot)}</figure>"
        for shot in shots
    )
    abilities = can(row.first.model, row.first.spec["dataset"])
    commands = picture_commands(run.id, abilities, {shot.kind for shot in shots})
    lines = "".join(
        f"<dt>{escape(what)}</dt><dd><code>{escape(command)}</code></dd>"
        for what, command in commands.items()
    )
    asked = f'<dl class="commands">{lines}</dl>' if lines else ""
    return (f'<div class="pictures">{figures}</div>' if figures else "") + asked


def _commands(experiment: Experiment) -> str:
    row = experiment.first
    return (
        f'<h4>Run it again</h4><p class="under">With the same store: <code>genbench rerun '
        f"{escape(row.first.id)}</code></p><pre><code>{escape(rerun_command(row))}</code></pre>"
    )


def _environments(experiment: Experiment) -> str:
    many = len(experiment.environments) > 1
    parts = []
    for environment, runs in experiment.environments:
        heading = f"<h4>{escape(', '.join(runs))}</h4>" if many else ""
        parts.append(heading + facts_list(environment))
    return _folded("Environment", "".join(parts))


def _folded(title: str, inside: str) -> str:
    """What few readers want to see; it stays folded in print."""
    if not inside:
        return ""
    return f'<details class="folded aside"><summary>{escape(title)}</summary>{inside}</details>'


# --- settings, protocols, environments


def facts_list(values: Mapping[str, Any]) -> str:
    """Names with their values; those without a value are left out."""
    rows = "".join(
        f"<dt>{escape(str(name))}</dt><dd>{escape(in_words(value))}</dd>"
        for name, value in values.items()
        if value is not None
    )
    return f"<dl>{rows}</dl>" if rows else ""
