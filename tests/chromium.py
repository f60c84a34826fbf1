"""A real browser for tests: the system's Chromium or Chrome; nothing is downloaded.

Needs the package playwright (``pip install -e .[browser]``) and ``apt-get install chromium``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs the package playwright: pip install -e .[browser]"
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
needs_chromium = [
    pytest.mark.skipif(CHROMIUM is None, reason=f"needs a browser of the system: {NAMES}"),
    pytest.mark.xdist_group("browser"),
]
"""The marks of a module with such tests."""


@contextmanager
def launched() -> Iterator[Any]:
    """A browser until the end of the block."""
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def overheard(page: Any) -> tuple[list[str], list[str]]:
    """What a page says in its console, in errors and dialogs, and the addresses it asks for."""
    told: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("dialog", lambda dialog: told.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    return told, asked
