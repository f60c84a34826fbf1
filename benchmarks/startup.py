"""How long genbench takes to start, as ratios to ``python -c "import typer"`` (median of 20).

The budget: ``genbench --help`` at most 2.2 times. Run: python benchmarks/startup.py [--repeat 20]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

BUDGET = 2.2
REFERENCE = [sys.executable, "-c", "import typer"]
GENBENCH = [sys.executable, "-c", "from genbench.cli import main; main()"]
COMMANDS = {
    "python": [sys.executable, "-c", "pass"],
    "import typer": REFERENCE,
    "genbench --help": [*GENBENCH, "--help"],
    "genbench models": [*GENBENCH, "models"],
    "genbench plugins": [*GENBENCH, "plugins"],
    "genbench info vae": [*GENBENCH, "info", "vae"],
    "genbench run vae digits --dry-run": [*GENBENCH, "run", "vae", "digits", "--dry-run"],
}


def medians(repeat: int) -> dict[str, float]:
    """Median seconds of each command; they take turns, so that a busy machine slows all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(repeat + 1):
        for name, command in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            if turn:  # the first fills the disk cache and compiles the byte code
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=20)
    found = medians(parser.parse_args().repeat)
    for name, median in found.items():
        print(f"{median * 1000:7.1f} ms  {median / found['import typer']:5.2f}  {name}")
    ratio = found["genbench --help"] / found["import typer"]
    print(f"genbench --help: {ratio:.2f} times import typer; the budget is {BUDGET}")
    sys.exit(ratio > BUDGET)


if __name__ == "__main__":
    main()
