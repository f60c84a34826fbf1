"""Who may read the pages: a browser with the token, under a name of this machine, with GET only.

The token is random and lies in the address that ``genbench ui`` prints. It becomes a cookie, which
other sites can't send (SameSite=Strict) and scripts can't read (HttpOnly). The Host header must
name this machine, so that a stranger's domain that resolves to 127.0.0.1 (DNS rebinding) is
refused. Nothing that is served may load or send anything elsewhere.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
"""Style attributes carry the colours of charts; scripts come from this server alone."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
READING = ("GET", "HEAD")
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, kw_only=True)
class Access:
    """The secret of one server, and the address that it listens on.

    The cookie has the port in its name, since browsers share cookies between ports.
    """

    token: str
    host: str
    port: int

    @property
    def cookie(self) -> str:
        """The name of the cookie."""
        return f"genbench-{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        return self.host in LOOPBACK

    def address(self) -> str:
        """The address with the token, for the person who started the server."""
        name = socket.gethostname() if self.host in ("0.0.0.0", "::") else self.host
        name = f"[{name}]" if ":" in name else name
        return f"http://{name}:{self.port}/?token={self.token}"

    def is_named(self, header: str) -> bool:
        """Whether a Host header names this machine; a number of any kind does if others may come.

        A rebound name is a domain, never a number.
        """
        name = host_in(header)
        if name in LOOPBACK or name == self.host.lower():
            return True
        return not self.is_local and (_is_number(name) or name in _own_names())


def host_in(header: str) -> str:
    """'127.0.0.1:8000' -> '127.0.0.1'; '[::1]:8000' -> '::1'."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower()


def _is_number(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _own_names() -> set[str]:
    return {socket.gethostname().lower(), socket.getfqdn().lower()}


class Guard:
    """Lets through what `Access` allows, and adds the headers to every answer."""

    def __init__(self, app: Callable[..., Any], access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return

        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        answer = self._refusal(Request(scope)) or self._app
        await answer(scope, receive, guarded)

    def _refusal(self, request: Request) -> Response | None:
        """The answer to a request that goes no further; None if it may be answered."""
        if not self._access.is_named(request.headers.get("host", "")):
            return PlainTextResponse("this server has another name\n", 403)
        given = request.query_params.get("token")
        if given is not None and self._is_token(given) and request.method in READING:
            return self._admit(request)
        if not self._is_token(request.cookies.get(self._access.cookie, "")):
            return PlainTextResponse(
                "open the address that `genbench ui` printed, with its token\n", 403
            )
        if request.method not in READING:
            allowed = {"Allow": ", ".join(READING)}
            return PlainTextResponse("this server only reads\n", 405, headers=allowed)
        return None

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), self._access.token.encode())

    def _admit(self, request: Request) -> Response:
        """Move the token from the address, which ends up in the browser's history, to a cookie."""
        rest = [(k, v) for k, v in request.query_params.multi_items() if k != "token"]
        # One slash: "//host" would lead to another host.
        path = "/" + request.url.path.lstrip("/")
        response = RedirectResponse(path + (f"?{urlencode(rest)}" if rest else ""), 303)
        token = self._access.token
        response.set_cookie(self._access.cookie, token, httponly=True, samesite="strict", path="/")
        return response
