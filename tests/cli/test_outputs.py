"""``--out`` of every command: nothing that is there is lost, and no half file is left."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
from command_line import in_process

from genbench.files.writing import replacing
from genbench.store import Store

SMALL = ("--set", "data.size=8", "--set", "hidden=[8]", "--batch-size", "240", "--device", "cpu")
RUN = (
    *("run", "vae", "digits", *SMALL, "--epochs", "1", "--no-watch"),
    *("--metric", "fd_pixel", "--samples", "64"),
)
STUDY = """
title = "one"
datasets = ["digits"]
seeds = [0]
epochs = 1
runs = [{ model = "vae" }]
"""
COMMANDS = {
    "report": (("report",), ".html"),
    "study": (("study", "s.toml", "--table-only"), ".md"),
    "compare": (("compare", "--pareto"), ".svg"),
    "sample": (("sample", "@1", "-n", "4"), ".png"),
    "arrays": (("sample", "@1", "-n", "4"), ".npz"),
    "reconstruct": (("reconstruct", "@1", "-n", "4"), ".png"),
    "interpolate": (("interpolate", "@1", "--rows", "1"), ".png"),
    "traverse": (("traverse", "@1", "--dims", "0,1", "--steps", "3"), ".png"),
    "latents": (("latents", "@1", "-n", "20"), ".npz"),
    "curves": (("curves", "@1"), ".svg"),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outputs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert in_process(*RUN, "-q") == 0
    (folder / "s.toml").write_text(STUDY)
    return folder


@pytest.fixture
def genbench(genbench, trained, tmp_path, monkeypatch):
    """The command line in a copy of the folder."""
    folder = tmp_path / "work"
    shutil.copytree(trained, folder)
    monkeypatch.chdir(folder)
    return genbench


def contents() -> dict[str, bytes | None]:
    """Every file here; SQLite's side files come and go with a reader."""
    return {
        str(path): path.read_bytes() if path.is_file() else None
        for path in sorted(Path().rglob("*"))
        if not path.name.endswith(("-wal", "-shm"))
    }


def hinder(ending: str) -> list[str]:
    """Places that no output may take, each made here."""
    os.mkfifo(f"pipe{ending}")
    Path(f"folder{ending}").mkdir()
    Path(f"null{ending}").symlink_to("/dev/null")
    Path(f"to-store{ending}").symlink_to("runs.db")
    os.link("runs.db", f"same-store{ending}")
    Path("blocked").write_text("a file")
    long = "x" * 300
    places = [f"pipe{ending}", f"folder{ending}/", f"null{ending}", f"to-store{ending}"]
    places += [f"same-store{ending}", "runs.db", "runs.db-wal", "runs.db-shm", "runs.db-journal"]
    places += [f"runs/x{ending}", f"blocked/x{ending}", f"{long}{ending}"]
    return [*places, f"wrong{ending}.xyz", "/dev/null", "/dev/full", f"\udcff{long * 20}{ending}"]


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_there_is_never_taken_for_an_output(genbench, name) -> None:
    words, ending = COMMANDS[name]
    places = hinder(ending)
    if name in ("sample", "arrays"):
        places = [p for p in places if not p.endswith("/")]  # a folder of pictures, for these
    before = contents()
    for place in places:
        code, _, err = genbench(*words, "--out", place)
        assert code == 2, place
        [line] = err.splitlines()
        assert line.startswith("genbench: error: --out"), line
    assert contents() == before
    assert stat.S_ISFIFO(Path(f"pipe{ending}").stat().st_mode)
    with Store.open("runs.db", mode="read") as store:
        assert store.run("@1").status == "finished"


def test_a_study_never_writes_over_its_own_file(genbench) -> None:
    Path("study.md").write_text(STUDY)
    Path("link.md").symlink_to("study.md")
    for place in ("study.md", "link.md", "./study.md"):
        code, _, err = genbench("study", "study.md", "--table-only", "--out", place)
        assert code == 2
        assert "is a file that the command reads" in err
    assert genbench("study", "s.toml", "--out", "s.toml")[0] == 2
    assert Path("study.md").read_text() == STUDY


@pytest.mark.parametrize("name", COMMANDS)
def test_an_output_goes_through_a_link_keeps_permissions_and_makes_its_folder(
    genbench, name
) -> None:
    words, ending = COMMANDS[name]
    place = Path(f"new/folder/out{ending}")
    assert genbench(*words, "--out", str(place))[0] == 0
    assert place.stat().st_size > 0
    assert stat.S_IMODE(place.stat().st_mode) == 0o666 & ~_umask()
    old = Path(f"old{ending}")
    old.write_text("old")
    old.chmod(0o640)
    link = Path(f"link{ending}")
    link.symlink_to(old)
    assert genbench(*words, "--out", str(link))[0] == 0
    assert link.is_symlink()
    assert old.read_bytes() != b"old"
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    assert not list(Path().rglob("*.part"))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("place", ["runs", "runs/", "s.toml", "runs/new/"])
def test_a_folder_of_samples_is_no_folder_of_runs_and_no_file(genbench, place) -> None:
    before = contents()
    code, _, err = genbench("sample", "@1", "-n", "2", "--out", place)
    assert (code, len(err.splitlines())) == (2, 1)
    assert contents() == before


def test_a_write_that_fails_leaves_what_was_there(tmp_path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=np.arange(3))
    before = path.read_bytes()

    def interrupted() -> None:
        with replacing(path) as part:
            part.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]
