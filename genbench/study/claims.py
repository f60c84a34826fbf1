"""The claims of a document, each with what the runs of a study say about it.

A claim says that one row is lower or higher than another one in a column. It holds, or does not,
only if compare's own test tells the two rows apart; otherwise it isn't seen here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from genbench.compare import MIN_SEEDS, Measure
from genbench.compare.certainty import FAMILY_LEVEL, against_best
from genbench.formatting import number, plus_minus
from genbench.study.file import ClaimEntry
from genbench.study.plan import Plan
from genbench.study.study_table import Results, StudyTable

HOLDS, FAILS, UNSEEN = "holds", "does not hold", "not seen here"


@dataclass(frozen=True, kw_only=True)
class ClaimResult:
    """A claim on one data set: the verdict, and the numbers that it rests on."""

    claim: ClaimEntry
    dataset: str
    verdict: str
    numbers: str

    @property
    def sentence(self) -> str:
        """Verdict, data set, claim and numbers: 'holds (mnist): A is faster (...)'."""
        return f"{self.verdict} ({self.dataset}): {self.claim.text.strip()} {self.numbers}"


def findings(results: Results, plan: Plan) -> list[ClaimResult]:
    """What the tables say about each claim of a study, in the order of the file."""
    return [one for claim in plan.study.claims for one in _of_claim(claim, results.tables, plan)]


def _of_claim(claim: ClaimEntry, tables: Sequence[StudyTable], plan: Plan) -> Iterator[ClaimResult]:
    asked = claim.datasets or plan.study.datasets
    for dataset in asked:
        found = [table for table in tables if table.dataset == dataset]
        table = found[0] if found else None
        one = None if table is None else _measure(table, claim, claim.row, claim.sampler)
        other = None if table is None else _measure(table, claim, claim.over, claim.over_sampler)
        if one is None or other is None:
            lacking = claim.row if one is None else claim.over
            why = f"({claim.metric}: no finished run of {lacking})"
            yield ClaimResult(claim=claim, dataset=dataset, verdict=UNSEEN, numbers=why)
        else:
            verdict = _verdict(claim, one, other)
            numbers = _numbers(claim, one, other, verdict)
            yield ClaimResult(claim=claim, dataset=dataset, verdict=verdict, numbers=numbers)


def _measure(
    table: StudyTable, claim: ClaimEntry, title: str, sampler: str | None
) -> Measure | None:
    """The values of a row in the column of a claim, by this sampler, or by the first one."""
    rows = [r for r in table.rows if r.title == title and sampler in (None, r.sampler)]
    value = rows[0].values.get(claim.metric) if rows else None
    return value.measure if value else None


def _verdict(claim: ClaimEntry, one: Measure, other: Measure) -> str:
    found = against_best(other, {0: one}, rows=2).get(0)
    if found is None or not found.distinguishable:
        return UNSEEN
    is_lower = found.estimate < 0
    return HOLDS if is_lower is (claim.direction == "lower") else FAILS


def _numbers(claim: ClaimEntry, one: Measure, other: Measure, verdict: str) -> str:
    both = f"{plus_minus(one.mean, one.sd)} against {plus_minus(other.mean, other.sd)}"
    ratio = one.mean / other.mean if other.mean else None
    times = f", {number(ratio, 3)} times" if ratio is not None and ratio > 0 else ""
    few = min(one.n, other.n) < MIN_SEEDS
    why = f"; fewer than {MIN_SEEDS} seeds" if few else f"; not told apart at {FAMILY_LEVEL:.0%}"
    n = str(one.n) if one.n == other.n else f"{one.n} and {other.n}"
    return f"({claim.metric}: {both}{times}; n = {n}{why if verdict == UNSEEN else ''})"
