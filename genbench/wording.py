"""Text that a stranger may have typed in, made harmless for where it is going.

Names, tags, settings, paths and error messages may hold what a terminal obeys (ESC), what turns a
line around (bidi marks) or what can't be seen (zero widths). All of that becomes an escape that
can be read; markup, tables and spreadsheets get their own characters escaped on top.
"""

from __future__ import annotations

import re
from html import escape


def plain(text: str, *, keep: str = "") -> str:
    r"""The text with every character that isn't printed, a line break too, as an escape.

    ``keep`` are those that stay. Spaces stay as they are.

    >>> print(plain("a\x1b[31mb \u202e\n"))
    a\x1b[31mb \u202e\x0a
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _escape(c) for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def visible(text: str) -> str:
    """`plain` for a cell or a sentence: on one line, runs of white space as one space."""
    return text if text.isprintable() else plain(" ".join(text.split()))


def markup(text: str) -> str:
    """`plain` for HTML and XML, elements and attributes."""
    return escape(plain(text, keep="\n\t"))


def markdown(text: str) -> str:
    r"""`visible` for a cell of a Markdown table: no HTML, no link, no further cell.

    >>> print(markdown("<b> a|b [c](d) fd_clf"))
    &lt;b&gt; a\|b \[c](d) fd_clf
    """
    text = visible(text).replace("\\", "\\\\").replace("|", "\\|").replace("[", "\\[")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "·": r"$\cdot$",
    "–": "--",
    **{character: "\\" + character for character in "&%$#_{}"},
}


def latex(text: str) -> str:
    r"""`visible` for LaTeX, its special characters escaped, character by character.

    >>> print(latex("a_b ~ 50% \\x"))
    a\_b \textasciitilde{} 50\% \textbackslash{}x
    """
    return "".join(_LATEX.get(character, character) for character in visible(text))


def spreadsheet(text: str) -> str:
    """`plain` for a cell of CSV, where line breaks may stay; what a spreadsheet would compute gets
    a quote before it. Numbers are no formulas.

    >>> [spreadsheet(text) for text in ("=1+1", "-0.5", "-x", "a=b", "-")]
    ["'=1+1", '-0.5', "'-x", 'a=b', '-']
    """
    formula = len(text) > 1 and text[0] in "=+-@\t\r" and not _NUMBER.fullmatch(text)
    return ("'" if formula else "") + plain(text, keep="\n")


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)")
