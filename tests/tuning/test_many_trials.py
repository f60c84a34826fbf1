"""A search with a thousand stored trials: the next proposal is made in less than a second."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from needs import needs
from recorded import scored, start
from sqlalchemy import insert, select

from genbench.store import Recorder, Store, tunings
from genbench.store.schema import evals, proposals, runs
from genbench.tuning.history import read_history
from genbench.tuning.question import SearchQuestion
from genbench.tuning.search import propose
from genbench.tuning.space import Categories, Knob, Range

pytestmark = needs("optuna", "tune")
TRIALS = 1_000
RATE = Knob(name="g_lr", paths=("g_lr",), domain=Range(low=1e-5, high=1e-1, log=True))
STEPS = Knob(name="n_critic", paths=("n_critic",), domain=Categories(values=("1", "5")))


def fill(store: Store, tuning: int) -> None:
    """A thousand finished runs with a score each, as copies of one."""
    first = start(store, "t-0")
    with Recorder(store, first) as record:
        record(scored(10, 3.0))
    store.finish(first)
    draw = random.Random(0)
    with store.transaction() as connection:
        run = dict(connection.execute(select(runs)).mappings().one())
        score = dict(connection.execute(select(evals)).mappings().one())
        del score["eval"]
        ids = [f"{n:010x}" for n in range(TRIALS)]
        rows = [{**run, "run": 10 + n, "id": ids[n], "name": f"t-{n + 1}"} for n in range(TRIALS)]
        connection.execute(insert(runs), rows)
        values = [{**score, "run": 10 + n, "value": draw.random()} for n in range(TRIALS)]
        connection.execute(insert(evals), values)
        made = [
            {
                "tuning": tuning,
                "number": n,
                "settings": json.dumps(
                    {"g_lr": 10 ** draw.uniform(-5, -1), "n_critic": draw.choice("15")}
                ),
                "notes": "{}",
                "seed": n,
                "run_id": ids[n],
                "created_at": "2026-01-01T00:00:00",
            }
            for n in range(TRIALS)
        ]
        connection.execute(insert(proposals), made)


def seconds_of(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "random", "gp", "nsga-ii"])
def test_the_next_proposal_from_a_thousand_stored_trials_takes_less_than_a_second(
    tmp_path: Path, sampler: str
) -> None:
    question = SearchQuestion(
        model="gan",
        dataset="digits",
        space=(RATE, STEPS),
        objectives=("fd_clf",),
        sampler=sampler,
    )
    with Store.open(tmp_path / "runs.db", mode="create") as store:
        record = tunings.create(store, "t", question.digest, {})
        fill(store, record.number)
        known = read_history(store, record, question)
        assert sum(trial.is_good for trial in known.trials) == TRIALS
        propose(question, known.trials[:20], 20)  # imports

        def ask() -> None:
            propose(question, read_history(store, record, question).trials, TRIALS)

        assert seconds_of(ask) < 1
        assert seconds_of(lambda: read_history(store, record, question, known)) < 0.1
