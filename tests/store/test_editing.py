"""A person may change name, tags, note and archiving of a run; its numbers stay as they are."""

from __future__ import annotations

import pytest

from genbench.errors import NoSuchRunError, UsageError
from genbench.store import Store

CHANGED = {"name", "note", "archived_at"}


@pytest.fixture
def finished(store, create, make):
    run = create(name="first", tags=("old",))
    make.fill(store, run)
    return run.id


def numbers(store: Store) -> list[object]:
    """All that is stored, except for what a person may change."""
    from genbench.store.schema import metadata

    found: list[object] = []
    for name in metadata.tables:
        if name != "run_tags":
            columns, rows = store.query(f"SELECT * FROM {name}")
            kept = [
                i for i, column in enumerate(columns) if column not in CHANGED or name != "runs"
            ]
            found.append((name, [tuple(row[i] for i in kept) for row in rows]))
    return found


def test_edit_changes_name_tags_and_note_and_nothing_else(store, finished):
    before = numbers(store)
    run = store.edit(finished, name="second", note="<script>", tags=("new",), untag=("old",))
    assert (run.name, run.note, run.tags) == ("second", "<script>", ("new",))
    assert store.resolve("second") == finished
    assert numbers(store) == before
    run = store.edit(finished, name="", note="")
    assert (run.name, run.note, run.tags) == (None, None, ("new",))


def test_edit_keeps_what_it_is_not_given(store, finished):
    store.edit(finished, note="a note")
    run = store.edit(finished, tags=("more",))
    assert (run.name, run.note, run.tags) == ("first", "a note", ("more", "old"))


@pytest.mark.parametrize("name", ["taken", "@1", " spaced", "x" * 201, "\udc80"])
def test_edit_keeps_the_law_of_names_and_changes_nothing_where_it_is_broken(
    store, create, finished, name
):
    create(name="taken")
    with pytest.raises(UsageError, match="name"):
        store.edit(finished, name=name, tags=("new",))
    assert (store.run(finished).name, store.run(finished).tags) == ("first", ("old",))


def test_a_run_cannot_take_the_id_of_another_and_may_keep_its_own_name(store, create, finished):
    other = create()
    with pytest.raises(UsageError, match="taken"):
        store.edit(finished, name=other.id)
    assert store.edit(finished, name="first").name == "first"


def test_a_tag_that_is_not_there_cannot_be_removed(store, finished):
    with pytest.raises(UsageError, match="has no tag 'odl'; its tags: old"):
        store.edit(finished, name="second", untag=("odl",))
    assert store.run(finished).name == "first"


def test_a_note_has_its_bound(store, finished):
    assert store.edit(finished, note="n" * 10_000).note == "n" * 10_000
    with pytest.raises(UsageError, match="10000 characters at most"):
        store.edit(finished, note="n" * 10_001)


def test_archived_runs_are_listed_apart_and_numbered_no_more(store, create, make, finished):
    newer = create(make.spec(seed=1))
    store.finish(newer.id)
    store.set_archived([newer.id], True)
    assert [run.id for run in store.runs(archived=False)] == [finished]
    assert [run.id for run in store.runs(archived=True)] == [newer.id]
    assert len(store.runs()) == 2
    assert store.resolve("@1") == finished
    with pytest.raises(NoSuchRunError):
        store.resolve("@2")
    assert store.resolve(newer.id[:6]) == newer.id


def test_archiving_twice_keeps_the_first_moment_and_restoring_shows_all_again(store, finished):
    before = numbers(store)
    store.set_archived([finished], True)
    moment = store.run(finished).archived_at
    store.set_archived([finished], True)
    assert store.run(finished).archived_at == moment is not None
    store.set_archived([finished], False)
    assert store.run(finished).archived_at is None
    assert numbers(store) == before


def test_a_run_that_runs_is_not_archived_and_neither_are_those_named_with_it(
    store, create, finished
):
    running = create()
    with pytest.raises(UsageError, match="still running"):
        store.set_archived([finished, running.id], True)
    assert store.run(finished).archived_at is None
