"""What all tests share: a clean environment, one cache, and real data where there is some."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from command_line import CommandLine, Said, in_process
from filelock import FileLock

if TYPE_CHECKING:
    from torch import Tensor

    from genbench.contracts import Batch, DataAccess
    from genbench.store import Store

if "PYTEST_XDIST_WORKER" in os.environ:
    # A worker for each core: more threads would be in one another's way. Before torch is imported.
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"
# What the processes that tests start compile is kept for the next one.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Threads that wait sleep soon, as the command line has it: the machine may be busy.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

ROOT = Path(__file__).resolve().parent.parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Tests that are left out anyhow are not imported."""
    left_out = collection_path.name == "cuda" and "not cuda" in config.option.markexpr
    return True if left_out else None


gc.disable()  # what the collection of tests makes is kept until the end


def pytest_collection_finish() -> None:
    """Leave all objects so far out of the garbage collections to come."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The temporary folder of this session, which all workers have in common."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def once(shared_folder: Path) -> Callable[[str, Callable[[Path], None]], Path]:
    """``once(name, fill)`` is a folder that the first worker fills and all workers may copy."""

    def made(name: str, fill: Callable[[Path], None]) -> Path:
        folder = shared_folder / name
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                unfinished = Path(tempfile.mkdtemp(dir=shared_folder))
                fill(unfinished)
                unfinished.rename(folder)
        return folder

    return made


@pytest.fixture(scope="session", autouse=True)
def clean_environment(shared_folder: Path) -> Iterator[None]:
    """No setting of the caller reaches a test; all tests share a cache that goes with them."""
    cache = shared_folder / "cache"
    cache.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("GENBENCH_") and not name.startswith("GENBENCH_TEST_"):
                patch.delenv(name)
        patch.setenv("GENBENCH_CACHE", str(cache))
        patch.setenv("GENBENCH_OFFLINE", "1")
        yield


@pytest.fixture(autouse=True)
def ordinary_signals() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt and a hangup ends the process, also for children of a test.

    A command line that runs in this process takes the signals over for good, importing
    `genbench.__main__` makes Ctrl-C deadly, and a shell's ``&`` or ``nohup`` has them ignored.
    """
    given = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in given.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def genbench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """Runs command lines in this process and the test's folder: ``genbench("show", "@1").code``."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Said:
        capsys.readouterr()
        code = in_process(*arguments)
        return Said(code, *capsys.readouterr())

    return call


@pytest.fixture
def access(tmp_path: Path) -> DataAccess:
    """Folders for data and what is computed of it, which end with the test."""
    from genbench.contracts import DataAccess

    return DataAccess(root=tmp_path / "data", cache=tmp_path / "cache", offline=True)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store, ``runs.db`` in the test's folder."""
    from genbench.store import Store

    with Store.open(tmp_path / "runs.db", mode="create") as opened:
        yield opened


@pytest.fixture(scope="session")
def command_line(clean_environment: None, shared_folder: Path) -> Iterator[CommandLine]:
    """Runs ``genbench`` command lines without a start of Python for each; all workers share it."""
    command_line = CommandLine(shared_folder / "zygote")
    yield command_line
    command_line.close()


@pytest.fixture(scope="session")
def real_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A torchvision root with MNIST and Fashion-MNIST, or a skip.

    ``GENBENCH_TEST_DATA`` names it; else the packed copy beside the repository is unpacked.
    """
    if given := os.environ.get("GENBENCH_TEST_DATA"):
        return Path(given)
    packed = ROOT.parent / "shared" / "data"
    if not (packed / "unpack").exists():
        pytest.skip("real MNIST: set GENBENCH_TEST_DATA to a folder in torchvision's layout")
    folder = tmp_path_factory.mktemp("real")
    subprocess.run([str(packed / "unpack"), str(folder)], check=True, capture_output=True)
    return folder


@pytest.fixture
def shared_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each update noise that depends on its step only, the same for all seeds."""
    from genbench.engine.shared_noise import SharedNoise
    from genbench.engine.update import Update

    ordinary = Update.__call__

    def call(self: Update, batch: Batch) -> list[Tensor]:
        with SharedNoise(batch.step):
            return ordinary(self, batch)

    monkeypatch.setattr(Update, "__call__", call)
