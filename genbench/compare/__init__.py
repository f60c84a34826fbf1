"""Compare finished runs: `select` them, group them into rows, and `tabulate` the rows.

This is the interface of the folder: the command line and the report import from here.
"""

from __future__ import annotations

from genbench.compare.certainty import ADJUSTMENT, FAMILY_LEVEL, MIN_SEEDS, TEST, Difference
from genbench.compare.measure import Measure
from genbench.compare.pareto import undominated
from genbench.compare.read_results import reached
from genbench.compare.remarks import method
from genbench.compare.row import Row
from genbench.compare.run_results import RunResult, Scored, StageCost
from genbench.compare.sampler_labels import sampler_label, sampler_titles
from genbench.compare.selection import Selected, Selection, baseline_of, select
from genbench.compare.table import SORTS, Column, Question, Table
from genbench.compare.tabulate import tabulate

__all__ = [
    "ADJUSTMENT",
    "FAMILY_LEVEL",
    "MIN_SEEDS",
    "SORTS",
    "TEST",
    "Column",
    "Difference",
    "Measure",
    "Question",
    "Row",
    "RunResult",
    "Scored",
    "Selected",
    "Selection",
    "StageCost",
    "Table",
    "baseline_of",
    "method",
    "reached",
    "sampler_label",
    "sampler_titles",
    "select",
    "tabulate",
    "undominated",
]
