"""Studies: a grid of runs (models x data sets x seeds x samplers), and its tables, from one file.

The face of the folder. A study trains nothing itself: each run, pilot and evaluation is a
``genbench`` command of its own, all of them writing to one store. So torch is never imported
here, and what a study left undone is found in the store when it is started again.
"""

from __future__ import annotations

from genbench.study.figures import draw, figures, folder_of
from genbench.study.file import StudyFile, read_study
from genbench.study.outcome import Outcome, Places
from genbench.study.page import as_dict, markdown, rows_of, title_of
from genbench.study.plan import Cell, Entry, Plan, make_plan
from genbench.study.table import Results, Sheet, results
from genbench.study.work import Prospect, book_of, conduct, prospect

__all__ = [
    "Cell",
    "Entry",
    "Outcome",
    "Places",
    "Plan",
    "Prospect",
    "Results",
    "Sheet",
    "StudyFile",
    "as_dict",
    "book_of",
    "conduct",
    "draw",
    "figures",
    "folder_of",
    "make_plan",
    "markdown",
    "prospect",
    "read_study",
    "results",
    "rows_of",
    "title_of",
]
