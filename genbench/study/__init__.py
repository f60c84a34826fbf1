"""Studies: a grid of runs (models x data sets x seeds x samplers), and its tables, from one file.

The face of the folder. A study trains nothing itself: each run, pilot and evaluation is a
``genbench`` command of its own, all of them writing to one store. So torch is never imported
here, and what a study left undone is found in the store when it is started again.
"""

from __future__ import annotations

from genbench.study.file import StudyFile, read_study
from genbench.study.markdown import as_dict, markdown, rows_of, title_of
from genbench.study.outcome import Outcome, Places
from genbench.study.pictures import draw, figures, folder_of
from genbench.study.plan import Cell, Entry, Plan, make_plan
from genbench.study.table import Results, Sheet, results
from genbench.study.work import Forecast, book_of, execute, forecast

__all__ = [
    "Cell",
    "Entry",
    "Forecast",
    "Outcome",
    "Places",
    "Plan",
    "Results",
    "Sheet",
    "StudyFile",
    "as_dict",
    "book_of",
    "draw",
    "execute",
    "figures",
    "folder_of",
    "forecast",
    "make_plan",
    "markdown",
    "read_study",
    "results",
    "rows_of",
    "title_of",
]
