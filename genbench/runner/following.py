"""``python -m genbench.runner.following``: a process of a run on several devices but the first one.

`genbench.runner.processes` starts it and tells it what to do. It ends as soon as its standard input
does, and ignores Ctrl-C and SIGTERM, which a terminal or a scheduler sends to all processes: the
first one writes a checkpoint then, with this one still in its place, and ends it.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any


def main() -> None:
    """Do what the first process asks for; tell it of an error, and end."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    # What a plugin prints must not get into the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    # The first process gives the same warnings.
    warnings.simplefilter("ignore")
    asked: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_listen, args=(asked,), daemon=True).start()
    try:
        _take_part(asked, answers)
    except Exception as error:
        _answer(answers, {"error": _in_words(error), "connection": _is_of_connection(error)})
        os._exit(1)


def _listen(asked: queue.Queue[dict[str, Any]]) -> None:
    """Pass on what is asked for; end the process when nobody can ask for anything more."""
    for line in sys.stdin:
        asked.put(json.loads(line))
    os._exit(0)


def _answer(answers: IO[str], message: dict[str, Any]) -> None:
    print(json.dumps(message), file=answers, flush=True)


def _take_part(asked: queue.Queue[dict[str, Any]], answers: IO[str]) -> None:
    """Build the model, join the other processes, and train."""
    from genbench.contracts import DataAccess
    from genbench.engine import (
        RunIdentity,
        check_shards,
        follow,
        joined,
        resolve_devices,
        share_cores,
        using_threads,
    )
    from genbench.registry import Registry
    from genbench.runner.build_parts import load_data
    from genbench.runner.compressing import model_of
    from genbench.runner.source_runs import with_runs
    from genbench.spec import RunSpec
    from genbench.store import Store

    registry = Registry.from_environment()
    job = asked.get()
    spec, device = RunSpec.from_json(job["spec"]), resolve_devices(job["devices"])[job["rank"]]
    access = DataAccess(root=Path(job["root"]), cache=Path(job["cache"]), offline=job["offline"])
    share_cores()
    with ExitStack() as stack:
        stack.enter_context(using_threads(job["threads"]))
        data = load_data(spec, registry, with_runs(access, registry, job["store"]))
        with Store.open(job["store"], mode="read") as store:
            model = model_of(spec, data.spec, registry, store, start=job["new"])
        _answer(answers, {"ready": os.getpid()})
        shards = stack.enter_context(
            joined(job["rank"], job["count"], device, Path(job["meeting"]))
        )
        check_shards(model, data, spec, device, shards)
        run = asked.get()
        follow(
            model,
            data,
            spec,
            device=device,
            folder=Path(run["folder"]),
            shards=shards,
            resume=run["resume"],
            identity=RunIdentity(**run["identity"]),
        )


def _in_words(error: Exception) -> str:
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words[:500]}"


def _is_of_connection(error: Exception) -> bool:
    """Whether it only says that another process is gone."""
    told = str(error).lower()
    return isinstance(error, RuntimeError) and ("connection" in told or "nccl" in told)


if __name__ == "__main__":
    main()
