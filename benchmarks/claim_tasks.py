"""The queue at the scale of a cluster: fake workers claim tasks until none is left.

    python benchmarks/claim_tasks.py                                  # SQLite, temporary
    python benchmarks/claim_tasks.py --store postgresql://me@host/db  # an empty database

``--claimers`` processes play ``--workers`` workers, each with a claim of its own at a time, and one
claim in a thousand is abandoned, as if its worker had died. At the end every task must have been
done once. With ``--runs N``, `genbench runs` and `genbench compare` are timed over N stored runs.
Exits with 1 if a task was lost or doubled, or if fewer claims per second were made than the goal.
"""

from __future__ import annotations

import argparse
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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


def play(url: str, number: int, workers: int, ready: Any, answers: Any) -> None:
    """Claim and end tasks as some workers in turn, until there are none."""
    owners = [Owner(host=this_host(), pid=1 + number, started=str(i)) for i in range(workers)]
    taken: Counter[int] = Counter()
    claiming = ending = 0.0
    with Store.open(url) as store:
        counts(store)
        ready.wait()
        empty = False
        while not empty:
            held = []
            began = time.monotonic()
            for owner in owners:
                claims.this_process = lambda owner=owner: owner  # type: ignore[attr-defined]
                task = claims.claim(store, ("auto",))
                empty = task is None
                if task is None:
                    break
                held.append(task)
            claiming += time.monotonic() - began
            began = time.monotonic()
            for task in held:
                if task.number % ABANDONED or task.attempts:
                    taken[task.number] += claims.done(store, task, {"run": f"{task.number:x}"})
            ending += time.monotonic() - began
    answers.put((taken, claiming, ending))


def drain(url: str, claimers: int, workers: int) -> tuple[Counter[int], float, float]:
    """What the claimers did, the wall seconds, and the share of them that was spent claiming."""
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
    claiming = ending = 0.0
    for _ in processes:
        own, claimed, ended = answers.get()
        taken += own
        claiming, ending = claiming + claimed, ending + ended
    for process in processes:
        process.join()
    return taken, time.monotonic() - began, claiming / (claiming + ending)


def size_of(store: Store) -> int:
    """Bytes of the SQLite file with its log, or of the database."""
    if store._address.path is not None:
        paths = store._address.path.parent.glob(f"{store._address.path.name}*")
        return sum(path.stat().st_size for path in paths)
    ((size,),) = store.rows("SELECT pg_database_size(current_database())")
    return int(size)


def time_reading(count: int, folder: Path) -> None:
    """Fill an SQLite store with runs and time the commands that read it."""
    path = folder / "many.db"
    script = Path(__file__).with_name("fill_store.py")
    subprocess.run([sys.executable, str(script), str(path), "--runs", str(count)], check=True)
    print(f"store of {count:,} runs: {path.stat().st_size / 2**20:,.0f} MiB")
    for words in (("runs",), ("compare",)):
        command = [sys.executable, "-m", "genbench", *words, "--store", str(path)]
        seconds = []
        for _ in range(3):
            began = time.monotonic()
            subprocess.run(command, check=True, capture_output=True)
            seconds.append(time.monotonic() - began)
        print(f"genbench {words[0]}: {min(seconds):.2f} s (the fastest of 3)")


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
        taken, seconds, share = drain(url, given.claimers, given.workers)
        with Store.open(url) as store:
            abandoned = claims.recover(store)
            taken += drain(url, 1, 1)[0]
            lost = given.tasks - counts(store).get(TaskState.DONE, 0)
            size = size_of(store) / 2**20
    doubled = sum(count > 1 for count in taken.values())
    claimed, ended = given.tasks / seconds / share, given.tasks / seconds
    print(f"{given.claimers} claimers, {given.workers:,} workers: {seconds:.1f} s")
    print(f"{claimed:,.0f} claims/s while claiming; {ended:,.0f} tasks/s claimed and ended")
    print(f"{abandoned} abandoned claims went back; lost: {lost}, doubled: {doubled}")
    print(f"the store has {size:.0f} MiB")
    if given.runs:
        with tempfile.TemporaryDirectory(prefix="genbench-queue-") as folder:
            time_reading(given.runs, Path(folder))
    sys.exit(bool(lost or doubled or claimed < GOALS[kind]))


if __name__ == "__main__":
    main()
