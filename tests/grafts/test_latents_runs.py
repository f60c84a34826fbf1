"""Parent and child in the store: planned without torch, resumed, kept together, compared."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from genbench.compare import Question, Selection, select, tabulate
from genbench.errors import (
    DataError,
    IncompatibleError,
    InterruptedRunError,
    NoSuchRunError,
    UsageError,
)
from genbench.events import EpochDone
from genbench.pixels import to_float
from genbench.planning.amend import amend
from genbench.runner import evaluate_run, resume
from genbench.spec import Part, RunSpec
from genbench.store import Filter, Store

FEW = ("g_hidden=[8]", "d_hidden=[8]")


@pytest.fixture(scope="module")
def child(bench, parent):
    return bench.train("gan", f"latents:{parent.id[:6]}", *FEW)


@pytest.fixture
def genbench(genbench, bench, monkeypatch):
    """The command line on the store of the tests."""
    monkeypatch.setenv("GENBENCH_STORE", bench.store.url)
    monkeypatch.setenv("GENBENCH_CACHE", str(bench.access.cache))
    return genbench


def files_of(bench, run):
    folder = bench.store.folder(run.id)
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- the spec


def test_a_reference_becomes_the_id_of_the_run_when_the_graft_is_planned(bench, parent, child):
    spec = RunSpec.from_json(child.spec)
    assert spec.dataset == "latents"
    assert spec.dataset_settings["run"] == parent.id
    assert spec.parents == child.parents == (parent.id,)
    assert spec.parent_experiments == (parent.experiment,)
    assert RunSpec.from_json(spec.to_json()) == spec


def test_seeds_of_the_parent_are_seeds_of_one_experiment_and_other_parents_another_one(parent):
    def graft(run, experiment, seed=0):
        return RunSpec(
            model="gan",
            dataset="latents",
            dataset_settings={"run": run, "draw": "mean"},
            parents=(run,),
            parent_experiments=(experiment,),
            epochs=1,
            batch_size=10,
            seed=seed,
        )

    assert graft("a", "x").experiment == graft("b", "x", seed=1).experiment
    assert graft("a", "x").digest != graft("b", "x").digest
    assert graft("a", "x").experiment != graft("a", "y").experiment


def test_a_run_without_parents_keeps_its_hash():
    """Taken before there were grafts."""
    spec = RunSpec(model="vae", dataset="digits", epochs=3, batch_size=100)
    assert (spec.experiment, spec.digest) == ("2352bea5c6a85f57", "5edfe469e5c3427d")


@pytest.mark.parametrize(
    ("reference", "error", "message"),
    [
        ("nothing", NoSuchRunError, "no run 'nothing'"),
        ("CHILD", IncompatibleError, r"run \w+ \(gan\) has no latent space to use: it has no"),
    ],
)
def test_only_a_run_with_a_latent_space_lends_it(bench, child, reference, error, message):
    reference = child.id if reference == "CHILD" else reference
    with pytest.raises(error, match=message):
        bench.plan("vae", f"latents:{reference}")


@pytest.mark.parametrize(
    ("model", "sets"),
    [
        ("cvae", ("z_dim=3",)),
        ("cvae", ("z_dim=3", "network=conv", "code=spatial", "channels=[4]")),
        ("aae", ("z_dim=3", "conditional=true")),
    ],
    ids=["vector", "grid", "by a setting"],
)
def test_codes_of_a_conditional_model_carry_the_labels_that_they_are_decoded_with(
    bench, model, sets
):
    source = bench.train(model, "digits", "data.size=8", *sets, epochs=1, epoch_images=200)
    planned = bench.plan("gan", f"latents:{source.id}", "data.draw=mean")
    assert planned.data_spec.shape[0] == 3 + 10
    child = bench.load(bench.carry_out(planned.spec).id)
    assert child.data.spec.shape == planned.data_spec.shape
    few = slice(0, 20)
    h, y = torch.from_numpy(child.data.test.x[few].copy()), child.data.test.y[few]
    parent = bench.load(source.id)
    x = to_float(torch.from_numpy(parent.data.test.x[few].copy()))
    labels = torch.from_numpy(y.copy())
    with torch.no_grad():
        shown = child.data.render(h)
        mean, _ = parent.model.encode(x, labels)
        by_hand, others = (parent.model.decode(mean, y) for y in (labels, (labels + 1) % 10))
    assert torch.allclose(shown, by_hand, atol=1e-3)
    assert not torch.allclose(shown, others, atol=1e-3)


def test_a_dry_run_of_a_graft_imports_no_torch(bench, parent):
    script = (
        "import sys; sys.argv[0] = 'genbench'; from genbench.cli import main\n"
        "try: main()\n"
        "finally: assert not {'torch', 'numpy', 'sqlalchemy'} & set(sys.modules), 'heavy'"
    )
    words = ["run", "gan", f"latents:{parent.id}", "--dry-run", "--json", "--store"]
    done = subprocess.run(
        [sys.executable, "-c", script, *words, bench.store.url],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["spec"]["parents"] == [parent.id]


def test_a_rerun_may_be_grafted_on_another_run(bench, parent, spatial, child):
    spec = RunSpec.from_json(child.spec)
    amended = amend(spec, bench.registry, bench.access, sets=[f"data.run={spatial.id[:7]}"])
    assert amended.parents == (amended.dataset_settings["run"],) == (spatial.id,)
    assert amended.experiment != spec.experiment
    assert amend(spec, bench.registry, bench.access) == spec


# --- training


def test_the_parent_stays_bitwise_as_it_is_while_a_child_trains_and_is_scored(bench, parent):
    before = files_of(bench, parent)
    child = bench.train("gan", f"latents:{parent.id}", *FEW, seed=1)
    evaluate_run(
        child.id, registry=bench.registry, store=bench.store, access=bench.access, device="cpu"
    )
    assert files_of(bench, parent) == before
    source = bench.runs.load(parent.id)
    assert source.digest == bench.runs.load(parent.id).digest


def epochs_to(told):
    """A listener that adds each epoch that ended to a list."""
    return lambda event: told.append(event) if isinstance(event, EpochDone) else None


def test_an_interrupted_child_resumes_and_ends_bitwise_where_an_unbroken_one_ends(bench, parent):
    spec = bench.plan("gan", f"latents:{parent.id}", *FEW, epochs=3, seed=2).spec
    unbroken, epochs = bench.carry_out(spec), []
    with pytest.raises(InterruptedRunError):
        bench.carry_out(spec, listeners=[epochs_to(epochs)], should_stop=lambda: bool(epochs))
    stopped = bench.store.runs(status="interrupted")[0]
    again = resume(stopped.id, registry=bench.registry, store=bench.store, access=bench.access)

    def weights(run):
        [file] = bench.store.folder(run.id).glob("checkpoints/*/weights.safetensors")
        return file.read_bytes()

    assert weights(again) == weights(unbroken)
    scores = [[s.value for s in bench.store.scores(run.id)] for run in (again, unbroken)]
    assert scores[0] == scores[1]


def test_an_unfinished_run_lends_nothing(bench, parent):
    spec, epochs = bench.plan("vae", "digits", "data.size=8", "z_dim=3").spec, []
    with pytest.raises(InterruptedRunError):
        bench.carry_out(spec, listeners=[epochs_to(epochs)], should_stop=lambda: bool(epochs))
    stopped = bench.store.run("@1")
    with pytest.raises(UsageError, match=rf"is interrupted.*genbench resume {stopped.id}"):
        bench.plan("gan", f"latents:{stopped.id}")


# --- the store


def test_show_names_parents_and_children(genbench, parent, child):
    code, out, _ = genbench("show", parent.id, "--json")
    assert code == 0
    assert child.id in json.loads(out)["children"]
    assert f"{parent.id} (vae on digits)" in genbench("show", child.id)[1]
    assert f"{child.id} (gan on latents)" in genbench("show", parent.id)[1]


def test_a_parent_is_not_deleted_without_its_children(bench, genbench, parent, child):
    code, _, err = genbench("rm", parent.id, "--yes")
    assert code == 2
    assert f"{child.id} (gan on latents)" in err
    named = err.partition(f"genbench rm {parent.id} ")[2].split()
    assert set(bench.store.children(parent.id)) <= set(named)
    with pytest.raises(UsageError, match=rf"needed by .*{child.id}"):
        bench.store.delete(parent.id)
    assert bench.store.run(parent.id).id == parent.id


def test_parent_and_children_are_deleted_together(tmp_path, bench, genbench, parent, child):
    copy = tmp_path / "copy"
    shutil.copytree(bench.store.runs_folder.parent, copy)
    url = str(copy / "runs.db")
    with Store.open(url) as store:
        family = [parent.id, *store.children(parent.id)]
        family += [run for child in family[1:] for run in store.children(child)]
        code, _, err = genbench("rm", *family, "--yes", "--store", url)
        assert code == 0, err
        assert not {run.id for run in store.runs()} & set(family)
        assert not store.folder(parent.id).exists()


def test_a_child_without_its_parent_says_so(tmp_path, bench, parent, child):
    copy = tmp_path / "copy"
    shutil.copytree(bench.store.runs_folder.parent, copy)
    with Store.open(copy / "runs.db") as store:
        with store.transaction() as connection:
            connection.exec_driver_sql(f"DELETE FROM runs WHERE id = '{parent.id}'")
        with pytest.raises(DataError, match=f"source run {parent.id} .* is no longer in the store"):
            evaluate_run(child.id, registry=bench.registry, store=store, access=bench.access)


# --- the comparison


def test_a_graft_stands_in_the_table_of_what_was_encoded_and_pays_for_its_parent_once(
    bench, genbench, parent, child
):
    code, out, _ = genbench("compare", "--dataset", "digits", "--json", "--baseline", parent.id)
    assert code == 0
    tables = [t for t in json.loads(out)["datasets"] if t["dataset_settings"] == {"size": 8}]
    [table] = tables
    assert table["dataset"] == "digits"
    rows = {row["experiment"]: row for row in table["rows"] if row["sampler"] == "plain"}
    graft, beneath = rows[child.experiment], rows[parent.experiment]
    assert (graft["model"], graft["lenders"]) == ("gan", ["vae"])
    assert graft["parents_s"] == pytest.approx(beneath["total_s"]["mean"])
    own = sum(stage["total_s"]["mean"] for stage in graft["stages"])
    assert graft["total_s"]["mean"] == pytest.approx(own + beneath["total_s"]["mean"])
    assert {"fd_pixel"} <= set(graft["scores"])
    assert "gan on latents of vae" in genbench("compare")[1]
    assert graft["total_speedup"] is not None


def test_seeds_of_parent_and_child_are_one_row(bench, parent, child):
    from genbench.compare import Question, Selection, select, tabulate

    other = bench.carry_out(replace(RunSpec.from_json(parent.spec), seed=1))
    bench.train("gan", f"latents:{other.id}", *FEW, seed=1)
    tables = tabulate(select(bench.store, Selection()).runs, Question())
    [row] = [
        row
        for table in tables
        for row in table.rows
        if row.first.experiment == child.experiment and row.sampler == "plain"
    ]
    assert {run.spec["dataset"] for run in row.runs} == {"latents"}
    assert {parent.id, other.id} == {p for t in row.runs for p in bench.store.run(t.id).parents}


def test_the_report_has_the_graft_and_its_command(bench, genbench, child, tmp_path):
    page = tmp_path / "page.html"
    code, _, err = genbench("report", child.id, "--out", str(page))
    assert code == 0, err
    text = page.read_text()
    assert "gan on latents of vae" in text
    assert "genbench run gan latents" in text


def test_reconstructions_upon_a_graft_are_compared_with_the_images_as_the_parents_are(
    bench, parent
):
    child = bench.train("vae", f"latents:{parent.id}", metrics=("reconstruction",))
    own, others = (
        evaluate_run(
            run_id,
            registry=bench.registry,
            store=bench.store,
            access=bench.access,
            samplers=(),
            metrics=(Part(name="reconstruction"),),
            device="cpu",
        )[0].scores[0]
        for run_id in (child.id, parent.id)
    )
    assert own.protocol == others.protocol
    assert own.value > others.value > 0


def test_what_is_measured_of_codes_never_displaces_what_is_measured_of_images(bench, parent):
    child = bench.train("vae", f"latents:{parent.id}", metrics=("active_units",), seed=5)
    for run_id in (parent.id, child.id):
        evaluate_run(
            run_id,
            registry=bench.registry,
            store=bench.store,
            access=bench.access,
            samplers=(),
            metrics=(Part(name="active_units"),),
            device="cpu",
        )
    found = select(bench.store, Selection(where=(Filter("run", "=", (parent.id, child.id)),)))
    [table] = tabulate(found.runs, Question(metrics=("active_units",)))
    digest = bench.load(parent.id).data.test.digest
    assert [column.protocol["reference_digest"] for column in table.columns] == [digest]
    assert any("it was computed on other data" in warning for warning in table.warnings)
    assert not any("to compute it again" in warning for warning in table.warnings)
