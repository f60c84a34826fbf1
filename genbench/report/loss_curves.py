"""Training and validation losses of runs over their epochs, as one SVG that stands alone.

For documents: its colours and fonts are written out, since converters to PDF and PNG know neither
CSS variables nor dark mode.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files

from genbench.errors import UsageError, suggest
from genbench.formatting import markup as escape
from genbench.report.charts import Curve, Point, downsample, line_chart
from genbench.report.curves import LOSS_COLOURS, Panel
from genbench.store import Store
from genbench.store.records import Epoch, Run

TOTAL, HELD_OUT, MONITOR = "loss", "test", "monitor"
"""How the store names a sum of terms, losses on the test split, and what is no loss."""

WIDTH, HEIGHT, TITLE, MARGIN = 460.0, 280.0, 26.0, 24.0
"""SVG units of a panel, of its title above it, and around it."""

PALETTE = 7
"""Colours of the report's style, for runs beside one another."""

STROKED = ("line", "bar", "lead")
"""Classes of the report's drawings whose colour is that of a stroke; the others' is a fill."""


def loss_curves(store: Store, runs: Sequence[str], terms: Sequence[str] = ()) -> str:
    """One row of panels for each stage of each run, one panel for each term.

    Without ``terms``: the loss, and each of its terms that was taken on the test split too.
    Raises UsageError where a run has no epoch yet, or no such term.
    """
    rows = []
    for run_id in runs:
        run, epochs = _told(store, run_id)
        stages = list(dict.fromkeys(epoch.stage for epoch in epochs))
        found = [
            list(_panels(run, [e for e in epochs if e.stage == stage], stages, terms))
            for stage in stages
        ]
        if not any(found):
            raise _no_such(run_id, terms, epochs)
        rows += [row for row in found if row]
    return _sheet(rows)


def curves_together(store: Store, runs: Sequence[str], terms: Sequence[str] = ()) -> str:
    """One panel for each term, in which each run has one curve: of its main stage, held out.

    Without ``terms``: the loss. Raises UsageError where a run has no epoch yet, or no such term.
    """
    curves: dict[str, list[Curve]] = {term: [] for term in terms or (TOTAL,)}
    for place, run_id in enumerate(runs):
        run, epochs = _told(store, run_id)
        last = next((e.stage for e in reversed(epochs) if e.images), epochs[-1].stage)
        main = [epoch for epoch in epochs if epoch.stage == last]
        for term, drawn in curves.items():
            keys = [key for key in _keys(main) if _term(key) == term]
            if not keys:
                raise _no_such(run_id, [term], epochs)
            key = next((key for key in keys if key.startswith(f"{HELD_OUT}/")), keys[0])
            points = downsample(_series(main, key))
            drawn.append(Curve(label=_called(run), points=points, colour=place % PALETTE))
    panels = [
        Panel(title=term, curves=tuple(drawn), x_label="epoch", y_label=term)
        for term, drawn in curves.items()
    ]
    return _sheet([panels])


def _told(store: Store, run_id: str) -> tuple[Run, Sequence[Epoch]]:
    run, epochs = store.run(run_id), store.epochs(run_id)
    if not epochs:
        raise UsageError(f"run {run_id} ({run.status}) has no epoch yet, so it has no curve")
    return run, epochs


def _called(run: Run) -> str:
    """Its name, else its row of a study, else its id."""
    rows = [tag.removeprefix("row:") for tag in run.tags if tag.startswith("row:")]
    return run.name or next(iter(rows), run.id)


def _no_such(run_id: str, terms: Sequence[str], epochs: Sequence[Epoch]) -> UsageError:
    known = {_term(key) for key in _keys(epochs)}
    given = ", ".join(terms)
    return UsageError(f"--term {given}: run {run_id} has none{suggest(given, known)}")


def _keys(epochs: Sequence[Epoch]) -> list[str]:
    """The losses of some epochs; a term that is weighted in its loss by its unweighted record."""
    there = list(dict.fromkeys(key for e in epochs for key in e.losses if "/" in key))
    plain = {_term(key) for key in there if key.startswith(f"{HELD_OUT}/")}
    bare = {_term(k) for k in there if k.startswith(f"{MONITOR}/")} & plain
    return [
        key
        for key in there
        if key.startswith(f"{HELD_OUT}/") or key.startswith(f"{MONITOR}/") == (_term(key) in bare)
    ]


def _panels(
    run: Run, epochs: Sequence[Epoch], stages: Sequence[str], terms: Sequence[str]
) -> Iterator[Panel]:
    keys = _keys(epochs)
    name = run.name or f"{run.model} on {run.dataset}, {run.id}"
    stage = f", stage {epochs[0].stage}" if len(stages) > 1 else ""
    for term in terms or _customary(keys):
        own = [key for key in keys if _term(key) == term]
        series = {key: _series(epochs, key) for key in own}
        drawn = {key: points for key, points in series.items() if points}
        if not drawn:
            continue
        curves = tuple(
            Curve(label=label, points=downsample(drawn[key]), colour=colour, marks=len(epochs) == 1)
            for (key, label), colour in zip(_labels(list(drawn)).items(), _colours(), strict=False)
        )
        title = f"{name}{stage}: {term}"
        yield Panel(title=title, curves=curves, x_label="epoch", y_label=term)


def _customary(keys: Sequence[str]) -> list[str]:
    """The loss first, then what the test split knows of it."""
    held_out = [_term(key) for key in keys if key.startswith(f"{HELD_OUT}/")]
    return list(dict.fromkeys([TOTAL, *held_out]))


def _labels(keys: Sequence[str]) -> Mapping[str, str]:
    """Keys -> what their curves are called: by player where there are several."""
    players = [key for key in keys if not key.startswith(f"{HELD_OUT}/")]
    labels = {key: key.split("/")[0] if len(players) > 1 else "training" for key in players}
    return labels | {key: "validation" for key in keys if key not in labels}


def _series(epochs: Sequence[Epoch], key: str) -> list[Point]:
    return [(float(e.stage_epoch), e.losses[key]) for e in epochs if key in e.losses]


def _term(key: str) -> str:
    return key.split("/", 1)[1]


def _colours() -> Iterator[int]:
    while True:
        yield from LOSS_COLOURS


# --- the sheet


def _sheet(rows: Sequence[Sequence[Panel]]) -> str:
    columns = max(map(len, rows))
    width = MARGIN + columns * (WIDTH + MARGIN)
    height = MARGIN + len(rows) * (TITLE + HEIGHT + MARGIN)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}">',
        f"<style>{_style()}</style>",
        f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>',
    ]
    for i, row in enumerate(rows):
        for j, panel in enumerate(row):
            x, y = MARGIN + j * (WIDTH + MARGIN), MARGIN + i * (TITLE + HEIGHT + MARGIN)
            title = escape(panel.title)
            parts.append(f'<text class="title" x="{x:g}" y="{y + 10:g}">{title}</text>')
            parts.append(_placed(panel, x, y + TITLE, f"p{i}-{j}"))
    return "".join([*parts, "</svg>"]) + "\n"


def _placed(panel: Panel, x: float, y: float, identity: str) -> str:
    """The report's drawing of a panel, at a place and with its colours written out."""
    svg = line_chart(
        panel.curves,
        identity=identity,
        title=panel.title,
        desc=f"{panel.y_label} over {panel.x_label}s",
        x_label=panel.x_label,
        y_label=panel.y_label,
        size=(WIDTH, HEIGHT),
    )
    where = f'<svg x="{x:g}" y="{y:g}" width="{WIDTH:g}" height="{HEIGHT:g}" '
    values = _variables()

    def coloured(match: re.Match[str]) -> str:
        attribute = "stroke" if match[1] in STROKED else "fill"
        return f'class="{match[1]}" {attribute}="{values[match[2]]}"'

    svg = re.sub(r'class="(\w+)" style="--c:var\(--(c\d)\)"', coloured, svg)
    return svg.replace("<svg ", where, 1)


def _style() -> str:
    """The report's rules for drawings, with the values of its variables in their place."""
    values = _variables()
    rules = re.findall(r"^svg \.\w+ \{.*?\}$", _report_style(), re.MULTILINE)
    kept = [re.sub(r"(fill|stroke): var\(--c\);", "", rule.removeprefix("svg ")) for rule in rules]
    resolved = [re.sub(r"var\(--(\w+)\)", lambda found: values[found[1]], rule) for rule in kept]
    fonts = f"text {{ font-family: {values['sans']}; }}"
    return "\n".join([fonts, ".title { font-size: 13.5px; font-weight: 600; }", *resolved])


def _variables() -> Mapping[str, str]:
    """The report's colours and fonts by light."""
    root = re.search(r":root \{(.*?)\n\}", _report_style(), re.DOTALL)
    assert root is not None
    return {
        name: " ".join(value.split())
        for name, value in re.findall(r"--(\w+):(.*?);", root[1], re.DOTALL)
    }


def _report_style() -> str:
    return files("genbench.report").joinpath("style.css").read_text(encoding="utf-8")
