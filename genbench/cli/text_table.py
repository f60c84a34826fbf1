"""A table as aligned text, laid out for the width of a terminal.

A table that fits is printed as it is. If it is too wide, texts are first broken into several lines
within their columns, and if that isn't enough, each row becomes a record of several lines. Nothing
is ever cut, so that ids can be copied, and no line ends within a number and its spread. Elsewhere
than on a terminal every row is one line.

Not rich: it takes 30 ms more, and on a narrow terminal it cuts ids and separates a number from its
spread.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from textwrap import wrap

from genbench.formatting import visible

FIRST = 1_000
"""Number of rows that decide the widths of the columns."""

GAP, INDENT = 2, 2
"""Spaces between columns, and before the further lines of a record."""

NARROWEST = 8
"""Headings are broken into lines of at least so many characters."""

WIDEST = 200
"""Longer texts don't widen their column where lines are not bounded by a terminal."""


class Best(str):
    """The text of a cell that holds the best value of its column; each format marks it."""

    __slots__ = ()


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """The columns that each line of a record has, and the widths of all columns."""

    lines: Sequence[Sequence[int]]
    widths: Sequence[int]


def print_text(
    headings: Sequence[str], cells: Iterable[Sequence[str]], title: str, right: Sequence[str]
) -> None:
    """Print the rows under their headings; ``right`` names the columns to align right."""
    terminal = sys.stdout.isatty()
    ahead = iter(cells)
    first = [list(row) for row in islice(ahead, FIRST)]
    columns = [visible(heading) for heading in headings]
    numeric = [heading in right for heading in headings]
    room = shutil.get_terminal_size().columns if terminal else None
    shown = [[_shown(cell) for cell in row] for row in first]
    layout = _layout(columns, shown, numeric, room)
    style = _style(terminal)
    if title:
        for line in wrap(visible(title), room) if room else [visible(title)]:
            print(style(line, bold=True))
    _print_headings(columns, layout, numeric, broken=terminal)
    for i, row in enumerate(chain(first, ahead)):
        if i and len(layout.lines) > 2:
            print()
        _print_row(row, layout, numeric, style, broken=terminal)


# --- the layout


def _layout(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    numeric: Sequence[bool],
    room: int | None,
) -> _Layout:
    """One line of all columns if they fit into ``room`` (None: any width), else several."""
    every = range(len(columns))
    if room is None:
        widths = [
            max([_width(columns[i]), *(w for row in rows if (w := _width(row[i])) <= WIDEST)])
            for i in every
        ]
        return _Layout(lines=[every], widths=widths)
    least = [max([NARROWEST, *(_width(row[i]) for row in rows)]) for i in every]
    heads = [_widest(wrap(columns[i], least[i], break_long_words=False)) for i in every]
    widths = [max([heads[i], *(_width(row[i]) for row in rows)]) for i in every]
    narrowed = _narrowed(widths, heads, rows, numeric, room)
    if _total(narrowed) <= room:
        return _Layout(lines=[every], widths=narrowed)
    return _records([max(w, _width(c)) for w, c in zip(widths, columns, strict=True)], room)


def _narrowed(
    widths: Sequence[int],
    heads: Sequence[int],
    rows: Sequence[Sequence[str]],
    numeric: Sequence[bool],
    room: int,
) -> list[int]:
    """The widths with the widest texts broken at spaces, as far as that is needed."""
    narrowed = list(widths)
    for i in sorted(range(len(widths)), key=lambda i: -widths[i]):
        over = _total(narrowed) - room
        if over > 0 and not numeric[i]:
            words = [_widest(_pieces(row[i], 1)) for row in rows]
            least = max([heads[i], NARROWEST, *words])
            narrowed[i] = max(least, narrowed[i] - over)
    return narrowed


def _records(widths: Sequence[int], room: int) -> _Layout:
    """As many columns in each line as fit."""
    lines: list[list[int]] = []
    used = room
    for i, width in enumerate(widths):
        if not lines or used + GAP + width > room:
            lines.append([])
            used = INDENT * (len(lines) > 1) - GAP
        lines[-1].append(i)
        used += GAP + width
    return _Layout(lines=lines, widths=[min(width, room - INDENT) for width in widths])


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


# --- lines


def _print_headings(
    columns: Sequence[str], layout: _Layout, numeric: Sequence[bool], *, broken: bool
) -> None:
    for n, line in enumerate(layout.lines):
        parts = [
            wrap(columns[i], layout.widths[i], break_long_words=False) if broken else [columns[i]]
            for i in line
        ]
        height = max(map(len, parts), default=0)
        filled = [[""] * (height - len(part)) + part for part in parts]  # aligned at the bottom
        _print_lines(n, line, filled, layout, numeric)
    if len(layout.lines) > 1:
        ends = (
            INDENT * (n > 0) + _total([layout.widths[i] for i in line])
            for n, line in enumerate(layout.lines)
        )
        print("─" * max(ends))
    else:
        print((" " * GAP).join("─" * width for width in layout.widths))


def _print_row(
    row: Sequence[str],
    layout: _Layout,
    numeric: Sequence[bool],
    style: Callable[..., str],
    *,
    broken: bool,
) -> None:
    texts = [_shown(cell) for cell in row]
    for n, line in enumerate(layout.lines):
        parts = [_pieces(texts[i], layout.widths[i]) if broken else [texts[i]] for i in line]
        styles = [partial(style, best=isinstance(row[i], Best)) for i in line]
        _print_lines(n, line, parts, layout, numeric, styles)


def _print_lines(
    n: int,
    line: Sequence[int],
    parts: Sequence[Sequence[str]],
    layout: _Layout,
    numeric: Sequence[bool],
    styles: Sequence[Callable[[str], str]] = (),
) -> None:
    """Print the columns of a record's n-th line, which takes as many lines as the longest part."""
    for height in range(max(map(len, parts), default=0)):
        padded = []
        for k, (i, part) in enumerate(zip(line, parts, strict=True)):
            text = part[height] if height < len(part) else ""
            space = " " * (layout.widths[i] - _width(text))
            word = styles[k](text) if styles and text else text
            padded.append(space + word if numeric[i] else word + space)
        print((" " * INDENT * (n > 0) + (" " * GAP).join(padded)).rstrip())


_GLUED = re.compile(r"(?<=[±×≤]) | (?=[±×≤*])|(?<=\d) (?=\(|(?:s|ms|min|h|d|MB)\b)")
_GLUE = "\x00"


def _pieces(text: str, width: int) -> list[str]:
    """The text in lines that break at spaces, but not within a number with its spread or unit."""
    if _width(text) <= width:
        return [text]
    glued = _GLUED.sub(_GLUE, text)
    lines = wrap(glued, width, break_long_words=False, break_on_hyphens=False)
    return [line.replace(_GLUE, " ") for line in lines] or [""]


def _widest(lines: Iterable[str]) -> int:
    return max(map(_width, lines), default=0)


def _style(terminal: bool) -> Callable[..., str]:
    """Bold titles and green best values, unless NO_COLOR or TERM=dumb asks for none."""
    plain = not terminal or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"

    def style(text: str, *, bold: bool = False, best: bool = False) -> str:
        if plain or not (bold or best):
            return text
        return f"\x1b[{'1;32' if best else '1'}m{text}\x1b[0m"

    return style


def _shown(cell: str) -> str:
    return f"{visible(cell)} *" if isinstance(cell, Best) else visible(cell)


def _width(text: str) -> int:
    """Columns on a terminal: wide East Asian characters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )
