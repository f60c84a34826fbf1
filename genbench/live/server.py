"""The server of the pages: Starlette, with server-sent events for what changes.

The store is opened read-only, and only GET is answered. A file is served if it is listed as an
artifact of a run in this store and lies in that run's folder.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from genbench.compare import Question, Selection
from genbench.errors import GenbenchError, NoSuchRunError, UsageError
from genbench.live.access import Access, Guard
from genbench.live.frame import STATIC, Page, complaint, document, filter_form, static_file
from genbench.live.run_list import filters_of, run_list
from genbench.live.run_page import Defaults, run_page
from genbench.report.cards import Abilities
from genbench.report.content import read_report
from genbench.report.page import headline, sections
from genbench.store import Store
from genbench.store.filters import shows_archived

SECONDS, SHARE = 1.0, 5.0
"""Seconds between two looks at the store, and the least multiple of the time that a look takes."""

SHOWN = "shown"
"""The parameter with the digest of the page that a browser shows."""

SILENT_S = 15.0
"""Seconds after which a comment keeps a quiet connection open."""

COMPARED = 12
"""Experiments on the page that compares, for each data set."""

Draw = Callable[[Request], Page]
Pulse = Callable[[], object]
"""What differs if a page may differ; it is cheaper than the page."""


class Pages:
    """Draws the pages of one store, each from its request."""

    def __init__(self, store: Store, *, can: Abilities, defaults: Defaults) -> None:
        self.store = store
        self._can, self._defaults = can, defaults

    def runs(self, request: Request) -> Page:
        """The list of runs."""
        given = request.query_params
        page = given.get("page", "1")
        number = int(page) if page.isdecimal() and len(page) < 10 else 1
        text, sort = given.get("filter", ""), given.get("sort", "")
        try:
            return run_list(self.store, text, sort, number)
        except GenbenchError as error:
            return _answer(error, f"<h1>Runs</h1>{filter_form('/', text)}")

    def run(self, request: Request) -> Page:
        """One run."""
        try:
            run = request.path_params["run"]
            return run_page(self.store, run, can=self._can, defaults=self._defaults)
        except GenbenchError as error:
            return _answer(error)

    def compare(self, request: Request) -> Page:
        """The report of the runs that meet the filter: one part for each data set."""
        text = request.query_params.get("filter", "")
        form = filter_form("/compare", text)
        try:
            where = tuple(filters_of(text))
            selection = Selection(where=where, archived=shows_archived(where), limit=COMPARED)
            report = read_report(self.store, selection, Question())
        except GenbenchError as error:
            return _answer(error, f"<h1>Compare</h1>{form}", axis="seconds")
        return Page(
            title=headline(report),
            head=f"<h1>Compare</h1>{form}",
            parts=sections(report, can=self._can),
            axis="seconds",
        )

    def file(self, request: Request) -> Response:
        """A file of a run; a picture is shown, anything else is downloaded."""
        path = self._path(request.path_params["run"], request.path_params["path"])
        if path is None:
            return HTMLResponse("no such file\n", 404)
        if path.suffix.lower() == ".png":
            keep = {"Cache-Control": "private, max-age=86400"}
            return FileResponse(path, media_type="image/png", headers=keep)
        kind = "application/octet-stream"
        return FileResponse(path, media_type=kind, filename=path.name)

    def _path(self, run_id: str, given: str) -> Path | None:
        """The file that is listed for a run, if it is a file within the run's folder."""
        listed = self.store.rows(
            "SELECT 1 FROM artifacts a JOIN runs r ON r.run = a.run "
            "WHERE r.id = :id AND a.path = :path",
            {"id": run_id, "path": given},
        )
        if not listed:
            return None
        folder = self.store.runs_folder.resolve() / run_id
        path = self.store.file(run_id, given).resolve()
        return path if path.is_file() and path.is_relative_to(folder) else None

    def pulse(self) -> object:
        """What differs if the pages may differ: SQLite's count of commits, and which runs live."""
        live = self.store.rows("SELECT id FROM runs WHERE status = 'running'")
        states = [(run.id, run.status) for run in self.store.runs(status="lost")] if live else []
        if "://" in self.store.url:
            return time.monotonic()  # another database has no such count
        return self.store.rows("PRAGMA data_version"), states

    def settled(self) -> object:
        """What differs if a comparison may: the finished runs, what they are called, their scores.

        A training that goes on doesn't change it.
        """
        rows = self.store.rows
        return (
            rows("SELECT run, name, note, archived_at FROM runs WHERE status = 'finished'"),
            rows("SELECT run, tag FROM run_tags ORDER BY run, tag"),
            rows(
                "SELECT count(*), max(e.eval) FROM evals e JOIN runs r ON r.run = e.run "
                "WHERE r.status = 'finished'"
            ),
        )


def _answer(error: GenbenchError, head: str = "", axis: str = "epochs") -> Page:
    """The page for an error: a filter that can't be read, a run that isn't there, a lost store.

    It follows the store if a run may come that answers the question.
    """
    status = 500
    if isinstance(error, (UsageError, NoSuchRunError)):
        status = 404 if isinstance(error, NoSuchRunError) else 400
    return complaint(str(error), status, head=head, follows=bool(head) and status == 404, axis=axis)


def make_app(pages: Pages, access: Access) -> Guard:
    """The whole server as an ASGI application."""
    drawn: dict[str, tuple[Draw, Pulse]] = {
        "/": (pages.runs, pages.pulse),
        "/runs/{run}": (pages.run, pages.pulse),
        "/compare": (pages.compare, pages.settled),
    }
    routes = [
        Route("/static/{name}", _static, methods=["GET"]),
        Route("/runs/{run}/files/{path:path}", pages.file, methods=["GET"]),
        *(Route(path, _page(pages, draw), methods=["GET"]) for path, (draw, _) in drawn.items()),
        *(
            Route(f"/events{path}", _events(draw, pulse), methods=["GET"])
            for path, (draw, pulse) in drawn.items()
        ),
    ]
    return Guard(Starlette(routes=routes), access)


def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in STATIC:
        return HTMLResponse("no such file\n", 404)
    return Response(static_file(name), media_type=STATIC[name])


def _page(pages: Pages, draw: Draw) -> Callable[[Request], Response]:
    def endpoint(request: Request) -> Response:
        page = draw(request)
        asked = [*request.query_params.multi_items(), (SHOWN, page.digest)]
        events = f"/events{quote(request.url.path)}?{urlencode(asked)}"
        return HTMLResponse(document(page, pages.store.url, events), page.status)

    return endpoint


def _events(draw: Draw, pulse: Pulse) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        changes = follow(draw, pulse, request)
        return StreamingResponse(changes, media_type="text/event-stream")

    return endpoint


async def follow(draw: Draw, pulse: Pulse, request: Request) -> AsyncIterator[str]:
    """What changes on a page, as events; the first one brings an old copy up to date.

    An event has the digest of the new page as its id, which a browser sends when it connects again.
    """
    there = request.headers.get("last-event-id") or request.query_params.get(SHOWN)
    shown: Page | None = None
    last: object = None
    quiet = time.monotonic()
    while True:
        begun = time.monotonic()
        now = await run_in_threadpool(pulse)
        if now != last:
            page = await run_in_threadpool(draw, request)
            first = {} if page.digest == there else {"main": page.main}
            changes = first if shown is None else page.changes(shown)
            shown, last = page, now
            if changes:
                quiet = time.monotonic()
                yield f"id: {page.digest}\ndata: {json.dumps(changes)}\n\n"
        if time.monotonic() - quiet > SILENT_S:
            quiet = time.monotonic()
            yield ": still there\n\n"
        await asyncio.sleep(max(SECONDS, SHARE * (time.monotonic() - begun)))
