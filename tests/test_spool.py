"""A worker's own store, from which its runs are merged into the store of the queue."""

from __future__ import annotations

from pathlib import Path

import pytest
from recorded import start

from genbench.errors import LockedError
from genbench.store import Store
from genbench.store.enqueuing import enqueue
from genbench.store.run_files import FILES
from genbench.store.tasks import NewTask, TaskState, runs_made_by, select_tasks
from genbench.work import Command, Ended
from genbench.work.slots import Slot
from genbench.work.spool import Spool
from genbench.work.worker import Worker


class Finished:
    """A child that has stored its run where it was told to."""

    def __init__(self, command: Command) -> None:
        self.command = command
        places = command.environ["GENBENCH_STORE"], command.environ[FILES]
        with Store.open(places[0], mode="create", files=places[1]) as own:
            self.run = start(own)
            own.finish(self.run)

    def has_ended(self) -> bool:
        return True

    def end_now(self) -> None:
        pass

    def result(self) -> Ended:
        answer = {"run": self.run}
        return Ended(command=self.command, code=0, answer=answer, error="", seconds=0.0)


def test_a_spool_that_was_locked_is_told_its_task_later_and_the_run_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, said = str(tmp_path / "runs.db"), list[str]()
    with Store.open(url, mode="create") as store:
        enqueue(store, [NewTask(batch="b", identity="a", title="a", command=("run",))])
    errors = [LockedError("the store node.db is locked")]
    keep = Spool.keep

    def locked_once(*given: object) -> None:
        if errors:
            raise errors.pop()
        keep(*given)

    monkeypatch.setattr(Spool, "keep", locked_once)
    monkeypatch.setattr("genbench.work.worker.Child", Finished)
    Worker(
        url=url,
        slots=[Slot(device=None, kinds=("auto",))],
        should_stop=lambda: False,
        until_empty=True,
        say=said.append,
        spool=Spool(tmp_path / "node.db"),
    ).work()
    assert "node.db is locked" in said[0]
    with Store.open(url, mode="read") as store:
        [task] = select_tasks(store)
        [run] = store.runs()
        assert (task.state, runs_made_by(store, task)) == (TaskState.DONE, [run.id])
