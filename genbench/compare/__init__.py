"""Comparing: which runs (`select`), grouped how (`Contender`), ranked how (`tabulate`).

The face of the folder: the command line and the report take everything from here.
"""

from __future__ import annotations

from genbench.compare.certainty import ADJUSTMENT, FAMILY_LEVEL, MIN_SEEDS, TEST, Difference
from genbench.compare.experiments import Contender, Scored, StageCost, Trial
from genbench.compare.measure import Measure
from genbench.compare.remarks import method
from genbench.compare.rows import SORTS, Column, Question, Row, Table
from genbench.compare.samplers import sampler_titles
from genbench.compare.selection import Selected, Selection, baseline_of, select
from genbench.compare.table import tabulate
from genbench.compare.trials import reached, sampler_label

__all__ = [
    "ADJUSTMENT",
    "FAMILY_LEVEL",
    "MIN_SEEDS",
    "SORTS",
    "TEST",
    "Column",
    "Contender",
    "Difference",
    "Measure",
    "Question",
    "Row",
    "Scored",
    "Selected",
    "Selection",
    "StageCost",
    "Table",
    "Trial",
    "baseline_of",
    "method",
    "reached",
    "sampler_label",
    "sampler_titles",
    "select",
    "tabulate",
]
