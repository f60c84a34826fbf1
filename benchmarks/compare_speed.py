"""How long the reading commands take over many stored runs: whole processes, median of 20.

    python benchmarks/compare_speed.py                 # makes a store of 10,000 runs first
    python benchmarks/compare_speed.py --store many.db

The budget is 350 ms for ``genbench compare`` over 10,000 runs; the script exits with 1 beyond it.
CPU seconds decide: on an idle machine they are the seconds, and on a busy one they tell more. The
import of torch, which takes 900 ms on the machine of the budget, shows how fast this machine is.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BUDGET_MS = 350.0
GENBENCH = ("-m", "genbench")
COMMANDS = {
    "python -c pass": ("-c", "pass"),
    "python -c 'import torch'": ("-c", "import torch"),
    **{
        f"genbench {words}": (*GENBENCH, *words.split())
        for words in (
            *("--version", "runs", "runs --sort fd_clf"),
            *("compare", "compare --baseline @1", "compare --json"),
            *("compare --pareto", "compare --by z_dim"),
        )
    },
}
JUDGED = ("genbench compare", "genbench compare --baseline @1")


def seconds(arguments: tuple[str, ...], store: Path) -> tuple[float, float]:
    """Seconds and CPU seconds of one process from start to exit."""
    environment = {**os.environ, "GENBENCH_STORE": str(store)}
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with {process.returncode}")
    return time.perf_counter() - begun, used.ru_utime + used.ru_stime


def measure(store: Path, repeats: int) -> bool:
    """Print a line for each command; whether compare kept its budget."""
    kept = True
    print(f"{'':<36} CPU ms: median (least)   ms: median (least)")
    for name, arguments in COMMANDS.items():
        taken = [seconds(arguments, store) for _ in range(repeats)]
        wall, cpu = ([1e3 * each[i] for each in taken] for i in (0, 1))
        median = statistics.median(cpu)
        print(
            f"{name:<36} {median:12.0f} ({min(cpu):5.0f}) {statistics.median(wall):12.0f} "
            f"({min(wall):5.0f})"
        )
        kept = kept and not (name in JUDGED and median > BUDGET_MS)
    return kept


def filled(folder: Path, runs: int) -> Path:
    """A new store with so many runs."""
    store, script = folder / "many.db", Path(__file__).with_name("fill_store.py")
    command = [sys.executable, str(script), str(store), "--runs", str(runs)]
    subprocess.run(command, check=True)
    return store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, help="an existing store")
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = given.store or filled(Path(folder), given.runs)
        kept = measure(store.resolve(), given.repeats)
    print(f"budget of compare: {BUDGET_MS:.0f} ms, {'kept' if kept else 'exceeded'}")
    sys.exit(not kept)


if __name__ == "__main__":
    main()
