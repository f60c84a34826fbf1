"""Older stores are backed up and migrated, in one transaction; each old file still opens."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

from genbench.errors import StoreError
from genbench.store import Status, Store, migrate, version
from genbench.store.schema import metadata

OLD = sorted((Path(__file__).parent / "old").glob("v*.db"))

NEXT = """
from alembic import op
import sqlalchemy as sa

revision = "{number:04d}"
down_revision = "{before:04d}"


def upgrade():
    op.add_column("runs", sa.Column("energy_j", sa.Double()))
    with op.batch_alter_table("run_tags") as table:
        table.add_column(sa.Column("note", sa.Text()))
    {more}
"""


def schema_of(connection):
    """All that decides how tables, indexes and views behave, whatever order it was made in."""

    def rows(sql):
        return [tuple(row) for row in connection.exec_driver_sql(sql)]

    found = {}
    for name, kind, columns, without_rowid in rows(
        "SELECT name, type, ncol, wr FROM pragma_table_list WHERE schema = 'main'"
    ):
        facts = rows(
            f"SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_xinfo('{name}')"
        )
        keys = rows(
            f'SELECT "from", "table", "to", on_delete FROM pragma_foreign_key_list(\'{name}\')'
        )
        indexes = rows(f"SELECT \"unique\", partial FROM pragma_index_list('{name}')")
        found[name] = (kind, columns, without_rowid, facts, sorted(keys), sorted(indexes))
    for name, sql in rows(
        "SELECT name, sql FROM sqlite_master WHERE type IN ('index', 'view') AND sql IS NOT NULL"
    ):
        found[f"SQL of {name}"] = " ".join(sql.split())
    return found


@pytest.fixture
def next_version(tmp_path, monkeypatch):
    """A genbench of tomorrow: the same scripts and one more."""
    scripts = tmp_path / "scripts"

    def release(more=""):
        shutil.copytree(migrate.SCRIPTS, scripts)
        before, number = version.SCHEMA_VERSION, version.SCHEMA_VERSION + 1
        script = NEXT.format(number=number, before=before, more=more)
        (scripts / "versions" / f"{number:04d}_next.py").write_text(script)
        monkeypatch.setattr(migrate, "SCRIPTS", scripts)
        monkeypatch.setattr(version, "SCHEMA_VERSION", number)
        return number

    return release


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "runs.db"
    shutil.copy(Path(__file__).parent / "old" / "v1.db", path)
    return path


def test_the_scripts_turn_the_first_schema_into_that_of_a_new_store(old):
    fresh, migrated = create_engine("sqlite://"), create_engine(f"sqlite:///{old}")
    with fresh.begin() as a, migrated.begin() as b:
        metadata.create_all(a)
        migrate.upgrade(b)
        assert schema_of(a) == schema_of(b)
        assert inspect(a).get_table_names() == inspect(b).get_table_names()
        (number,) = b.exec_driver_sql("SELECT version_num FROM schema_version").one()
    assert int(number) == version.SCHEMA_VERSION
    fresh.dispose()
    migrated.dispose()


def test_there_is_an_old_file_of_every_schema():
    assert [path.stem for path in OLD] == [f"v{i + 1}" for i in range(version.SCHEMA_VERSION)]
    assert all(path.stat().st_size < 100_000 for path in OLD)


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
def test_every_old_file_opens_with_all_it_held(tmp_path, path):
    copy = tmp_path / "runs.db"
    shutil.copy(path, copy)
    with Store.open(copy, mode="write") as store:
        failed, finished = store.runs()
        assert (failed.name, failed.status, failed.error) == (
            "old-1",
            Status.FAILED,
            "out of memory",
        )
        assert (finished.name, finished.status, finished.tags) == (
            "old-0",
            Status.FINISHED,
            ("old",),
        )
        assert store.params(finished.id)["model.widths"] == [64, 32]
        assert [e.losses["vae/loss"] for e in store.epochs(finished.id)] == [1.0, 0.5]
        assert store.series(finished.id, "vae/loss") == [(1, 2.0), (2, 1.0), (3, 1.0), (4, 0.5)]
        assert [(s.metric, s.value, s.floor) for s in store.scores(finished.id)] == [
            ("fd_clf", 20.0, 0.5)
        ]
        assert store.environment(finished.id)["torch"] == "2.9"


def test_a_writer_backs_an_older_store_up_and_migrates_it(old, next_version, make):
    number = next_version()
    with Store.open(old, mode="write") as store:
        assert len(store.runs()) == 2
        _, rows = store.query("SELECT id, energy_j FROM runs")
        assert len(rows) == 2
        assert store.query("SELECT version_num FROM schema_version")[1] == [(f"{number:04d}",)]
        run = store.create_run(make.spec(), stages=make.stages, environment={})
        make.fill(store, run)
    backup = sqlite3.connect(f"{old}.backup-v1")
    assert backup.execute("SELECT version_num FROM schema_version").fetchall() == [("0001",)]
    assert backup.execute("SELECT count(*) FROM runs").fetchall() == [(2,)]
    assert backup.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    backup.close()


def test_an_earlier_backup_is_never_replaced(old, next_version):
    next_version()
    Path(f"{old}.backup-v1").write_text("precious")
    Store.open(old, mode="write").close()
    assert Path(f"{old}.backup-v1").read_text() == "precious"
    assert Path(f"{old}.backup-v1-2").exists()


def test_a_migration_that_fails_again_and_again_leaves_one_backup(old, next_version):
    next_version(more='op.execute("INSERT INTO no_such VALUES (1)")')
    for _ in range(3):
        with pytest.raises(StoreError, match="no such table"):
            Store.open(old, mode="write")
    [backup] = [path for path in old.parent.iterdir() if "backup" in path.name]
    assert backup == Path(f"{old}.backup-v1")
    with closing(sqlite3.connect(backup)) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchall() == [(2,)]
    # What changed since is in a backup of its own.
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("DELETE FROM run_tags")
        connection.commit()
    with pytest.raises(StoreError):
        Store.open(old, mode="write")
    assert Path(f"{old}.backup-v1-2").exists()


def test_a_migration_that_fails_leaves_the_store_as_it_was(old, next_version):
    next_version(more='op.execute("INSERT INTO no_such VALUES (1)")')
    with pytest.raises(StoreError, match="no such table"):
        Store.open(old, mode="write")
    connection = sqlite3.connect(old)
    assert connection.execute("SELECT version_num FROM schema_version").fetchall() == [("0001",)]
    columns = [row[1] for row in connection.execute("PRAGMA table_info(runs)")]
    assert "energy_j" not in columns
    connection.close()


def test_a_migration_that_breaks_a_reference_is_taken_back(old, next_version):
    next_version(more='op.execute("DELETE FROM experiments")')
    with pytest.raises(StoreError, match="would break a reference of table runs"):
        Store.open(old, mode="write")
    connection = sqlite3.connect(old)
    assert connection.execute("SELECT count(*) FROM experiments").fetchone()[0] == 1
    connection.close()


def test_reading_an_older_store_changes_nothing_and_says_what_migrates_it(old, next_version):
    next_version()
    before = old.read_bytes()
    with pytest.raises(StoreError, match=r"older schema 1.*any command that writes"):
        Store.open(old, mode="read")
    assert old.read_bytes() == before
    assert not Path(f"{old}.backup-v1").exists()


def test_a_store_of_tomorrow_is_refused_with_the_version_that_reads_it(
    old, next_version, monkeypatch
):
    number = next_version()
    monkeypatch.setattr(migrate, "__version__", "9.9.9")
    Store.open(old, mode="write").close()
    monkeypatch.undo()
    for mode in ("read", "write", "create"):
        with pytest.raises(StoreError, match=rf"schema {number}, .*genbench>=9\.9\.9"):
            Store.open(old, mode=mode)


def test_what_came_with_schema_2_is_there_in_a_migrated_store(old):
    with Store.open(old, mode="write") as store:
        failed, finished = store.runs()
        assert [s.draws for s in store.scores(finished.id)] == [1]
        assert store.warnings(failed.id) == []
        assert store.query("SELECT draws FROM v_scores")[1] == [(1,), (1,)]


@pytest.fixture
def of_schema_2(tmp_path):
    """A store of schema 2 with validation series that were told twice, and with new scores."""
    path = tmp_path / "runs.db"
    shutil.copy(OLD[1], path)
    connection = sqlite3.connect(path)
    connection.executescript(
        """
        UPDATE metric_summary SET n = 2 * n, n_nonfinite = 2 WHERE key IN
          (SELECT key FROM metric_keys WHERE kind = 'validation');
        UPDATE points SET value = NULL, nonfinite = 1 WHERE step = 2 AND key IN
          (SELECT key FROM metric_keys WHERE kind = 'validation');
        INSERT INTO draws (run, epoch, stage, sampler, sampler_settings, diagnostics, skipped,
          created_at) SELECT run, epoch, stage, sampler, sampler_settings, diagnostics, skipped,
          '2999' FROM draws;
        INSERT INTO evals (run, draw, key, epoch, stage, sampler, sampler_settings, value, n,
          protocol_hash, note, created_at, final) SELECT e.run, d.draw, e.key, e.epoch, e.stage,
          e.sampler, e.sampler_settings, 99.0, e.n, e.protocol_hash, '', '2999', 1
          FROM evals e JOIN draws d ON d.run = e.run AND d.created_at = '2999';
        UPDATE evals SET final = 0 WHERE value < 99;
        """
    )
    connection.close()
    return path


def test_what_came_with_schema_3_is_there_in_a_migrated_store(of_schema_2):
    with Store.open(of_schema_2, mode="write") as store:
        failed, finished = store.runs()
        assert store.plugins(finished.id) == []
        assert [(e.cpu_s, e.load) for e in store.epochs(finished.id)] == [(None, None)] * 2
        _, rows = store.query("SELECT id, environments FROM v_runs ORDER BY id")
        assert rows == sorted([(failed.id, 1), (finished.id, 1)])
        assert store.query("SELECT step FROM run_environments")[1] == [(0,), (0,)]


def test_schema_3_counts_points_of_validation_series_once(of_schema_2):
    with Store.open(of_schema_2, mode="write") as store:
        (finished,) = store.runs(status="finished")
        counts = {s.key: (s.n, s.n_nonfinite) for s in store.summaries(finished.id)}
    assert counts == {"test/elbo": (2, 1), "vae/loss": (4, 0)}


def test_schema_3_knows_what_was_added_and_makes_the_run_s_own_score_final_again(of_schema_2):
    with Store.open(of_schema_2, mode="write") as store:
        for run in store.runs():
            own, added = store.scores(run.id)
            assert (own.value, own.origin, own.seed, own.final) == (
                20.0 + run.seed,
                "run",
                run.seed,
                True,
            )
            assert (added.value, added.origin, added.seed, added.final) == (
                99.0,
                "evaluate",
                None,
                False,
            )


def test_alembic_is_imported_only_for_an_older_store(tmp_path):
    code = (
        "import sys; from genbench.store import Store\n"
        "Store.open(sys.argv[1], mode='write').close()\n"
        "assert 'alembic' not in sys.modules"
    )
    path = tmp_path / "runs.db"
    shutil.copy(OLD[-1], path)
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
