"""The claims of a study: what compare's own test says about each of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from genbench.compare import Measure
from genbench.errors import SettingError
from genbench.study.claims import FAILS, HOLDS, UNSEEN, findings
from genbench.study.file import read_study
from genbench.study.plan import Plan
from genbench.study.study_table import Results, StudyRow, StudyTable, Value

FILE = """
title = "t"
datasets = ["digits"]
samplers = ["plain", "drs"]
[[runs]]
name = "A"
model = "vae"
[[runs]]
name = "B"
model = "gan"
[table]
columns = ["fd_clf", "s/epoch"]
[[claims]]
text = "A is better."
row = "A"
over = "B"
metric = "fd_clf"
direction = "lower"
"""


def plan_of(tmp_path: Path, text: str = FILE) -> Plan:
    path = tmp_path / "t.toml"
    path.write_text(text)
    return Plan(path=path, study=read_study(path), entries=(), seeds=(0, 1, 2), device="cpu")


def results(**rows: tuple[float, ...]) -> Results:
    made = [
        StudyRow(title=name[0], sampler=name[2:] or "plain", values={"fd_clf": measured(values)})
        for name, values in rows.items()
    ]
    table = StudyTable(
        dataset="digits", settings={}, names=("fd_clf",), scores={}, rows=tuple(made), floors={}
    )
    return Results(tables=(table,), environments=(), remarks=())


def measured(values: tuple[float, ...]) -> Value:
    return Value(measure=Measure(values=values))


@pytest.mark.parametrize(
    ("a", "b", "verdict", "numbers"),
    [
        ((1.0, 1.1, 1.2), (2.0, 2.1, 2.2), HOLDS, "1.10 ± 0.10 against 2.10 ± 0.10, 0.524 times"),
        ((2.0, 2.1, 2.2), (1.0, 1.1, 1.2), FAILS, "1.91 times; n = 3"),
        ((1.0, 1.1, 1.2), (1.0, 1.2, 1.3), UNSEEN, "not told apart at 96%"),
        ((1.0,), (2.0,), UNSEEN, "fewer than 3 seeds"),
    ],
)
def test_a_claim_holds_or_fails_only_where_the_test_tells_the_rows_apart(
    tmp_path: Path, a, b, verdict: str, numbers: str
) -> None:
    [found] = findings(results(A=a, B=b), plan_of(tmp_path))
    assert found.verdict == verdict
    assert numbers in found.numbers


def test_a_claim_without_runs_is_not_seen_and_names_what_is_missing(tmp_path: Path) -> None:
    [found] = findings(results(A=(1.0,)), plan_of(tmp_path))
    assert (found.verdict, found.numbers) == (UNSEEN, "(fd_clf: no finished run of B)")
    [found] = findings(Results(tables=(), environments=(), remarks=()), plan_of(tmp_path))
    assert found.verdict == UNSEEN


def test_a_claim_may_compare_two_samplers_of_one_row(tmp_path: Path) -> None:
    text = FILE.replace('over = "B"', 'over = "A"\nsampler = "drs"\nover_sampler = "plain"')
    made = results(A=(2.0, 2.1, 2.2), A_drs=(1.0, 1.1, 1.2))
    assert findings(made, plan_of(tmp_path, text))[0].verdict == HOLDS


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('over = "B"', 'over = "C"', "no row is called 'C'"),
        ('over = "B"', 'over = "A"', "row and over are the same"),
        ('metric = "fd_clf"', 'metric = "fd"', "no column is called 'fd'"),
        ('direction = "lower"', 'direction = "less"', "it must be 'lower' or 'higher'"),
        ('direction = "lower"', 'direction = "lower"\nsampler = "mh"', "no sampler is called 'mh'"),
        ('text = "A is better."', "", "the key 'text' is missing"),
    ],
)
def test_an_error_in_a_claim_names_its_place(tmp_path: Path, old, new, message: str) -> None:
    with pytest.raises(SettingError, match=r"\[\[claims\]\] 1: ") as raised:
        plan_of(tmp_path, FILE.replace(old, new))
    assert message in str(raised.value)
