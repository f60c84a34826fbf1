"""Names that a stranger chose: they move no cursor, break no file and compute nothing."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import unicodedata
from pathlib import Path
from xml.etree import ElementTree

import pytest

SMALL = ("--set", "data.size=8", "--set", "hidden=[8]", "--batch-size", "240", "--device", "cpu")
RUN = ("run", "vae", "digits", *SMALL, "--epochs", "2", "--metric", "fd_pixel", "--samples", "64")
NAME = "=a\x1b[31m|\u202ebad\u200b<script>&[x](y)\x9b\x07_end"


def genbench(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "genbench", *words],
        cwd=folder,
        capture_output=True,
        text=True,
    )


def is_clean(text: str) -> bool:
    """No character that a terminal obeys, hides or turns around; line breaks are the tool's."""
    return not [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c != "\n"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run of a hostile name and tag."""
    folder = tmp_path_factory.mktemp("hostile")
    said = genbench(folder, *RUN, "--no-watch", "--name", NAME, "--tag", NAME)
    assert said.returncode == 0, said.stderr
    assert is_clean(said.stderr)
    return folder


SAID = [
    ("runs",),
    ("show", NAME),
    ("compare",),
    ("query", "select name from runs"),
    ("show", NAME + "\x1b"),
    ("runs", "--tag", "\x1b[2J\u202e"),
    ("run", "\x1b[31m", "digits"),
    ("models", "--\x1b[31m"),
    ("query", "select '\x1b[31m' from \x1b"),
    ("report", "--out", "\x1b[31m.html"),
    ("diff", NAME, NAME),
    ("rm", NAME),
]


@pytest.mark.parametrize("words", SAID, ids=range(len(SAID)))
@pytest.mark.parametrize("format", ["table", "md", "csv", "latex", "json"])
def test_no_control_character_reaches_the_terminal(folder, words, format) -> None:
    formats = ["runs", "show", "compare", "query", "diff"]
    if words[0] not in formats and format != "table":
        return
    asked = () if words[0] not in formats else ("--format", format)
    said = genbench(folder, *words, *(("--json",) if format == "json" else asked))
    assert is_clean(said.stdout)
    assert is_clean(said.stderr)
    assert said.stdout + said.stderr


def test_a_csv_cell_is_no_formula_and_numbers_stay_numbers(folder) -> None:
    sql = "select name, '-x' as a, '@b' as b, '-0.5' as c, -0.5 as d, '+1e3' as e from runs"
    said = genbench(folder, "query", sql, "--format", "csv")
    [_, row] = csv.reader(io.StringIO(said.stdout))
    assert row[0].startswith("'=a\\x1b[31m|\\u202ebad\\u200b")
    assert row[1:] == ["'-x", "'@b", "-0.5", "-0.5", "+1e3"]


def test_markdown_has_no_markup_of_a_name(folder) -> None:
    said = genbench(folder, "runs", "--format", "md")
    [_, _, row] = said.stdout.splitlines()
    assert "&lt;script&gt;&amp;\\[x](y)" in row
    assert row.replace("\\|", "").count("|") == 12


def test_svg_and_page_of_a_hostile_name_are_well_formed(folder) -> None:
    assert genbench(folder, "curves", NAME, "--out", "c.svg").returncode == 0
    ElementTree.parse(folder / "c.svg")
    assert genbench(folder, "report", "--out", "page.html").returncode == 0
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert is_clean(page)
    assert page.count("<script>") == 1
    assert "bad\\u200b&lt;script&gt;" in page
