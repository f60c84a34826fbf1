"""The life of a run: created, found, ended, deleted."""

from __future__ import annotations

import json
import shutil

import pytest

from genbench.errors import AmbiguousRunError, NoSuchRunError, StoreError, UsageError
from genbench.spec import Part, RunSpec
from genbench.store import Status, Store


def test_a_created_run_is_running_and_holds_its_whole_spec(store, create, make):
    spec = make.spec(seed=7, preset="lin2023", parents=("0a1b2c3d4e", "5f6a7b8c9d"))
    run = create(spec, name="first", tags=("b", "a"))
    assert (run.status, run.seed, run.preset) == (Status.RUNNING, 7, "lin2023")
    assert (run.experiment, run.digest) == (spec.experiment, spec.digest)
    assert RunSpec.from_json(run.spec) == RunSpec.from_json(spec.to_json())
    assert (run.epochs_planned, run.tags, run.parents) == (3, ("a", "b"), spec.parents)
    assert [(s.index, s.name, s.epochs) for s in store.stages(run.id)] == [
        (0, "autoencoder", 1),
        (1, "adversary", 2),
    ]
    assert store.folder(run.id).is_dir()


def test_parameters_come_back_with_their_types_and_stand_in_plain_sql(store, create, make):
    samplers = (Part(name="drs", settings={"gamma": 0.8}), Part(name="drs", settings={"gamma": 0}))
    run = create(make.spec(samplers=samplers))
    params = store.params(run.id)
    assert params["model.lr"] == 1e-3
    assert params["model.widths"] == [64, 32]
    assert params["model.loss.beta"] == 0.5
    assert params["model.conv"] is False
    assert (params["sampler.drs.gamma"], params["sampler.drs#2.gamma"]) == (0.8, 0)
    assert (params["samplers"], params["metric.fd_clf.layer"]) == ("drs,drs#2", "fc")
    _, rows = store.query("SELECT key, num, text FROM run_params WHERE key LIKE 'model%'")
    assert ("model.lr", 0.001, "0.001") in rows
    assert ("model.conv", 0.0, "false") in rows
    assert ("model.widths", None, "[64, 32]") in rows
    assert ("model", None, "vaegan") in rows


def test_equal_machines_share_one_environment_and_the_commit_stays_with_the_run(
    store, create, make
):
    first = create()
    second = create(environment={**make.environment, "git_commit": "4567def", "git_dirty": False})
    create(environment={**make.environment, "cpu": "another CPU"})
    assert store.query("SELECT count(*) FROM environments")[1] == [(2,)]
    assert store.environment(first.id) == make.environment
    assert store.environment(second.id)["git_commit"] == "4567def"
    assert store.environment(second.id)["git_dirty"] is False


def test_versions_of_torch_and_genbench_are_columns_wherever_the_environment_has_them(
    store, create
):
    create(environment={"torch": "2.15", "packages": {"torch": "0", "genbench": "1.2"}})
    assert store.query("SELECT torch, genbench FROM v_runs")[1] == [("2.15", "1.2")]


@pytest.mark.parametrize(
    ("code", "is_valid"), [(0xD7FF, True), (0xD800, False), (0xDFFF, False), (0xE000, True)]
)
def test_a_tag_is_any_text_that_utf_8_can_write(create, code, is_valid):
    if is_valid:
        assert create(tags=(chr(code),)).tags == (chr(code),)
    else:
        with pytest.raises(UsageError, match="must be valid UTF-8"):
            create(tags=(chr(code),))


def test_children_are_the_runs_that_build_upon_a_run_oldest_first(store, create, make):
    parent, other = create(), create()
    younger = [create(make.spec(seed=seed, parents=(parent.id,))).id for seed in (2, 1)]
    create(make.spec(parents=(other.id,)))
    assert store.children(parent.id) == younger
    assert store.children(younger[0]) == []


def test_a_run_that_gets_no_folder_leaves_no_row_and_no_other_run_loses_one(store, create):
    first = create()
    shutil.rmtree(store.runs_folder)
    store.runs_folder.touch()
    with pytest.raises(StoreError, match="can't be used"):
        create()
    assert [run.id for run in store.runs()] == [first.id]


def test_a_run_is_found_by_id_prefix_name_and_age(store, create):
    ids = [create(name=name).id for name in ("old", "new")]
    assert store.resolve(ids[0]) == ids[0]
    assert store.resolve("old") == ids[0]
    assert store.resolve("@1") == ids[1]
    assert store.resolve("@2") == ids[0]
    unique = next(i for i in range(1, 11) if ids[0][:i] != ids[1][:i])
    assert store.resolve(ids[0][:unique]) == ids[0]


@pytest.mark.parametrize("ref", ["", "@0", "@3", "@x", "zz", "%", "_", "Old", "-1"])
def test_a_reference_that_fits_nothing_is_no_such_run(store, create, ref):
    create(name="old")
    create(name="new")
    with pytest.raises(NoSuchRunError, match="no run"):
        store.resolve(ref)


def test_a_reference_that_fits_several_lists_their_ids(store, create):
    ids = [create().id for _ in range(17)]
    first = next(i[0] for i in ids if sum(other[0] == i[0] for other in ids) > 1)
    with pytest.raises(AmbiguousRunError) as caught:
        store.resolve(first)
    assert all(i in str(caught.value) for i in ids if i[0] == first)


def test_a_misspelt_name_gets_a_hint(store, create):
    create(name="baseline")
    with pytest.raises(NoSuchRunError, match="did you mean 'baseline'"):
        store.resolve("basline")


@pytest.mark.parametrize("name", ["taken", "", "@1", " spaced"])
def test_a_name_must_be_free_and_no_reference_of_another_kind(store, create, name):
    create(name="taken")
    with pytest.raises(UsageError):
        create(name=name)
    assert len(store.runs()) == 1


def test_a_name_may_not_be_another_runs_id(store, create):
    run = create()
    with pytest.raises(UsageError, match="taken"):
        create(name=run.id)


def test_an_id_that_is_taken_is_drawn_again(store, create, monkeypatch):
    drawn = iter(["aaaaaaaaaa", "aaaaaaaaaa", "bbbbbbbbbb"])
    monkeypatch.setattr("secrets.token_hex", lambda size: next(drawn))
    assert [create().id, create().id] == ["aaaaaaaaaa", "bbbbbbbbbb"]


def test_runs_are_listed_newest_first_and_filtered(store, create, make):
    a = create(make.spec(model="gan"), tags=("x",))
    b = create(make.spec(dataset="mnist"), tags=("x", "y"))
    c = create(make.spec(seed=1))
    store.finish(a.id)
    store.fail(b.id, "out of memory")
    assert [r.id for r in store.runs()] == [c.id, b.id, a.id]
    assert [r.id for r in store.runs(limit=1)] == [c.id]
    assert [r.id for r in store.runs(model="gan")] == [a.id]
    assert [r.id for r in store.runs(dataset="mnist")] == [b.id]
    assert [r.id for r in store.runs(tag="x")] == [b.id, a.id]
    assert [r.id for r in store.runs(status="failed")] == [b.id]
    assert [r.id for r in store.runs(status=Status.RUNNING, limit=5)] == [c.id]
    assert [r.id for r in store.runs(experiment=c.experiment[:8])] == [c.id]
    assert store.runs(model="none") == []
    assert [r.tags for r in store.runs()] == [(), ("x", "y"), ("x",)]


def test_a_failed_run_keeps_its_error(store, create):
    run = create()
    store.fail(run.id, "the loss is nan", kind="DivergedError")
    failed = store.run(run.id)
    assert (failed.status, failed.error) == (Status.FAILED, "the loss is nan")
    assert failed.finished_at is not None


def test_a_finished_run_is_never_changed(store, create, make):
    run = create()
    make.fill(store, run)
    before = store.query("SELECT * FROM v_runs")
    store.fail(run.id, "too late")
    store.interrupt(run.id)
    with pytest.raises(UsageError, match="is finished"):
        store.take_over(run.id)
    assert store.query("SELECT * FROM v_runs") == before


def test_tags_can_be_added_to_any_run(store, create):
    run = create(tags=("a",))
    store.finish(run.id)
    store.edit(run.id, tags=("b", "a"))
    assert store.run(run.id).tags == ("a", "b")


def test_a_deleted_run_leaves_no_row_and_no_file(store, create, make):
    kept, gone = create(make.spec(seed=1)), create()
    make.fill(store, kept)
    make.fill(store, gone)
    store.delete(gone.id)
    assert not store.folder(gone.id).exists()
    assert store.folder(kept.id).exists()
    names = "runs run_params stages epochs epoch_losses points metric_summary draws evals artifacts"
    for table in (*names.split(), "warnings"):
        owners = store.query(f"SELECT DISTINCT run FROM {table}")[1]
        assert len(owners) == 1, table
    with pytest.raises(NoSuchRunError):
        store.run(gone.id)


def test_a_running_run_is_not_deleted(store, create):
    run = create()
    with pytest.raises(UsageError, match="still running"):
        store.delete(run.id)


def test_a_store_opened_for_reading_refuses_to_write(store, create):
    create()
    with Store.open(store.url, mode="read") as reader:
        assert len(reader.runs()) == 1
        with pytest.raises(StoreError, match="reading only"):
            reader.finish(reader.runs()[0].id)


def test_the_stored_spec_is_json_that_others_can_read(store, create):
    assert json.loads(create().spec)["model_settings"]["widths"] == [64, 32]
