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


def stop(path: Path, **changes: object) -> Run:
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


@pytest.fixture(scope="module")
def left_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of two such runs, of the seeds 0 and 1."""
    folder = tmp_path_factory.mktemp("left")
    for seed in (0, 1):
        stop(folder / "runs.db", seed=seed)
    return folder


@pytest.fixture
def left(left_once: Path, tmp_path: Path) -> tuple[Path, Run, Run]:
    """A copy of that store in the test's folder, and its runs of the seeds 0 and 1."""
    shutil.copytree(left_once, tmp_path, dirs_exist_ok=True)
    with Store.open(tmp_path / "runs.db", mode="read") as store:
        second, first = store.runs()
    return tmp_path / "runs.db", first, second


def epochs(path: Path, run_id: str) -> list[int]:
    with Store.open(path, mode="read") as store:
        return [e.epoch for e in store.epochs(run_id)]


def test_a_run_without_its_checkpoint_is_not_started_again_silently(
    genbench, left, tmp_path
) -> None:
    path, mine, _ = left
    before = epochs(path, mine.id)
    folder = tmp_path / "runs" / mine.id
    shutil.rmtree(folder)
    for arguments in (("resume", mine.id), *((c, mine.id, *rest) for c, *rest in READING)):
        said = genbench(*arguments)
        assert said.code == 5, said
        assert str(folder) in said.err
        assert "--from-scratch" in said.err
    with Store.open(path, mode="read") as store:
        assert store.run(mine.id) == mine
    assert epochs(path, mine.id) == before


def test_a_checkpoint_that_is_older_than_the_one_known_is_told_of(genbench, left) -> None:
    path, mine, _ = left
    with Store.open(path) as store, store.transaction() as connection:
        connection.exec_driver_sql("UPDATE runs SET checkpoint_step = checkpoint_step + 100")
    said = genbench("resume", mine.id)
    assert said.code == 0, said
    assert "the steps in between are repeated" in said.err


def test_from_scratch_drops_the_records_and_starts_again(genbench, left, tmp_path) -> None:
    path, gone, there = left
    shutil.rmtree(tmp_path / "runs" / gone.id)
    for each in (gone, there):
        said = genbench("resume", each.id, "--from-scratch")
        assert said.code == 0, said
        assert "starting again" in said.err
        assert "epoch 1/4" in said.err
        assert epochs(path, each.id) == [1, 2, 3, 4]


def test_a_run_without_a_checkpoint_yet_starts_again_without_being_asked(
    genbench, left, tmp_path
) -> None:
    path, mine, _ = left
    forget = "UPDATE runs SET checkpoint_step = NULL, checkpoint_epoch = NULL"
    with Store.open(path) as store, store.transaction() as connection:
        connection.exec_driver_sql(forget)
    shutil.rmtree(tmp_path / "runs" / mine.id)
    assert genbench("resume", mine.id).code == 0
    assert epochs(path, mine.id) == [1, 2, 3, 4]


def test_a_store_behind_a_symbolic_link_has_its_runs_beside_the_file(
    genbench, left, tmp_path
) -> None:
    path, mine, _ = left
    link = tmp_path / "link"
    link.mkdir()
    (link / "runs.db").symlink_to(path)
    said = genbench("resume", mine.id, "--store", str(link / "runs.db"))
    assert said.code == 0, said
    assert "continuing after step" in said.err
    assert not (link / "runs").exists()
    assert epochs(path, mine.id) == [1, 2, 3, 4]


def test_a_store_made_through_a_dangling_link_is_made_where_the_link_points(tmp_path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "runs.db").symlink_to(tmp_path / "real" / "runs.db")
    stop(tmp_path / "runs.db")
    assert (tmp_path / "real" / "runs.db").is_file()
    assert (tmp_path / "real" / "runs").is_dir()
    assert (tmp_path / "runs.db").is_symlink()


@pytest.mark.parametrize("difference", ["run", "digest"])
def test_another_runs_checkpoint_is_refused_by_every_command(
    genbench, left, tmp_path, difference
) -> None:
    path, mine, other = left
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


def test_another_runs_latent_space_is_not_lent(genbench, left, tmp_path) -> None:
    _, mine, other = left
    for each in (mine, other):
        assert genbench("resume", each.id).code == 0
    folders = [tmp_path / "runs" / r.id / "checkpoints" for r in (mine, other)]
    shutil.rmtree(folders[0])
    shutil.copytree(folders[1], folders[0])
    said = genbench("run", "vae", f"latents:{mine.id}", "--epochs", "1")
    assert said.code == 5, said
    assert f"of run {other.id}" in said.err


def test_a_checkpoint_that_does_not_name_its_run_is_taken_as_before(
    genbench, left, tmp_path
) -> None:
    path, mine, _ = left
    [file] = (tmp_path / "runs" / mine.id).glob("checkpoints/*/manifest.json")
    manifest = json.loads(file.read_text())
    assert (manifest.pop("run"), manifest.pop("digest")) == (mine.id, mine.digest)
    del manifest["sha256"]
    file.write_text(json.dumps(manifest))
    assert genbench("resume", mine.id).code == 0
    with Store.open(path, mode="read") as store:
        assert store.run(mine.id).status is Status.FINISHED


def test_a_run_resumed_with_another_device_keeps_its_checkpoints(genbench, left) -> None:
    # Its spec said cuda, which is in the digest; the rest of the run is on the CPU.
    path, mine, _ = left
    spec = json.loads(mine.spec)
    with Store.open(path) as store, store.transaction() as connection:
        text = json.dumps({**spec, "device": "cuda"}, sort_keys=True, separators=(",", ":"))
        connection.exec_driver_sql("UPDATE runs SET spec = ?, device = 'cuda'", (text,))
    assert genbench("resume", mine.id, "--device", "cpu").code == 0
