"""``genbench query``: it streams, it can be stopped, and it only reads."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from genbench.errors import UsageError
from genbench.store import Store

ENDLESS = "with recursive c(x) as (select 1 union all select x + 1 from c) select "
MANY = "with recursive c(x) as (select 1 union all select x + 1 from c limit 20000) "


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("asked")
    Store.open(folder / "runs.db", mode="create").close()
    return folder


def start(folder: Path, *words: str, out: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "genbench", "query", *words],
        cwd=folder,
        stdout=out,
        stderr=subprocess.PIPE,
    )


def peak_mb(process: subprocess.Popen[bytes]) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@pytest.mark.parametrize(
    "words", [["count(*) from c"], ["x, hex(x) from c"], ["x from c", "--json"]], ids=" ".join
)
def test_an_interrupt_ends_an_endless_query_within_a_second_and_its_memory_is_bounded(
    folder, words
) -> None:
    process = start(folder, ENDLESS + words[0], *words[1:])
    time.sleep(1)
    if sys.platform == "linux":
        assert peak_mb(process) < 100
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert time.monotonic() - began < 1
    assert (process.returncode, err) == (130, b"")


def test_the_first_rows_are_printed_before_the_last_are_found(folder) -> None:
    process = start(folder, ENDLESS + "x from c", "--format", "csv", out=subprocess.PIPE)
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(3)] == [b"x\n", b"1\n", b"2\n"]
    process.stdout.close()
    assert process.wait(timeout=10) == 0
    assert process.stderr is not None
    process.stderr.close()


@pytest.mark.parametrize("words", [[], ["--format", "md"], ["--format", "csv"], ["--json"]])
def test_all_rows_of_a_long_answer_are_printed(folder, words) -> None:
    process = start(folder, MANY + "select x, 'row ' || x as name from c", *words, out=-1)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    if words == ["--json"]:
        rows = json.loads(out)["rows"]
        assert (len(rows), rows[-1]) == (20_000, [20_000, "row 20000"])
    else:
        lines = out.decode().splitlines()
        assert len(lines) == 20_000 + (1 if words == ["--format", "csv"] else 2)
        assert "row 20000" in lines[-1]


def test_json_in_the_store_can_be_taken_apart(folder) -> None:
    with Store.open(folder / "runs.db", mode="read") as store:
        each = "select key, value from json_each('{\"lr\": 0.5}')"
        assert store.query(each) == (["key", "value"], [("lr", 0.5)])
        tree = "select fullkey from json_tree('[[1]]') where atom = 1"
        assert store.query(tree)[1] == [("$[0][0]",)]


@pytest.mark.parametrize(
    "sql",
    [
        "attach 'other.db' as other",
        "pragma journal_mode = delete",
        "pragma user_version = 3",
        "select load_extension('x')",
        "insert into store_info values ('a', 'b')",
        "create temp table t (a)",
        "create virtual table temp.t using fts5(a)",
        "update sqlite_master set sql = ''",
        "vacuum into 'copy.db'",
        "select zeroblob(999999999)",
        "select 1; drop table runs",
    ],
)
def test_what_would_write_or_load_or_take_the_memory_is_refused(folder, sql) -> None:
    with Store.open(folder / "runs.db", mode="read") as store, pytest.raises(UsageError):
        store.query(sql)
    assert not {"other.db", "copy.db"} & {path.name for path in folder.iterdir()}
