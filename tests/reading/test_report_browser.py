"""The page in a real browser: it sorts, filters, hides rows, reads charts out and steps samples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from chromium import launched, needs_chromium, overheard

from genbench.compare import Question, Selection
from genbench.report.content import read_report
from genbench.report.page import render

pytestmark = needs_chromium
HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>'


@pytest.fixture(scope="module")
def file(tmp_path_factory, new_bench, new_plan) -> Path:
    """A page of three models with three seeds each, one of them with a hostile name."""
    folder = tmp_path_factory.mktemp("browser")
    bench = new_bench(folder / "runs.db")
    for seed in range(3):
        vae = new_plan(name="vae", epochs=3, epoch_s=4.0)
        gan = new_plan(name="gan", epochs=5, epoch_s=1.0)
        bench.add("vaegan", seed=seed, stages=(vae, gan), score=21.0 + seed, pictures=True)
        bench.add("gan", seed=seed, score=40.0 + seed, curve=(80.0, 60.0, 50.0), pictures=True)
        bench.add("vae", seed=seed, score=33.0 + seed, preset=HOSTILE, pictures=True)
    page = render(read_report(bench.store, Selection(), Question()))
    bench.store.close()
    (folder / "page.html").write_text(page, encoding="utf-8")
    return folder / "page.html"


@pytest.fixture(scope="module")
def chromium():
    with launched() as browser:
        yield browser


@pytest.fixture
def page(chromium, file):
    """The opened page. At the end: no error in its console, no request but for the file itself."""
    opened = chromium.new_page(viewport={"width": 1400, "height": 900})
    told, asked = overheard(opened)
    opened.goto(file.as_uri())
    yield opened
    opened.close()
    assert told == []
    assert {url for url in asked if not url.startswith("data:")} == {file.as_uri()}


def titles(page) -> list[str]:
    """The rows of the table that can be seen, in order."""
    rows = page.locator("#table-0 tbody tr").all()
    return [row.locator("th span").inner_text().split()[0] for row in rows if row.is_visible()]


def test_a_click_on_a_heading_sorts_up_and_then_down(page):
    head = page.get_by_role("button", name="fd_clf ↓")
    assert titles(page) == ["vaegan", "vae", "gan"]
    head.click()
    head.click()
    assert titles(page) == ["gan", "vae", "vaegan"]
    assert page.locator("th[aria-sort=descending]").count() == 1
    page.get_by_role("button", name="model").click()
    assert titles(page) == ["gan", "vae", "vaegan"]
    page.get_by_role("button", name="total s").click()
    assert titles(page)[0] == "vaegan"


def test_the_filter_hides_rows_in_the_table_the_charts_and_the_samples(page):
    field = page.get_by_label("Filter rows")
    field.fill("fd_clf<35 total<30")
    assert titles(page) == ["vaegan"]
    assert page.locator(".filter output").inner_text() == "1 of 3 rows"
    assert page.locator(".dots g.curve:visible").count() == 1
    assert page.locator(".grids figure:visible").count() == 1
    assert page.locator(".card:visible").count() == 1
    field.fill("nothing of this name")
    assert titles(page) == []
    field.fill("")
    assert len(titles(page)) == 3
    assert page.locator(".grids figure:visible").count() == 3


def test_a_click_in_the_legend_hides_a_row_and_shows_it_again(page):
    button = page.locator(".legend .toggle").filter(has_text=re.compile("^gan$"))
    curves = page.locator("g.curve[data-name=gan][data-rows]:visible")
    before = curves.count()
    assert before >= 2
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert curves.count() == 0
    assert page.locator(".grids figure:visible").count() == 2
    assert len(titles(page)) == 3  # the table keeps its row, faded
    button.click()
    assert curves.count() == before


def test_the_pointer_reads_the_mean_the_spread_and_the_seconds_out(page):
    chart = page.locator("svg.dots").first
    chart.scroll_into_view_if_needed()
    mark = chart.locator("g.curve[data-name=vaegan] .mark").bounding_box()
    page.mouse.move(mark["x"] + 6, mark["y"] + 6)
    said = page.locator(".tip").inner_text()
    assert said.split("\n") == ["22 s", "vaegan", "22 ± 1 (n 3)"]
    page.mouse.move(5, 5)
    assert not page.locator(".tip").is_visible()


def test_the_pointer_on_a_curve_reads_all_curves_at_that_moment_and_not_the_hidden_ones(page):
    page.get_by_role("button", name="epochs").first.click()
    chart = page.locator(".by-epochs svg.chart[aria-labelledby^=s0]:visible").first
    chart.scroll_into_view_if_needed()
    box = chart.locator("g.curve[data-name=gan] .mark").nth(3).bounding_box()
    page.mouse.move(box["x"] + 4, box["y"] + 4)
    said = page.locator(".tip").inner_text()
    assert said.startswith("4 epochs")
    assert "41 ± 1 (n 3)" in said
    page.keyboard.press("Tab")
    chart.focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator(".tip").is_visible()


def test_the_slider_steps_all_grids_to_equal_epochs_and_to_equal_seconds(page):
    def seen() -> list[str]:
        return page.locator(".grids figure:visible figcaption small").all_inner_texts()

    slider = page.locator(".slider input")
    page.get_by_role("button", name="epochs").first.click()
    slider.evaluate(
        "input => { input.value = 1; input.dispatchEvent(new Event('input', {bubbles: true})); }"
    )
    assert page.locator(".slider output").inner_text() == "epoch 2"
    assert [text.split(",")[0] for text in seen()] == ["epoch 2"] * 3
    pictures = page.locator(".grids img:visible")
    assert [p.get_attribute("data-epochs") for p in pictures.all()] == ["2"] * 3
    slider.press("ArrowRight")
    assert [text.split(",")[0] for text in seen()] == ["epoch 3"] * 3
    page.get_by_role("button", name="seconds").first.click()
    slider.evaluate(
        "input => { input.value = 0; input.dispatchEvent(new Event('input', {bubbles: true})); }"
    )
    # After 8 s, only the first epoch of vaegan is over.
    assert page.locator(".slider output").inner_text() == "8 s"
    assert seen() == ["epoch 1, 8 s", "no picture yet", "no picture yet"]
    slider.press("End")
    assert [text.split(",")[0] for text in seen()] == ["epoch 8 (5 of stage gan)"] + ["epoch 4"] * 2


def test_a_footnote_opens_the_protocols_and_a_card_opens(page):
    page.locator("th sup a").first.click()
    assert page.locator("#p-0-1").is_visible()
    card = page.locator(".card").first
    card.locator("summary").first.click()
    assert "Run it again" in card.inner_text()


@pytest.mark.parametrize("width", [1400, 1000, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_at_any_width(chromium, file, width, scheme):
    opened = chromium.new_page(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    opened.goto(file.as_uri())
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    table = opened.locator(".scroll").first
    table.evaluate("scroll => { scroll.scrollLeft = scroll.scrollWidth; }")
    first = opened.locator("#table-0 tbody th").first.bounding_box()
    last = opened.locator("#table-0 tbody tr").first.locator("td").last.bounding_box()
    assert first["x"] >= 0  # the first column stays
    assert last["x"] + last["width"] <= width + 1
    assert last["x"] >= first["x"] + first["width"] - 1
    background = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    light = min(map(int, re.findall(r"\d+", background)[:3])) > 128
    assert light == (scheme == "light")
    opened.close()


def test_without_scripts_the_page_shows_charts_and_samples_and_no_dead_control(chromium, file):
    context = chromium.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(file.as_uri())
    assert opened.locator("svg.chart:visible").count() >= 2
    assert opened.locator(".by-epochs:visible").count() == 0
    assert opened.locator(".grids img:visible").count() == 3
    assert opened.locator("input:visible").count() == 0
    assert opened.locator(".switch:visible").count() == 0
    context.close()


def test_in_print_the_cards_are_open_and_no_control_is_left(chromium, file):
    opened = chromium.new_page()
    opened.goto(file.as_uri())
    opened.emulate_media(media="print")
    opened.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert opened.locator(".card pre:visible").count() == 3
    assert opened.locator("input:visible").count() == 0
    assert opened.pdf(format="A4").startswith(b"%PDF")
    opened.close()
