"""``genbench work`` and ``queue``: carry out tasks of the store's queue, and look after them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genbench.cli import options
from genbench.cli.opening import age, open_store
from genbench.cli.output import Format, print_json, print_table
from genbench.cli.session import SESSION, say
from genbench.errors import InterruptedRunError, UsageError
from genbench.formatting import counted, without_passwords
from genbench.spec import MOST

if TYPE_CHECKING:
    from genbench.store import Store
    from genbench.store.tasks import Task
    from genbench.work import Ended


def work(
    device: Annotated[
        list[str] | None,
        typer.Option(
            "--device",
            help="Device to work on, such as cuda:1; repeatable (default: each GPU, or the CPU).",
        ),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, max=1_024, help="Number of tasks at a time on a device.")
    ] = None,
    batch: options.BatchOption = None,
    until_empty: Annotated[
        bool,
        typer.Option("--until-empty", help="End when no task is running and none is ready."),
    ] = False,
    spool: Annotated[
        Path | None,
        typer.Option(
            "--spool",
            metavar="FILE",
            help="SQLite file on this machine in which runs are recorded until they end.",
        ),
    ] = None,
    store: options.StoreOption = None,
    data_dir: options.DataDirOption = None,
    offline: options.OfflineOption = False,
) -> None:
    """Carry out tasks of the queue, one at a time, until Ctrl-C; any number of workers may run."""
    import os

    from genbench.cli.stopping import StopSignals
    from genbench.work import Spool, Worker, check_devices, slots_for

    environ = {"GENBENCH_OFFLINE": "1"} if offline else {}
    environ |= {"GENBENCH_DATA": str(data_dir)} if data_dir else {}
    check_devices(device or (), os.environ)
    slots = slots_for(device or (), jobs, os.environ)
    places = ", ".join(sorted({slot.device or "the device of each task" for slot in slots}))
    say(f"working on {places}, {counted(len(slots), 'task')} at a time; Ctrl-C stops")
    try:
        with StopSignals(quiet=SESSION.verbosity < 0) as signals:
            Worker(
                url=SESSION.store_url(store),
                slots=slots,
                should_stop=signals,
                batch=batch,
                until_empty=until_empty,
                environ=environ,
                started=lambda task, words: say(f"task {task.number}, {task.title}: {words[0]}"),
                ended=_tell_end,
                say=say,
                spool=Spool(spool.expanduser().resolve()) if spool else None,
            ).work()
    except KeyboardInterrupt:
        raise InterruptedRunError(
            "the worker was stopped at once; its tasks are back in the queue, and their runs "
            "continue from their checkpoints"
        ) from None


def _tell_end(task: Task, end: Ended) -> None:
    how = "done" if end.code == 0 else f"failed: {end.reason}"
    say(f"task {task.number}, {task.title}: {how}")


# --- the queue


class Action(StrEnum):
    """What is done with tasks."""

    SHOW = "show"
    PAUSE = "pause"
    RESUME = "resume"
    RAISE = "raise"
    CANCEL = "cancel"
    RETRY = "retry"
    RM = "rm"


def queue(
    action: Annotated[
        Action, typer.Argument(help="What to do with the tasks.", show_default=True)
    ] = Action.SHOW,
    tasks: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TASK]...", help="Numbers of tasks, or batches such as study:X."),
    ] = None,
    state: Annotated[
        str | None, typer.Option(help="Only tasks in this state, such as failed.")
    ] = None,
    to: Annotated[
        int, typer.Option(min=-1_000, max=1_000, help="The priority that raise gives.")
    ] = 1,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="Maximum number of tasks.")] = 40,
    store: options.StoreOption = None,
    format: options.FormatOption = Format.TABLE,
    json: options.JsonOption = False,
) -> None:
    """Show the tasks of the queue; pause, resume, raise, cancel, retry or remove (rm) some.

    A running task that is paused or cancelled stops with a checkpoint within seconds.
    """
    if action is not Action.SHOW:
        _change(action, tasks, state, to, store)
        return
    from genbench.store.tasks import counts

    with open_store(store) as opened:
        found = _chosen(opened, tasks or (), state)
        totals = counts(opened)
    if json:
        print_json({"counts": totals, "tasks": [_as_dict(task) for task in found[:limit]]})
        return
    rows = [_row(task) for task in found[:limit]]
    shown = _worth_showing(rows) if format is not Format.CSV else range(len(_COLUMNS))
    print_table(
        [_COLUMNS[i] for i in shown],
        [[row[i] for i in shown] for row in rows],
        format=format,
        right=("task", "priority", "attempts", "age"),
    )
    for name, count in totals.items():
        say(f"{counted(count, 'task')} {name}")
    if len(found) > limit:
        say(f"{counted(len(found) - limit, 'more task')} not shown; see --limit and --state")


def _chosen(store: Store, words: Sequence[str], state: str | None) -> list[Task]:
    from genbench.store.tasks import TaskState, chosen, select_tasks

    if state is not None and state not in tuple(TaskState):
        raise UsageError(f"--state {state}: expected one of {', '.join(TaskState)}")
    found = chosen(store, words) if words else select_tasks(store)
    return [task for task in found if state in (None, task.state)]


_COLUMNS = ("task", "batch", "title", "state", "device", "priority", "attempts", "age", "note")


def _worth_showing(rows: Sequence[Sequence[Any]]) -> list[int]:
    """The columns that tell something: a terminal has no room for the others."""
    told = {name: {row[i] for row in rows} for i, name in enumerate(_COLUMNS)}
    dull = {name for name in ("priority", "attempts") if told[name] <= {0}}
    dull |= {"device"} if len(told["device"]) == 1 else set()
    return [i for i, name in enumerate(_COLUMNS) if name not in dull]


def _row(task: Task) -> list[Any]:
    note = task.error or (f"waits for {counted(task.waiting, 'task')}" if task.waiting else "")
    where = (f"on {task.host}:{task.pid}",) if task.state == "running" else ()
    since = age(task.finished_at or task.started_at or task.created_at)
    return [
        *(task.number, task.batch, task.title, task.state, task.device, task.priority),
        *(task.attempts, since, note or ", ".join((*where, *task.runs))),
    ]


def _as_dict(task: Task) -> dict[str, Any]:
    values = {**vars(task), "task": task.number, "command": list(task.command)}
    del values["number"]
    return {**values, "runs": list(task.runs), "answer": dict(task.answer)}


def _change(
    action: Action, words: list[str] | None, state: str | None, priority: int, store: str | None
) -> None:
    from genbench.store import Store
    from genbench.store.enqueuing import remove, set_priority, set_state
    from genbench.store.tasks import OPEN, TaskState

    if not words and state is None:
        raise UsageError(f"queue {action}: name tasks or batches, or give --state")
    states = {
        Action.PAUSE: TaskState.PAUSED,
        Action.CANCEL: TaskState.CANCELLED,
        Action.RESUME: TaskState.QUEUED,
        Action.RETRY: TaskState.QUEUED,
    }
    with Store.open(SESSION.store_url(store)) as opened:
        found = _chosen(opened, words or (), state)
        if action is Action.RESUME:
            found = [task for task in found if task.state is TaskState.PAUSED]
        elif action is Action.RETRY:
            found = [task for task in found if task.state not in (*OPEN, TaskState.DONE)]
        numbers = [task.number for task in found]
        if action is Action.RAISE:
            set_priority(opened, numbers, priority)
        elif action is Action.RM:
            numbers = remove(opened, numbers)
        else:
            numbers = set_state(opened, numbers, states[action])
    say(f"{counted(len(numbers), 'task')} {_DONE[action].format(priority)}")


_DONE = {
    Action.PAUSE: "paused",
    Action.RESUME: "queued again",
    Action.RAISE: "given the priority {}",
    Action.CANCEL: "cancelled",
    Action.RETRY: "queued again",
    Action.RM: "removed",
}


# --- launchers


def launch(
    launcher: Annotated[
        str, typer.Argument(metavar="LAUNCHER", help="local, slurm, ray or another launcher.")
    ],
    workers: Annotated[int, typer.Option(min=1, max=10_000, help="Number of workers.")] = 1,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help="Setting of the launcher, name=value; repeatable."),
    ] = None,
    device: Annotated[
        list[str] | None, typer.Option("--device", help="Device of each worker; repeatable.")
    ] = None,
    batch: options.BatchOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be started; start nothing.")
    ] = False,
    store: options.StoreOption = None,
) -> None:
    """Start workers that end when the queue is empty; see: genbench launchers."""
    from genbench.store import Store
    from genbench.work import WorkerOptions, make_launcher

    url = SESSION.store_url(store)
    starter = make_launcher(SESSION.registry, launcher, sets or ())
    wanted = WorkerOptions(store=url, batch=batch, devices=tuple(device or ()))
    if dry_run:
        from genbench.store.address import Address

        folder = Address.parse(url).runs_folder / "workers"
        print(without_passwords(starter.script(wanted.order(workers, folder))))
        return
    with Store.open(url) as opened:
        say(starter.start(wanted.order(workers, opened.runs_folder / "workers")))
    starter.stop()
