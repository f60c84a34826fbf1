"""Texts that a stranger chose: they move no cursor, break no file and compute nothing."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from command_line import Answer, CommandLine

from genbench.errors import UsageError
from genbench.store.editing import MOST_OF_A_NOTE

TEXTS = {
    "all at once": "=a\x1b[31m|\u202ebad\u200b<script>&[x](y)\x9b\x07_end",
    "script": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "attribute": '" onmouseover="alert(1)',
    "long": "n" * 200,
    "right to left": "abc\u202edcba\u2066 \u05d0\u05d1",
    "sum": "=1+1",
    "function": "@SUM(A1:A9)",
    "plus": "+1+cmd|' /C calc'!A0",
    "minus": "-2+3",
    "latex": "$\\input{/etc/passwd}$ & % # _ { } ~ ^ \\end{tabular}",
    "markdown": "a|b\\|c `d` [e](javascript:alert(1)) **f** <b>",
    "lines": "x\n# y\r\n| z | \x0b\x85w\u2028v",
    "terminal": "\x1b]0;title\x07\x1b[2J\x1b[31mred",
}
"""Each is the name, a tag, the note, the preset and a setting of one run."""

NAMES = {text.lstrip("@") for text in TEXTS.values()}
"""An @ at the beginning is refused, since it is that of a reference."""

NAME = TEXTS["all at once"]
Genbench = Callable[..., Answer]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, new_bench) -> Path:
    """A folder with one run for each text; one has a note as long as can be."""
    folder: Path = tmp_path_factory.mktemp("hostile")
    bench = new_bench(folder / "runs.db")
    for seed, text in enumerate(TEXTS.values()):
        own = {"settings": {text: text}, "preset": text, "pictures": True}
        run = bench.add(
            "vae", seed=seed, score=30.0 + seed, name=text.lstrip("@"), tags=[text], **own
        )
        bench.store.edit(run, note=text.ljust(MOST_OF_A_NOTE, "n") if seed == 3 else text)
    bench.store.close()
    return folder


@pytest.fixture(scope="module")
def genbench(command_line: CommandLine, folder: Path) -> Genbench:
    def call(*words: str, **options: object) -> Answer:
        return command_line(*words, folder=folder, **options)  # type: ignore[arg-type]

    return call


def is_clean(text: str) -> bool:
    """No character that a terminal obeys, hides or turns around; line breaks are the tool's."""
    return not [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c != "\n"]


SAID = [
    ("runs",),
    ("show", NAME),
    ("show", TEXTS["long"]),
    ("show", TEXTS["lines"], "--plan"),
    ("compare",),
    ("compare", "--by", "preset,model", "--sort", "-model"),
    ("compare", f"tag={TEXTS['latex']}"),
    ("query", "select name, note, spec from runs"),
    ("query", "select * from v_runs", "--where", f"note={NAME}"),
    ("diff", NAME, TEXTS["script"]),
    ("show", NAME + "\x1b"),
    ("runs", "--tag", "\x1b[2J\u202e"),
    ("runs", "name:\x1b*\u202e", "--sort", "\x1b"),
    ("run", "\x1b[31m", "digits"),
    ("models", "--\x1b[31m"),
    ("query", "select '\x1b[31m' from \x1b"),
    ("report", "--out", "\x1b[31m.html"),
    ("edit", NAME, "--untag", "\x1b[2J"),
    ("edit", NAME, "--name", TEXTS["lines"]),
    ("edit", TEXTS["lines"], "--tag", NAME, "--json"),
    ("export", "\x1b.zip", NAME, TEXTS["terminal"]),
    ("import", "\x1b.zip"),
    ("archive", "\u202e"),
    ("watch", "--once"),
    ("watch", NAME),
    ("rm", "\x1b"),
]
FORMATS = {
    "table": (),
    "md": ("--format", "md"),
    "csv": ("--format", "csv"),
    "latex": ("--format", "latex"),
    "json": ("--json",),
}
TABLES = ("runs", "show", "compare", "query", "diff")


@pytest.mark.parametrize("words", SAID, ids=range(len(SAID)))
def test_no_control_character_reaches_the_terminal(genbench, words) -> None:
    formats = FORMATS.values() if words[0] in TABLES and "--plan" not in words else [()]
    for format in formats:
        said = genbench(*words, *format)
        said.check()
        assert is_clean(said.out), said.out
        assert is_clean(said.err), said.err
        assert said.out + said.err


@pytest.mark.parametrize("columns", ["60", "100"])
def test_a_text_of_10000_letters_stands_in_full_and_stays_within_the_terminal(
    genbench, columns
) -> None:
    said = genbench("show", TEXTS["long"], env={"COLUMNS": columns})
    assert sum(line.count("n") for line in said.out.splitlines()) > MOST_OF_A_NOTE
    assert genbench("runs", env={"COLUMNS": columns}).code == 0


@pytest.mark.parametrize("option", ["--name", "--tag", "--note"])
def test_longer_texts_are_refused_in_one_sentence(genbench, option) -> None:
    said = genbench("edit", "@1", option, "n" * (MOST_OF_A_NOTE + 1))
    assert said.code == 2
    assert re.fullmatch(
        r"genbench: error: [^.]* has \d+ characters at most, and .* has 10001\n", said.err
    )


# --- spreadsheets


def formulas(text: str) -> Iterator[str]:
    """The cells that a spreadsheet would compute."""
    for row in csv.reader(io.StringIO(text, newline="")):
        for cell in row:
            if cell.startswith(("=", "+", "-", "@", "\t", "\r")) and len(cell) > 1:
                try:
                    float(cell)
                except ValueError:
                    yield cell


@pytest.mark.parametrize(
    "words", [("runs",), ("compare",), ("show", TEXTS["sum"]), ("query", "select * from v_runs")]
)
def test_no_csv_cell_is_a_formula(genbench, words) -> None:
    said = genbench(*words, "--format", "csv")
    assert said.code == 0
    assert list(formulas(said.out)) == []


def test_a_csv_cell_is_no_formula_and_numbers_stay_numbers(genbench) -> None:
    sql = "select name, '-x' as a, '@b' as b, '-0.5' as c, -0.5 as d, '+1e3' as e from runs"
    said = genbench("query", sql, "--where", f"name={NAME}", "--format", "csv")
    [_, row] = csv.reader(io.StringIO(said.out))
    assert row[0].startswith("'=a\\x1b[31m|\\u202ebad\\u200b")
    assert row[1:] == ["'-x", "'@b", "-0.5", "-0.5", "+1e3"]


def test_no_cell_of_the_exported_tables_is_a_formula(genbench, folder) -> None:
    assert genbench("export", "--csv", "tables").code == 0
    for file in (folder / "tables").glob("*.csv"):
        text = file.read_bytes().decode()
        assert list(formulas(text)) == [], file.name
        assert is_clean(text), file.name


# --- markup


class Tags(HTMLParser):
    """The tags of a page, and the attributes that would run or load something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.active: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            remote = name in ("src", "href") and not (value or "").startswith(("data:", "#"))
            if name.startswith("on") or remote:
                self.active.append(name)


def test_markdown_has_no_markup_of_a_name(genbench) -> None:
    rows = genbench("runs", "--format", "md").out.splitlines()
    assert len(rows) == 2 + len(TEXTS)
    assert "&lt;script&gt;&amp;\\[x](y)" in "\n".join(rows)
    for row in rows:
        assert row.replace("\\\\", "").replace("\\|", "").count("|") == 12
        assert not Tags(row).tags


def test_latex_has_no_command_of_a_name(genbench) -> None:
    for words in (("runs",), ("compare", "--limit", "99"), ("show", TEXTS["latex"])):
        said = genbench(*words, "--format", "latex")
        assert r"\input" not in said.out
        assert said.out.count(r"\end{tabular}") == said.out.count(r"\begin{tabular}")
        rows = [row for row in said.out.splitlines() if not row.startswith("% ")]
        assert not re.search(r"(?<!\\)[%#]", "\n".join(rows).replace(r"\textbackslash{}", ""))


def test_svg_and_page_of_hostile_texts_are_well_formed(genbench, folder) -> None:
    assert genbench("curves", NAME, "--out", "c.svg").code == 0
    ElementTree.parse(folder / "c.svg")
    assert genbench("report", "--limit", "99", "--out", "page.html").code == 0
    page = (folder / "page.html").read_text(encoding="utf-8")
    tags = Tags(page)
    assert is_clean(page)
    assert (tags.tags.count("script"), tags.tags.count("style"), tags.active) == (1, 1, [])
    assert "bad\\u200b&lt;script&gt;" in page


def test_a_report_in_markdown_has_no_markup_of_a_name(genbench, folder) -> None:
    assert genbench("report", "--limit", "99", "--out", "page.md").code == 0
    page = (folder / "page.md").read_text(encoding="utf-8")
    assert is_clean(page)
    outside = re.sub(r"^(`{3,})sh$.*?^\1$", "", page, flags=re.DOTALL | re.MULTILINE)
    assert Tags(outside).tags == []
    assert not re.search(r"(?<!\\)\[[^]]*\]\((?!runs/)", outside)


# --- files from which a text comes back as it was


def words_of(path: Path) -> list[tuple[str, str, str]]:
    with closing(sqlite3.connect(path)) as database:
        sql = "SELECT name, note, tag FROM runs JOIN run_tags USING (run) ORDER BY name"
        return database.execute(sql).fetchall()


def test_texts_come_back_exactly_from_a_zip_file_from_json_and_from_parquet(
    genbench, folder, tmp_path
) -> None:
    assert genbench("export", "--", "all.zip", *sorted(NAMES)).code == 0
    assert genbench("import", "all.zip", "--store", str(tmp_path / "new.db")).code == 0
    assert words_of(tmp_path / "new.db") == words_of(folder / "runs.db")
    listed = json.loads(genbench("runs", "--limit", "99", "--json").out)["runs"]
    assert {run["name"] for run in listed} == NAMES
    parquet = pytest.importorskip("pyarrow.parquet")
    assert genbench("export", "--parquet", "parquet").code == 0
    table = parquet.read_table(folder / "parquet" / "runs.parquet")
    assert {*table.column("name").to_pylist()} == NAMES
    assert max(map(len, table.column("note").to_pylist())) == MOST_OF_A_NOTE


# --- NUL


@pytest.mark.parametrize("what", [{"name": "a\0b"}, {"note": "\0"}, {"tags": ["a\0"]}])
def test_nul_is_refused_in_one_sentence(bench, what) -> None:
    run = bench.add("gan", score=1.0)
    with pytest.raises(UsageError, match=r"must not contain the character NUL") as found:
        bench.store.edit(run, **what)
    assert str(found.value).count(".") == 0
    assert (bench.store.run(run).name, bench.store.run(run).note) == (None, None)
    with pytest.raises(UsageError, match="NUL"):
        bench.add("gan", seed=1, **({"name": "\0"} if "name" in what else {"tags": ["\0"]}))


def test_nul_that_another_program_wrote_is_shown_as_an_escape(
    bench, command_line, tmp_path
) -> None:
    bench.add("gan", score=1.0, name="named", tags=["tagged"])
    bench.store.close()
    with closing(sqlite3.connect(bench.path)) as database, database:
        for table, column in (("runs", "name"), ("runs", "note"), ("run_tags", "tag")):
            database.execute(f"UPDATE {table} SET {column} = ?", ("a\0=1+1",))
    for words in (("runs",), ("show", "@1"), ("runs", "--format", "csv"), ("watch", "--once")):
        said = command_line(*words, folder=tmp_path)
        said.check()
        assert is_clean(said.out), said.out
        assert "a\\x00=1+1" in said.out or words[0] == "watch"
    said = command_line("edit", "@1", "--name", "better", "--note", "", folder=tmp_path)
    assert said.code == 0, said.err
