"""The frame of all pages of the live view, in the style of the report.

A page consists of *parts*: elements with an id that are drawn again when the store changes. The
script replaces the parts that differ, so that curves grow and pictures come without a reload.
Whatever a person typed in (names, tags, settings, errors, paths) goes through `escape`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Any
from urllib.parse import quote, urlencode

from genbench.formatting import markup as escape
from genbench.report.page import own_file

STATIC = {"style.css": "text/css", "script.js": "text/javascript"}


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page: ``parts`` by the id of their element, between what never changes while it is open.

    If the set of parts, ``before`` or ``after`` differ, all is drawn again. ``follows``
    says whether it is kept up to date, and ``axis`` what its curves are first shown over.
    """

    title: str
    parts: Mapping[str, str]
    before: str = ""
    after: str = ""
    head: str = ""
    status: int = 200
    follows: bool = True
    axis: str = "epochs"

    @property
    def main(self) -> str:
        """The content between head and foot."""
        return f"{self.before}{''.join(self.parts.values())}{self.after}"

    @property
    def digest(self) -> str:
        """What tells this page from an earlier one."""
        return sha256(self.main.encode()).hexdigest()[:16]

    def changes(self, old: Page) -> dict[str, Any]:
        """What a browser that shows ``old`` has to replace: ``parts`` by id, or the ``main``."""
        frame = (list(self.parts), self.before, self.after)
        if frame != (list(old.parts), old.before, old.after):
            return {"main": self.main}
        new = {key: html for key, html in self.parts.items() if old.parts[key] != html}
        return {"parts": new} if new else {}


def document(page: Page, store: str, events: str) -> str:
    """The HTML of a page; ``events`` is the address of its changes."""
    follow = f' data-events="{escape(events)}"' if page.follows else ""
    links = "".join(
        f'<li><a href="{href}">{text}</a></li>'
        for href, text in (("/", "Runs"), ("/?filter=status%3Drunning", "Training now"),
                           ("/compare", "Compare"))
    )  # fmt: skip
    return (
        f'<!doctype html>\n<html lang="en" data-axis="{page.axis}"{follow}>\n<head>\n'
        '<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, '
        'initial-scale=1">\n<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(page.title)} · genbench</title>\n"
        '<link rel="icon" href="data:,">\n<link rel="stylesheet" href="/static/style.css">\n'
        '<script src="/static/script.js" defer></script>\n</head>\n<body class="live">\n'
        f'<header><nav aria-label="Pages"><ul>{links}<li class="store"><span id="link" '
        f'role="status"></span> {escape(store)}</li></ul></nav>\n{page.head}</header>\n'
        f'<main id="main">{page.main}</main>\n</body>\n</html>\n'
    )


def static_file(name: str) -> str:
    """The style or the script: those of the report, then those of this room."""
    own = files("genbench.live").joinpath(name).read_text(encoding="utf-8")
    return f"{own_file(name)}\n{own}"


# --- pieces


def query(path: str, **values: str | int | None) -> str:
    """An address with those values that are neither None nor empty, escaped for an attribute."""
    given = {key: value for key, value in values.items() if value not in (None, "")}
    return escape(f"{path}?{urlencode(given)}" if given else path)


def run_address(run_id: str) -> str:
    """The address of a run's page, escaped for an attribute."""
    return escape(f"/runs/{quote(run_id, safe='')}")


def filter_form(path: str, given: str, **hidden: str | None) -> str:
    """The box for filters, in the grammar of the command line."""
    kept = "".join(
        f'<input type="hidden" name="{escape(key)}" value="{escape(value)}">'
        for key, value in hidden.items()
        if value
    )
    return (
        f'<form class="find" action="{path}" method="get" role="search">'
        f'<label for="filter">Filter</label><input id="filter" name="filter" type="search" '
        f'value="{escape(given)}" autocomplete="off" spellcheck="false" '
        f'placeholder="model=vae,gan lr&gt;=1e-4 tag:paper*">{kept}'
        '<button type="submit" class="pill">show</button></form>'
    )


def state_badge(state: str) -> str:
    """The state of a run, coloured by its first word."""
    word = escape(state.split()[0])
    return f'<span class="state {word}">{escape(state)}</span>'


def part(identity: str, title: str, inside: str) -> str:
    """A section that is drawn again on its own; empty without content."""
    heading = f"<h3>{escape(title)}</h3>" if title and inside else ""
    return f'<section id="{escape(identity)}">{heading}{inside}</section>\n'


def table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[str] = ()
) -> str:
    """A table of texts, which are escaped; "" without rows."""
    found = list(rows)
    if not found:
        return ""

    def cells(tag: str, texts: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=num' if head in numbers else ''}>{escape(text)}</{tag}>"
            for head, text in zip(heads, texts, strict=True)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in found)
    return (
        '<div class="scroll" tabindex="0"><table class="runs"><thead><tr>'
        f"{cells('th', heads)}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def folded(identity: str, title: str, inside: str) -> str:
    """What few readers want to see, behind its title; "" without content."""
    if not inside:
        return ""
    return (
        f'<details class="folded" id="{escape(identity)}"><summary>{escape(title)}</summary>'
        f"{inside}</details>"
    )


def complaint(message: str, status: int, **frame: Any) -> Page:
    """A page that says why another one can't be shown, with the other fields of a `Page`."""
    text = f'<p class="warning" id="trouble">{escape(message)}</p>'
    return Page(title="genbench", parts={"trouble": text}, status=status, **frame)
