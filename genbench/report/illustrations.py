"""The charts and pictures of the page, each with a caption and an alternative text.

Pictures are embedded unchanged, as data URIs.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Sequence

from genbench.formatting import markup as escape
from genbench.report.charts import COLOURS, line_chart
from genbench.report.content import EmbeddedPicture, Gallery
from genbench.report.curves import Panel


def figures(title: str, under: str, panels: Sequence[Panel], prefix: str) -> str:
    """Charts side by side; "" if there are none. ``prefix`` makes their ids unique."""
    drawn = list(_drawn(panels, prefix))
    if not drawn:
        return ""
    return (
        f'<h3>{escape(title)}</h3>\n<p class="under">{escape(under)}</p>\n'
        f'<div class="figures">\n{"".join(drawn)}</div>'
    )


def folded(title: str, under: str, panels: Sequence[Panel], prefix: str) -> str:
    """The same charts, hidden until a reader opens them; "" if there are none."""
    drawn = list(_drawn(panels, prefix))
    if not drawn:
        return ""
    return (
        f'<details class="folded"><summary>{escape(title)} <small>{len(drawn)} figures</small>'
        f'</summary>\n<p class="under">{escape(under)}</p>\n'
        f'<div class="figures">\n{"".join(drawn)}</div></details>'
    )


def _drawn(panels: Sequence[Panel], prefix: str) -> Iterator[str]:
    for i, panel in enumerate(panels):
        svg = line_chart(
            panel.curves,
            identity=f"{prefix}-{i}",
            title=panel.title,
            desc=_described(panel),
            x_label=panel.x_label,
            y_label=panel.y_label,
            size=(560.0, 300.0),
        )
        if svg:
            yield f"<figure><figcaption>{escape(panel.title)}</figcaption>{svg}</figure>\n"


def _described(panel: Panel) -> str:
    """The alternative text of a chart: where each curve begins and ends."""
    ends = []
    for curve in panel.curves:
        finite = [(x, y) for x, y in curve.points if y is not None]
        if finite:
            (x0, y0), (x1, y1) = finite[0], finite[-1]
            ends.append(f"{curve.label} goes from {y0:.3g} at {x0:.3g} s to {y1:.3g} at {x1:.3g} s")
    return f"{panel.y_label} over {panel.x_label}: {'; '.join(ends)}."


def samples(galleries: Sequence[Gallery]) -> str:
    """The final grids side by side."""
    shown = [gallery for gallery in galleries if gallery.samples]
    figures = "".join(_figure(gallery, gallery.samples[-1], "samples") for gallery in shown)
    if not figures:
        return ""
    return (
        '<h3>Samples of the trained models</h3>\n<p class="under">Samples of each model from fixed '
        "noise, not selected, by the run with the lowest seed.</p>\n"
        f'<div class="pictures">{figures}</div>'
    )


def strips(galleries: Sequence[Gallery]) -> str:
    """Samples from the same noise at several epochs, one row per model."""
    shown = [gallery for gallery in galleries if len(gallery.samples) > 1]
    if not shown:
        return ""
    rows = []
    for gallery in shown:
        pictures = "".join(
            f'<figure><img alt="{escape(gallery.title)}, samples, {_when(picture)}" '
            f'src="{_uri(picture)}"{_cropped(picture)} loading="lazy">'
            f"<figcaption>{_when(picture)}</figcaption></figure>"
            for picture in gallery.samples[:-1]
        )
        rows.append(
            f'<div class="strip"><h4>{_dot(gallery)}{escape(gallery.title)}</h4>{pictures}</div>'
        )
    return (
        '<h3>Samples during training</h3>\n<p class="under">Samples from the same noise at earlier '
        "epochs.</p>\n"
        f'<div class="strips">{"".join(rows)}</div>'
    )


def reconstructions(galleries: Sequence[Gallery]) -> str:
    """Test images next to their reconstructions."""
    figures = "".join(
        _figure(gallery, gallery.reconstructions, "reconstructions")
        for gallery in galleries
        if gallery.reconstructions
    )
    if not figures:
        return ""
    return (
        '<h3>Reconstructions</h3>\n<p class="under">Test images and their '
        f'reconstructions.</p>\n<div class="pictures">{figures}</div>'
    )


def _figure(gallery: Gallery, picture: EmbeddedPicture, what: str) -> str:
    alt = escape(f"{gallery.title}, {what}, ") + _when(picture)
    return (
        f"<figure><figcaption>{_dot(gallery)}{escape(gallery.title)} "
        f"<small>{_when(picture)}</small></figcaption>"
        f'<img alt="{alt}" src="{_uri(picture)}"{_cropped(picture)} loading="lazy"></figure>'
    )


def _dot(gallery: Gallery) -> str:
    return f'<span class="key" style="--c:var(--c{gallery.colour % COLOURS})"></span>'


def _when(picture: EmbeddedPicture) -> str:
    if picture.epoch != picture.stage_epoch:
        return escape(f"epoch {picture.stage_epoch} of stage {picture.stage}")
    return f"epoch {picture.epoch}"


def _cropped(picture: EmbeddedPicture) -> str:
    """The style that leaves a picture's own caption out, as the page has one.

    Its height stands in a text chunk of the file, the picture's size in the header.
    """
    head = picture.png[:200]
    found = re.search(rb"tEXtcaption-height\0(\d{4})", head)
    if found is None:
        return ""
    width, height = (int.from_bytes(head[start : start + 4], "big") for start in (16, 20))
    shape = f"aspect-ratio:{width}/{height - int(found[1])}"
    return f' style="{shape};object-fit:cover;object-position:bottom"'


def _uri(picture: EmbeddedPicture) -> str:
    return "data:image/png;base64," + b64encode(picture.png).decode("ascii")
