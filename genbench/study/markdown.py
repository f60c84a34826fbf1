"""A study's results as a Markdown page, and as rows of text for the terminal.

The page is whole and dateless: the same store gives the same page, and nothing in it is written by
hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from genbench.compare import ADJUSTMENT, FAMILY_LEVEL, MIN_SEEDS, TEST
from genbench.formatting import counted, markdown as escaped, number
from genbench.study.columns import FACTS
from genbench.study.pictures import Figure
from genbench.study.plan import Plan
from genbench.study.table import FLOOR, NOTHING, Results, Sheet, Value


def markdown(
    results: Results,
    plan: Plan,
    *,
    jobs: int,
    remarks: Sequence[str] = (),
    figures: Sequence[Figure] = (),
) -> str:
    """The page: title, what it is, the command that made it, tables, figures, remarks."""
    study = plan.study
    parts = [f"# {escaped(study.title)}"]
    if study.about:
        parts.append(study.about.strip())
    parts.append("\n".join(_made_by(results, plan, jobs)))
    for sheet in results.sheets:
        parts += [
            f"## {escaped(title_of(sheet))}",
            _table(sheet, plan),
            _bullets([*map(escaped, sheet.remarks)]),
        ]
    parts.append("## How to read it" if results.sheets else "No run is finished yet.")
    parts.append(_bullets(list(_legend(results.sheets))))
    parts += [text for figure in figures for text in _figure(figure)]
    said = dict.fromkeys((*results.remarks, *remarks))
    if said:
        parts += ["## Remarks", _bullets([*map(escaped, said)])]
    return "\n\n".join(part for part in parts if part) + "\n"


def title_of(sheet: Sheet) -> str:
    """'mnist', or 'celeba (size 64)'."""
    settings = ", ".join(f"{key} {value}" for key, value in sheet.settings.items())
    return f"{sheet.dataset} ({settings})" if settings else sheet.dataset


def rows_of(sheet: Sheet, plan: Plan) -> tuple[list[str], list[list[Value]]]:
    """The headings of a table, and its rows as cells; the floors come last."""
    samplers = len(plan.study.samplers) > 1
    published = plan.study.table.published
    headings = ["row", *(["sampler"] if samplers else []), *map(sheet.heading, sheet.names)]
    headings += [plan.study.table.published_title] if published else []
    rows = []
    for line in sheet.lines:
        row = [Value(text=line.title), *([Value(text=line.sampler)] if samplers else [])]
        row += [line.values[name] for name in sheet.names]
        names = (f"{line.title}, {line.sampler}", f"{line.title} on {sheet.dataset}", line.title)
        said = next((published[name] for name in names if name in published), NOTHING)
        row += [Value(text=said)] if published else []
        rows.append(row)
    if sheet.floors:
        floors = [Value(text=number(sheet.floors.get(name))) for name in sheet.names]
        blank = [Value(text="")]
        row = [Value(text=FLOOR), *(blank * samplers), *floors, *(blank * bool(published))]
        rows.append(row)
    return headings, rows


def as_dict(sheet: Sheet) -> dict[str, Any]:
    """A table for JSON: of each cell its text and the figures behind it."""
    return {
        "dataset": sheet.dataset,
        "dataset_settings": dict(sheet.settings),
        "columns": list(sheet.names),
        "floors": dict(sheet.floors),
        "rows": [
            {
                "row": line.title,
                "sampler": line.sampler,
                "runs": list(line.runs),
                "values": {name: _figures(value) for name, value in line.values.items()},
            }
            for line in sheet.lines
        ],
        "remarks": list(sheet.remarks),
    }


def _figures(value: Value) -> dict[str, Any]:
    measure = value.measure
    figures = {"mean": measure.mean, "sd": measure.sd, "n": measure.n} if measure else {}
    return {"text": value.text, "best": value.best, **figures}


# --- the parts of the page ----------------------------------------------------------------------


def _made_by(results: Results, plan: Plan, jobs: int) -> Iterator[str]:
    study = plan.study
    command = " ".join(["genbench study", plan.path.as_posix(), *plan.narrowed])
    yield f"Made by `{command}`; nothing here is written by hand."
    length = "each at its model's default length"
    if any(row.seconds or row.epochs for row in study.runs):
        length = "each at its row's own length"
    if study.seconds is not None:
        length = f"{study.seconds:g} s of training each"
    elif study.epochs is not None:
        length = f"{counted(study.epochs, 'epoch')} each"
    seeds = ", ".join(map(str, plan.seeds))
    noun = "seed" if len(plan.seeds) == 1 else "seeds"
    at_once = f", paced at {jobs} runs at a time" if jobs > 1 else ""
    epoch = f", an epoch has {counted(study.epoch_images, 'image')}" if study.epoch_images else ""
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


def _table(sheet: Sheet, plan: Plan) -> str:
    headings, rows = rows_of(sheet, plan)
    texts = 1 + (len(plan.study.samplers) > 1)
    rules = [" --- "] * texts + [" ---: "] * (len(headings) - texts)
    lines = ["| " + " | ".join(map(escaped, headings)) + " |", "|" + "|".join(rules) + "|"]
    for row in rows:
        cells = (f"**{escaped(v.text)}**" if v.best else escaped(v.text) for v in row)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _figure(figure: Figure) -> Iterator[str]:
    """Title, what it is, the command, and each picture under its caption."""
    yield f"## {escaped(figure.title)}"
    yield figure.about.strip()
    yield f"Drawn by `{figure.command}`." if figure.pictures else "Not drawn yet."
    for shown in figure.pictures:
        yield f"**{escaped(shown.caption)}**"
        yield f"![{escaped(figure.title)}: {escaped(shown.caption)}]({_link(shown.path)})"


def _link(path: Path) -> str:
    return quote(path.as_posix())


def _legend(sheets: Sequence[Sheet]) -> Iterator[str]:
    yield (
        "Values are mean ± standard deviation (n - 1) over the seeds; ↓ lower is better, ↑ higher; "
        "the best is bold. Only scores of one protocol stand in a column. "
        f"An order is certain by a {TEST}, {FAMILY_LEVEL:.0%} for each column, {ADJUSTMENT}; with "
        f"fewer than {MIN_SEEDS} seeds none is."
    )
    names = dict.fromkeys(name for sheet in sheets for name in sheet.names)
    for name in names:
        if name in FACTS:
            yield f"`{name}`: {FACTS[name]}."


def _bullets(texts: Sequence[str]) -> str:
    return "\n".join(f"- {' '.join(text.split())}" for text in texts)
