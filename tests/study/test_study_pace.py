"""Equal seconds: the arithmetic from a pilot's epochs to those of a run, and what is kept of it."""

from __future__ import annotations

import pytest

from genbench.errors import StoreError, UsageError
from genbench.planning.resolve import Request, resolve
from genbench.registry import Registry
from genbench.runner import data_access, run
from genbench.store import Store
from genbench.study.pace import Pace, PaceBook, Reading, check_budget, read_pilot


@pytest.mark.parametrize(
    ("seconds", "epochs"), [(45.0, 15), (46.4, 15), (46.6, 16), (3.0, 1), (0.1, 1)]
)
def test_epochs_are_the_nearest_number_to_the_seconds_and_one_at_least(seconds, epochs):
    assert Pace(earlier_s=0.0, epoch_s=3.0).epochs(seconds) == epochs


def test_earlier_stages_and_warming_up_are_paid_from_the_same_seconds():
    pace = Pace(earlier_s=20.0, epoch_s=2.0, warm_s=1.0)
    assert pace.epochs(45.0) == 12
    assert pace.seconds(12) == 45.0


def test_stages_after_its_own_are_paid_from_the_same_seconds_too():
    pace = Reading(earlier_s=4.0, epochs=(2.0, 2.0, 2.0), later_s=6.0).pace()
    assert pace is not None
    assert pace.epochs(30.0) == 10
    assert pace.seconds(10) == 30.0


def test_the_pace_is_the_median_epoch_without_the_first():
    pace = Reading(earlier_s=0.0, epochs=(5.0, 1.0, 1.2, 9.0)).pace()
    assert pace is not None
    assert (pace.epoch_s, pace.warm_s) == (1.2, pytest.approx(3.8))
    alone = Reading(earlier_s=1.0, epochs=(5.0,)).pace()
    assert alone == Pace(earlier_s=1.0, epoch_s=5.0, warm_s=0.0)
    assert Reading(earlier_s=1.0, epochs=()).pace() is None


@pytest.mark.parametrize(
    ("epochs", "enough"),
    [
        ((), False),
        ((25.0,), True),  # one long epoch says it
        ((8.0, 7.0), False),
        ((8.0, 7.0, 7.0), True),
        ((1.0, 0.1, 0.1), False),  # too short to say
        ((1.0, *[0.1] * 60), True),
    ],
)
def test_short_epochs_are_watched_for_longer_than_long_ones(epochs, enough):
    assert Reading(earlier_s=0.0, epochs=epochs).is_enough(45.0) is enough


def test_a_budget_that_earlier_stages_use_up_is_refused_in_one_sentence():
    assert Reading(earlier_s=50.0, epochs=()).is_enough(45.0)
    with pytest.raises(UsageError, match=r"VAE/GAN on mnist.*50 s of its 45 s.*fewer epochs"):
        check_budget("VAE/GAN on mnist", 50.0, 45.0)
    check_budget("VAE/GAN on mnist", 44.0, 45.0)


def test_paces_are_kept_for_the_threads_that_they_were_taken_at(tmp_path):
    pace = Pace(earlier_s=0.5, epoch_s=2.0)
    one = PaceBook(path=tmp_path / "study" / "pace.json", threads=1)
    one.add("abc", pace, title="GAN on mnist", jobs=2)
    assert one.read() == {"abc": pace}
    assert one.jobs() == 2
    assert PaceBook(path=one.path, threads=2).read() == {}
    one.path.write_text('{"abc/1": {"epoch_s": "fast"}}')
    with pytest.raises(StoreError, match="delete it"):
        one.read()


def test_what_comes_after_a_rows_own_stage_is_seen_by_a_pilot_to_the_end(tmp_path):
    registry = Registry.from_environment()
    access = data_access(tmp_path, {"GENBENCH_CACHE": str(tmp_path / "cache")})
    options = Request(
        model="vae-gmm",
        dataset="digits",
        run={"epochs": 2, "device": "cpu"},
        sets=("data.size=8", "hidden=[8]", "z_dim=2", "run.metrics=[]", "run.samplers=[]"),
    )
    spec = resolve(options, registry, access, {}, tmp_path).spec
    path = tmp_path / "runs.db"
    with Store.open(path, mode="create") as store:
        run_id = run(spec, registry=registry, store=store, access=access).id
        prepared = {stage.name: stage.prepare_s for stage in store.stages(run_id)}
    reading = read_pilot(path, "train")
    assert reading is not None
    assert len(reading.epochs) == 2
    assert not reading.unseen
    assert reading.later_s == pytest.approx(prepared["density"], abs=0.1)
    assert reading.later_s > 0
