"""What reading commands print on stdout: one table in four formats, or JSON.

JSON carries ``schema_version``; NaN and infinities become null. Markdown, CSV and LaTeX tables hold
the same cells as the one for the terminal. A cell that is None is empty, a number that is not
finite is named. Text that a person typed in (names, tags, errors) can't break a row or move the
cursor. Rows are printed as they come: a table of any length takes the memory of its first rows,
which decide how wide its columns are.
"""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from itertools import chain, islice
from pathlib import Path
from typing import Any

from genbench.cli.text_table import FIRST, Best, print_text
from genbench.formatting import latex, markdown, number, plain, spreadsheet, visible

SCHEMA_VERSION = 1


class Format(StrEnum):
    """How a table is printed."""

    TABLE = "table"
    MD = "md"
    CSV = "csv"
    LATEX = "latex"


def print_json(values: Mapping[str, Any]) -> None:
    """Print one JSON object with the schema version."""
    document = finite({"schema_version": SCHEMA_VERSION, **values})
    print(json.dumps(document, indent=2, allow_nan=False))


def print_json_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print one JSON object with columns and rows, each row as it comes."""
    print(f'{{\n  "schema_version": {SCHEMA_VERSION},\n  "columns": {json.dumps(columns)},')
    print('  "rows": [', end="")
    before = "\n"
    for row in rows:
        print(before + "    " + json.dumps(finite(row), allow_nan=False), end="")
        before = ",\n"
    print("]\n}" if before == "\n" else "\n  ]\n}")


def print_path(head: Mapping[str, Any], path: Path, *, as_json: bool) -> None:
    """Print where a file was written, after ``head`` if the answer is a JSON object."""
    if as_json:
        print_json({**head, "path": str(path)})
    else:
        print(plain(str(path)))


def record(value: object, *names: str) -> dict[str, Any]:
    """The named attributes of a record, in that order."""
    return {name: getattr(value, name) for name in names}


def finite(value: Any) -> Any:
    """The value with every NaN and infinity as None, mappings as dicts, tuples as lists."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if value is None or isinstance(value, (str, int)):
        return value
    return f"{len(value)} bytes" if isinstance(value, bytes) else str(value)


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    format: Format = Format.TABLE,
    title: str = "",
    right: Sequence[str] = (),
) -> None:
    """Print rows under columns; ``right`` names the columns to align right (numbers).

    CSV is for other programs and keeps every digit; the tables for people have four.
    """
    digits = repr if format is Format.CSV else number
    cells = ([_cell(cell, digits) for cell in row] for row in rows)
    if format is Format.CSV:
        _print_csv(columns, cells)
    elif format is Format.MD:
        _print_markdown(columns, cells, title, right)
    elif format is Format.LATEX:
        _print_latex(columns, cells, title, right)
    else:
        print_text(columns, cells, title, right)


def numeric(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> tuple[list[str], Any]:
    """The columns that begin with numbers, and all rows again."""
    ahead = iter(rows)
    first = list(islice(ahead, FIRST))
    kinds = [{type(v) for v in column if v is not None} for column in zip(*first, strict=True)]
    right = [c for c, k in zip(columns, kinds, strict=False) if k and k <= {int, float}]
    return right, chain(first, ahead)


def _cell(value: Any, digits: Callable[[float], str]) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return digits(value)
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return value if isinstance(value, str) else str(value)


# --- the four formats


def _print_csv(columns: Sequence[str], cells: Iterable[Sequence[str]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    for row in chain([columns], cells):
        writer.writerow([spreadsheet(cell) for cell in row])


def _print_markdown(
    columns: Sequence[str], cells: Iterable[Sequence[str]], title: str, right: Sequence[str]
) -> None:
    if title:
        print(f"**{markdown(title)}**\n")
    print("| " + " | ".join(markdown(column) for column in columns) + " |")
    print("|" + "|".join(" ---: " if c in right else " --- " for c in columns) + "|")
    for row in cells:
        texts = (f"**{markdown(c)}**" if isinstance(c, Best) else markdown(c) for c in row)
        print("| " + " | ".join(texts) + " |")


def _print_latex(
    columns: Sequence[str], cells: Iterable[Sequence[str]], title: str, right: Sequence[str]
) -> None:
    if title:
        print("% " + visible(title))
    print("\\begin{tabular}{" + "".join("r" if c in right else "l" for c in columns) + "}")
    print("\\toprule")
    print(" & ".join(latex(column) for column in columns) + r" \\")
    print("\\midrule")
    for row in cells:
        texts = (rf"\textbf{{{latex(c)}}}" if isinstance(c, Best) else latex(c) for c in row)
        print(" & ".join(texts) + r" \\")
    print("\\bottomrule\n\\end{tabular}")
