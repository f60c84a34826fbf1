"""What the page promises."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
import torch
from PIL import Image

from genbench.compare import Question, Selection
from genbench.contracts import Picture
from genbench.events import EpochDone, StageStarted, StepsDone
from genbench.pictures.sheet import save_sheet
from genbench.report.charts import Curve, Labels, line_chart, log_ticks, tick_texts, ticks
from genbench.report.content import read_report
from genbench.report.curves import MOST_POINTS
from genbench.report.page import render
from genbench.spec import RunSpec
from genbench.store import Filter, Recorder

VOID = {"meta", "img", "br", "input"}
LABELS = Labels(identity="a", title="t", desc="d", x="x", y="y")


class Nesting(HTMLParser):
    """Collects tags, and fails on one that closes what isn't open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def page_of(bench, **question) -> str:
    asked = Question(**question)
    return render(read_report(bench.store, Selection(baseline=asked.baseline), asked))


def parsed(page: str) -> Nesting:
    parser = Nesting()
    parser.feed(page)
    assert parser.open == []
    return parser


def test_the_page_needs_nothing_from_elsewhere(filled):
    page = page_of(filled, baseline="gan")
    seen = parsed(page).seen
    assert [attributes for tag, attributes in seen if tag == "script"] == [{}]
    for tag, attributes in seen:
        assert tag not in ("link", "iframe")
        assert (attributes.get("src") or "data:").startswith("data:image/png;base64,") or (
            "src" not in attributes
        )
        assert (attributes.get("href") or "#").startswith("#")
    assert "http" not in re.sub(r'http-equiv="|http://www.w3.org/2000/svg', "", page)
    assert "default-src 'none'" in page
    assert "url(" not in page
    assert "@import" not in page


def test_the_page_says_what_the_table_says(filled):
    page = page_of(filled, baseline="gan")
    assert "gan and vaegan on mnist" in page
    assert "vaegan has the lowest fd_clf, 21.0 ± 1.0: 10.5 times" in page
    assert "An epoch of stage &#x27;gan&#x27; of vaegan takes 1 s, 10 times as fast" in page
    assert "With 16 s of stage &#x27;vae&#x27;, training takes 24 s" in page
    assert "vae 16 (3 × 4)<br>gan 8 (5 × 1)" in page
    assert "10×" in page
    assert "2.08×" in page
    assert "vaegan has the best mean fd_clf and the shortest mean training time." in page


def test_every_reference_on_the_page_has_its_target_and_every_id_is_unique(filled):
    seen = parsed(page_of(filled)).seen
    ids = [attributes["id"] for _, attributes in seen if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [a["href"].removeprefix("#") for tag, a in seen if tag == "a"]
    labels = [i for _, a in seen for i in (a.get("aria-labelledby") or "").split()]
    assert links
    assert set(links) | set(labels) <= set(ids)


def test_figures_have_a_title_a_description_and_pictures_a_text(filled):
    page = page_of(filled)
    figures = re.findall(r'<svg class="chart.*?</svg>', page, flags=re.DOTALL)
    assert len(figures) >= 4
    for figure in figures:
        root = ET.fromstring(figure)
        assert root[0].tag == "title"
        assert root[1].tag == "desc"
        assert root[1].text
    pictures = [a for tag, a in parsed(page).seen if tag == "img"]
    assert pictures
    assert all(a["alt"] for a in pictures)


def test_what_a_person_typed_in_can_not_become_markup(bench):
    evil = "<script>alert('1')</script>\"&"
    bench.add(
        "gan",
        score=1.0,
        name=evil,
        tags=[evil],
        preset=evil,
        settings={evil: evil},
        dataset_settings={"folder": evil},
        machine={"cpu": evil, "threads": 1, evil: evil},
        protocol={evil: evil},
        pictures=True,
    )
    bench.add("vae", score=2.0, dataset_settings={"folder": evil}, protocol={"other": evil})
    page = page_of(bench)
    assert page.count("<script") == 1
    assert "alert('1')" not in page
    parsed(page)


def test_the_other_protocol_is_told_on_the_page(filled):
    filled.add("vae", score=1.0, protocol={"weights": "90bc"})
    page = page_of(filled)
    assert 'class="warning"' in page
    assert "computed under another protocol" in page
    assert "lenet" in page


def test_pictures_are_of_all_stages_from_the_first_epoch_to_the_last(filled):
    report = read_report(filled.store, Selection(), Question())
    [section] = report.sections
    vaegan = next(e.samples for e in section.experiments if e.first.title == "vaegan")
    assert [(shot.epoch, shot.stage, shot.stage_epoch) for shot in vaegan] == [
        *((epoch, "vae", epoch) for epoch in (1, 2, 3)),
        *((3 + epoch, "gan", epoch) for epoch in range(1, 6)),
    ]
    # 8 + 4 + 4 s of the first stage, 2 s of preparation, 2 + 1 + 1 + 1 + 1 s of the second.
    assert [shot.seconds for shot in vaegan] == [8, 12, 16, 20, 21, 22, 23, 24]


def test_the_page_leaves_out_the_captions_within_pictures_and_keeps_their_shape(filled):
    paths = list(filled.store.runs_folder.rglob("*.png"))
    assert "object-fit" not in page_of(filled)
    for path in paths:
        save_sheet(Picture(images=torch.zeros(8, 1, 28, 28).byte()), path, "a caption")
    with Image.open(paths[0]) as sheet:
        shape = f"{sheet.width}/{sheet.height - int(sheet.text['caption-height'])}"
    page = page_of(filled)
    style = f'style="aspect-ratio:{shape};object-fit:cover;object-position:bottom"'
    assert page.count("<img") == page.count(style) > 0


def test_a_picture_that_is_gone_is_left_out(filled):
    for path in filled.store.runs_folder.rglob("*.png"):
        path.unlink()
    page = page_of(filled)
    assert "<img" not in page
    assert "Samples over the training" not in page
    assert "Score over the training" in page


def test_a_score_before_the_end_of_the_first_epoch_stands_at_no_seconds(bench):
    bench.add("gan", score=40.0, curve=(80.0, 70.0, 60.0, 50.0))  # epochs 0 to 3 of 4
    report = read_report(bench.store, Selection(), Question(target=75.0))
    [section] = report.sections
    moments = [at for c in section.scores[0].curves["seconds"] for at, *_ in c.points]
    assert min(moments) == 0.0


def test_losses_stand_over_the_seconds_of_training_with_preparation(filled):
    selection = Selection(where=(Filter.one("model", "vaegan"),))
    report = read_report(filled.store, selection, Question())
    [section] = report.sections
    [experiment] = section.experiments
    first, second = experiment.losses
    assert (first.title, second.title) == ("losses of stage vae", "losses of stage gan")
    # 16 s of the first stage; 2 s of preparation; 20 steps of the first epoch's 2 s.
    before, after = (panel.curves["seconds"][0].points for panel in (first, second))
    assert before[-1][0] == pytest.approx(16.0)
    assert after[0][0] == pytest.approx(16.0 + 2.0 + 2.0 / 20)
    assert after[-1][0] == pytest.approx(24.0)
    epochs = second.curves["epochs"][0].points
    assert epochs[0][0] == pytest.approx(3 + 1 / 20)
    assert epochs[-1][0] == pytest.approx(8.0)


def test_the_command_spells_out_every_setting(bench):
    for seed in (3, 4):
        bench.add(
            "gan", seed=seed, score=1.0, settings={"lr": 2e-4, "betas": [0.5, 0.999]}, ema=0.99
        )
    page = page_of(bench)
    assert "for seed in 3 4; do" in page
    for words in ("--epochs 4", "--ema 0.99", "--set model.lr=0.0002", "--metric fd_clf"):
        assert words in page
    assert "--set &#x27;model.betas=[0.5, 0.999]&#x27;" in page


def test_a_long_curve_becomes_means_over_groups_of_steps_and_keeps_its_gaps(bench):
    add_long_run(bench.store, steps=10_000, gap=range(4_000, 6_000))
    report = read_report(bench.store, Selection(), Question())
    [panel] = report.sections[0].experiments[0].losses
    points = panel.curves["epochs"][0].points
    width = -(-10_000 // MOST_POINTS)
    assert len(points) == -(-10_000 // width)
    # The value at a step is the step, so means are known; none is known within the gap.
    for i, (x, y) in enumerate(points):
        steps = range(i * width + 1, min((i + 1) * width, 10_000) + 1)
        known = [step for step in steps if not 4_000 <= step < 6_000]
        assert x == pytest.approx(sum(steps) / len(steps) / 10_000)
        assert y == pytest.approx(sum(known) / len(known)) if known else y is None


def add_long_run(store, *, steps: int, gap: range) -> None:
    """A finished run of one epoch with a loss at each step, which isn't finite in the gap."""
    spec = RunSpec(model="gan", dataset="mnist", epochs=1, batch_size=100)
    run = store.create_run(spec, stages=[("train", 1)], environment={})
    loss = [(i, math.nan if i in gap else float(i)) for i in range(1, steps + 1)]
    with Recorder(store, run.id) as recorder:
        recorder(
            StageStarted(
                stage="train",
                index=0,
                epochs=1,
                steps_per_epoch=steps,
                first_epoch=1,
                prepare_s=0.0,
            )
        )
        recorder(StepsDone(stage="train", epoch=1, step=steps, series={"g/loss": loss}))
        recorder(
            EpochDone(
                stage="train",
                stage_epoch=1,
                epoch=1,
                step=steps,
                images=steps,
                train_s=9.0,
                cpu_s=None,
                load=None,
                eval_s=0.0,
                wall_s=9.0,
                peak_mem=1,
                losses={},
            )
        )
    store.finish(run.id)


def test_a_gap_in_a_curve_is_not_bridged():
    points = [(0, 1.0), (1, 2.0), (2, None), (3, 2.0), (4, float("nan"))]
    svg = line_chart([Curve(label="g", points=points, spread=[0.1] * 5)], LABELS)
    assert len(re.findall(r'class="line dash0"', svg)) == 2
    assert len(re.findall(r'class="(band|bar)"', svg)) == 2
    assert 'data-p="0,1,0.1;1,2,0.1;3,2,0.1"' in svg


def test_nothing_finite_draws_nothing():
    curve = Curve(label="g", points=[(0, None)])
    assert line_chart([curve], LABELS) == ""


@pytest.mark.parametrize("ys", [[0.0, 0.0], [5.0], [-3.0, 2.0], [1e-9, 1e9], [1e300, 1e301]])
def test_any_range_of_values_can_be_drawn(ys):
    curve = Curve(label="g", points=list(enumerate(ys)), spread=[None] * len(ys))
    svg = line_chart([curve], LABELS)
    ET.fromstring(svg)
    assert "nan" not in svg
    assert "inf" not in svg


def test_ticks_are_round():
    assert ticks(0.0, 98.0) == [0.0, 20.0, 40.0, 60.0, 80.0]
    assert log_ticks(3.0, 300.0) == [5.0, 10.0, 20.0, 50.0, 100.0, 200.0]
    assert tick_texts([0.5, 1.0], even=True) == ["0.5", "1.0"]
    assert tick_texts([1000.0, 2000.0], even=True) == ["1,000", "2,000"]


def test_one_table_has_all_columns_and_becomes_records_in_print_if_it_is_too_wide(bench):
    names = [f"a_metric_of_long_name_{i:02d}" for i in range(12)]
    for model in ("gan", "vae"):
        for seed in range(3):
            bench.add(model, seed=seed, scores=dict.fromkeys(names, 12.345 + seed))
    page = page_of(bench)
    [table] = re.findall(r'<table id="table-0" class="wide">.*?</table>', page, flags=re.DOTALL)
    assert [name for name in names if f">{name} ↓</button>" in table] == names
    [style] = re.findall(r"<style>(.*?)</style>", page, flags=re.DOTALL)
    assert ".wide td::before { content: attr(data-head)" in style
    for row in re.findall(r"<tr data-row.*?</tr>", table, flags=re.DOTALL):
        assert all(f'data-head="{name} ↓"' in row for name in names)


def test_a_table_that_fits_paper_stays_a_table_in_print(filled):
    assert '<table id="table-0">' in page_of(filled)


def test_the_legend_names_what_differs_uncut(bench):
    paths = [f"/data/{'folder/' * 12}{i}" for i in range(9)]
    for path in paths:
        bench.add("vae", score=1.0, settings={"weights": path, "beta": 4})
    page = page_of(bench)
    [legend] = re.findall(r'<div class="legend".*?</div></div>', page, flags=re.DOTALL)
    for path in paths:
        assert f"<span>vae (weights={path})</span>" in legend
    # The eighth row has the colour of the first, but another mark and dash.
    keys = re.findall(r"<button[^>]*data-row=.*?</svg>", legend, flags=re.DOTALL)
    assert len({re.sub(r'data-row="\d+"', "", key) for key in keys}) == 9


def test_scores_of_few_samples_have_one_chart_for_all_rows_and_rank_nothing(bench):
    for model, last in (("gan", 5.0), ("vae", 7.0)):
        run = bench.add(model, score=1.0, end=None)
        probes = {"watch/fd_clf": [(20, 9.0), (80, last)], "watch/next": [(20, 2.0)]}
        with Recorder(bench.store, run) as recorder:
            recorder(StepsDone(stage="train", epoch=4, step=80, series=probes))
        bench.store.finish(run)
    [section] = read_report(bench.store, Selection(), Question()).sections
    [panel] = section.probes
    found = {curve.label: curve.points for curve in panel.curves["epochs"]}
    assert found == {"gan": [(1.0, 9.0), (4.0, 5.0)], "vae": [(1.0, 9.0), (4.0, 7.0)]}
    assert [column.metric for column in section.table.shown] == ["fd_clf"]
    assert all(row.scores["fd_clf"].mean == 1.0 for row in section.table.rows)
    assert "on few samples: fd_clf</summary>" in page_of(bench)


def test_the_front_joins_the_rows_that_no_other_beats_in_score_and_seconds(bench, new_plan):
    for model, epoch_s, score in (("a", 1.0, 40.0), ("b", 2.0, 20.0), ("c", 3.0, 30.0)):
        bench.add(model, stages=[new_plan(name="train", epochs=2, epoch_s=epoch_s)], score=score)
    [section] = read_report(bench.store, Selection(), Question()).sections
    [front] = section.fronts
    assert [(dot.label, dot.x, dot.y) for dot in front.best] == [("a", 3.0, 40.0), ("b", 6.0, 20.0)]
    page = page_of(bench)
    assert "From a to b, a longer training comes with a better mean fd_clf" in page
    [chart] = re.findall(r'<svg class="chart dots".*?</svg>', page, flags=re.DOTALL)
    a, b = (re.search(rf'data-name="{name}".*?cx="(.*?)" cy="(.*?)"', chart) for name in "ab")
    assert f'class="front" d="M{a[1]} {a[2]}H{b[1]}V{b[2]}H' in chart
    assert ">floor 2</text>" in chart


def test_the_ending_of_a_file_or_the_format_makes_it_markdown(filled, genbench, tmp_path):
    assert genbench("report", "--format", "md").code == 0
    text = (tmp_path / "genbench-report.md").read_text()
    assert "| vaegan | 3 | **21.0 ± 1.0** |" in text
    assert genbench("report", "--out", "other.md").code == 0
    assert (tmp_path / "other.md").read_text() == text
    said = genbench("report", "--format", "md", "--out", "page.html")
    assert said.code == 2
    assert "expected the name of a file in .md" in said.err
