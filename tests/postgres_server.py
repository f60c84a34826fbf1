"""A real PostgreSQL server for tests: Debian's binaries, a temporary cluster, a Unix socket.

PostgreSQL refuses to run as root, so root's server runs as the user ``postgres`` of Debian's
package. The server ends with the process that started it, even if that process is killed.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

SUPERUSER = "genbench"
QUICK = ("fsync", "full_page_writes", "synchronous_commit", "autovacuum")
"""What protects data from a power failure, or tidies up later, is off: a cluster lives minutes."""
PR_SET_PDEATHSIG = 1
STARTS_WITHIN_S = 60.0


def binaries() -> Path | None:
    """The folder with ``initdb`` and ``postgres``, of the newest version that is installed."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: p.parent.name.zfill(3))
    folders = [*reversed(debian), *map(Path, os.get_exec_path())]
    programs = ("initdb", "postgres")
    return next((f for f in folders if all((f / name).exists() for name in programs)), None)


def why_not() -> str:
    """Why no server can be started here; "" if one can."""
    if find_spec("psycopg") is None:
        return "psycopg is not installed: pip install 'genbench[postgres]'"
    if binaries() is None:
        return "PostgreSQL is not installed: apt-get install postgresql"
    if os.geteuid() == 0 and _user() is None:
        return "PostgreSQL refuses to run as root, and there is no user 'postgres'"
    return ""


class PostgresServer:
    """A server with a cluster of its own, which `stop` and `start` leave as it is."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="genbench-pg-"))
        self._process: subprocess.Popen[bytes] | None = None
        if (user := _user()) is not None:
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        made = ["initdb", "-D", str(self._data), "-U", SUPERUSER, "-E", "UTF8", "--no-locale"]
        self._call([*made, "-A", "trust", "--no-sync", "--no-instructions"])
        # One role needs its password; all others are trusted.
        rules = "local all guarded scram-sha-256\nlocal all all trust\n"
        (self._data / "pg_hba.conf").write_text(rules)
        atexit.register(self.remove)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def url(self, database: str, login: str = SUPERUSER) -> str:
        """The URL of a database; ``login`` is a role, or ``role:password``."""
        return f"postgresql://{login}@/{database}?host={self.folder}"

    def start(self) -> None:
        """Start the server, and wait until it takes connections."""
        options = [f"-c{name}=off" for name in QUICK]
        here = ("-D", str(self._data), "-k", str(self.folder), "-h", "")
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program("postgres"), *here, *options],
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=self.folder,
                preexec_fn=_end_with_parent,
                start_new_session=True,
                **_as_user(),
            )
        deadline = time.monotonic() + STARTS_WITHIN_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.02)

    def _answers(self) -> bool:
        import psycopg

        try:
            self.sql("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """Stop it as ``service postgresql stop`` does: all connections are cut."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        """Stop it and delete its cluster."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
            self._process = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def sql(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Execute a statement outside a transaction; return the rows, if it has some."""
        import psycopg

        url = self.url(database)
        with psycopg.connect(url, autocommit=True) as connection:
            done = connection.execute(statement)
            return done.fetchall() if done.description else []

    def _program(self, name: str) -> str:
        folder = binaries()
        assert folder is not None
        return str(folder / name)

    def _call(self, words: list[str]) -> None:
        command = [self._program(words[0]), *words[1:]]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder, **_as_user())


@cache
def shared_server() -> PostgresServer:
    """The server of this process, started when a test first needs it."""
    server = PostgresServer()
    server.start()
    return server


def _user() -> pwd.struct_passwd | None:
    """The user that the server runs as; None for the current one."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return None


def _as_user() -> dict[str, Any]:
    user = _user()
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)
