"""Text for output: numbers with a useful number of digits, and unsafe text made harmless.

Names, tags, settings, paths and error messages may have characters that control a terminal (ESC),
reverse a line (bidi marks) or are invisible (zero width). They all become readable escapes. For
markup, tables and spreadsheets, further characters are escaped.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape

ARROWS = {"min": "↓", "max": "↑"}
"""Arrows after a metric's name that show which direction is better."""


def number(value: float | None, digits: int = 4) -> str:
    """A number rounded to ``digits`` significant digits, without an exponent if possible.

    >>> [number(v) for v in (33.14159, 12345.678, 0.00012345, 5.0, float("nan"), None)]
    ['33.14', '12346', '0.0001234', '5', 'nan', '']
    """
    if value is None:
        return ""
    if not math.isfinite(value):
        return str(float(value))
    if value == 0 or (value == int(value) and abs(value) < 1e15):
        return str(int(value))
    magnitude = math.floor(math.log10(abs(value)))
    if not -5 <= magnitude < 15:
        return f"{value:.{digits - 1}g}"
    text = f"{value:.{max(0, digits - 1 - magnitude)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def measured(value: float | None, std: float | None, draws: int = 1) -> str:
    """A score with its spread: '33.14', or '33.14 ± 0.5 (5 draws)'.

    >>> [measured(33.14159, None), measured(33.14159, 0.5, 5), measured(2.0, 0.25)]
    ['33.14', '33.14 ± 0.5 (5 draws)', '2 ± 0.25']
    """
    spread = f" ± {number(std, 2)}" if std is not None else ""
    return f"{number(value)}{spread}" + (f" ({draws} draws)" if draws > 1 else "")


_LOGIN = re.compile(r"(\b[\w+.-]+://[^\s:/?#@'\"]*):[^\s'\"]*@")
_SECRET = re.compile(r"([?&](?:ssl)?password=)[^\s&'\"]*")


def without_passwords(text: str) -> str:
    """The text with ``***`` in place of each password in a URL.

    >>> without_passwords("no store at postgresql://me:p@ss:/1@host/bench?x=1&password=secret")
    'no store at postgresql://me:***@host/bench?x=1&password=***'
    """
    return _SECRET.sub(r"\1***", _LOGIN.sub(r"\1:***@", text))


def main_losses(names: Iterable[str]) -> list[str]:
    """The recorded losses that matter first: each optimizer's sum and the test means, or all.

    >>> main_losses(["vae/bce", "vae/loss", "test/loss", "monitor/d_real"])
    ['vae/loss', 'test/loss']
    """
    known = [name for name in names if not name.startswith(("monitor/", "watch/"))]
    tests = [name for name in known if name.startswith("test/")]
    sums = [name for name in known if name.endswith("/loss") and name not in tests]
    return sums + tests or known


def losses_in_words(losses: Mapping[str, float | None], *, every_term: bool = False) -> str:
    """The losses of `main_losses`, or every term; a loss that is not finite is stored as None.

    >>> losses_in_words({"vae/bce": 90.0, "vae/loss": 101.25, "test/loss": 103.0})
    'vae/loss 101.2  test/loss 103'
    """
    chosen = list(losses) if every_term else main_losses(losses)
    values = ((key, losses[key]) for key in chosen)
    return "  ".join(f"{key} {'nan' if v is None else number(v)}" for key, v in values)


def duration(seconds: float | None) -> str:
    """Seconds in the usual units: '0.42 s', '54.2 s', '12 min 5 s', '3 h 20 min'.

    >>> [duration(s) for s in (0.4213, 54.21, 725.0, 12000.0)]
    ['0.421 s', '54.2 s', '12 min 5 s', '3 h 20 min']
    """
    if seconds is None:
        return ""
    if seconds < 99.95:
        return f"{number(seconds, 3)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def plus_minus(mean: float, sd: float | None) -> str:
    """A mean with its spread: the sd with two digits, and the mean to the same place.

    >>> [plus_minus(33.1416, 2.04), plus_minus(0.91234, 0.0123), plus_minus(9.1, 0.0999)]
    ['33.1 ± 2.0', '0.912 ± 0.012', '9.10 ± 0.10']
    >>> plus_minus(33.1416, None)
    '33.14'
    """
    if sd is None or not math.isfinite(mean):
        return number(mean)
    if sd == 0:
        return f"{number(mean)} ± 0"
    # Rounding to two digits may carry: 0.0999 is 0.10, not 0.100.
    places = 1 - math.floor(math.log10(float(f"{sd:.1e}")))
    if not 0 <= places <= 8:
        return f"{number(mean)} ± {number(sd, 2)}"
    return f"{mean:.{places}f} ± {sd:.{places}f}"


def in_words(value: object) -> str:
    """A JSON value without brackets, but [] if empty: lists with commas, an object as its pairs.

    >>> [in_words([1, 0.5, None]), in_words([]), in_words({"epochs": 3, "of": ["a", "b"]})]
    ['1, 0.5, none', '[]', 'epochs 3, of a, b']
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {in_words(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(in_words, value)) or "[]"
    return "none" if value is None else str(value)


def spans(numbers: Sequence[int]) -> str:
    """Whole numbers with runs of three or more as a span.

    >>> spans([0, 1, 2, 3, 7, 9, 8, 20])
    '0 to 3, 7 to 9, 20'
    """
    found: list[list[int]] = []
    for value in sorted(set(numbers)):
        if found and value == found[-1][-1] + 1:
            found[-1].append(value)
        else:
            found.append([value])
    words = (
        f"{span[0]} to {span[-1]}" if len(span) > 2 else ", ".join(map(str, span)) for span in found
    )
    return ", ".join(words)


def counted(count: int, noun: str) -> str:
    """A count with its noun: '1 seed', '1,437 images'.

    >>> [counted(1, "seed"), counted(0, "seed"), counted(1437, "image")]
    ['1 seed', '0 seeds', '1,437 images']
    """
    return f"{count:,} {noun}" + "s" * (count != 1)


def plain(text: str, *, keep: str = "") -> str:
    r"""The text with every unprintable character as an escape, including line breaks.

    Characters in ``keep`` and spaces don't change.

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
    """`plain` for a cell or a sentence: one line, with runs of white space as one space."""
    return text if text.isprintable() else plain(" ".join(text.split()))


def markup(text: str) -> str:
    """`plain` for the elements and attributes of HTML and XML."""
    return escape(plain(text, keep="\n\t"))


def markdown(text: str) -> str:
    r"""`visible` for a cell of a Markdown table, without HTML, links or further cells.

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
    r"""`visible` for LaTeX, with special characters escaped.

    >>> print(latex("a_b ~ 50% \\x"))
    a\_b \textasciitilde{} 50\% \textbackslash{}x
    """
    return "".join(_LATEX.get(character, character) for character in visible(text))


def spreadsheet(text: str) -> str:
    """`plain` for a cell of CSV; line breaks stay.

    Text that a spreadsheet would take for a formula gets a quote before it; numbers are unchanged.

    >>> [spreadsheet(text) for text in ("=1+1", "-0.5", "-x", "a=b", "-")]
    ["'=1+1", '-0.5', "'-x", 'a=b', '-']
    """
    formula = len(text) > 1 and text[0] in "=+-@\t\r" and not _NUMBER.fullmatch(text)
    return ("'" if formula else "") + plain(text, keep="\n")


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)")
