"""Studies: a grid of runs (models x data sets x seeds x samplers), and its tables, from one file.

This is the interface of the folder. A study trains nothing itself: each run, pilot and evaluation
is a separate ``genbench`` command, and all of them write to one store. Therefore torch is never
imported here, and a study that is started again reads from the store what is left to do.
"""

from __future__ import annotations

from genbench.study.claims import findings
from genbench.study.existing_runs import lacking
from genbench.study.file import read_study
from genbench.study.forecasts import Forecast, forecast
from genbench.study.grid import book_of, read_paces
from genbench.study.launched import Launched
from genbench.study.markdown import as_dict, markdown, rows_of, title_of
from genbench.study.outcome import Outcome, Places
from genbench.study.pictures import draw, figures, folder_of
from genbench.study.pilots import measure
from genbench.study.plan import Plan, make_plan
from genbench.study.seed_groups import groups_of
from genbench.study.study_table import Results, results
from genbench.study.work import enqueue_study, execute

__all__ = [
    "Forecast",
    "Launched",
    "Outcome",
    "Places",
    "Plan",
    "Results",
    "as_dict",
    "book_of",
    "draw",
    "enqueue_study",
    "execute",
    "figures",
    "findings",
    "folder_of",
    "forecast",
    "groups_of",
    "lacking",
    "make_plan",
    "markdown",
    "measure",
    "read_paces",
    "read_study",
    "results",
    "rows_of",
    "title_of",
]
