"""Commands that look at runs while they train: ``watch`` in the terminal, ``ui`` in a browser."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genbench.cli import INTERRUPTED, options
from genbench.cli.opening import head, open_store
from genbench.cli.output import print_json, record
from genbench.cli.session import say, warn

if TYPE_CHECKING:
    from genbench.live.state import LiveRun
    from genbench.store import Filter, Store

SECONDS = 1.0
"""Seconds between two looks at the store: a training writes as often."""

ENDED = 3
"""Runs on the screen that have ended while it was watched: the newest ones."""


def watch(
    filters: options.FiltersArgument = None,
    once: Annotated[bool, typer.Option("--once", help="Print the current state and exit.")] = False,
    store: options.StoreOption = None,
    json: options.JsonOption = False,
) -> None:
    """Watch runs while they train: losses, time left, scores, pictures, warnings."""
    where = options.filters(filters)
    with open_store(store) as opened:
        if json or once:
            _print_once(opened, where, as_json=json)
        elif sys.stdout.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown"):
            _watch_on_screen(opened, where)
        else:
            _watch_in_lines(opened, where)


def _print_once(store: Store, where: Sequence[Filter], *, as_json: bool) -> None:
    runs = _found(store, where)
    if as_json:
        print_json({"store": store.url, "runs": [_as_json(run) for run in runs]})
        return
    from rich.console import Console

    from genbench.live.screen import screen

    # In a file or a pipe, nothing is cut to the width of a terminal that isn't there.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    console.print(screen(runs, store.url, width=console.width, height=None), end="")


def _found(store: Store, where: Sequence[Filter]) -> list[LiveRun]:
    from genbench.live.state import live_ids, nothing_live, read_live

    runs = read_live(store, live_ids(store, where))
    if not runs:
        raise nothing_live(store)
    return runs


def _as_json(live: LiveRun) -> dict[str, Any]:
    losses = {name: series[-1][1] if series else None for name, series in live.losses.items()}
    return {
        **head(live.run),
        "state": live.state,
        "heartbeat_age_s": live.silence_s,
        "stage": live.stage and record(live.stage, "name", "epochs_done", "epochs"),
        "epoch_s": live.epoch_s,
        "left_s": live.left_s,
        "losses": losses,
        "scores": [vars(score) for score in live.scores],
        "picture": live.picture and str(live.picture),
        "warnings": [{"epoch": epoch, "message": text} for epoch, text in live.warnings],
    }


# --- on a terminal


def _watch_on_screen(store: Store, where: Sequence[Filter]) -> None:
    """Draw until Ctrl-C; what was drawn last remains on the terminal."""
    from rich.console import Console
    from rich.live import Live

    from genbench.live.screen import screen

    console = Console(highlight=False)
    seen: dict[str, None] = {}
    runs = _found(store, where)
    try:
        with (
            _interruptible(),
            Live(console=console, screen=True, auto_refresh=False) as display,
        ):
            while True:
                size = console.size
                drawn = screen(runs, store.url, width=size.width, height=size.height)
                display.update(drawn, refresh=True)
                time.sleep(SECONDS)
                runs = _now(store, where, seen)
    except KeyboardInterrupt:
        console.print(screen(runs, store.url, width=console.width, height=None), end="")
        raise typer.Exit(INTERRUPTED) from None


def _now(store: Store, where: Sequence[Filter], seen: dict[str, None]) -> list[LiveRun]:
    """The runs that are training now, then those that were at an earlier call."""
    from genbench.live.state import live_ids, read_live

    current = live_ids(store, where)
    seen.update(dict.fromkeys(current))
    runs = read_live(store, list(seen))
    ended = [run for run in runs if run.run.id not in current]
    return [*(run for run in runs if run.run.id in current), *ended[:ENDED]]


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt, so that the terminal is left as it was."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


# --- elsewhere


def _watch_in_lines(store: Store, where: Sequence[Filter]) -> None:
    """Print what is new about runs, until all of them have ended."""
    from genbench.live.lines import Lines

    lines, seen = Lines(store), dict[str, None]()
    runs = _found(store, where)
    seen.update(dict.fromkeys(run.run.id for run in runs))
    while True:
        for run in runs:
            for line in lines.news(run):
                print(line, flush=True)
        if not any(run.is_live or run.state == "queued" for run in runs):
            return
        time.sleep(SECONDS)
        runs = _now(store, where, seen)


# --- in a browser


def ui(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes any free port.")
    ] = 8000,
    host: Annotated[
        str,
        typer.Option(help="Address to listen on; all except 127.0.0.1 let other machines connect."),
    ] = "127.0.0.1",
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
    store: options.StoreOption = None,
) -> None:
    """Serve pages that follow the runs of a store: list, curves, pictures, comparison."""
    uvicorn = _uvicorn()
    import secrets

    from genbench.cli.comparing import abilities
    from genbench.live.access import Access
    from genbench.live.server import Pages, make_app

    with open_store(store) as opened, _listening(host, port) as listener:
        access = Access(token=secrets.token_urlsafe(24), host=host, port=listener.getsockname()[1])
        if not access.is_local:
            warn(
                f"--host {host} lets other machines read this store, unencrypted; the token in "
                "the address is the only lock"
            )
        pages = Pages(opened, can=abilities, defaults=_defaults)
        print(access.address(), flush=True)
        say("Ctrl-C ends the server")
        if browser:
            import webbrowser

            webbrowser.open(access.address())
        config = uvicorn.Config(
            make_app(pages, access),
            log_level="warning",
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        with _interruptible():
            _serve(uvicorn.Server(config), listener)


def _serve(server: Any, listener: socket.socket) -> None:
    """Serve until Ctrl-C, which is how a server ends: exit code 130, without a message."""
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    raise typer.Exit(INTERRUPTED)


def _uvicorn() -> Any:
    """The package uvicorn. Raises UsageError if the extra is not installed."""
    from genbench.errors import UsageError

    try:
        import starlette  # noqa: F401
        import uvicorn
    except ImportError:
        raise UsageError(
            "genbench ui needs the packages starlette and uvicorn",
            hint="To install them: pip install 'genbench[ui]'",
        ) from None
    return uvicorn


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens, so that its port is known before the address is printed."""
    from genbench.errors import UsageError

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(128)
        except OSError as error:
            raise UsageError(
                f"can't listen on {host}:{port}: {error.strerror or error}",
                hint="To take any free port: --port 0",
            ) from None
        yield listener


def _defaults(spec: str) -> dict[str, Any]:
    """The defaults of a run's settings, for the page of a run."""
    from genbench.cli.showing import setting_defaults
    from genbench.spec import RunSpec

    return setting_defaults(RunSpec.from_json(spec))
