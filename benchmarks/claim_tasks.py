"""The queue at the scale of a cluster: fake workers claim tasks until none is left.

    python benchmarks/claim_tasks.py                                  # SQLite, temporary
    python benchmarks/claim_tasks.py --store postgresql://me@host/db  # an empty database

``--claimers`` processes play ``--workers`` workers, each with a claim of its own at a time, and one
claim in a thousand is abandoned, as if its worker had died. At the end every task must have been
done once. With ``--runs N``, the reading commands are timed over N stored runs, as by
``compare_speed.py``. Rates depend on what else the machine does, so the CPU seconds of a claim are
told, too: those of the claimers and, if the server is on this machine, those of their connections.
Exits with 1 if a task was lost or doubled, or if fewer claims per second were made than the goal.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import compare_speed

from genbench.store import Store, claims
from genbench.store.enqueuing import enqueue
from genbench.store.process import Owner, this_host
from genbench.store.tasks import NewTask, TaskState, counts

GOALS = {"sqlite": 200.0, "postgresql": 500.0}
CHUNK = 5_000
ABANDONED = 1_000


def fill(store: Store, count: int) -> float:
    """Enqueue tasks like those of a study; the seconds that it took."""
    began = time.monotonic()
    for first in range(0, count, CHUNK):
        tasks = [
            NewTask(
                batch=f"study:{number // 1_000}",
                identity=f"run {number:016x}",
                title=f"GAN on mnist, seed {number}",
                command=("run", "gan", "mnist", "--epochs", "10", "--seed", str(number), "--json"),
            )
            for number in range(first, min(first + CHUNK, count))
        ]
        enqueue(store, tasks)
    return time.monotonic() - began


@dataclass(kw_only=True)
class Spent:
    """Seconds, and CPU seconds, of claiming and of ending tasks, in one process or in all."""

    claiming: float = 0.0
    ending: float = 0.0
    cpu_claiming: float = 0.0
    cpu_ending: float = 0.0
    cpu_server: float = 0.0

    def add(self, other: Spent) -> None:
        """Add those of another process."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    @contextmanager
    def time(self, what: str) -> Iterator[None]:
        """Add what the block takes."""
        began, cpu = time.monotonic(), time.process_time()
        yield
        setattr(self, what, getattr(self, what) + time.monotonic() - began)
        name = f"cpu_{what}"
        setattr(self, name, getattr(self, name) + time.process_time() - cpu)


def play(url: str, number: int, workers: int, ready: Any, answers: Any) -> None:
    """Claim and end tasks as some workers in turn, until there are none."""
    owners = [Owner(host=this_host(), pid=1 + number, started=str(i)) for i in range(workers)]
    taken: Counter[int] = Counter()
    spent = Spent()
    with Store.open(url) as store:
        claims.claim(store, ("none",))  # imports and connects
        ready.wait()
        empty = False
        while not empty:
            held = []
            with spent.time("claiming"):
                for owner in owners:
                    claims.this_process = lambda owner=owner: owner  # type: ignore[attr-defined]
                    task = claims.claim(store, ("auto",))
                    empty = task is None
                    if task is None:
                        break
                    held.append(task)
            with spent.time("ending"):
                for task in held:
                    if task.number % ABANDONED or task.attempts:
                        taken[task.number] += claims.done(store, task, {"run": f"{task.number:x}"})
        spent.cpu_server = cpu_of_connection(store)
    answers.put((taken, spent))


def cpu_of_connection(store: Store) -> float:
    """CPU seconds of the server's process for a store; 0.0 if it isn't on this machine."""
    if store._address.path is not None:
        return 0.0
    with store.statement() as connection:
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists() or "postgres" not in (text := stat.read_text()):
        return 0.0
    ticks = text.rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def drain(url: str, claimers: int, workers: int) -> tuple[Counter[int], float, Spent]:
    """What the claimers did, the wall seconds, and what all of them spent."""
    context = multiprocessing.get_context("spawn")
    answers, ready = context.Queue(), context.Barrier(claimers + 1)
    share = -(-workers // claimers)
    processes = [
        context.Process(target=play, args=(url, number, share, ready, answers))
        for number in range(claimers)
    ]
    for process in processes:
        process.start()
    ready.wait()
    began = time.monotonic()
    taken: Counter[int] = Counter()
    spent = Spent()
    for _ in processes:
        own, own_spent = answers.get()
        taken += own
        spent.add(own_spent)
    for process in processes:
        process.join()
    return taken, time.monotonic() - began, spent


def size_of(store: Store) -> int:
    """Bytes of the SQLite file with its log, or of the database."""
    if store._address.path is not None:
        paths = store._address.path.parent.glob(f"{store._address.path.name}*")
        return sum(path.stat().st_size for path in paths)
    ((size,),) = store.rows("SELECT pg_database_size(current_database())")
    return int(size)


@contextmanager
def address(given: str | None) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="genbench-queue-") as folder:
        yield given or str(Path(folder) / "runs.db")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store")
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=1_000)
    parser.add_argument("--claimers", type=int, default=16)
    parser.add_argument("--runs", type=int, default=0)
    given = parser.parse_args()
    with address(given.store) as url:
        with Store.open(url, mode="create") as store:
            kind = "sqlite" if store._address.path else "postgresql"
            filling = fill(store, given.tasks)
        print(f"{kind}: {given.tasks:,} tasks enqueued in {filling:.1f} s", flush=True)
        taken, seconds, spent = drain(url, given.claimers, given.workers)
        load = os.getloadavg()[0]
        with Store.open(url) as store:
            abandoned = claims.recover(store)
            taken += drain(url, 1, 1)[0]
            lost = given.tasks - counts(store).get(TaskState.DONE, 0)
            size = size_of(store) / 2**20
    doubled = sum(count > 1 for count in taken.values())
    ended = given.tasks / seconds
    claimed = ended * (spent.claiming + spent.ending) / spent.claiming
    each = 1e3 / given.tasks
    print(f"{given.claimers} claimers, {given.workers:,} workers: {seconds:.1f} s")
    print(f"{claimed:,.0f} claims/s while claiming; {ended:,.0f} tasks/s claimed and ended")
    print(
        f"CPU ms of a task: {each * spent.cpu_claiming:.2f} to claim it, "
        f"{each * spent.cpu_ending:.2f} to end it, {each * spent.cpu_server:.2f} of the server; "
        f"{os.cpu_count()} cores, load average {load:.1f}"
    )
    print(f"{abandoned} abandoned claims went back; lost: {lost}, doubled: {doubled}")
    print(f"the store has {size:.0f} MiB")
    if given.runs:
        with tempfile.TemporaryDirectory(prefix="genbench-queue-") as folder:
            compare_speed.measure(compare_speed.filled(Path(folder), given.runs), 3)
    sys.exit(bool(lost or doubled or claimed < GOALS[kind]))


if __name__ == "__main__":
    main()
