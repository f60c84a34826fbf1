"""Tunings and proposals in the store."""

from __future__ import annotations

import pytest

from genbench.errors import UsageError
from genbench.store import Store, tunings
from genbench.store.records import Status


def test_a_tuning_and_its_proposals_come_back_as_they_were_stored(store: Store) -> None:
    made = tunings.create(store, "lr", "abc", {"model": "gan", "space": [1e-3]})
    tunings.propose(store, made.number, {"lr": 0.1}, seed=2**40, notes={"g": 1}, number=0)
    tunings.propose(store, made.number, {"lr": 0.1}, seed=7, notes={}, number=1, confirms=0)
    tunings.attach(store, made.number, 0, "0123456789")
    tunings.add_pace(store, made.number, "p", {"epoch_s": 0.5})
    [found] = tunings.tunings(store)
    assert (found.name, found.digest, found.body) == ("lr", "abc", made.body)
    assert found.paces == {"p": {"epoch_s": 0.5}}
    first, second = tunings.proposals(store, made.number)
    assert first == tunings.Proposal(
        number=0, settings={"lr": 0.1}, seed=2**40, notes={"g": 1}, run="0123456789"
    )
    assert (second.confirms, second.run) == (0, None)


def test_who_proposes_second_gets_what_the_first_has_proposed(store: Store) -> None:
    made = tunings.create(store, "lr", "abc", {})
    first = tunings.propose(store, made.number, {"lr": 0.1}, seed=0, notes={}, number=0)
    assert tunings.propose(store, made.number, {"lr": 0.2}, seed=0, notes={}, number=0) == first
    assert tunings.proposals(store, made.number) == [first]


def test_paces_of_several_pilots_are_kept_side_by_side(store: Store) -> None:
    made = tunings.create(store, "lr", "abc", {})
    tunings.add_pace(store, made.number, "a", {"epoch_s": 1.0})
    assert {*tunings.add_pace(store, made.number, "b", {"epoch_s": 2.0})} == {"a", "b"}


def test_the_name_of_a_tuning_is_one_that_runs_may_have(store: Store) -> None:
    with pytest.raises(UsageError, match="can't be the name"):
        tunings.create(store, "@1", "def", {})


def test_only_an_interrupted_run_becomes_pruned_and_it_can_be_taken_over(store, create) -> None:
    stopped, finished = create().id, create().id
    store.interrupt(stopped)
    store.finish(finished)
    for run in (stopped, finished):
        tunings.prune(store, run)
    assert [store.run(run).status for run in (stopped, finished)] == [
        Status.PRUNED,
        Status.FINISHED,
    ]
    assert [run.id for run in store.runs(status="pruned")] == [stopped]
    assert store.take_over(stopped).status is Status.RUNNING
