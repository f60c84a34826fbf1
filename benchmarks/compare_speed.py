"""How long the reading commands take over many stored runs: whole processes, median of 20.

    python benchmarks/compare_speed.py                 # makes a store of 10,000 runs first
    python benchmarks/compare_speed.py --store many.db

The budget is 350 ms for ``genbench compare`` over 10,000 runs; the script exits with 1 beyond it.
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
COMMANDS = {
    "python -c pass": None,
    "genbench --version": ["--version"],
    "genbench runs": ["runs"],
    "genbench compare": ["compare"],
    "genbench compare --baseline @1": ["compare", "--baseline", "@1"],
    "genbench compare --json": ["compare", "--json"],
}


def seconds(arguments: list[str] | None, store: Path) -> float:
    """One process from start to exit."""
    command = [sys.executable, "-c", "pass"]
    if arguments is not None:
        command = [sys.executable, "-m", "genbench", *arguments]
    begun = time.perf_counter()
    environment = {**os.environ, "GENBENCH_STORE": str(store)}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return time.perf_counter() - begun


def measure(store: Path, repeats: int) -> bool:
    """Print a line for each command; whether compare kept its budget."""
    kept = True
    for name, arguments in COMMANDS.items():
        taken = sorted(1e3 * seconds(arguments, store) for _ in range(repeats))
        median = statistics.median(taken)
        print(f"{name:<34} median {median:6.0f} ms   {taken[0]:.0f} to {taken[-1]:.0f}")
        if arguments and arguments[0] == "compare" and "--json" not in arguments:
            kept = kept and median <= BUDGET_MS
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, help="an existing store")
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = given.store
        if store is None:
            store = Path(folder) / "many.db"
            script = Path(__file__).with_name("fill_store.py")
            subprocess.run(
                [sys.executable, str(script), str(store), "--runs", str(given.runs)], check=True
            )
        kept = measure(store.resolve(), given.repeats)
    print(f"budget of compare: {BUDGET_MS:.0f} ms, {'kept' if kept else 'exceeded'}")
    sys.exit(not kept)


if __name__ == "__main__":
    main()
