"""The queue of tasks, on SQLite and on PostgreSQL: each task is claimed once, and none is lost."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from genbench.errors import NoSuchRunError, TakenOverError, UsageError
from genbench.store import Store, claims
from genbench.store.claimed_task import CLAIM
from genbench.store.enqueuing import enqueue, remove, set_priority, set_state
from genbench.store.tasks import NewTask, Task, TaskState, chosen, counts, select_tasks, work_left
from genbench.work.next_command import next_command

ANY = ("auto", "cpu")


def task(name: str, **changes: object) -> NewTask:
    values = {"batch": "b", "identity": name, "title": name, "command": ("run", name)}
    return NewTask(**{**values, **changes})


def states(store: Store) -> dict[str, str]:
    return {found.identity: str(found.state) for found in select_tasks(store)}


def claimed(store: Store, **changes: object) -> Task:
    found = claims.claim(store, ANY, **changes)
    assert found is not None
    return found


def test_tasks_are_claimed_by_priority_then_in_their_order(store):
    enqueue(store, [task("a"), task("b", priority=1), task("c"), task("d", batch="other")])
    assert [claimed(store, batch="b").identity for _ in range(3)] == ["b", "a", "c"]
    assert claims.claim(store, ANY, "b") is None
    assert claimed(store).identity == "d"
    assert not work_left(store, ["mps"], "none")


def test_a_worker_leaves_tasks_that_need_another_device(store):
    enqueue(store, [task("gpu", device="cuda"), task("any", device="auto")])
    assert claimed(store).identity == "any"
    assert claims.claim(store, ANY) is None
    assert claims.claim(store, ("auto", "cuda")).identity == "gpu"


def test_a_task_is_ready_when_all_of_its_parents_are_done(store):
    enqueue(store, [task("c", parents=("a", "b")), task("a"), task("b")])
    first, second = claimed(store), claimed(store)
    assert {first.identity, second.identity} == {"a", "b"}
    assert claims.done(store, first, {"run": "r1"})
    assert claims.claim(store, ANY) is None
    assert claims.done(store, second, {"epochs": 3})
    last = claimed(store)
    assert last.identity == "c"
    assert claims.answers_of_parents(store, last) == {"run": "r1", "epochs": 3}


def test_a_child_that_is_enqueued_while_its_parent_ends_is_ready(store, monkeypatch):
    """The parent ends in a transaction that began before the child was there."""
    enqueue(store, [task("a")])
    first = claimed(store)

    def enqueue_child() -> None:
        with Store.open(store._address.url) as own:
            enqueue(own, [task("b", parents=("a",))])

    other = threading.Thread(target=enqueue_child)
    release = claims._release_children

    def release_slowly(*given: object) -> None:
        release(*given)
        other.start()
        other.join(0.5)

    monkeypatch.setattr(claims, "_release_children", release_slowly)
    claims.done(store, first, {})
    other.join()
    assert claimed(store).identity == "b"


def test_what_needs_a_failed_task_is_cancelled_with_the_reason(store):
    enqueue(store, [task("a"), task("b", parents=("a",)), task("c", parents=("b",))])
    first = claimed(store)
    assert claims.fail(store, first, "training diverged")
    assert states(store) == {"a": "failed", "b": "cancelled", "c": "cancelled"}
    assert {t.error for t in select_tasks(store, states=["cancelled"])} == {
        f"it needs task {first.number}, which failed"
    }


def test_a_task_of_a_living_worker_is_left_and_one_of_a_dead_worker_goes_back(store, monkeypatch):
    enqueue(store, [task("a"), task("b")])
    first, second = claimed(store), claimed(store)
    assert claims.recover(store) == 0
    with store.transaction() as connection:  # as if its process had ended
        connection.exec_driver_sql(
            f"UPDATE tasks SET process_start = 'x' WHERE task = {first.number}"
        )
    assert claims.recover(store) == 1
    again = claimed(store)
    assert (again.identity, again.attempts) == ("a", 1)
    assert not claims.done(store, first, {})  # the earlier claim changes nothing any more
    assert claims.beat(store, [first, second, again]) == {second.number, again.number}
    assert claims.done(store, again, {})


def test_a_lease_ends_without_heartbeats_from_another_machine(store):
    enqueue(store, [task("a")])
    claimed(store)
    with store.transaction() as connection:
        connection.exec_driver_sql("UPDATE tasks SET host = 'elsewhere'")
    assert claims.recover(store) == 0
    with store.transaction() as connection:
        connection.exec_driver_sql("UPDATE tasks SET heartbeat_at = '2026-01-01T00:00:00+00:00'")
    assert claims.recover(store) == 1


def test_a_living_run_holds_the_lease_of_its_task(store, create, monkeypatch):
    enqueue(store, [task("a")])
    first = claimed(store)
    monkeypatch.setenv(CLAIM, first.claim)
    run = create()
    with store.transaction() as connection:
        connection.exec_driver_sql("UPDATE tasks SET process_start = 'x'")
    assert claims.recover(store) == 0
    assert claims.give_to(store, first, run.id)
    store.fail(run.id, "killed")
    with store.transaction() as connection:
        connection.exec_driver_sql("UPDATE tasks SET process_start = 'x'")
    assert claims.recover(store) == 1
    assert select_tasks(store)[0].runs == (run.id,)


def test_a_command_makes_no_run_if_its_task_was_given_to_another_worker(store, create, monkeypatch):
    enqueue(store, [task("a")])
    first = claimed(store)
    claims.release(store, first)
    claimed(store)
    monkeypatch.setenv(CLAIM, first.claim)
    with pytest.raises(TakenOverError, match="given to another worker"):
        create()
    assert store.runs() == []


def test_a_task_fails_after_many_lost_workers(store):
    enqueue(store, [task("a")])
    for _ in range(claims.MOST_ATTEMPTS):
        claims.release(store, claimed(store), "its process was killed")
    [found] = select_tasks(store)
    assert found.state is TaskState.FAILED
    assert found.error == f"{claims.MOST_ATTEMPTS} attempts: its process was killed"


def test_enqueued_twice_is_once_and_what_has_ended_is_queued_again(store):
    tasks = [task(name) for name in "abcd"]
    assert enqueue(store, tasks) == list("abcd")
    assert enqueue(store, tasks) == []
    claims.done(store, claimed(store), {})
    claims.fail(store, claimed(store), "no")
    set_state(store, [3], TaskState.CANCELLED)
    assert enqueue(store, tasks) == ["a", "c"]
    assert enqueue(store, tasks, retry=True) == ["b"]
    assert counts(store) == {TaskState.QUEUED: 4}


def test_paused_and_cancelled_tasks_are_taken_from_their_worker(store):
    enqueue(store, [task("a"), task("b"), task("c", parents=("b",))])
    first, second = claimed(store), claimed(store)
    assert set_state(store, [first.number], TaskState.PAUSED) == [first.number]
    assert set_state(store, [second.number], TaskState.CANCELLED) == [second.number]
    assert states(store) == {"a": "paused", "b": "cancelled", "c": "cancelled"}
    assert claims.beat(store, [first, second]) == set()
    set_state(store, [first.number], TaskState.QUEUED)
    assert claimed(store).identity == "a"
    assert remove(store, [first.number, second.number]) == [second.number]


def test_what_waits_for_a_paused_task_is_no_work_that_is_left(store):
    enqueue(store, [task("a"), task("b", parents=("a",)), task("gpu", device="cuda")])
    assert work_left(store, ANY)
    set_state(store, [1], TaskState.PAUSED)
    assert not work_left(store, ANY)
    assert work_left(store)  # for a worker with a GPU
    set_state(store, [1], TaskState.QUEUED)
    first = claimed(store)
    assert work_left(store, ANY)
    claims.done(store, first, {})
    assert claimed(store).identity == "b"


def test_a_task_is_kept_while_its_answer_is_needed_and_no_task_waits_for_a_removed_one(store):
    enqueue(store, [task("a"), task("b", parents=("a",)), task("c"), task("d", parents=("c",))])
    first, second = claimed(store), claimed(store)
    claims.done(store, first, {"run": "r1"})
    claims.fail(store, second, "no")
    assert remove(store, [first.number, second.number]) == [second.number]
    assert claims.answers_of_parents(store, claimed(store)) == {"run": "r1"}
    [last] = chosen(store, ["4"])
    assert (last.identity, last.state) == ("d", "cancelled")
    set_state(store, [last.number], TaskState.QUEUED)
    assert claimed(store).identity == "d"


def test_a_raised_task_comes_first_and_tasks_are_found_by_number_or_batch(store):
    enqueue(store, [task("a"), task("b"), task("c", batch="study:x")])
    [raised] = chosen(store, ["study:x"])
    set_priority(store, [raised.number], 5)
    assert claimed(store).identity == "c"
    assert [t.identity for t in chosen(store, ["2", "1"])] == ["b", "a"]
    with pytest.raises(NoSuchRunError, match="no task or batch"):
        chosen(store, ["study:y"])


def test_claimers_at_once_take_each_task_once(store):
    count, taken = 60, Counter[str]()
    enqueue(store, [task(str(number)) for number in range(count)])
    urls = store._address.url

    def work() -> None:
        with Store.open(urls) as own:
            while (found := claims.claim(own, ANY)) is not None:
                taken[found.identity] += 1
                claims.done(own, found, {})

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(taken.values()) == {1}
    assert len(taken) == count
    assert counts(store) == {TaskState.DONE: count}


def words_of(*command: str) -> Task:
    return Task(
        **{name: getattr(task("a"), name) for name in ("batch", "identity", "title", "device")},
        number=1,
        state=TaskState.RUNNING,
        command=command,
        threads=1,
        priority=0,
        waiting=0,
    )


def test_the_words_of_a_command_take_the_answers_of_its_parents():
    found = words_of("run", "gan", "latents:{run}", "--epochs", "{epochs}", "--set", "x={y}")
    answers = {"run": "r1", "epochs": 3}
    filled = ("run", "gan", "latents:r1", "--epochs", "3", "--set", "x={y}")
    assert next_command(found, [], answers) == filled
    with pytest.raises(UsageError, match="needs 'run'"):
        next_command(found, [], {})


def test_what_a_task_has_begun_is_resumed_and_what_it_has_made_is_not_made_again(
    store, create, make
):
    found = words_of("run", "gan", "digits", "--seeds", "0,1,2")
    first, second = (create(make.spec(seed=seed)) for seed in (0, 1))
    store.finish(first.id)
    store.interrupt(second.id)
    runs = [store.run(run.id) for run in (first, second)]
    assert next_command(found, runs, {}) == ("resume", second.id, "--json")
    rest = ("run", "gan", "digits", "--seeds", "1,2")
    assert next_command(found, runs[:1], {}) == rest
    alone = words_of("run", "gan", "digits", "--seed", "0")
    assert next_command(alone, runs[:1], {}) is None
