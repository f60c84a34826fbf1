"""The table of a section as HTML: one table with all columns, which the script sorts and filters.

On a narrow screen it scrolls beneath its first column; in print, a table that is wider than the
page becomes one record for each row, with the heading beside each cell. So nothing is cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from genbench.compare import Column, Table
from genbench.formatting import markup as escape
from genbench.report.cells import Cell, Grid, Heading, grid
from genbench.report.charts import key

PAPER_LETTERS = 105
"""Letters of a row that fit a page of A4 in print."""


def table_part(table: Table, index: int, colours: Mapping[str, int]) -> str:
    """The table with its filter."""
    cells = grid(table)
    marks = {column.metric: _footnote(table, column, index) for column in table.shown}
    heads: list[str] = []
    for heading in cells.headings:
        small = f"<small>{escape(heading.text)}</small>"
        if heading.beneath:
            heads[-1] = heads[-1].removesuffix("</th>") + f"{small}</th>"
        else:
            heads.append(_head(heading, marks.get(heading.metric or "", "")))
    rows = "".join(_row(cells, row, i, colours) for i, row in enumerate(cells.rows))
    wide = ' class="wide"' if _letters(cells) > PAPER_LETTERS else ""
    return (
        f"{_filter(table, index)}"
        '<div class="scroll" tabindex="0" role="region" '
        f'aria-label="Table of {escape(table.title)}">'
        f'<table id="table-{index}"{wide}>\n'
        f"<thead><tr>{''.join(heads)}</tr></thead>\n<tbody>{rows}</tbody>\n</table></div>\n"
    )


def _filter(table: Table, index: int) -> str:
    if len(table.rows) < 2:
        return ""
    example = table.ranking.metric if table.ranking else "seeds"
    return (
        f'<div class="filter scripted"><label for="filter-{index}">Filter rows</label>'
        f'<input id="filter-{index}" type="search" autocomplete="off" spellcheck="false" '
        f'placeholder="{escape(table.rows[0].first.model)} {escape(example)}&lt;20" '
        f'aria-describedby="count-{index}"><output id="count-{index}"></output></div>'
    )


def _head(heading: Heading, mark: str) -> str:
    kind = ' class="num"' if heading.numeric else ""
    return (
        f'<th scope="col"{kind} title="{escape(heading.about)}"><button type="button" '
        f'class="sort">{escape(heading.text)}</button>{mark}</th>'
    )


def _row(cells: Grid, row: Sequence[Cell], index: int, colours: Mapping[str, int]) -> str:
    title = row[0].text
    mark = key(colours[title]) if title in colours else ""
    parts = [f'<th scope="row"><div>{mark}<span>{escape(title)}</span></div></th>']
    for heading, cell in zip(cells.headings[1:], row[1:], strict=True):
        if heading.beneath:
            small = f"<small>{escape(cell.text)}×</small>" if cell.text else ""
            parts[-1] = parts[-1].removesuffix("</td>") + f"{small}</td>"
        else:
            parts.append(_cell(cell, heading))
    return f'<tr data-row="{index}">{"".join(parts)}</tr>'


def _cell(cell: Cell, heading: Heading) -> str:
    text = "<br>".join(map(escape, cell.lines or (cell.text,)))
    if cell.best:
        text = f'<span class="best">{text}<span class="away"> (best)</span></span>'
    kind = ' class="num"' if heading.numeric else ""
    return f'<td{kind} data-head="{escape(heading.text)}">{text}</td>'


def _letters(cells: Grid) -> int:
    """The letters of the longest row, with two for the space between columns."""
    widths = []
    for i, heading in enumerate(cells.headings):
        lines = [len(line) for row in cells.rows for line in (row[i].lines or (row[i].text,))]
        widths.append(0 if heading.beneath else max([len(heading.text), *lines]) + 2)
    return sum(widths)


def _footnote(table: Table, column: Column, index: int) -> str:
    number = protocol_number(table, column)
    return f'<sup><a href="#p-{index}-{number}" aria-label="how it was computed">{number}</a></sup>'


def protocol_number(table: Table, column: Column) -> int:
    """The number of the footnote with a column's protocol."""
    return table.columns.index(column) + 1
