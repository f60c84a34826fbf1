"""Comparing: which runs (`select`), grouped how (`Contender`), ranked how (`tabulate`).

The face of the folder: the command line and the report take everything from here.
"""

from __future__ import annotations

from genbench.compare.experiments import Contender, Measure, Scored, StageCost, Trial
from genbench.compare.rows import SORTS, Column, Question, Row, Table
from genbench.compare.samplers import sampler_titles
from genbench.compare.selection import Selected, Selection, baseline_of, select
from genbench.compare.table import tabulate
from genbench.compare.trials import reached, sampler_label

__all__ = [
    "SORTS",
    "Column",
    "Contender",
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
    "reached",
    "sampler_label",
    "sampler_titles",
    "select",
    "tabulate",
]
