"""What `compare` finds and what it doesn't, on whole tables of runs with simulated scores."""

from __future__ import annotations

import math
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest

from genbench.compare import Question, select, tabulate
from genbench.compare.certainty import FAMILY_LEVEL
from genbench.compare.selection import Selection

TABLES = 100
DOCUMENTED = Path(__file__).parents[2] / "docs" / "compare.md"


@pytest.fixture(scope="module")
def pattern(tmp_path_factory, make_bench):
    """A finished run as `select` reads it."""
    bench = make_bench(tmp_path_factory.mktemp("power") / "runs.db")
    bench.add("gan", score=1.0)
    (run,) = select(bench.store, Selection()).runs
    bench.store.close()
    return run


def tables(pattern, draw, *, seeds, shift, count=TABLES):
    """A table for each data set: two models with normal scores, their means ``shift`` apart."""
    runs = []
    for dataset in range(count):
        for model, mean in (("a", 0.0), ("b", shift)):
            for seed in range(seeds):
                score = replace(pattern.scores[0], value=100.0 + draw.gauss(mean, 1.0))
                runs.append(
                    replace(
                        pattern,
                        id=f"{dataset}-{model}-{seed}",
                        model=model,
                        experiment=model,
                        dataset=f"data{dataset:04d}",
                        seed=seed,
                        scores=(score,),
                    )
                )
    return tabulate(runs, Question())


def orders(made):
    found = [row.differences.get("fd_clf") for table in made for row in table.rows]
    return sum(one.distinguishable for one in found if one is not None)


@pytest.mark.parametrize("seeds", [3, 10])
def test_identical_models_are_not_distinguishable_in_at_least_95_of_100_tables(pattern, seeds):
    made = tables(pattern, random.Random(seeds), seeds=seeds, shift=0.0)
    assert orders(made) <= 5
    notes = [note for table in made for note in table.notes]
    said = [note for note in notes if f"not distinguishable at n = {seeds} from the best" in note]
    assert len(said) == TABLES - orders(made)


def power(shift, n):
    """The power of the t test at the level of a column with two rows, by the noncentral t."""
    stats = pytest.importorskip("scipy.stats")
    df, ncp = 2 * (n - 1), shift * math.sqrt(n / 2)
    critical = stats.t.isf((1 - FAMILY_LEVEL) / 2, df)
    return float(stats.nct.sf(critical, df, ncp) + stats.nct.cdf(-critical, df, ncp))


def test_models_one_deviation_apart_are_found_at_ten_seeds_with_the_stated_power(pattern):
    found = orders(tables(pattern, random.Random(1), seeds=10, shift=1.0, count=300)) / 300
    # 300 tables: a standard error of 0.03.
    assert found == pytest.approx(power(1.0, 10), abs=0.08)
    stated = re.search(r"one standard deviation apart at n = 10[^.]*?(\d+) of 100", _text())
    assert stated is not None
    assert int(stated[1]) / 100 == pytest.approx(power(1.0, 10), abs=0.01)


def _text():
    return " ".join(DOCUMENTED.read_text().split())


def test_the_documented_powers_are_those_of_the_noncentral_t_distribution():
    for shift in ("1.0", "1.5", "2.0"):
        row = re.search(
            rf"\| power: 2 rows, {shift} deviations apart \|([^\n]*)", DOCUMENTED.read_text()
        )
        assert row is not None
        stated = [float(cell) for cell in row[1].split("|")[1:4]]
        assert stated == [pytest.approx(100 * power(float(shift), n), abs=0.06) for n in (3, 5, 10)]
