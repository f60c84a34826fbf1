"""The page stays small and quick with many runs, and harmless with what a stranger typed in."""

from __future__ import annotations

import os
import re
import resource
import sqlite3
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genbench.compare import Question, Selection
from genbench.report.album import BUDGET
from genbench.report.content import read_report
from genbench.report.markdown import render_markdown
from genbench.report.page import render
from genbench.store import Store

RUNS, EPOCHS = 100, 8
HOSTILE = {
    "script": "<script>alert(1)</script>",
    "attribute": '" onmouseover="alert(1)',
    "close": "</style></script><img src=x onerror=alert(1)>",
    "long": "n" * 10_000,
    "right to left": "abc\u202edcba\u2066 \u05d0\u05d1\u05d2",
    "nul": "a\x00b",
    "formula": '=HYPERLINK("http://x","y")',
    "template": "${alert(1)} {{7*7}} %s {0}",
}


@pytest.fixture(scope="module")
def many(tmp_path_factory, new_bench, new_plan) -> Path:
    """100 runs of 34 experiments, each with large pictures of random pixels at 8 epochs."""
    bench = new_bench(tmp_path_factory.mktemp("many") / "runs.db")
    plan = new_plan(name="train", epochs=EPOCHS, epoch_s=10.0)
    template = bench.add("gan", stages=[plan], score=40.0, curve=(80.0, 60.0, 50.0), pictures=True)
    folder = bench.store.folder(template)
    pixels = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "noise.png")
    for path in (folder / "samples").glob("*.png"):
        path.unlink()
        os.link(folder / "noise.png", path)
    bench.store.close()
    copies(bench.path, folder, RUNS)
    return bench.path


def copies(path: Path, folder: Path, runs: int) -> None:
    """Copy the one run of a store with all its rows until there are so many: three of each seed."""
    db = sqlite3.connect(path)
    tables = ("stages", "epochs", "epoch_losses", "points", "metric_summary", "artifacts", "draws")
    columns = {
        table: [name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")]
        for table in (*tables, "runs", "evals", "experiments")
    }

    def copy(table: str, number: int, **changed: object) -> None:
        own = {"run": number, **changed}
        taken = [f":{name}" if name in own else name for name in columns[table]]
        source = f"SELECT {', '.join(taken)} FROM {table} WHERE run = 1"
        db.execute(f"INSERT INTO {table} {source}", own)

    for number in range(2, runs + 1):
        kind, identity = f"{(number - 2) // 3:04d}", f"copy{number:06d}"
        db.execute(
            "INSERT OR IGNORE INTO experiments SELECT ?, model, dataset, created_at "
            "FROM experiments",
            (kind,),
        )
        copy("runs", number, id=identity, experiment=kind, preset=f"p{kind}", seed=number % 3)
        for table in tables:
            copy(table, number, **dict.fromkeys({"draw", "artifact"} & {*columns[table]}))
        draws = db.execute("SELECT draw FROM draws WHERE run = ? ORDER BY draw", (number,))
        for (old,), (new,) in zip(
            db.execute("SELECT draw FROM draws WHERE run = 1 ORDER BY draw"),
            draws.fetchall(),
            strict=True,
        ):
            taken = [
                {"run": ":run", "draw": ":new", "eval": "NULL"}.get(c, c) for c in columns["evals"]
            ]
            db.execute(
                f"INSERT INTO evals SELECT {', '.join(taken)} FROM evals WHERE draw = :old",
                {"run": number, "new": new, "old": old},
            )
        (folder.parent / identity).symlink_to(folder)
    db.commit()
    db.close()


def test_a_page_of_100_runs_takes_less_than_10_s_and_15_mb(many):
    begun = resource.getrusage(resource.RUSAGE_SELF)
    with Store.open(many, mode="read") as store:
        report = read_report(store, Selection(), Question())
        page = render(report)
    ended = resource.getrusage(resource.RUSAGE_SELF)
    assert f"{RUNS} finished runs of 34 experiments" in page
    assert ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime < 10.0
    assert len(page.encode()) < 15_000_000
    # Every experiment has pictures, and the page says what it did to them.
    assert all(len(e.samples) >= 2 for s in report.sections for e in s.experiments)
    pictures = re.findall(r'src="data:image/[a-z]+;base64,([^"]*)"', page)
    assert sum(map(len, pictures)) * 3 / 4 <= BUDGET
    assert f"{report.shrunk} pictures stored again as WebP" in page
    assert report.left_out > 0


class Tags(HTMLParser):
    """The tags of a page and their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory, new_bench) -> Path:
    bench = new_bench(tmp_path_factory.mktemp("hostile") / "runs.db")
    for seed, evil in enumerate(HOSTILE.values()):
        machine = {"cpu": evil, "threads": 1, evil: evil}
        bench.add(
            "vae",
            seed=seed,
            score=30.0 + seed,
            name=evil[:200].replace("\x00", ""),
            tags=[evil[:200].replace("\x00", "")],
            preset=evil.replace("\x00", "") + str(seed),
            settings={evil: evil},
            dataset_settings={"folder": "<b>"},
            machine=machine,
            protocol={evil: evil} if seed else None,
            pictures=True,
        )
    bench.store.close()
    return bench.path


@pytest.fixture(scope="module")
def told(hostile, new_bench):
    store = new_bench(hostile).store
    report = read_report(store, Selection(), Question())
    yield report
    store.close()


def test_what_a_stranger_typed_in_is_no_markup_and_no_script(told):
    page = render(told)
    tags = Tags()
    tags.feed(page)
    assert [tag for tag, _ in tags.seen].count("script") == 1
    assert [tag for tag, _ in tags.seen].count("style") == 1
    assert not [name for _, of in tags.seen for name in of if name.startswith("on")]
    assert all(of.get("src", "data:image/").startswith("data:image/") for _, of in tags.seen)
    assert "\x00" not in page
    assert "\u202e" not in page
    assert "\\x00" in page
    assert "\\u202e" in page


def test_a_name_of_10000_letters_stands_in_full(told):
    page = render(told)
    assert "n" * 10_000 in page
    assert "overflow-wrap: anywhere" in page


def test_what_a_stranger_typed_in_is_no_markup_in_markdown(told, tmp_path):
    text = render_markdown(told, folder=tmp_path)
    outside = re.sub(r"^(`{3,})sh$.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert not re.search(r"<(?!sup)[a-z/]", outside)
    assert "\x00" not in text
    assert "\u202e" not in text
    rows = [line for line in outside.splitlines() if line.startswith("|")]
    assert len({re.sub(r"\\.", "", row).count("|") for row in rows}) == 1


def test_markdown_has_the_answer_the_table_and_links_to_pictures_that_are_there(many, tmp_path):
    with Store.open(many, mode="read") as store:
        report = read_report(store, Selection(limit=2), Question())
        text = render_markdown(report, folder=many.parent)
    assert text.startswith("# gan on mnist\n")
    assert "| gan (p0000) | 3 |" in text
    links = re.findall(r"\]\(([^)]*)\)", text)
    assert links
    assert all((many.parent / link).is_file() for link in links)
    assert "genbench run gan mnist" in text
