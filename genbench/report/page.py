"""One self-contained HTML page for light and dark mode, without scripts or requests.

All user input (names, tags, settings, paths) goes through `escape`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from genbench import __version__
from genbench.compare import Column, Table, method
from genbench.formatting import counted, markup as escape
from genbench.report.cells import Cell, Grid, grid
from genbench.report.charts import COLOURS
from genbench.report.content import Report, Section
from genbench.report.findings import findings
from genbench.report.illustrations import (
    figures,
    folded,
    reconstructions,
    samples,
    strips,
)
from genbench.report.rerun_command import rerun_command


def render(report: Report, *, now: datetime | None = None) -> str:
    """The page as HTML. ``now`` (UTC) is printed as the time at which it was made."""
    moment = (now or datetime.now(UTC)).strftime("%-d %B %Y, %H:%M UTC")
    title = headline(report)
    style = files("genbench.report").joinpath("style.css").read_text(encoding="utf-8")
    body = "\n".join(
        [
            _masthead(report, title),
            "<main>",
            *(_section(section, i) for i, section in enumerate(report.sections)),
            _protocols(report),
            _environments(report),
            _commands(report),
            "</main>",
            f"<footer><p>Made by genbench {escape(__version__)} on {moment}.</p></footer>",
        ]
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)} · genbench</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


# --- masthead


def headline(report: Report) -> str:
    """'gan, vae and vaegan on mnist'."""
    tables = [section.table for section in report.sections]
    models = sorted({row.first.model for table in tables for row in table.rows})
    return f"{listed(models)} on {listed(sorted({table.dataset for table in tables}))}"


def listed(words: Sequence[str]) -> str:
    """'a, b and c'."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def _masthead(report: Report, title: str) -> str:
    tables = [section.table for section in report.sections]
    rows = [row for table in tables for row in table.rows]
    runs = len({run.id for row in rows for run in row.runs})
    experiments = len({row.first.experiment for row in rows})
    devices = listed(sorted({device for table in tables for device in table.devices}))
    dek = (
        f"{counted(runs, 'finished run')} of {counted(experiments, 'experiment')}, trained on "
        f"{escape(devices)}. Scores are means over seeds with their standard deviation; a footnote "
        "explains how each metric was computed."
    )
    for dataset, count in report.hidden.items():
        dek += (
            f" {counted(count, 'more experiment')} on {escape(dataset)} "
            f"{'is' if count == 1 else 'are'} not shown (<code>--limit</code>)."
        )
    links = [(f"#{_anchor(i)}", escape(table.title)) for i, table in enumerate(tables)]
    links += [("#protocols", "How scores were computed"), ("#environment", "Environment")]
    links.append(("#commands", "Run it again"))
    items = "".join(f'<li><a href="{href}">{text}</a></li>' for href, text in links)
    return (
        '<header>\n<p class="kicker">genbench report</p>\n'
        f'<h1>{escape(title)}</h1>\n<p class="dek">{dek}</p>\n'
        f'<nav aria-label="Sections"><ul>{items}</ul></nav>\n</header>'
    )


def _anchor(index: int) -> str:
    return f"data-{index}"


# --- one data set


def _section(section: Section, index: int) -> str:
    table = section.table
    sentences = "".join(f"<li>{escape(text)}</li>" for text in findings(table))
    parts = [
        f'<section id="{_anchor(index)}" aria-labelledby="{_anchor(index)}-h">',
        f'<h2 id="{_anchor(index)}-h">{escape(table.title)}</h2>',
        f'<ul class="findings">{sentences}</ul>' if sentences else "",
        _table(table, grid(table), index, _colours(section)),
        _remarks(table, section.warnings),
        figures("Score over training time", _SCORES_UNDER, section.scores, f"s{index}"),
        samples(section.galleries),
        strips(section.galleries),
        reconstructions(section.galleries),
        figures("Losses over training time", _LOSSES_UNDER, section.losses, f"l{index}"),
        folded("Signs of health", _SIGNS_UNDER, section.signs, f"h{index}"),
        "</section>",
    ]
    return "\n".join(part for part in parts if part)


_SCORES_UNDER = (
    "Each point is a score at one epoch: the mean over seeds, with a bar of one standard "
    "deviation. Seconds are those of training and of preparing its data."
)
_LOSSES_UNDER = (
    "Losses of the run with the lowest seed, one chart per stage. Losses of different models can't "
    "be compared."
)


_SIGNS_UNDER = (
    "Signs of the run with the lowest seed: D's mean output on real and on generated samples and "
    "its accuracy, the gradient norms of both networks, and scores of a few hundred samples "
    "between epochs."
)


def _colours(section: Section) -> Mapping[str, int]:
    return {gallery.title: gallery.colour for gallery in section.galleries} | {
        curve.label: curve.colour for panel in section.scores for curve in panel.curves
    }


PAGE_WIDTH, LETTER, PADDING, NAME_LETTERS = 1056.0, 8.2, 24.0, 20
"""Width of the page, of a letter and of a cell's padding (pixels); letters of a row's name."""


def _table(table: Table, cells: Grid, index: int, colours: Mapping[str, int]) -> str:
    """The comparison, split into several tables if the columns don't fit the page."""
    marks = {column.metric: _footnote(table, column, index) for column in table.shown}
    first = f"Models on {table.title}. Mean ± sd over seeds; ● marks the best."
    captions = [first, *(f"{table.title}, more columns" for _ in range(len(cells.headings)))]
    return "".join(
        _part(part, marks, caption, colours)
        for part, caption in zip(_parts(cells), captions, strict=False)
    )


def _parts(cells: Grid) -> list[Grid]:
    """The columns in groups that fit the page, each group with the names of the rows."""
    name = min(NAME_LETTERS, max((len(row[0].text) for row in cells.rows), default=0))
    groups: list[list[int]] = []
    left = 0.0
    for i, heading in enumerate(cells.headings):
        if i == 0 or heading.beneath:
            for group in groups[-1:]:
                group.append(i)
            continue
        letters = [len(line) for row in cells.rows for line in (row[i].lines or (row[i].text,))]
        width = LETTER * (max([len(heading.text) + 1, *letters]) + 2) + PADDING
        if not groups or width > left:
            groups.append([])
            left = PAGE_WIDTH - LETTER * name - PADDING
        groups[-1].append(i)
        left -= width
    return [
        Grid(
            headings=tuple(cells.headings[i] for i in (0, *group)),
            rows=tuple(tuple(row[i] for i in (0, *group)) for row in cells.rows),
        )
        for group in groups
    ]


def _part(cells: Grid, marks: Mapping[str, str], caption: str, colours: Mapping[str, int]) -> str:
    heads: list[str] = []
    for heading in cells.headings:
        if heading.beneath:
            heads[-1] = heads[-1].replace("</th>", f"<small>{escape(heading.text)}</small></th>")
            continue
        kind = ' class="num"' if heading.numeric else ""
        text = escape(heading.text) + marks.get(heading.metric or "", "")
        about = escape(heading.about)
        heads.append(f'<th scope="col"{kind} title="{about}">{text}</th>')
    rows = "".join(_table_row(cells, row, colours) for row in cells.rows)
    return (
        f'<div class="scroll"><table>\n<caption>{escape(caption)}</caption>\n'
        f"<thead><tr>{''.join(heads)}</tr></thead>\n<tbody>{rows}</tbody>\n</table></div>\n"
    )


def _table_row(cells: Grid, row: Sequence[Cell], colours: Mapping[str, int]) -> str:
    parts = [f'<th scope="row">{_key(row[0].text, colours)}{escape(row[0].text)}</th>']
    for heading, cell in zip(cells.headings[1:], row[1:], strict=True):
        if heading.beneath:
            small = f"<small>{escape(cell.text)}×</small>" if cell.text else ""
            parts[-1] = parts[-1].replace("</td>", f"{small}</td>")
        else:
            parts.append(_cell(cell, numeric=heading.numeric))
    return f"<tr>{''.join(parts)}</tr>"


def _key(title: str, colours: Mapping[str, int]) -> str:
    if title not in colours:
        return ""
    return f'<span class="key" style="--c:var(--c{colours[title] % COLOURS})"></span>'


def _cell(cell: Cell, *, numeric: bool) -> str:
    text = "<br>".join(map(escape, cell.lines or (cell.text,)))
    if cell.best:
        text = f'<span class="best">{text}<span class="away"> (best)</span></span>'
    return f'<td class="num">{text}</td>' if numeric else f"<td>{text}</td>"


def _footnote(table: Table, column: Column, index: int) -> str:
    number = _number(table, column)
    return f'<sup><a href="#p-{index}-{number}" aria-label="how it was computed">{number}</a></sup>'


def _number(table: Table, column: Column) -> int:
    return table.columns.index(column) + 1


def _remarks(table: Table, health: Sequence[str]) -> str:
    texts = [*table.warnings, *health]
    warnings = [f'<li class="warning">{escape(text)}</li>' for text in texts]
    how = method([table])
    notes = [f"<li>{escape(text)}</li>" for text in (*table.notes, *([how] if how else ()))]
    items = "".join([*warnings, *notes])
    return f'<ul class="remarks">{items}</ul>' if items else ""


# --- protocols, environments and commands


def _protocols(report: Report) -> str:
    items = []
    for index, section in enumerate(report.sections):
        table = section.table
        for column in table.shown:
            number = _number(table, column)
            facts = _facts({"samples": column.n, **column.protocol})
            items.append(
                f'<li id="p-{index}-{number}"><h4><sup>{number}</sup> {escape(column.metric)} on '
                f"{escape(table.title)}</h4>{facts}</li>"
            )
    if not items:
        return ""
    return (
        '<section id="protocols"><h2>How scores were computed</h2>\n<p class="under">Values share '
        "a column only if all of this is equal.</p>\n"
        f'<ul class="protocols">{"".join(items)}</ul></section>'
    )


def _facts(values: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<dt>{escape(str(key))}</dt><dd>{escape(_plain(value))}</dd>"
        for key, value in values.items()
        if value is not None
    )
    return f"<dl>{rows}</dl>"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_plain, value))
    return "none" if value is None else str(value)


def _environments(report: Report) -> str:
    many = len(report.environments) > 1
    parts = []
    for environment, count in report.environments:
        if many:
            parts.append(f"<h3>{counted(count, 'run')}</h3>")
        parts.append(_facts(environment))
    return f'<section id="environment"><h2>Environment</h2>\n{"".join(parts)}</section>'


def _commands(report: Report) -> str:
    parts, seen = [], set()
    for section in report.sections:
        for row in section.table.rows:
            if row.first.experiment in seen:
                continue
            seen.add(row.first.experiment)
            ids = ", ".join(run.id for run in row.runs)
            title = f"{row.title} on {section.table.title}"
            parts.append(
                f'<h3>{escape(title)}</h3><p class="under">Stored as {escape(ids)}; with the same '
                f"store: <code>genbench rerun {escape(row.first.id)}</code></p>"
                f"<pre><code>{escape(rerun_command(row))}</code></pre>"
            )
    if report.left_out:
        counts = listed([f"{n} {status}" for status, n in report.left_out.items()])
        parts.append(f'<p class="under">Left out, since not finished: {escape(counts)}.</p>')
    return f'<section id="commands"><h2>Run it again</h2>\n{"".join(parts)}</section>'
