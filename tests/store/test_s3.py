"""Files of runs in a bucket: the server is that of moto, which speaks S3 over HTTP."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from command_line import CommandLine

from genbench.errors import StoreError
from genbench.store import Status, Store

pytestmark = pytest.mark.slow

BUCKET, ADDRESS = "bench", "s3://bench/runs"
EPOCHS = 30
RUN = (
    *("run", "vae", "digits", "--device", "cpu", "--batch-size", "240", "--metric", "none"),
    *("--set", "data.size=8", "--set", "hidden=[16]", "--no-watch", "--epochs", str(EPOCHS)),
)


class Server:
    """A server that can be stopped; what its buckets have, it has again when it is started."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.port: int = found.getsockname()[1]

    def start(self) -> None:
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._server.start()

    def stop(self) -> None:
        self._server.stop()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Server]:
    for name in ("moto", "flask_cors", "s3fs"):
        pytest.importorskip(name, reason="no server of S3 here: pip install 'moto[server]' s3fs")
    import s3fs

    caplog.set_level("ERROR", "werkzeug")
    made = Server()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{made.port}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "me")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    made.start()
    s3fs.S3FileSystem(skip_instance_cache=True).makedirs(BUCKET, exist_ok=True)
    yield made
    made.stop()


def wait_for_checkpoint(url: Path) -> str:
    """The id of the run in a store, once it has uploaded a checkpoint."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with suppress(StoreError), Store.open(url, mode="read") as store:
            for run in store.runs():
                if run.checkpoint_step:
                    return run.id
        time.sleep(0.1)
    raise AssertionError("no checkpoint was uploaded")


def test_a_run_that_loses_its_bucket_is_resumed_elsewhere_and_reported(
    server: Server, command_line: CommandLine, tmp_path: Path
) -> None:
    """Each working folder is a machine: only the store and the bucket are shared."""
    one, two, url = tmp_path / "one", tmp_path / "two", tmp_path / "runs.db"
    for folder in (one, two):
        folder.mkdir()
    store = ("--store", str(url))
    command_line.start(*RUN, *store, "--files", ADDRESS, folder=one, log=tmp_path / "log")
    run_id = wait_for_checkpoint(url)
    server.stop()
    deadline = time.monotonic() + 240
    while "genbench: error" not in (tmp_path / "log").read_text():
        assert time.monotonic() < deadline, (tmp_path / "log").read_text()
        time.sleep(0.2)
    said = (tmp_path / "log").read_text()
    [sentence] = [line for line in said.splitlines() if "error" in line]
    assert f"files at {ADDRESS} can't be" in sentence
    assert f"genbench resume {run_id}" in sentence
    assert "secret" not in said
    server.start()
    shutil.rmtree(tmp_path / "runs")
    again = command_line("resume", run_id, *store, folder=two, limit=300)
    assert again.code == 0, again.err
    assert "continuing after step" in again.err
    shutil.rmtree(tmp_path / "runs")
    reported = command_line("report", *store, "--out", "page.html", folder=one, limit=120)
    assert reported.code == 0, reported.err
    assert "data:image/png" in (one / "page.html").read_text()
    with Store.open(url, mode="read") as opened:
        assert opened.run(run_id).status is Status.FINISHED
        assert [epoch.epoch for epoch in opened.epochs(run_id)] == list(range(1, EPOCHS + 1))


def test_a_bucket_that_is_missing_is_one_sentence_and_leaves_no_run(
    server: Server, command_line: CommandLine, tmp_path: Path
) -> None:
    said = command_line(*RUN, "--files", "s3://missing/runs", folder=tmp_path, limit=120)
    assert said.code == 5, said.err
    [sentence] = [line for line in said.err.splitlines() if "error" in line]
    assert "files at s3://missing/runs can't be written (The specified bucket does not" in sentence
    with Store.open(tmp_path / "runs.db", mode="read") as store:
        assert store.runs() == []
