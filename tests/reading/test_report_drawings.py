"""What a chart draws is what it says: its curves, bands, floors and texts, from SQL and numpy."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

from genbench.report.charts import Dot, Labels, dot_chart
from tests.reading.raw_rows import STAGES, drawn, numbers, told


@pytest.fixture
def page(numbered_page) -> str:
    return numbered_page


class Chart(NamedTuple):
    """One chart of the page: its texts, its scales, and its curves with their numbers."""

    title: str
    desc: str
    svg: str
    scale: dict[str, Any]

    def place(self, axis: str, value: Any) -> Any:
        """Where numbers belong; those beyond a logarithmic axis belong at its end."""
        low, high = self.scale[axis]
        if self.scale[f"log{axis}"]:
            low, high, value = np.log10(low), np.log10(high), np.log10(np.maximum(value, low))
        start, end = self.scale[f"p{axis}"]
        return start + (value - low) / (high - low) * (end - start)

    def curves(self) -> Iterator[tuple[str, np.ndarray, str]]:
        """Name, numbers (points; x, y, sd of y, sd of x) and drawing of each."""
        for name, points, inside in re.findall(
            r'data-name="([^"]*)" data-p="([^"]*)">(.*?)</g>', self.svg
        ):
            rows = [[float(v or "nan") for v in p.split(",")] for p in points.split(";")]
            found = np.full((len(rows), 4), np.nan)
            for row, own in zip(found, rows, strict=True):
                row[: len(own)] = own
            yield name, found, inside


@pytest.fixture
def charts(page) -> list[Chart]:
    return charts_in(page)


def charts_in(page: str) -> list[Chart]:
    found = []
    for svg in re.findall(r'<svg class="chart.*?</svg>', page, flags=re.DOTALL):
        texts = [re.search(rf"<{tag}[^>]*>(.*?)</{tag}>", svg) for tag in ("title", "desc")]
        scale = re.search(r'data-scale="([^"]*)"', svg)
        assert all(texts)
        assert scale
        title, desc = (html.unescape(text[1]) for text in texts if text)
        found.append(Chart(title, desc, svg, json.loads(html.unescape(scale[1]))))
    return found


def positions(path: str) -> np.ndarray:
    """The points (x, y) of a path of straight lines."""
    return np.array([p.split() for p in re.split("[ML]", path.rstrip("Z"))[1:]], float)


def test_there_are_charts_of_all_kinds(charts):
    titles = {chart.title for chart in charts}
    assert {
        *("fd_clf against training seconds", "fd_clf over epochs", "fd_clf over seconds"),
        *("losses over epochs", "losses of stage vae over seconds", "gradient norms over epochs"),
        "outputs of the discriminator over seconds",
    } <= titles
    assert {chart.scale["logy"] for chart in charts} == {False, True}


def test_each_point_and_each_band_stands_where_its_numbers_belong(charts):
    tried = 0
    for chart in charts:
        for _, points, inside in chart.curves():
            at = np.stack([chart.place("x", points[:, 0]), chart.place("y", points[:, 1])], 1)
            for line in re.findall(r'class="line[^"]*" d="([^"]*)"', inside):
                assert positions(line) == pytest.approx(at, abs=0.06)
            marks = re.findall(r'<circle class="mark" cx="([^"]*)" cy="([^"]*)"', inside)
            assert np.array(marks, float).reshape(-1, 2) == pytest.approx(
                at[: len(marks)], abs=0.06
            )
            foot = chart.scale["py"][0]
            for band in re.findall(r'class="band" d="([^"]*)"', inside):
                high, low = np.split(positions(band), 2)
                for edge, sign in ((high, 1.0), (low[::-1], -1.0)):
                    wanted = chart.place("y", points[:, 1] + sign * points[:, 2])
                    assert edge[:, 0] == pytest.approx(at[:, 0], abs=0.06)
                    assert edge[:, 1] == pytest.approx(np.minimum(wanted, foot), abs=0.06)
                    tried += 1
    assert tried > 20


def test_the_bars_of_score_against_seconds_have_the_length_of_their_spread(charts):
    [chart] = [c for c in charts if c.title == "fd_clf against training seconds"]
    assert len(list(chart.curves())) == 2
    for _, points, inside in chart.curves():
        [(x, y, y_sd, x_sd)] = points
        [(low, high)] = re.findall(r'class="bar" d="M[\d.]+ ([\d.]+)V([\d.]+)"', inside)
        ends = chart.place("y", np.array([y - y_sd, y + y_sd]))
        assert [float(low), float(high)] == pytest.approx(list(ends), abs=0.06)
        [(left, right)] = re.findall(r'class="bar" d="M([\d.]+) [\d.]+H([\d.]+)"', inside)
        ends = chart.place("x", np.array([x - x_sd, x + x_sd]))
        assert [float(left), float(right)] == pytest.approx(list(ends), abs=0.06)


def test_the_front_goes_through_the_rows_that_no_other_beats(page, charts, stored):
    [chart] = [c for c in charts if c.title == "fd_clf against training seconds"]
    best = (stored.totals("vaegan").mean(), stored.scores("vaegan").mean())
    assert best < (stored.totals("gan").mean(), stored.scores("gan").mean())
    assert front(chart) == pytest.approx(np.array([placed(chart, best)]), abs=0.06)
    assert chart.desc.endswith("Not beaten in both: vaegan.")
    assert "vaegan has the best mean fd_clf and the shortest mean training time" in page


def test_a_front_of_several_rows_has_a_step_at_each():
    keys = [(10.0, 41.0), (33.0, 7.0), (61.0, 5.5)]
    dots = [Dot(label=str(i), x=x, y=y) for i, (x, y) in enumerate([*keys, (70.0, 60.0)])]
    labels = Labels(identity="a", title="t", desc="d", x="x", y="y")
    [chart] = charts_in(dot_chart(dots, labels, floor=None, front=dots[:3]))
    assert front(chart) == pytest.approx(np.array([placed(chart, key) for key in keys]), abs=0.06)


def front(chart: Chart) -> np.ndarray:
    """The corners (x, y) of the front at which its rows are."""
    found = re.search(r'class="front" d="M([\d.]+) ([\d.]+)((?:H[\d.]+V[\d.]+)*)H', chart.svg)
    assert found
    return np.array([(found[1], found[2]), *re.findall(r"H([\d.]+)V([\d.]+)", found[3])], float)


def placed(chart: Chart, key: tuple[float, float]) -> tuple[float, float]:
    return float(chart.place("x", key[0])), float(chart.place("y", key[1]))


def test_the_floor_is_that_in_the_store(charts, stored):
    having = [chart for chart in charts if 'class="floor"' in chart.svg]
    assert {chart.title.split()[0] for chart in having} == {"fd_clf"}
    for chart in having:
        found = re.search(r'class="floor" d="M[\d.]+ ([\d.]+)H.*?>floor ([^<]*)<', chart.svg)
        assert found
        assert found[2] == f"{stored.floor():.3g}"
        assert float(found[1]) == pytest.approx(chart.place("y", stored.floor()), abs=0.06)


def test_the_ticks_stand_where_their_numbers_belong(charts):
    for chart in charts:
        for anchor, axis, own in (("end", "y", 1), ("middle", "x", 0)):
            ticks = re.findall(
                rf'class="tick" x="([\d.-]+)" y="([\d.-]+)" text-anchor="{anchor}">([^<f]*)<',
                chart.svg,
            )
            assert len(ticks) > 1
            for tick in ticks:
                value = float(tick[2].replace(",", ""))
                at = float(tick[own]) - 4 * own
                assert at == pytest.approx(chart.place(axis, value), abs=0.06)


def test_each_chart_is_described_by_its_own_numbers(charts):
    for chart in charts:
        ends = [
            value for _, points, _ in chart.curves() for value in (*points[0, :2], *points[-1, :2])
        ]
        tokens = [t for t in numbers(chart.desc.replace("fd_clf", "")) if "_" not in t]
        assert tokens
        strays = [t for t in tokens if not any(told(t, value) for value in ends)]
        assert strays == [], chart.desc


@pytest.mark.parametrize("axis", ["epochs", "seconds"])
def test_the_curves_of_the_monitor_of_losses_on_the_test_split_and_of_gradients(page, stored, axis):
    for series, title, name in (
        ("watch/fd_clf", "fd_clf over", "{model}"),
        ("monitor/d_real", "outputs of the discriminator over", "d_real"),
        ("monitor/d_fake", "outputs of the discriminator over", "d_fake"),
        ("monitor/d_grad_norm", "gradient norms over", "d"),
    ):
        for model in STAGES:
            within = page
            if series.startswith("watch/"):
                _, _, within = page.partition("Between epochs, on few samples")
            else:
                within = page[page.index(f'<span class="name">{model}</span>') :]
            points = drawn(within, f"{title} {axis}", name.format(model=model))
            xs, ys = stored.curve(model, series)
            assert points[:, 0] == pytest.approx(xs[axis].mean(0), rel=1e-5)
            assert points[:, 1] == pytest.approx(ys.mean(0), rel=1e-5)
            assert points[:, 2] == pytest.approx(ys.std(0, ddof=1), rel=1e-4)


@pytest.mark.parametrize("model", STAGES)
def test_the_losses_on_the_test_split(page, stored, model):
    runs, first = stored.runs(model), 0
    ends = np.array([stored.ends(model, run) for run in runs])
    for stage in STAGES[model]:
        epochs = np.arange(first, first + len(stored.epochs(runs[0], stage)))
        known = np.array([stored.test_losses(run) for run in runs])[:, epochs]
        title = "losses" if len(STAGES[model]) == 1 else f"losses of stage {stage}"
        within = page[page.index(f'<span class="name">{model}</span>') :]
        for axis, xs in (("epochs", epochs + 1), ("seconds", ends[:, epochs].mean(0))):
            points = drawn(within, f"{title} over {axis}", "test")
            assert points[:, 0] == pytest.approx(xs, rel=1e-5)
            assert points[:, 1] == pytest.approx(known.mean(0), rel=1e-5)
        first = epochs[-1] + 1


def test_each_picture_says_when_it_was_drawn(page, stored):
    for model in STAGES:
        ends = stored.ends(model, stored.runs(model)[0])
        texts = re.findall(rf'alt="{model}, samples, ([^"]*)"', page)
        assert len(texts) == len(ends)
        for epoch, (text, seconds) in enumerate(zip(texts, ends, strict=True), start=1):
            found = numbers(text)
            assert int(found[0]) == epoch
            assert told(found[-1], seconds)


def test_the_markdown_has_the_numbers_of_the_page(numbered, page, tmp_path):
    from genbench.compare import Question, Selection
    from genbench.report.content import read_report
    from genbench.report.markdown import render_markdown
    from genbench.store import Store

    with Store.open(numbered, mode="read") as store:
        report = read_report(store, Selection(baseline="gan"), Question(baseline="gan"))
    text = render_markdown(report, folder=tmp_path)
    [table] = re.findall(r"<tbody>.*?</tbody>", page[: page.index('runs"')], flags=re.DOTALL)[:1]
    rows = [line for line in text.splitlines() if line.startswith(("| gan", "| vaegan"))]
    assert len(rows) == 2
    assert sorted(n for row in rows for n in numbers(row)) == sorted(numbers(table))
