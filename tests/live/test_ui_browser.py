"""The live view in a real browser, while two real runs train.

Needs the extra ui (``pip install -e .[ui]``), and what `chromium` needs.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest
from chromium import launched, needs_chromium, overheard
from recorded import record, start

from genbench.errors import GenbenchError
from genbench.live.access import Access
from genbench.live.server import Pages, make_app
from genbench.store import Store

uvicorn = pytest.importorskip("uvicorn", reason="needs the extra ui: pip install -e .[ui]")
pytestmark = needs_chromium

SMALL = ("--set", "data.size=8", "--set", "hidden=[8]", "--batch-size", "60", "--device", "cpu")
LONG = ("--epochs", "100000", "--sample-every", "5", "--evaluate-every", "0", "--no-watch")
PATIENCE_MS = 90_000
"""The machine may be busy; what is waited for takes a second or two on an idle one."""
HOSTILE = '"><img src=x onerror=alert(1)>'


@contextmanager
def started(python: Path, folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A command line in the background; it ends with the block."""
    with (
        (folder / f"{words[0]}-{time.monotonic_ns()}.txt").open("w") as log,
        subprocess.Popen(
            [str(python), "-m", "genbench", *words],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def until_both_train(folder: Path) -> list[str]:
    """The ids of two runs, the newest first, once each has an epoch."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while time.monotonic() < deadline:
        time.sleep(0.2)
        try:
            with Store.open(folder / "runs.db", mode="read") as store:
                runs = [run for run in store.runs() if run.epochs_done]
        except GenbenchError:
            continue
        if len(runs) == 2:
            return [run.id for run in runs]
    raise AssertionError("the two runs did not start")


def last_epoch(page) -> float:
    """Where the curve of the training loss ends."""
    points = page.locator("#curves .by-epochs g.curve").first.get_attribute("data-p")
    return float(points.split(";")[-1].split(",")[0])


def test_curves_grow_pictures_come_and_a_killed_run_is_lost_without_a_reload(
    command_line, tmp_path
):
    with ExitStack() as stack:
        for name in ("one", HOSTILE):
            words = ("run", "vae", "digits", *SMALL, *LONG, "--name", name)
            process = stack.enter_context(started(command_line.python, tmp_path, *words))
        newest, _ = until_both_train(tmp_path)
        with Store.open(tmp_path / "runs.db", mode="read") as store:
            name = store.run(newest).name
            ((pid,),) = store.rows("SELECT pid FROM runs WHERE id = :id", {"id": newest})
        assert name in ("one", HOSTILE)
        assert process.poll() is None
        server = stack.enter_context(
            started(command_line.python, tmp_path, "ui", "--port", "0", "--no-browser")
        )
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        home = address.partition("?")[0]
        page = stack.enter_context(launched()).new_page()
        page.set_default_timeout(PATIENCE_MS)
        (told, asked), loads = overheard(page), []
        page.on("domcontentloaded", lambda page: loads.append(page.url))

        page.goto(address)
        assert page.url == home  # the token has left the address
        assert page.locator(".state.running").count() == 2
        page.locator(f"#run-{newest} a").click()
        page.locator("#curves .by-epochs svg.chart").first.wait_for()
        page.locator("#link.there").wait_for()
        before, pictures = last_epoch(page), page.locator("#samples img").count()
        picture = pictures and page.locator("#samples img").first.get_attribute("src")
        loaded = len(loads)
        page.locator("#f-settings summary").click()
        page.wait_for_function(
            "before => { const curve = document.querySelector('#curves .by-epochs g.curve');"
            "return Number(curve.dataset.p.split(';').pop().split(',')[0]) >= before + 2; }",
            arg=before,
        )
        page.wait_for_function(
            "before => { const image = document.querySelector('#samples img');"
            "return image && image.getAttribute('src') !== before && image.naturalWidth > 0; }",
            arg=picture or "",
        )
        assert page.locator("#f-settings").get_attribute("open") is not None  # it stays open

        os.kill(pid, signal.SIGKILL)
        page.locator("#state .state.lost").wait_for()
        assert f"genbench resume {newest}" in page.locator("#state").inner_text()
        assert len(loads) == loaded  # all of this without a reload
        page.goto(home)
        assert page.locator(f"#run-{newest} .state.lost").count() == 1
        assert page.locator(".state.running").count() == 1
        page.locator("#filter").type("status=lost")
        page.locator("#filter").press("Enter")
        page.wait_for_url("**status%3Dlost*")
        assert page.locator("#list tbody tr").count() == 1

        assert told == []
        hosts = {urlsplit(url).netloc for url in asked if not url.startswith("data:")}
        assert hosts == {urlsplit(home).netloc}
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 130


@contextmanager
def served(store: Store) -> Iterator[str]:
    """The pages of a store on a free port of this machine; their address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        access = Access(token="secret", host="127.0.0.1", port=listening.getsockname()[1])
        pages = Pages(store, can=lambda model, dataset: frozenset(), defaults=lambda spec: {})
        config = uvicorn.Config(make_app(pages, access), log_level="error", lifespan="off")
        server = uvicorn.Server(config)
        thread = Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield access.address()
        finally:
            server.force_exit = server.should_exit = True
            thread.join(PATIENCE_MS / 1000)


def finished(store: Store, model: str, seed: int = 0) -> str:
    run = start(store, model=model, seed=seed)
    record(store, run, 3)
    store.finish(run)
    return run


def test_the_comparison_takes_in_a_run_that_finishes_and_keeps_what_the_reader_did(tmp_path):
    with (
        Store.open(tmp_path / "runs.db", mode="create") as writing,
        Store.open(tmp_path / "runs.db", mode="read") as reading,
        served(reading) as address,
        launched() as browser,
    ):
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        told, asked = overheard(page)
        page.goto(address.replace("/?", "/compare?"))
        assert "no finished run in" in page.locator("#trouble").inner_text()
        told.clear()  # the browser says that the page was no success (404)
        for model in ("vae", "gan"):
            finished(writing, model)
        rows = page.locator("#table-0 tbody tr")
        rows.nth(1).wait_for()
        # The reader sorts, hides a row, types a filter, moves the slider and opens a card.
        page.locator("#table-0").get_by_role("button", name="model").dblclick()
        page.locator(".legend .toggle").filter(has_text="gan").click()
        page.get_by_label("Filter rows").fill("fd_clf<90")
        page.locator(".card:visible > summary").first.click()
        finished(writing, "vae", seed=1)
        page.get_by_role("cell", name="33.25 ± 0").wait_for()
        assert page.locator("#table-0 th[aria-sort=descending]").inner_text() == "model"
        assert page.locator('.toggle[aria-pressed="false"]').inner_text() == "gan"
        assert page.get_by_label("Filter rows").input_value() == "fd_clf<90"
        assert page.locator(".filter output").inner_text() == "2 of 2 rows"
        assert page.locator(".card[open]").count() == 1
        assert told == []
        assert {url for url in asked if "/compare" in url.partition("?")[0]}
