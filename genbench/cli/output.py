"""What reading commands print on stdout: one table in four formats, or JSON.

JSON carries ``schema_version``; NaN and infinities become null. Markdown, CSV and LaTeX tables hold
the same cells as the one for the terminal.
"""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

SCHEMA_VERSION = 1


class Format(StrEnum):
    """How a table is printed."""

    TABLE = "table"
    MD = "md"
    CSV = "csv"
    LATEX = "latex"


def print_json(values: Mapping[str, Any]) -> None:
    """Print one JSON object with the schema version."""
    print(json.dumps(finite({"schema_version": SCHEMA_VERSION, **values}), indent=2))


def finite(value: Any) -> Any:
    """The value with every NaN and infinity as None, mappings as dicts, tuples as lists."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    format: Format = Format.TABLE,
    title: str = "",
    right: Sequence[str] = (),
) -> None:
    """Print rows under columns; ``right`` names the columns to align right (numbers)."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if format is Format.CSV:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerows([list(columns), *cells])
    elif format is Format.MD:
        print("| " + " | ".join(columns) + " |")
        print("|" + "|".join(" ---: " if c in right else " --- " for c in columns) + "|")
        for row in cells:
            print("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
    elif format is Format.LATEX:
        print("\\begin{tabular}{" + "".join("r" if c in right else "l" for c in columns) + "}")
        print("\\toprule")
        for row in [list(columns), *cells]:
            print(" & ".join(_latex(cell) for cell in row) + r" \\")
            if row == list(columns):
                print("\\midrule")
        print("\\bottomrule\n\\end{tabular}")
    else:
        _print_rich(columns, cells, title, right)


def _print_rich(
    columns: Sequence[str], cells: Sequence[Sequence[str]], title: str, right: Sequence[str]
) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        # Not cut to a width that no screen has set.
        console = Console(width=10_000)
    table = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left")
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def _latex(text: str) -> str:
    for character in "&%$#_{}":
        text = text.replace(character, "\\" + character)
    return text.replace("±", r"$\pm$").replace("×", r"$\times$")
