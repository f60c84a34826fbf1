"""How often `compare` claims an order that doesn't exist, and how often it finds one that does.

    python benchmarks/false_orders.py

The columns hold normal scores with equal means, and the best row of each is compared with the
others as in `genbench compare`. The last line is for two rows with means that differ by 1.5
deviations.
"""

from __future__ import annotations

import argparse
import random

from genbench.compare import Measure
from genbench.compare.certainty import against_best

SEEDS = (2, 3, 5, 10)
ROWS = (2, 5, 10)
SHIFT = 1.5


def has_order(draw: random.Random, seeds: int, rows: int, shift: float = 0.0) -> bool:
    """Whether any row of a column is told apart from the best one; the first is shifted."""
    column = [
        Measure(values=tuple(draw.gauss(shift * (i == 0), 1.0) for _ in range(seeds)))
        for i in range(rows)
    ]
    best = min(range(rows), key=lambda i: column[i].mean)
    others = {i: row for i, row in enumerate(column) if i != best}
    found = against_best(column[best], others, rows)
    return any(difference.distinguishable for difference in found.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--columns", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    draw = random.Random(given.seed)
    print("| false orders in % | " + " | ".join(f"{n} seeds" for n in SEEDS) + " |")
    print("| --- |" + " ---: |" * len(SEEDS))
    for rows in ROWS:
        counts = [sum(has_order(draw, n, rows) for _ in range(given.columns)) for n in SEEDS]
        rates = [f"{100 * count / given.columns:.1f}" for count in counts]
        print(f"| {rows} rows | " + " | ".join(rates) + " |")
    counts = [sum(has_order(draw, n, 2, SHIFT) for _ in range(given.columns)) for n in SEEDS]
    rates = [f"{100 * count / given.columns:.1f}" for count in counts]
    print(f"| found: 2 rows, {SHIFT} deviations apart | " + " | ".join(rates) + " |")


if __name__ == "__main__":
    main()
