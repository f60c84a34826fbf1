"""Compressed runs in comparisons: by size, beside their parents, and on fronts of their costs."""

from __future__ import annotations

import re

import pytest

from genbench.compare import Question, Selection
from genbench.report.content import read_report
from genbench.report.page import render
from genbench.spec import Part
from genbench.store.records import Run

WHOLE, HALF, TENTH = "gan", "gan, pruned 50 %", "gan, pruned 90 %"
ROWS = {
    # title: ratio removed, fd_clf of seeds 0 and 1, weights, bytes, samples per second
    WHOLE: (None, (40.0, 50.0), 1000, 4000, 100.0),
    HALF: (0.5, (80.0, 150.0), 500, 2000, 200.0),
    TENTH: (0.9, (400.0, 500.0), 100, 400, 150.0),
}


def pruned(parent: Run, ratio: float) -> dict[str, tuple]:
    """What the spec of a run says that compresses another one."""
    method = Part(name="prune", settings={"ratio": ratio})
    experiments = (parent.experiment,)
    return {"parents": (parent.id,), "parent_experiments": experiments, "compressors": (method,)}


@pytest.fixture(scope="module")
def compressed(tmp_path_factory, make_bench):
    """A GAN and two pruned ones of it with two seeds each, and a VAE without costs."""
    bench = make_bench(tmp_path_factory.mktemp("compressed") / "runs.db")
    bench.directions = {"samples_per_second": "max"}
    for seed in (0, 1):
        parent = ""
        for title, (ratio, scores, weights, size, speed) in ROWS.items():
            made = bench.add(
                "gan",
                seed=seed,
                scores={
                    "fd_clf": scores[seed],
                    "weights": weights,
                    "bytes": size,
                    "samples_per_second": speed,
                },
                tags=(f"row:{title}",),
                **(pruned(bench.store.run(parent), ratio) if ratio else {}),
            )
            parent = parent or made
    bench.add("vae", score=60.0)
    yield bench
    bench.store.close()


def titles(said) -> list[str]:
    """The first cells of a printed table, without its heading."""
    return [re.split(r"\s{2,}", line)[0] for line in said.out.splitlines()[3:]]


@pytest.mark.parametrize("metrics", [(), ("--metric", "fd_clf")])
def test_by_size_sorts_rows_from_the_largest_to_the_smallest(compressed, genbench, metrics):
    said = genbench("compare", "--by", "size", *metrics, "--store", str(compressed.path))
    assert said.code == 0, said.err
    assert titles(said) == ["gan", "gan (prune 50 %)", "gan (prune 90 %)", "vae"]


def test_each_score_is_a_share_of_the_parents_of_the_same_seed(compressed, genbench):
    said = genbench("compare", "--by", "size", "--json", "--store", str(compressed.path))
    [table] = said.json["datasets"]
    shares = {
        f"{row['model']} {row['label']}".strip(): {
            name: score["against_parent"]
            for name, score in row["scores"].items()
            if "against_parent" in score
        }
        for row in table["rows"]
    }
    assert shares["gan"] == shares["vae"] == {}
    half = shares["gan prune 50 %"]
    assert half["fd_clf"]["mean"] == 2.5  # of 80/40 and 150/50
    assert half["fd_clf"]["sd"] == pytest.approx(0.5**0.5)
    assert half["bytes"]["mean"] == 0.5
    assert shares["gan prune 90 %"]["weights"]["mean"] == pytest.approx(0.1)
    printed = genbench("compare", "--by", "size", "--store", str(compressed.path)).out
    assert "× parent" in printed
    assert "2.50 ± 0.71" in printed


def test_sizes_that_nobody_measured_are_refused(bench, genbench):
    bench.add("vae", score=1.0)
    said = genbench("compare", "--by", "size")
    assert said.code == 2
    assert "none of these runs has the metric size" in said.err
    assert "genbench evaluate RUN --metric size" in said.err


@pytest.mark.parametrize(
    ("cost", "front"),
    [
        ("bytes", ["gan (prune 90 %)", "gan (prune 50 %)", "gan"]),
        ("samples_per_second", ["gan (prune 50 %)", "gan"]),  # 90 % is slower, and worse
    ],
)
def test_a_front_of_a_cost_has_the_rows_that_no_other_beats(compressed, genbench, cost, front):
    said = genbench("compare", "--pareto", "--cost", cost, "--store", str(compressed.path))
    assert said.code == 0, said.err
    assert titles(said) == front
    assert f"only the Pareto front of fd_clf and {cost} is shown" in said.err


def test_a_cost_that_no_row_has_is_refused(compressed, genbench):
    store = str(compressed.path)
    said = genbench("compare", "--pareto", "--cost", "macs", "--store", store)
    assert said.code == 2
    assert "unknown metric 'macs'; known: bytes, " in said.err
    alone = genbench("compare", "--cost", "bytes", "--store", store)
    assert alone.code == 2
    assert "add --pareto" in alone.err


def test_the_report_draws_the_score_against_bytes_and_against_speed(compressed):
    report = read_report(compressed.store, Selection(), Question())
    fronts = {f.cost.metric: f for f in report.sections[0].fronts if f.cost is not None}
    assert set(fronts) == {"bytes", "samples_per_second"}
    assert [(dot.x, dot.y) for dot in fronts["bytes"].best] == [(400, 450), (2000, 115), (4000, 45)]
    fast = fronts["samples_per_second"]
    assert [(dot.x, dot.y) for dot in fast.best] == [(200, 115), (100, 45)]
    assert len(fast.dots) == 3
    page = render(report)
    assert "fd_clf against bytes" in page
    assert "fd_clf against samples_per_second" in page


def test_a_figure_of_a_front_joins_the_ratios_of_a_method(compressed, genbench, tmp_path):
    words = ("compare", "--pareto", "--cost", "bytes", "--store", str(compressed.path))
    said = genbench(*words, "--out", "front.svg")
    assert said.code == 0, said.err
    drawn = (tmp_path / "front.svg").read_text()
    shown = re.findall(r">([^<>]*)</text>", drawn)
    assert {"gan", "gan, pruned", "bytes", "fd_clf (lower is better)"} <= set(shown)
    assert not {HALF, TENTH, "vae"} & set(shown)  # one line for both; the VAE has no bytes
    refused = genbench("compare", "--out", "front.svg")
    assert refused.code == 2
    assert "--out belongs to a Pareto front; add --pareto" in refused.err
