"""The results of a study as a Markdown page, and as rows of text for the terminal.

The page has no date: the same store always gives the same page. No part of it is written by hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from genbench.compare import ADJUSTMENT, FAMILY_LEVEL, MIN_SEEDS, TEST
from genbench.formatting import counted, markdown as escaped, number
from genbench.study.claims import ClaimResult, findings
from genbench.study.pictures import Figure
from genbench.study.plan import Plan
from genbench.study.study_table import FLOOR, NOTHING, Results, StudyTable, Value
from genbench.study.table_columns import FACTS


def markdown(
    results: Results,
    plan: Plan,
    *,
    jobs: int,
    remarks: Sequence[str] = (),
    figures: Sequence[Figure] = (),
) -> str:
    """The page: title, introduction, the command that made it, tables, figures and remarks."""
    study = plan.study
    parts = [f"# {escaped(study.title)}"]
    if study.about:
        parts.append(study.about.strip())
    parts.append("\n".join(_made_by(results, plan, jobs)))
    for table in results.tables:
        parts += [
            f"## {escaped(title_of(table))}",
            _table(table, plan),
            _bullets([*map(escaped, table.remarks)]),
        ]
    parts.append("## How to read it" if results.tables else "No run is finished yet.")
    parts.append(_bullets(list(_legend(results.tables))))
    parts += [text for figure in figures for text in _figure(figure)]
    notes = dict.fromkeys((*results.remarks, *remarks))
    if notes:
        parts += ["## Remarks", _bullets([*map(escaped, notes)])]
    if claimed := findings(results, plan):
        parts += ["## Claims", _bullets([*map(_claim, claimed)])]
    return "\n\n".join(part for part in parts if part) + "\n"


def title_of(table: StudyTable) -> str:
    """'mnist', or 'celeba (size 64)'."""
    settings = ", ".join(f"{key} {value}" for key, value in table.settings.items())
    return f"{table.dataset} ({settings})" if settings else table.dataset


def rows_of(table: StudyTable, plan: Plan) -> tuple[list[str], list[list[Value]]]:
    """The headings and the rows of a table; the row of floors comes last."""
    samplers = len(plan.study.samplers) > 1
    published = plan.study.table.published
    headings = ["row", *(["sampler"] if samplers else []), *map(table.heading, table.names)]
    headings += [plan.study.table.published_title] if published else []
    rows = []
    for row in table.rows:
        values = [Value(text=row.title), *([Value(text=row.sampler)] if samplers else [])]
        values += [row.values[name] for name in table.names]
        names = (f"{row.title}, {row.sampler}", f"{row.title} on {table.dataset}", row.title)
        text = next((published[name] for name in names if name in published), NOTHING)
        values += [Value(text=text)] if published else []
        rows.append(values)
    if table.floors:
        floors = [Value(text=number(table.floors.get(name))) for name in table.names]
        blank = [Value(text="")]
        rows.append([Value(text=FLOOR), *(blank * samplers), *floors, *(blank * bool(published))])
    return headings, rows


def as_dict(table: StudyTable) -> dict[str, Any]:
    """A table for JSON, with the text and the measure of each value."""
    return {
        "dataset": table.dataset,
        "dataset_settings": dict(table.settings),
        "columns": list(table.names),
        "floors": dict(table.floors),
        "rows": [
            {
                "row": row.title,
                "sampler": row.sampler,
                "runs": list(row.runs),
                "values": {name: _value_as_dict(value) for name, value in row.values.items()},
            }
            for row in table.rows
        ],
        "remarks": list(table.remarks),
    }


def _value_as_dict(value: Value) -> dict[str, Any]:
    measure = value.measure
    numbers = {"mean": measure.mean, "sd": measure.sd, "n": measure.n} if measure else {}
    return {"text": value.text, "best": value.best, **numbers}


# --- the parts of the page


def _made_by(results: Results, plan: Plan, jobs: int) -> Iterator[str]:
    study = plan.study
    command = " ".join(["genbench study", plan.path.as_posix(), *plan.narrowed])
    yield f"Made by `{command}`; nothing here is written by hand."
    length = "each with the default length of its model"
    if any(row.seconds or row.epochs for row in study.runs):
        length = "each with the length of its row"
    if study.seconds is not None:
        length = f"{study.seconds:g} s of training each"
    elif study.epochs is not None:
        length = f"{counted(study.epochs, 'epoch')} each"
    seeds = ", ".join(map(str, plan.seeds))
    noun = "seed" if len(plan.seeds) == 1 else "seeds"
    at_once = f", timed with {jobs} runs at a time" if jobs > 1 else ""
    epoch = f", {counted(study.epoch_images, 'image')} per epoch" if study.epoch_images else ""
    yield f"{counted(len(study.runs), 'row')}, {noun} {seeds}; {length}{at_once}{epoch}."
    for environment in results.environments:
        yield _machine(environment)


def _machine(environment: Mapping[str, Any]) -> str:
    known = {key: value for key, value in environment.items() if value}
    where = known.get("gpu") or f"{known.get('cpu', 'an unknown CPU')}"
    cores = f", {counted(known['cpus'], 'core')}" if "cpus" in known else ""
    threads = f", torch on {counted(known['threads'], 'thread')}" if "threads" in known else ""
    versions = ", ".join(f"{name} {known[name]}" for name in ("genbench", "torch") if name in known)
    return f"{versions}; {where}{cores}{threads}."


def _table(table: StudyTable, plan: Plan) -> str:
    headings, rows = rows_of(table, plan)
    texts = 1 + (len(plan.study.samplers) > 1)
    rules = [" --- "] * texts + [" ---: "] * (len(headings) - texts)
    lines = ["| " + " | ".join(map(escaped, headings)) + " |", "|" + "|".join(rules) + "|"]
    for row in rows:
        cells = (f"**{escaped(v.text)}**" if v.best else escaped(v.text) for v in row)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _figure(figure: Figure) -> Iterator[str]:
    """The title, the description, the command, and each picture below its caption."""
    title = escaped(figure.entry.title)
    yield f"## {title}"
    yield figure.entry.about.strip()
    yield f"Drawn by `{figure.command}`." if figure.pictures else "Not drawn yet."
    for caption, path in figure.pictures.items():
        yield f"**{escaped(caption)}**"
        yield f"![{title}: {escaped(caption)}]({quote(path.as_posix())})"


def _legend(tables: Sequence[StudyTable]) -> Iterator[str]:
    yield (
        "Values are mean ± standard deviation (n - 1) over seeds. ↓ means that lower is better, ↑ "
        "that higher is better; the best value is bold. A column has scores of one protocol only. "
        f"An order is called certain by a {TEST}, {FAMILY_LEVEL:.0%} for each column, "
        f"{ADJUSTMENT}; with fewer than {MIN_SEEDS} seeds, no order is certain."
    )
    names = dict.fromkeys(name for table in tables for name in table.names)
    for name in names:
        if name in FACTS:
            yield f"`{name}`: {FACTS[name]}."


def _claim(found: ClaimResult) -> str:
    text = escaped(found.claim.text.strip())
    return f"**{found.verdict}** on {escaped(found.dataset)}: {text} {escaped(found.numbers)}"


def _bullets(texts: Sequence[str]) -> str:
    return "\n".join(f"- {' '.join(text.split())}" for text in texts)
