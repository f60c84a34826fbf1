"""Searches for settings on the page: what was asked, what was found, and pictures of the trials."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from genbench.formatting import markdown, markup as escape


@dataclass(frozen=True, kw_only=True)
class Search:
    """A search as the page shows it: sentences, and pictures as SVG texts by their captions."""

    name: str
    findings: tuple[str, ...]
    pictures: Mapping[str, str]

    @property
    def command(self) -> str:
        """The command that shows its best trials, and writes its pictures as files."""
        return f"genbench tune --resume {self.name} --table-only --pictures {self.name}"


def as_html(searches: Sequence[Search]) -> str:
    """One section for all searches; empty without any."""
    if not searches:
        return ""
    parts = [
        '<section id="searches" class="data" aria-labelledby="searches-h">',
        '<h2 id="searches-h">Searches for settings</h2>',
        '<p class="under">Trials are scored on the validation split. The best of many trials looks '
        "better than it is; confirmed values are means of fresh seeds.</p>",
        *map(_as_html, searches),
        "</section>",
    ]
    return "\n".join(parts)


def _as_html(search: Search) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in search.findings)
    figures = "".join(
        f"<figure><figcaption>{escape(caption)}</figcaption>"
        f'<img src="data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}" '
        f'alt="{escape(f"{caption}: {search.name}")}" loading="lazy"></figure>'
        for caption, svg in search.pictures.items()
    )
    return (
        f'<h3>{escape(search.name)}</h3>\n<ul class="findings">{items}</ul>\n'
        f'<div class="pictures wide">{figures}</div>\n'
        f"<p><code>{escape(search.command)}</code></p>"
    )


def as_markdown(searches: Sequence[Search]) -> Iterator[str]:
    """The lines of all searches, with the command that draws the pictures."""
    if searches:
        yield from ("## Searches for settings", "")
    for search in searches:
        yield from (f"### {markdown(search.name)}", "")
        yield from (f"- {markdown(text)}" for text in search.findings)
        yield from ("", f"Pictures: `{search.command}`", "")
