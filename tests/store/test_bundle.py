"""Runs in a zip file: all of them or none, once, and nothing that a stranger put there."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genbench.doctor.leftovers import find
from genbench.errors import DataError, UsageError
from genbench.runner import data_access
from genbench.store import Store
from genbench.store.bundle import export_runs, import_runs
from genbench.store.run_folders import ADDRESS_FILE


@pytest.fixture
def run(store, create, make):
    """A finished run with files."""
    made = create(name="first", tags=("paper",))
    make.fill(store, made)
    weights = store.folder(made.id) / "checkpoints" / "step-30" / "weights.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights" * 100)
    return made.id


@pytest.fixture
def other(tmp_path):
    (tmp_path / "other").mkdir()
    with Store.open(tmp_path / "other" / "runs.db", mode="create") as other:
        yield other


@pytest.fixture
def bundle(store, run, tmp_path):
    path = tmp_path / "runs.zip"
    export_runs(store, [run], path)
    return path


READ = ("run", "stages", "epochs", "scores", "draws", "warnings", "plugins", "artifacts", "params")


def everything(store: Store, run_id: str) -> dict[str, Any]:
    found = {name: getattr(store, name)(run_id) for name in READ}
    for draw in found["scores"]:
        object.__setattr__(draw, "draw", 0)
    object.__setattr__(found["run"], "heartbeat_at", None)
    object.__setattr__(found["run"], "host", None)
    return {
        **found,
        "series": {key: store.series(run_id, key) for key in store.keys(run_id)},
        "summaries": sorted(map(repr, store.summaries(run_id))),
        "environments": store.environments(run_id),
    }


def files(store: Store, run_id: str) -> dict[str, bytes]:
    folder = store.folder(run_id)
    kept = [p for p in folder.rglob("*") if p.is_file() and p.name != ADDRESS_FILE]
    return {str(p.relative_to(folder)): p.read_bytes() for p in kept}


def test_an_imported_run_has_all_that_it_had_and_its_id(store, run, other, create, make, bundle):
    # The other store has given the same small integers to something else.
    first = other.create_run(make.spec(seed=9), stages=make.stages, environment={"cpu": "other"})
    make.fill(other, first)
    found = import_runs(other, bundle)
    assert (found.new, found.known, found.unnamed) == ((run,), (), {})
    assert everything(other, run) == everything(store, run)
    assert files(other, run) == files(store, run)


def test_importing_twice_is_once(other, bundle, run):
    import_runs(other, bundle)
    before = everything(other, run)
    other.edit(run, name="mine", note="changed here", untag=("paper",))
    found = import_runs(other, bundle)
    assert (found.new, found.known) == ((), (run,))
    assert other.run(run).name == "mine"
    assert len(other.runs()) == 1
    assert everything(other, run)["scores"] == before["scores"]
    assert [p.name for p in other.runs_folder.iterdir() if p.name.startswith(".rem")] == []


def test_a_run_of_the_same_id_with_other_content_is_refused(other, bundle, run, make):
    import_runs(other, bundle)
    other.add_evaluation(run, make.evaluation(3, 1.0))
    with pytest.raises(UsageError, match=rf"other content; nothing was imported.*rm {run}"):
        import_runs(other, bundle)


def test_a_name_that_is_taken_is_left_out(other, bundle, run, make):
    other.create_run(make.spec(), name="first", stages=make.stages, environment={})
    found = import_runs(other, bundle)
    assert found.unnamed == {run: "first"}
    assert other.run(run).name is None


def test_a_bundle_of_several_runs_comes_in_whole_or_not_at_all(
    store, run, other, create, make, tmp_path, bundle
):
    second = create(make.spec(seed=1))
    make.fill(store, second)
    both = tmp_path / "both.zip"
    export_runs(store, [run, second.id], both)
    import_runs(other, bundle)
    other.add_evaluation(run, make.evaluation(3, 1.0))
    with pytest.raises(UsageError):
        import_runs(other, both)
    assert [r.id for r in other.runs()] == [run]
    assert not other.folder(second.id).exists()


def test_a_running_run_is_not_exported(store, create, tmp_path):
    with pytest.raises(UsageError, match="still running"):
        export_runs(store, [create().id], tmp_path / "runs.zip")
    assert not (tmp_path / "runs.zip").exists()


# --- strangers


Change = Callable[[dict[str, bytes], dict[str, Any], dict[str, Any], str], None]


def rewritten(bundle: Path, run: str, change: Change) -> Path:
    """The bundle with other members; what the manifest says of the rows is brought up to date."""
    with zipfile.ZipFile(bundle) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members["manifest.json"])
    rows = json.loads(members[f"runs/{run}/rows.json"])
    change(members, manifest, rows, run)
    text = json.dumps(rows).encode()
    members[f"runs/{run}/rows.json"] = text
    described = manifest["runs"] and manifest["runs"].get(run)
    if described:
        described["rows"] = {"bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()}
    members.setdefault("manifest.json", b"")
    if members["manifest.json"] != b"gone":
        members["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return bundle


def smuggle(path: str) -> Change:
    def change(members, manifest, rows, run):
        members[f"runs/{run}/files/{path}"] = b"x"
        entry = {"bytes": 1, "sha256": hashlib.sha256(b"x").hexdigest()}
        manifest["runs"][run]["files"][path] = entry

    return change


def in_rows(table: str, column: str, value: Any) -> Change:
    def change(members, manifest, rows, run):
        rows[table][0][column] = value

    return change


def in_manifest(name: str, value: Any) -> Change:
    def change(members, manifest, rows, run):
        manifest[name] = value

    return change


def other_id(members, manifest, rows, run):
    manifest["runs"]["../../etc"] = manifest["runs"].pop(run)


def unannounced(members, manifest, rows, run):
    members["runs/evil.py"] = b"print()"


def lied_about_size(members, manifest, rows, run):
    name = "checkpoints/step-30/weights.safetensors"
    manifest["runs"][run]["files"][name]["bytes"] = 3


def changed_weights(members, manifest, rows, run):
    members[f"runs/{run}/files/checkpoints/step-30/weights.safetensors"] = b"evil" * 175


def bomb(members, manifest, rows, run):
    manifest["runs"][run]["files"]["samples/epoch-3.png"]["bytes"] = 1 << 40


def second_run(members, manifest, rows, run):
    rows["runs"].append(rows["runs"][0])


HOSTILE: dict[str, tuple[Change, str]] = {
    "up and out": (smuggle("../../evil"), "not one of a run's folder"),
    "absolute": (smuggle("/etc/passwd"), "not one of a run's folder"),
    "backslashes": (smuggle("..\\evil"), "not one of a run's folder"),
    "a drive": (smuggle("C:evil"), "not one of a run's folder"),
    "hidden": (smuggle(".store"), "not one of a run's folder"),
    "an artifact outside": (in_rows("artifacts", "path", "../../evil"), "not one of a run's"),
    "an id that is a path": (other_id, "not the id of a run"),
    "an unannounced member": (unannounced, "don't match its manifest"),
    "a wrong size": (lied_about_size, "doesn't match the manifest"),
    "changed weights": (changed_weights, "doesn't match the manifest"),
    "a bomb": (bomb, "would unpack to"),
    "a newer schema": (in_manifest("schema", 99), "update genbench"),
    "no format": (in_manifest("format", None), "manifest can't be read"),
    "runs as a list": (in_manifest("runs", []), "manifest can't be read"),
    "a text for a number": (in_rows("epochs", "train_s", "1; DROP TABLE runs"), "'train_s'"),
    "a huge number": (in_rows("epochs", "step", 1 << 70), "'step'"),
    "no moment": (in_rows("runs", "created_at", "yesterday"), "'created_at'"),
    "a running run": (in_rows("runs", "status", "running"), "must have ended"),
    "another spec": (in_rows("runs", "model", "gan"), "another run"),
    "no spec": (in_rows("runs", "spec", '{"a": 1}'), "newer genbench|can't be read"),
    "two heads": (second_run, "must have ended"),
    "an unknown column": (in_rows("epochs", "evil", 1), "unknown columns"),
    "an unknown series": (in_rows("points", "key", ["loss", "unknown"]), "missing"),
    "an unknown draw": (in_rows("evals", "draw", 77), "missing"),
    "another protocol": (in_rows("protocols", "body", "{}"), "missing"),
    "a long name": (in_rows("runs", "name", "n" * 1000), "200 characters"),
    "a long note": (in_rows("runs", "note", "n" * 10_001), "10000 characters"),
    "a name that is a reference": (in_rows("runs", "name", "@1"), "can't be the name"),
    "NUL in a tag": (in_rows("run_tags", "tag", "a\0b"), "the character NUL"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_bundle_is_refused_and_leaves_nothing(other, bundle, run, what, tmp_path):
    change, message = HOSTILE[what]
    rewritten(bundle, run, change)
    before = sorted(p for p in tmp_path.rglob("*"))
    with pytest.raises((DataError, UsageError), match=message):
        import_runs(other, bundle)
    assert other.runs() == []
    left = {p for p in tmp_path.rglob("*") if p.name not in ("runs.db-wal", "runs.db-shm")}
    assert left - {*before} - {other.runs_folder} == set()


@pytest.mark.parametrize("size", [0, 10, 500, -200, -30])
def test_a_bundle_that_is_cut_short_or_no_zip_is_one_sentence(other, bundle, size):
    bundle.write_bytes(bundle.read_bytes()[:size])
    with pytest.raises(DataError, match=r"runs\.zip"):
        import_runs(other, bundle)
    assert other.runs() == []


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bundle_that_is_compressed_otherwise_is_refused(other, bundle, method):
    with zipfile.ZipFile(bundle) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(bundle, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(DataError, match="compressed in a way"):
        import_runs(other, bundle)


def test_every_flipped_byte_is_noticed_or_harmless(other, bundle, run):
    """The manifest and all members are held against digests; other bytes mean nothing."""
    whole = bundle.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 25)):
        flipped = bytearray(whole)
        flipped[place] ^= 0x55
        bundle.write_bytes(flipped)
        try:
            import_runs(other, bundle)
        except (DataError, UsageError):
            continue
        assert (other.folder(run) / "samples" / "epoch-3.png").read_bytes() == b"a picture"


def test_a_symbolic_link_in_the_folder_is_not_followed(store, run, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (store.folder(run) / "link.txt").symlink_to(tmp_path / "secret")
    export_runs(store, [run], tmp_path / "runs.zip")
    with zipfile.ZipFile(tmp_path / "runs.zip") as archive:
        assert not [name for name in archive.namelist() if "link" in name]


def test_a_kill_between_files_and_rows_leaves_what_doctor_removes(store, run, other, bundle):
    staged = other.staging(run)
    shutil.copytree(store.folder(run), staged, ignore=shutil.ignore_patterns(ADDRESS_FILE))
    found = find(other.url, data_access(other.runs_folder, {}, offline=True))
    assert any(str(staged) in str(left) for left in found)
    import_runs(other, bundle)
    assert not staged.exists()


def test_a_folder_of_a_neighbouring_store_is_never_replaced(store, run, bundle, tmp_path):
    before = files(store, run)
    with (
        Store.open(tmp_path / "beside.db", mode="create") as beside,
        pytest.raises(UsageError, match="already exists"),
    ):
        import_runs(beside, bundle)
    assert files(store, run) == before


def test_an_interrupted_removal_is_taken_back_before_an_import(store, run, bundle):
    before = files(store, run)
    store.folder(run).rename(store.staging(run))
    assert import_runs(store, bundle).known == (run,)
    assert files(store, run) == before
