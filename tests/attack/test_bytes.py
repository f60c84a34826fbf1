"""Damaged files are told apart from whole ones: stores, checkpoints, decoded images."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

COMMANDS = (
    ("runs",),
    ("show", "@1"),
    ("compare",),
    ("query", "select * from v_scores"),
    ("report", "--out", "page.html"),
    ("runs", "--sort", "fd_pixel", "--archived"),
    ("runs", "model=vae", "lr>0", "tag:*", "created<2999", "--sort=-lr"),
    ("compare", "fd_pixel<1e9", "--by", "batch_size"),
    ("compare", "--pareto", "--sort", "total", "--json"),
    ("query", "select * from v_runs", "--where", "dataset=digits", "--json"),
    ("report", "note:*", "seed>=0", "--out", "page.md"),
    ("show", "@1", "--plan"),
    ("watch", "--once"),
    ("export", "other.zip", "@1", "@2"),
    ("export", "--csv", "tables"),
    ("export", "--parquet", "tables"),
    ("edit", "@1", "--name", "new", "--tag", "new", "--note", "new"),
    ("archive", "@1", "@2"),
    ("restore", "@1", "@2"),
    ("animate", "@1", "--out", "samples.gif"),
    ("import", "bundle.zip"),
)
JUNK: tuple[Any, ...] = (
    None,
    "",
    "junk",
    "\x1b[31m\u202e",
    "{}",
    "[1",
    b"\xff\x00",
    b"not text \xfe",
    -1,
    2**63 - 1,
    9e999,
    "9999-99-99",
)
"""What a column holds where a disk, a person or another program spoiled it."""


def damaged(data: bytes, order: random.Random) -> bytes:
    """Bytes with one bit flipped, cut short, partly zeroed, or with others after them."""
    at = order.randrange(len(data))
    kind = order.randrange(4)
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + bytes(512) + data[at + 512 :]
    if kind == 2:
        return data + order.randbytes(100)
    return data[:at] + bytes([data[at] ^ (1 << order.randrange(8))]) + data[at + 1 :]


def check_store(count: int, genbench: Any, folder: Path, *, seed: int) -> None:
    store, order = folder / "runs.db", random.Random(seed)
    whole = store.read_bytes()
    for number in range(count):
        store.write_bytes(damaged(whole, order))
        genbench(*COMMANDS[number % len(COMMANDS)], folder=folder).check()
        for side in folder.glob("runs.db?*"):
            side.unlink()


def test_a_damaged_store_is_read_or_refused_with_a_sentence(genbench: Any, spoiled: Path) -> None:
    check_store(20, genbench, spoiled, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_1000_damaged_stores_are_read_or_refused_with_a_sentence(
    genbench: Any, spoiled: Path
) -> None:
    check_store(1000, genbench, spoiled, seed=2)


def columns(store: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(store) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        found = [
            (table, row[1])
            for (table,) in tables
            for row in database.execute(f"PRAGMA table_info({table})")
        ]
    database.close()
    return found


def with_junk(store: Path, share: float) -> Iterator[tuple[str, str, Any]]:
    """Spoil one column after another with one junk after another, or a random share of both."""
    whole, order = store.read_bytes(), random.Random(3)
    for table, column in columns(store):
        for junk in JUNK:
            if order.random() >= share:
                continue
            for side in store.parent.glob("runs.db?*"):
                side.unlink()
            store.write_bytes(whole)
            database = sqlite3.connect(store)
            try:
                database.execute("PRAGMA ignore_check_constraints = 1")
                database.execute("PRAGMA journal_mode = DELETE")
                database.execute(f"UPDATE OR IGNORE {table} SET {column} = ?", (junk,))
                database.commit()
            except sqlite3.Error:  # NOT NULL, a foreign key: SQLite itself keeps it out
                continue
            finally:
                database.close()
            yield table, column, junk


def check_columns(share: float, genbench: Any, folder: Path) -> None:
    """Each junk meets two commands; those of the next junk are others."""
    for number, _ in enumerate(with_junk(folder / "runs.db", share)):
        for command in (COMMANDS[(2 * number + i) % len(COMMANDS)] for i in (0, 1)):
            genbench(*command, folder=folder).check()


def test_junk_in_some_columns_of_a_store_gives_no_traceback(genbench: Any, spoiled: Path) -> None:
    check_columns(0.01, genbench, spoiled)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_junk_in_any_column_of_a_store_gives_no_traceback(genbench: Any, spoiled: Path) -> None:
    check_columns(1.0, genbench, spoiled)


def check_checkpoint(count: int, genbench: Any, folder: Path) -> None:
    """A damaged checkpoint is refused, or draws what the whole one draws."""
    draw = ("sample", "parent", "-n", "4", "--out", "grid.png")
    assert genbench(*draw, folder=folder).code == 0
    expected = (folder / "grid.png").read_bytes()
    files = sorted(p for p in folder.glob("runs/*/checkpoints/step-*/*") if p.is_file())
    order = random.Random(4)
    for number in range(count):
        file = files[number % len(files)]
        whole = file.read_bytes()
        file.write_bytes(damaged(whole, order))
        answer = genbench(*draw, folder=folder)
        answer.check()
        assert answer.code in (0, 5), answer.err
        if answer.code == 0:
            assert (folder / "grid.png").read_bytes() == expected, file
        file.write_bytes(whole)


def test_a_damaged_checkpoint_is_refused_or_harmless(genbench: Any, spoiled: Path) -> None:
    check_checkpoint(8, genbench, spoiled)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_500_damaged_checkpoints_are_refused_or_harmless(genbench: Any, spoiled: Path) -> None:
    check_checkpoint(500, genbench, spoiled)


def pictures(folder: Path) -> Path:
    """A folder of 40 small images in two classes."""
    order = random.Random(5)
    for name in ("light", "dark"):
        (folder / name).mkdir(parents=True)
        for number in range(20):
            image = Image.frombytes("L", (8, 8), order.randbytes(64))
            image.save(folder / name / f"{number}.png")
    return folder


TRAIN = ("--device", "cpu", "--epochs", "1", "--batch-size", "10", "--set", "data.size=8",
         "--set", "hidden=[16]", "--samples", "20", "--no-watch")  # fmt: skip
LOSS = ("query", "select value from epoch_losses order by epoch, key", "--json")


def check_cache(count: int, genbench: Any, folder: Path) -> None:
    """A run with damaged decoded images trains on the intact ones."""
    cache = folder / "cache"
    env = {"GENBENCH_CACHE": str(cache)}
    train = (
        "run",
        "vae",
        f"image-folder:{pictures(folder / 'pictures')}",
        *TRAIN,
        "--metric",
        "fd_pixel",
    )
    assert genbench(*train, folder=folder, env=env).code == 0
    expected = genbench(*LOSS, folder=folder, env=env).out
    files = sorted(p for p in cache.rglob("*") if p.is_file() and p.suffix != ".lock")
    assert files
    order = random.Random(6)
    kept = folder / "kept"
    shutil.copytree(cache, kept)
    for number in range(count):
        shutil.rmtree(cache)
        shutil.copytree(kept, cache)
        file = files[number % len(files)]
        file.write_bytes(damaged(file.read_bytes(), order))
        for store in folder.glob("runs.db*"):
            store.unlink()
        answer = genbench(*train, folder=folder, env=env)
        assert answer.code == 0, f"{file}: {answer.err}"
        assert genbench(*LOSS, folder=folder, env=env).out == expected, f"{file}: {answer.err}"


def test_damaged_decoded_images_are_never_trained_on(genbench: Any, tmp_path: Path) -> None:
    check_cache(6, genbench, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_200_times_damaged_decoded_images_are_never_trained_on(
    genbench: Any, tmp_path: Path
) -> None:
    check_cache(200, genbench, tmp_path)
