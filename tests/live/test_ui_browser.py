"""The live view in a real browser, while two real runs train.

Needs the extra ui, the package playwright (``pip install -e .[ui,browser]``) and a Chromium or
Chrome of the system; nothing is downloaded.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from genbench.errors import GenbenchError
from genbench.store import Store

pytest.importorskip("uvicorn", reason="needs the extra ui: pip install -e .[ui]")
playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs the package playwright: pip install -e .[browser]"
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason=f"needs a browser of the system: {NAMES}"),
    pytest.mark.xdist_group("browser"),
]

SMALL = ("--set", "data.size=8", "--set", "hidden=[8]", "--batch-size", "60", "--device", "cpu")
LONG = ("--epochs", "100000", "--sample-every", "5", "--evaluate-every", "0", "--no-watch")
PATIENCE_MS = 90_000
"""The machine may be busy; what is waited for takes a second or two on an idle one."""
HOSTILE = '"><img src=x onerror=alert(1)>'


@contextmanager
def started(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A command line in the background; it ends with the block."""
    with (
        (folder / f"{words[0]}-{time.monotonic_ns()}.txt").open("w") as log,
        subprocess.Popen(
            [sys.executable, "-m", "genbench", *words],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
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


def test_curves_grow_pictures_come_and_a_killed_run_is_dead_without_a_reload(tmp_path):
    with ExitStack() as stack:
        for name in ("one", HOSTILE):
            words = ("run", "vae", "digits", *SMALL, *LONG, "--name", name)
            process = stack.enter_context(started(tmp_path, *words))
        newest, _ = until_both_train(tmp_path)
        with Store.open(tmp_path / "runs.db", mode="read") as store:
            name = store.run(newest).name
            ((pid,),) = store.rows("SELECT pid FROM runs WHERE id = :id", {"id": newest})
        assert name in ("one", HOSTILE)
        assert process.poll() is None
        server = stack.enter_context(started(tmp_path, "ui", "--port", "0", "--no-browser"))
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        home = address.partition("?")[0]
        browser = stack.enter_context(playwright.sync_playwright()).chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        )
        stack.callback(browser.close)
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        told, asked, loads = [], [], []
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("dialog", lambda dialog: told.append(dialog.message))
        page.on("request", lambda request: asked.append(request.url))
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
        page.locator("#state .state.dead").wait_for()
        assert f"genbench resume {newest}" in page.locator("#state").inner_text()
        assert len(loads) == loaded  # all of this without a reload
        page.goto(home)
        assert page.locator(f"#run-{newest} .state.dead").count() == 1
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
