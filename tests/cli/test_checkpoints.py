"""Law: no command works with a checkpoint that is gone or another run's, nor drops what is stored.

On the real command line, with runs that were stopped after two epochs.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from genbench.errors import InterruptedRunError
from genbench.events import Checkpointed, Event
from genbench.registry import Registry
from genbench.runner import data_access, run
from genbench.spec import Part, RunSpec
from genbench.store import Store
from genbench.store.records import Run, Status

SPEC = RunSpec(
    model="vae",
    dataset="digits",
    model_settings={"hidden": [8], "z_dim": 2},
    dataset_settings={"size": 8},
    epochs=4,
    batch_size=240,
    samples=64,
    metrics=(Part(name="fd_pixel"),),
)
READING = (
    ("sample", "--out", "s.png"),
    ("evaluate",),
    ("reconstruct", "--out", "r.png"),
    ("latents", "--out", "l.png"),
)


def stopped(path: Path, **changes: object) -> Run:
    """A run in the store at ``path`` that was stopped after its checkpoint of an epoch."""
    seen: list[int] = []

    def listen(event: Event) -> None:
        if isinstance(event, Checkpointed):
            seen.append(event.epoch)

    spec = RunSpec(**{**vars(SPEC), **changes})  # type: ignore[arg-type]
    with Store.open(path, mode="create") as store:
        with pytest.raises(InterruptedRunError):
            run(
                spec,
                registry=Registry.from_environment(),
                store=store,
                access=data_access(None, {}, offline=True),
                listeners=[listen],
                should_stop=lambda: bool(seen) and seen[-1] >= 2,
            )
        return store.run("@1")


def epochs(path: Path, run_id: str) -> list[int]:
    with Store.open(path, mode="read") as store:
        return [e.epoch for e in store.epochs(run_id)]


def test_a_run_whose_checkpoint_is_gone_is_not_started_again_silently(genbench, tmp_path) -> None:
    path = tmp_path / "runs.db"
    left = stopped(path)
    before = epochs(path, left.id)
    folder = tmp_path / "runs" / left.id
    shutil.rmtree(folder)
    for arguments in (("resume", left.id), *((c, left.id, *rest) for c, *rest in READING)):
        said = genbench(*arguments)
        assert said.code == 5, said
        assert str(folder) in said.err
        assert "--from-scratch" in said.err
    with Store.open(path, mode="read") as store:
        assert store.run(left.id) == left
    assert epochs(path, left.id) == before


def test_a_checkpoint_that_is_older_than_the_one_known_is_told_of(genbench, tmp_path) -> None:
    path = tmp_path / "runs.db"
    left = stopped(path)
    with Store.open(path) as store, store.transaction() as connection:
        connection.exec_driver_sql("UPDATE runs SET checkpoint_step = checkpoint_step + 100")
    said = genbench("resume", left.id)
    assert said.code == 0, said
    assert "the steps in between are repeated" in said.err


def test_from_scratch_drops_the_records_and_starts_again(genbench, tmp_path) -> None:
    path = tmp_path / "runs.db"
    gone, there = stopped(path), stopped(path, seed=1)
    shutil.rmtree(tmp_path / "runs" / gone.id)
    for left in (gone, there):
        said = genbench("resume", left.id, "--from-scratch")
        assert said.code == 0, said
        assert "starting again" in said.err
        assert "epoch 1/4" in said.err
        assert epochs(path, left.id) == [1, 2, 3, 4]


def test_a_run_without_a_checkpoint_yet_starts_again_without_being_asked(
    genbench, tmp_path
) -> None:
    path = tmp_path / "runs.db"
    left = stopped(path)
    forget = "UPDATE runs SET checkpoint_step = NULL, checkpoint_epoch = NULL"
    with Store.open(path) as store, store.transaction() as connection:
        connection.exec_driver_sql(forget)
    shutil.rmtree(tmp_path / "runs" / left.id)
    assert genbench("resume", left.id).code == 0
    assert epochs(path, left.id) == [1, 2, 3, 4]


def test_a_store_behind_a_symbolic_link_has_its_runs_beside_the_file(genbench, tmp_path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir(), link.mkdir()
    left = stopped(real / "runs.db")
    (link / "runs.db").symlink_to(real / "runs.db")
    said = genbench("resume", left.id, "--store", str(link / "runs.db"))
    assert said.code == 0, said
    assert "continuing after step" in said.err
    assert not (link / "runs").exists()
    assert epochs(real / "runs.db", left.id) == [1, 2, 3, 4]


def test_a_store_made_through_a_dangling_link_is_made_where_the_link_points(tmp_path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "runs.db").symlink_to(tmp_path / "real" / "runs.db")
    stopped(tmp_path / "runs.db")
    assert (tmp_path / "real" / "runs.db").is_file()
    assert (tmp_path / "real" / "runs").is_dir()
    assert (tmp_path / "runs.db").is_symlink()


@pytest.mark.parametrize("difference", ["run", "digest"])
def test_another_runs_checkpoint_is_refused_by_every_command(
    genbench, tmp_path, difference
) -> None:
    path = tmp_path / "runs.db"
    mine, other = stopped(path), stopped(path, seed=1)
    before = epochs(path, mine.id)
    folders = [tmp_path / "runs" / r.id / "checkpoints" for r in (mine, other)]
    shutil.rmtree(folders[0])
    shutil.copytree(folders[1], folders[0])
    if difference == "digest":
        [file] = folders[0].glob("*/manifest.json")
        manifest = json.loads(file.read_text())
        del manifest["sha256"]  # as an older genbench wrote it
        file.write_text(json.dumps({**manifest, "run": mine.id}))
    word = f"of run {other.id}, not of run {mine.id}" if difference == "run" else "other settings"
    for arguments in (("resume", mine.id), *((c, mine.id, *rest) for c, *rest in READING)):
        said = genbench(*arguments)
        assert said.code == 5, said
        assert word in said.err
    assert epochs(path, mine.id) == before


def test_another_runs_latent_space_is_not_lent(genbench, tmp_path) -> None:
    path = tmp_path / "runs.db"
    mine, other = stopped(path), stopped(path, seed=1)
    for left in (mine, other):
        assert genbench("resume", left.id).code == 0
    folders = [tmp_path / "runs" / r.id / "checkpoints" for r in (mine, other)]
    shutil.rmtree(folders[0])
    shutil.copytree(folders[1], folders[0])
    said = genbench("run", "vae", f"latents:{mine.id}", "--epochs", "1")
    assert said.code == 5, said
    assert f"of run {other.id}" in said.err


def test_a_checkpoint_that_does_not_name_its_run_is_taken_as_before(genbench, tmp_path) -> None:
    path = tmp_path / "runs.db"
    left = stopped(path)
    [file] = (tmp_path / "runs" / left.id).glob("checkpoints/*/manifest.json")
    manifest = json.loads(file.read_text())
    assert (manifest.pop("run"), manifest.pop("digest")) == (left.id, left.digest)
    del manifest["sha256"]
    file.write_text(json.dumps(manifest))
    assert genbench("resume", left.id).code == 0
    with Store.open(path, mode="read") as store:
        assert store.run(left.id).status is Status.FINISHED


def test_a_run_resumed_with_another_device_keeps_its_checkpoints(genbench, tmp_path) -> None:
    # Its spec said cuda, which is in the digest; the rest of the run is on the CPU.
    path = tmp_path / "runs.db"
    left = stopped(path)
    spec = json.loads(left.spec)
    with Store.open(path) as store, store.transaction() as connection:
        text = json.dumps({**spec, "device": "cuda"}, sort_keys=True, separators=(",", ":"))
        connection.exec_driver_sql("UPDATE runs SET spec = ?, device = 'cuda'", (text,))
    assert genbench("resume", left.id, "--device", "cpu").code == 0
