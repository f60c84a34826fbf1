"""What schema 2 brought: warnings, the number of draws, and series of a watch, resumed or not."""

from __future__ import annotations

from genbench.contracts import Score
from genbench.events import Checkpointed, Resumed, StepsDone, Warned
from genbench.store import Recorder


def warned(epoch: int, kind: str = "generator_collapsed") -> Warned:
    return Warned(epoch=epoch, kind=kind, message=f"{kind} at {epoch}")


def test_a_warning_is_stored_with_its_epoch_and_its_words(store, create):
    run = create()
    with Recorder(store, run.id) as recorder:
        recorder(warned(2))
        recorder(warned(1, "discriminator_won"))
    first, second = store.warnings(run.id)
    assert (first.epoch, first.kind, first.message) == (
        1,
        "discriminator_won",
        "discriminator_won at 1",
    )
    assert second.epoch == 2
    assert store.query("SELECT id, kind FROM v_warnings ORDER BY epoch")[1] == [
        (run.id, "discriminator_won"),
        (run.id, "generator_collapsed"),
    ]


def test_a_warning_that_is_told_again_is_one_row(store, create):
    run = create()
    with Recorder(store, run.id) as recorder:
        for _ in range(2):
            recorder(warned(2))
    assert len(store.warnings(run.id)) == 1


def test_a_resumed_run_forgets_the_warnings_after_its_checkpoint(store, create, make, tmp_path):
    run = create()
    with Recorder(store, run.id) as recorder:
        for epoch in (1, 2):
            recorder(make.epoch(epoch))
            recorder(warned(epoch))
        recorder(Checkpointed(path=tmp_path, step=10, epoch=1))
        recorder(Resumed(step=10, epoch=1))
    assert [w.epoch for w in store.warnings(run.id)] == [1]


def test_a_deleted_run_leaves_no_warning(store, create):
    run = create()
    with Recorder(store, run.id) as recorder:
        recorder(warned(1))
    store.finish(run.id)
    store.delete(run.id)
    assert store.query("SELECT count(*) FROM warnings")[1] == [(0,)]


def watch(epoch: int) -> StepsDone:
    series = {"watch/classes": [(10 * epoch, float(epoch))]}
    return StepsDone(stage="adversary", epoch=epoch, step=10 * epoch, series=series)


def test_a_watch_is_a_series_of_its_own_kind(store, create, make):
    run = create()
    with Recorder(store, run.id) as recorder:
        recorder(make.epoch(1))
        recorder(watch(1))
    assert store.series(run.id, "watch/classes") == [(10, 1.0)]
    assert store.query("SELECT DISTINCT kind FROM v_series WHERE series = 'watch/classes'")[1] == [
        ("watch",)
    ]


def test_what_ends_an_epoch_is_not_doubled_by_a_checkpoint_at_its_last_step(store, create, make):
    """The epoch had made all its steps, but had not ended, when its checkpoint was written."""
    run = create()
    with Recorder(store, run.id) as recorder:
        for epoch in (1, 2):
            recorder(make.steps(epoch))
            recorder(make.epoch(epoch))
            recorder(watch(epoch))
        recorder(Resumed(step=20, epoch=1))
        assert store.series(run.id, "watch/classes") == [(10, 1.0)]
        assert store.series(run.id, "generator/loss")[-1] == (20, 0.5)
        recorder(make.epoch(2))
        recorder(watch(2))
    [summary] = [s for s in store.summaries(run.id) if s.key == "watch/classes"]
    assert (summary.n, summary.last) == (2, 2.0)


def test_the_number_of_draws_comes_back_with_the_score(store, create, make):
    run = create()
    score = Score(metric="is", value=8.2, std=0.1, n=300, draws=5, direction="max")
    store.add_evaluation(run.id, make.evaluation(3, 1.0, scores=(score,)))
    [stored] = store.scores(run.id)
    assert (stored.value, stored.std, stored.n, stored.draws) == (8.2, 0.1, 300, 5)
    assert store.query("SELECT draws FROM v_scores")[1] == [(5,)]
