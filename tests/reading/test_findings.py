"""The answer in sentences: which row is the best, which share a value, and what differs."""

from __future__ import annotations

import pytest

from genbench.compare import Question, Selection, select, tabulate
from genbench.report.findings import findings


@pytest.fixture
def told(bench):
    def of(**scores: tuple[float, ...]) -> tuple[list[str], tuple[str, ...]]:
        """The sentences and the notes about models with these scores of their seeds."""
        for model, values in scores.items():
            for seed, value in enumerate(values):
                bench.add(model, seed=seed, scores={"accuracy": value})
        (table,) = tabulate(select(bench.store, Selection()), Question())
        return findings(table), table.notes

    return of


def test_the_best_row_is_named_with_the_next_one_and_their_difference(told):
    sentences, _ = told(gan=(3.0, 3.1, 3.2), vae=(9.0, 9.1, 9.2))
    assert sentences[0].startswith("gan has the lowest accuracy, 3.10 ± 0.10: 1.55 times")
    assert "Next is vae with 9.10 ± 0.10: the interval of the difference, " in sentences[0]


def test_rows_that_share_the_best_value_are_named_together(told):
    sentences, notes = told(gan=(1.0, 2.0, 3.0), lsgan=(2.0, 2.0, 2.0), vae=(2.0, 2.5, 3.0))
    assert sentences[0].startswith(
        "gan and lsgan share the lowest mean accuracy, 2. Next is vae with 2.50 ± 0.50"
    )
    [note] = [note for note in notes if "not distinguishable" in note]
    assert "vae (" in note
    assert "lsgan (" not in note


def test_no_row_is_called_the_best_where_all_are_equal(told):
    sentences, notes = told(gan=(0.0, 0.0, 0.0), vae=(0.0, 0.0, 0.0))
    assert sentences[0] == "All rows have the same mean accuracy, 0."
    assert not any("best" in text for text in sentences)
    assert not any("not distinguishable" in note for note in notes)
