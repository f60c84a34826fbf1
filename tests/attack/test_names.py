"""Text that somebody else chose stays text: on a terminal, in a table, on a page."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
import unicodedata
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

HOSTILE = (
    "\x1b]0;title\x07\x1b[2J\x1b[31mred",
    "abc\u202edcba\u2066x",
    '=HYPERLINK("http://x","y")',
    "+1+cmd|' /C calc'!A0",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "a|b\\|c `d` [e](javascript:alert(1))",
    "x\ny\r\nz\x00\x85w",
    "$\\input{/etc/passwd}$ & % # _ { } ~ ^",
    "']]><svg onload=alert(1)>\ufeff\u200b",
)
PLACES = (
    ("runs", "name"), ("run_tags", "tag"), ("runs", "preset"), ("runs", "error"), ("runs", "host"),
    ("warnings", "message"), ("evals", "note"), ("evals", "sampler"), ("metric_keys", "name"),
    ("runs", "model"), ("runs", "dataset"), ("environments", "cpu"), ("stages", "stage"),
    ("runs", "note"), ("run_params", "text"), ("artifacts", "kind"),
)  # fmt: skip
COMMANDS = (
    *(("runs", *form) for form in ((), ("--format", "md"), ("--format", "csv"), ("--json",))),
    *(
        ("compare", *f)
        for f in ((), ("--format", "md"), ("--format", "csv"), ("--format", "latex"))
    ),
    ("compare", "--json"),
    ("show", "@1"),
    ("show", "@2", "--json"),
    ("diff", "@1", "@2"),
    ("query", "select * from runs"),
    ("query", "select * from runs", "--format", "csv"),
    ("report", "--out", "page.html"),
    ("curves", "@1", "@2", "--out", "curves.svg"),
    ("resume", "@1"),
    ("rm", "nope"),
    ("runs", "tag:*", "note!=none", "--sort", "name"),
    ("compare", "model!=none", "--by", "model,preset", "--sort", "model"),
    ("compare", "--pareto", "--json"),
    ("show", "@1", "--plan"),
    ("query", "select * from v_runs", "--where", "created<2999", "--format", "latex"),
    ("report", "--out", "page.md"),
    ("watch", "--once"),
    ("watch",),
    ("export", "other.zip", "@1", "@2"),
    ("export", "--csv", "tables"),
    ("export", "--datasette", "about.json"),
    ("edit", "@1", "--tag", "new"),
    ("archive", "@1", "@2"),
    ("animate", "@1", "--out", "samples.gif"),
)


def visible(text: str) -> bool:
    """Whether no character of it is obeyed by a terminal: controls, directions, zero width."""
    return not any(
        c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs") for c in text
    )


class Tags(HTMLParser):
    """The tags of a page, and the attributes that would run something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.scripts, self.handlers = 0, 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.handlers += sum(name in ("onerror", "onload") for name, _ in attrs)
        self.handlers += sum((value or "").startswith("javascript:") for _, value in attrs)


def spoil(store: Path, table: str, column: str, text: str) -> bool:
    database = sqlite3.connect(store)
    try:
        database.execute("PRAGMA journal_mode = DELETE")
        unique = (
            "rowid = (SELECT min(rowid) FROM runs)" if (table, column) == ("runs", "name") else "1"
        )
        database.execute(f"UPDATE OR IGNORE {table} SET {column} = ? WHERE {unique}", (text,))
        database.commit()
    except sqlite3.Error:
        return False
    finally:
        database.close()
    return True


def check(answer: Any, folder: Path, scripts: int) -> None:
    answer.check()
    told = f"{answer.arguments}: {answer.out[-1500:]!r} {answer.err[-1500:]!r}"
    assert visible(answer.out), told
    assert visible(answer.err), told
    if "--json" in answer.arguments and answer.code == 0:
        json.loads(answer.out)
    if "csv" in answer.arguments:
        assert not formulas(answer.out), told
    for table in folder.glob("tables/*.csv"):
        text = table.read_bytes().decode()
        assert not formulas(text), told
        assert visible(text), told
    for page in folder.glob("page.*"):
        text = page.read_text(encoding="utf-8")
        assert visible(text), told
        tags = Tags(text if page.suffix == ".html" else outside_of_fences(text))
        wanted = scripts if page.suffix == ".html" else 0
        assert (tags.scripts, tags.handlers) == (wanted, 0), told
        page.unlink()
    drawing = folder / "curves.svg"
    if drawing.exists():
        ElementTree.parse(drawing)
        drawing.unlink()


def formulas(text: str) -> list[str]:
    """The cells of a CSV file that a spreadsheet would compute."""
    rows = csv.reader(io.StringIO(text, newline=""))
    return [c for row in rows for c in row if c.startswith(("=", "+", "@", "\t", "\r"))]


def outside_of_fences(text: str) -> str:
    """A Markdown page without its blocks of code, which are shown as they are."""
    return re.sub(r"^(`{3,})sh$.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)


def check_places(every: int, genbench: Any, folder: Path) -> None:
    store = folder / "runs.db"
    whole = store.read_bytes()
    assert genbench("report", "--out", "page.html", folder=folder).code == 0
    scripts = Tags((folder / "page.html").read_text(encoding="utf-8")).scripts
    tried = 0
    for place in PLACES:
        for text in HOSTILE:
            store.write_bytes(whole)
            if not spoil(store, *place, text):
                continue
            for command in COMMANDS:
                tried += 1
                if tried % every == 0:
                    check(genbench(*command, folder=folder), folder, scripts)


def test_hostile_text_stays_text_in_some_outputs(genbench: Any, spoiled: Path) -> None:
    check_places(113, genbench, spoiled)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_hostile_text_stays_text_in_every_output(genbench: Any, spoiled: Path) -> None:
    check_places(1, genbench, spoiled)
