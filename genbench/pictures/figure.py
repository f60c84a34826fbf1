"""Figures that matplotlib draws: one style, the same bytes each time, imported when first drawn.

The settings of a person's own matplotlibrc don't count. Neither pyplot nor a display is needed.
"""

from __future__ import annotations

import logging
import textwrap
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.files.writing import replacing
from genbench.formatting import visible

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "0.7",
    "axes.formatter.useoffset": False,
    "axes.grid": True,
    "axes.labelcolor": "0.2",
    "axes.titlecolor": "0.2",
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "font.size": 9,
    "grid.color": "0.93",
    "legend.frameon": False,
    "legend.labelcolor": "0.2",
    "savefig.bbox": "tight",
    "savefig.dpi": 130,
    "savefig.pad_inches": 0.12,
    "svg.fonttype": "none",
    "svg.hashsalt": "genbench",
    "text.parse_math": False,
    "xtick.color": "0.7",
    "xtick.labelcolor": "0.35",
    "ytick.color": "0.7",
    "ytick.labelcolor": "0.35",
}

PALETTE = "petroff10"
"""Ten colours that people with any kind of vision tell apart (Petroff 2021, arXiv:2107.02270)."""

MARKERS = "osD^vP*X"
LINES = ("-", "--", ":", "-.")
"""What tells apart those that have the same colour, where there are more than ten."""

LETTERS, CAPTION = 44, 72
"""The number of letters in a line of a legend, and of a caption above a plane."""

LEGEND_ROWS = 20

_one_at_a_time = threading.Lock()


@contextmanager
def drawing(path: Path) -> Iterator[Figure]:
    """A figure to draw in; at the end of the block it is at ``path``, in .png or .svg, whole.

    Its size follows from what is drawn: nothing is cut off.
    """
    # A first font cache or a home that can't be written is no news for the person who draws.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    import matplotlib
    from matplotlib.figure import Figure

    # The settings belong to the process, hence the lock.
    with _one_at_a_time, matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        figure = Figure()
        yield figure
        with replacing(path) as part:
            kind = path.suffix[1:]
            metadata = {"Date": None} if kind == "svg" else {"Software": None}
            figure.savefig(part, format=kind, metadata=metadata)


def key_of(number: int) -> tuple[Any, str, str]:
    """Colour, marker and line style of the number-th class or run: 40 of each are different."""
    import matplotlib

    colours = matplotlib.color_sequences[PALETTE]
    turn, place = divmod(number, len(colours))
    return colours[place], MARKERS[turn % len(MARKERS)], LINES[turn % len(LINES)]


def broken(text: str, letters: int = LETTERS) -> str:
    """A text for a figure: on lines of so many letters at most, what can't be seen escaped."""
    return textwrap.fill(visible(text), letters)


def set_caption(axes: Axes, text: str) -> None:
    """Set a text above the axes."""
    axes.set_title(broken(text, CAPTION), pad=8)


def legend_below(axes: Axes) -> None:
    """A legend of what is labelled, beneath the axes."""
    legend = axes.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.06), ncols=2, markerscale=2)
    for handle in filter(None, legend.legend_handles):
        handle.set_alpha(1)


def legend_beside(axes: Axes, handles: Sequence[Artist]) -> None:
    """A legend of labelled artists at the right of the axes, in as many columns as it needs."""
    columns = -(-len(handles) // LEGEND_ROWS)
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1.0), ncols=columns)
