"""The report as Markdown: the answer, the tables, links to pictures and the commands."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from genbench.formatting import markdown as escape, plain
from genbench.report.cells import Cell, grid
from genbench.report.content import Experiment, Report, Section
from genbench.report.findings import findings
from genbench.report.page import headline
from genbench.report.rerun_command import rerun_command
from genbench.report.searches import as_markdown


def render_markdown(report: Report, *, folder: Path) -> str:
    """The report as one file in ``folder``; links to pictures are relative to it."""
    lines = [f"# {escape(headline(report))}", ""]
    for section in report.sections:
        lines += _section(section, folder)
    lines += as_markdown(report.searches)
    return "\n".join(lines)


def _section(section: Section, folder: Path) -> Iterator[str]:
    table = section.table
    yield from (f"## {escape(table.title)}", "")
    for text in findings(table, section.fronts):
        yield f"- {escape(text)}"
    yield ""
    yield from _table(section)
    for text in (*table.warnings, *table.notes):
        yield f"- {escape(text)}"
    yield ""
    for experiment in section.experiments:
        yield from _experiment(experiment, folder)


def _table(section: Section) -> Iterator[str]:
    cells = grid(section.table)
    yield _line([escape(heading.text) for heading in cells.headings])
    yield _line(["---:" if heading.numeric else "---" for heading in cells.headings])
    for row in cells.rows:
        yield _line([_text(cell) for cell in row])
    yield ""


def _text(cell: Cell) -> str:
    return f"**{escape(cell.text)}**" if cell.best else escape(cell.text)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _experiment(experiment: Experiment, folder: Path) -> Iterator[str]:
    row = experiment.first
    yield from (f"### {escape(row.title)}", "")
    for warning in experiment.warnings:
        yield f"- {escape(warning)}"
    last = {shot.kind: shot for shot in experiment.shots}
    for kind, shot in last.items():
        path = quote(os.path.relpath(shot.path, folder))
        yield f"- [{kind} of seed {experiment.shown.seed} after epoch {shot.epoch}]({path})"
    command = rerun_command(row)
    fence = "`" * max(3, 1 + max(map(len, _backticks(command)), default=0))
    yield from ("", f"{fence}sh", plain(command, keep="\n"), fence, "")


def _backticks(text: str) -> list[str]:
    return ["".join(run) for run in "".join(c if c == "`" else " " for c in text).split()]
