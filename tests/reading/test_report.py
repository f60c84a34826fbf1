"""What the page promises."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from itertools import pairwise

import pytest
import torch
from PIL import Image

from genbench.compare import Question, Selection
from genbench.contracts import Picture
from genbench.pictures.sheet import save_sheet
from genbench.report.charts import (
    Curve,
    downsample,
    line_chart,
    log_ticks,
    shortened,
    spread_apart,
    tick_texts,
    ticks,
)
from genbench.report.content import read_report
from genbench.report.page import render

VOID = {"meta", "img", "br"}


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
    for tag, attributes in parsed(page).seen:
        assert tag not in ("script", "link", "iframe")
        assert (attributes.get("src") or "data:").startswith("data:image/png;base64,") or (
            "src" not in attributes
        )
        assert (attributes.get("href") or "#").startswith("#")
    assert "http" not in page
    assert "url(" not in page
    assert "@import" not in page


def test_the_page_says_what_the_table_says(filled):
    page = page_of(filled, baseline="gan")
    assert "gan and vaegan on mnist" in page
    assert "vaegan has the lowest fd_clf, 21.0 ± 1.0: 10.5 times" in page
    assert "An epoch of vaegan of its stage &#x27;gan&#x27; takes 1 s, 10 times as fast" in page
    assert "With 16 s of stage &#x27;vae&#x27;, training takes 24 s" in page
    assert "vae 16 (3 × 4)<br>gan 8 (5 × 1)" in page
    assert "10×" in page
    assert "2.08×" in page


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
    figures = re.findall(r"<svg .*?</svg>", page, flags=re.DOTALL)
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
    assert "<script" not in page
    parsed(page)


def test_the_other_protocol_is_told_on_the_page(filled):
    filled.add("vae", score=1.0, protocol={"weights": "90bc"})
    page = page_of(filled)
    assert 'class="warning"' in page
    assert "computed under another protocol" in page
    assert "lenet" in page


def test_pictures_are_of_the_last_stage_and_early_and_late(filled):
    report = read_report(filled.store, Selection(), Question())
    galleries = {gallery.title: gallery for gallery in report.sections[0].galleries}
    vaegan = galleries["vaegan"].samples
    assert {picture.stage for picture in vaegan} == {"gan"}
    assert [vaegan[0].stage_epoch, vaegan[-1].stage_epoch] == [1, 5]
    assert vaegan[-1].epoch == 8


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
    assert "Losses over training time" in page


def test_losses_stand_over_the_seconds_of_training_with_preparation(filled):
    report = read_report(filled.store, Selection(model="vaegan"), Question())
    first, second = report.sections[0].losses
    assert (first.title, second.title) == ("vaegan, stage vae", "vaegan, stage gan")
    # 16 s of the first stage; 2 s of preparation; 20 steps of the first epoch's 2 s.
    assert first.curves[0].points[-1][0] == pytest.approx(16.0)
    assert second.curves[0].points[0][0] == pytest.approx(16.0 + 2.0 + 2.0 / 20)
    assert second.curves[0].points[-1][0] == pytest.approx(24.0)


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


def test_a_curve_is_downsampled_to_few_points_and_keeps_its_ends_and_gaps():
    points = [(float(i), None if 4_000 <= i < 6_000 else float(i)) for i in range(10_000)]
    small = downsample(points, limit=300)
    assert len(small) == 300
    assert small[-1] == points[-1]
    assert any(y is None for _, y in small)
    assert downsample(points[:10]) == points[:10]


def test_a_gap_in_a_curve_is_not_bridged():
    curve = Curve(label="g", points=[(0, 1.0), (1, 2.0), (2, None), (3, 2.0), (4, float("nan"))])
    svg = line_chart([curve], identity="a", title="t", desc="d", x_label="x", y_label="y")
    path = re.search(r'class="line"[^>]* d="([^"]*)"', svg)
    assert path is not None
    assert path[1].count("M") == 2


def test_nothing_finite_draws_nothing():
    curve = Curve(label="g", points=[(0, None)])
    assert line_chart([curve], identity="a", title="", desc="", x_label="", y_label="") == ""


@pytest.mark.parametrize("ys", [[0.0, 0.0], [5.0], [-3.0, 2.0], [1e-9, 1e9], [1e300, 1e301]])
def test_any_range_of_values_can_be_drawn(ys):
    curve = Curve(label="g", points=list(enumerate(ys)), spread=[None] * len(ys), marks=True)
    svg = line_chart([curve], identity="a", title="t", desc="d", x_label="x", y_label="y")
    ET.fromstring(svg)
    assert "nan" not in svg
    assert "inf" not in svg


def test_ticks_are_round_and_labels_keep_their_distance():
    assert ticks(0.0, 98.0) == [0.0, 20.0, 40.0, 60.0, 80.0]
    assert log_ticks(3.0, 300.0) == [5.0, 10.0, 20.0, 50.0, 100.0, 200.0]
    assert tick_texts([0.5, 1.0], even=True) == ["0.5", "1.0"]
    places = spread_apart([10.0, 11.0, 12.0, 99.0], 15.0, 100.0)
    assert all(b - a >= 15.0 for a, b in pairwise(places))
    assert max(places) <= 100.0


def test_a_table_with_many_columns_is_split_so_that_each_part_fits_the_page(bench):
    names = [f"a_metric_of_long_name_{i:02d}" for i in range(12)]
    for model in ("gan", "vae"):
        for seed in range(3):
            bench.add(model, seed=seed, scores=dict.fromkeys(names, 12.345 + seed))
    page = page_of(bench)
    tables = re.findall(r"<table>.*?</table>", page, flags=re.DOTALL)
    assert len(tables) > 2
    for table in tables:
        rows = re.findall(r"<tr>(.*?)</tr>", table, flags=re.DOTALL)
        unseen = r'<small>.*?</small>|<span class="away">.*?</span>|<[^>]*>'
        texts = [" ".join(re.sub(unseen, " ", row).split()) for row in rows]
        assert 8 * max(map(len, texts)) < 1_056
        assert re.search(r'<th scope="row">.*?gan</th>', table, flags=re.DOTALL)
    shown = [name for table in tables for name in names if name in table]
    assert sorted(shown) == sorted(names)


def test_labels_are_cut_where_they_are_alike_and_not_where_they_differ():
    labels = ["vae (lin2023, z_dim=64, beta=0.5)", "vae (lin2023, z_dim=64, beta=4)", "gan"]
    shown = shortened(labels, 22)
    assert shown == ["vae … beta=0.5)", "vae … beta=4)", "gan"]
    assert shortened(["a-very-long-name-of-a-model", "gan"], 10) == ["a-very-lo…", "gan"]
    same_word = shortened([f"averylongnamewithoutaspace{i}" for i in range(2)], 12)
    assert same_word == ["…0", "…1"]
    assert all(len(label) <= 22 for label in shown)
