"""Tables on terminals of any width: whole, aligned, and never broken within a number."""

from __future__ import annotations

import random
import re
import sys

import pytest

from genbench.cli.output import Format, print_table
from genbench.cli.text_table import Best

HEADINGS = [
    "model",
    "seeds",
    "fd_clf ↓",
    "× floor",
    "stages s (epochs × s)",
    "total s",
    "time to 60",
]
RIGHT = ["seeds", "fd_clf ↓", "× floor", "total s", "time to 60"]
ROWS = [
    ["vaegan (beta=4, hidden=400-400, lr=0.0001)", "3", Best("22.1 ± 2.1"), "11"],
    ["gan on latents of vae (z_dim=20)", "10 (12 runs)", "41.30 ± 0.13", "20.7"],
]
ROWS[0] += ["vae 16 (3 × 4) · gan 8 (5 × 1.25)", "24 ± 2", "≤ 61 s (evaluated every 20 s)"]
ROWS[1] += ["50 (4 × 10)", "131 (55.1 of vae)", "–"]
NUMBERS = ["22.1 ± 2.1 *", "41.30 ± 0.13", "(3 × 4)", "(5 × 1.25)", "(4 × 10)", "24 ± 2", "≤ 61 s"]


@pytest.fixture
def printed(monkeypatch, capsys):
    """The lines of a table on a terminal of a width."""

    def of(width: int, rows=ROWS, headings=HEADINGS, terminal: bool = True) -> list[str]:
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
        print_table(headings, rows, title="mnist", right=RIGHT)
        return capsys.readouterr().out.splitlines()

    return of


@pytest.mark.parametrize("width", [60, 80, 100, 140, 200])
def test_a_table_fits_the_terminal_and_breaks_no_number(printed, width):
    lines = printed(width)
    assert max(map(len, lines)) <= width
    for number in NUMBERS:
        assert any(number in line for line in lines), number
    words = {word for row in ROWS for cell in row for word in cell.split()}
    assert words <= set(" ".join(lines).split())


def test_a_long_title_is_broken_between_words(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    title = "digits · cpu (Intel(R) Xeon(R) Processor @ 2.50GHz, 1 thread)"
    print_table(["id"], [["a"]], title=title)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 40
    assert " ".join(lines).startswith(title)


def test_a_wide_terminal_has_one_line_for_each_row_and_a_narrow_one_a_record(printed):
    assert len(printed(200)) == 1 + 2 + len(ROWS)
    lines = printed(72)
    assert lines[1].startswith("model")
    assert lines[2].startswith("  ")
    starts = [line for line in lines if line.startswith(("vaegan", "gan"))]
    assert len(starts) == len(ROWS)


def test_columns_of_records_are_aligned_below_their_headings(printed):
    rows = [["a" * 30, "1", "2"], ["b", "1000", "20"]]
    lines = printed(40, rows, ["model", "seeds", "total s"])
    heads, first, second = lines[1:3], lines[4:6], lines[6:8]
    ends = [re.search(r"seeds", "".join(heads[0]))]
    assert ends[0] is not None
    assert first[0].rstrip().endswith("1")
    assert len(first[0]) == len(second[0]) == ends[0].end()
    assert len(first[1]) == len(second[1]) == len(heads[1])


def test_elsewhere_than_on_a_terminal_every_row_is_one_line(printed):
    assert len(printed(40, terminal=False)) == 1 + 2 + len(ROWS)


def _words(draw: random.Random) -> str:
    return " ".join("x" * draw.randint(1, 12) for _ in range(draw.randint(0, 6)))


def test_any_table_loses_no_text_at_any_width(printed):
    draw = random.Random(0)
    for _ in range(60):
        columns = draw.randint(1, 9)
        headings = [draw.choice(HEADINGS) for _ in range(columns)]
        rows = [
            [
                " ".join("x" * draw.randint(1, 12) for _ in range(draw.randint(0, 6)))
                for _ in headings
            ]
            for _ in range(draw.randint(0, 4))
        ]
        lines = printed(draw.randint(30, 160), rows, headings)
        text = " ".join(lines)
        assert sum(len(cell.replace(" ", "")) for row in rows for cell in row) == text.count("x")


def test_a_text_of_10000_characters_widens_no_other_row(printed, capsys):
    rows = [["y" * 10_000, "1"], ["b", "2"]]
    for terminal in (True, False):
        lines = printed(80, rows, ["name", "n"], terminal)
        assert sum(line.count("y") for line in lines) == 10_000
        assert len(lines[-1]) <= 80
        assert sum(map(len, lines)) < 11_000
    print_table(["name"], rows[:1], format=Format.CSV)
    assert len(capsys.readouterr().out) < 11_000
