"""What the runs of a search say about its trials."""

from __future__ import annotations

from pathlib import Path

from recorded import start

from genbench.contracts import Score
from genbench.events import Evaluated
from genbench.store import Recorder, Store, tunings
from genbench.tuning.history import read_history
from genbench.tuning.question import SearchQuestion
from genbench.tuning.result import as_dict, winners
from genbench.tuning.space import Knob, Range

RATE = Knob(name="lr", paths=("lr",), domain=Range(low=1e-5, high=1e-1, log=True))


def test_each_of_two_objectives_is_reported_as_its_metric_has_it(tmp_path: Path) -> None:
    """A search minimises both, so that it turns a metric around if higher is better there."""
    question = SearchQuestion(
        model="vae", dataset="digits", space=(RATE,), objectives=("fd_clf", "recall")
    )
    scores = [
        Score(metric="fd_clf", value=3.0, n=100, direction="min"),
        Score(metric="recall", value=0.25, n=100, direction="max"),
    ]
    with Store.open(tmp_path / "runs.db", mode="create") as store:
        record = tunings.create(store, "t", question.digest, {})
        tunings.propose(store, record.number, {"lr": 1e-3}, seed=0, notes={}, number=0)
        run = start(store, "t-0")
        with Recorder(store, run) as recorder:
            recorder(
                Evaluated(
                    epoch=10,
                    stage="train",
                    sampler="plain",
                    sampler_settings={},
                    scores=scores,
                    seconds={},
                )
            )
        store.finish(run)
        history = read_history(store, record, question)
    assert history.trials[0].values == (3.0, -0.25)
    [winner] = winners(history.trials, 1, history.runs, history.confirmed)
    assert as_dict(winner, history.directions)["reported"] == [3.0, 0.25]
