"""The commands that set experiments side by side: compare and report."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest


def test_the_claim_is_visible_in_one_line(filled, genbench):
    said = genbench("compare", "--baseline", "gan")
    assert said.code == 0
    (line,) = [line for line in said.out.splitlines() if line.startswith("vaegan")]
    # First stage's seconds, last stage, total, speed-up of an epoch, of all.
    assert "vae 16 (3 × 4) · gan 8 (5 × 1)" in line
    assert line.split()[-3:] == ["24", "10×", "2.08×"]
    assert "21.0 ± 1.0 *" in line


def test_compare_json_has_the_numbers_behind_the_table(filled, genbench):
    said = genbench("compare", "--baseline", "gan", "--json").json
    (table,) = said["datasets"]
    vaegan, gan = table["rows"]
    assert vaegan["scores"]["fd_clf"] == {
        "mean": 21.0,
        "sd": 1.0,
        "n": 3,
        "floor": 2.0,
        "ratio": 10.5,
        "best": True,
        "to_best": None,
    }
    to_best = gan["scores"]["fd_clf"]["to_best"]
    assert to_best["estimate"] == pytest.approx(20.0)
    assert to_best["interval"] == pytest.approx([17.55, 22.45], abs=0.01)
    assert (to_best["level"], to_best["distinguishable"]) == (0.96, True)
    assert table["test"]["name"].startswith("Welch t interval")
    assert vaegan["epoch_speedup"] == pytest.approx(10.0)
    assert vaegan["stages"][0]["total_s"]["mean"] == pytest.approx(16.0)
    assert gan["is_baseline"]
    assert table["metrics"][0]["protocol"]["extractor"] == "lenet"


def test_compare_csv_is_one_sheet_of_plain_numbers(filled, genbench):
    filled.add("gan", dataset="digits", score=7.0)
    said = genbench("compare", "--format", "csv", "--baseline", "gan")
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert [(row["dataset"], row["model"]) for row in rows] == [
        ("digits", "gan"),
        ("mnist", "vaegan"),
        ("mnist", "gan"),
    ]
    assert float(rows[1]["fd_clf"]) == 21.0
    assert float(rows[1]["stage2_epoch_s"]) == pytest.approx(1.0)
    assert float(rows[1]["epoch_speedup"]) == pytest.approx(10.0)


def test_only_runs_with_the_tag_are_compared(filled, genbench):
    filled.add("dcgan", dataset="mnist", score=9.0, tags=("mine",))
    filled.add("lsgan", dataset="mnist", score=8.0, tags=("mine", "yours"))
    (table,) = genbench("compare", "--tag", "mine", "--json").json["datasets"]
    assert {row["model"] for row in table["rows"]} == {"dcgan", "lsgan"}
    (table,) = genbench("compare", "--tag", "yours", "--json").json["datasets"]
    assert [row["model"] for row in table["rows"]] == ["lsgan"]


@pytest.mark.parametrize(
    ("format", "mark"), [("md", "**21.0 ± 1.0**"), ("latex", r"\textbf{21.0 $\pm$ 1.0}")]
)
def test_the_best_value_is_marked_in_every_format(filled, genbench, format, mark):
    assert mark in genbench("compare", "--format", format).out


def test_warnings_and_notes_go_to_stderr(filled, genbench):
    filled.add("vae", score=1.0, protocol={"weights": "90bc"})
    filled.add("dcgan", end="fail")
    said = genbench("compare")
    assert "warning: mnist: vae: fd_clf was computed under another protocol" in said.err
    assert "left out: 1 failed" in said.err
    assert "warning" not in said.out


def test_nothing_matched_exits_3_with_one_sentence(filled, genbench):
    for command in (("compare",), ("report",)):
        said = genbench(*command, "--dataset", "celeba")
        assert (said.code, said.out) == (3, "")
        assert said.err.count("\n") == 1


def test_bad_names_exit_2_with_the_nearest_one(filled, genbench):
    for bad in (("--baseline", "vegan"), ("--metric", "fd_clv"), ("--sort", "totl")):
        said = genbench("compare", *bad)
        assert said.code == 2
        assert "did you mean" in said.err


def test_a_long_comparison_is_cut_and_says_so(bench, genbench):
    for i in range(4):
        bench.add("gan", score=10.0 + i, settings={"z_dim": i})
    said = genbench("compare", "--limit", "2")
    assert said.out.count("gan (z_dim=") == 2
    assert "2 more experiments" in said.err


def test_report_writes_one_page_and_prints_where(filled, genbench, tmp_path):
    said = genbench("report", "--out", "page.html")
    assert (said.code, said.out) == (0, "page.html\n")
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    assert genbench("report", "@1", "--out", "one.html").code == 0
    assert "vaegan on mnist" in (tmp_path / "one.html").read_text()


def test_a_report_that_can_not_be_written_says_so(filled, genbench):
    Path("file").write_text("no folder")
    said = genbench("report", "--out", "file/page.html")
    assert said.code == 2
    assert "can't be written" in said.err
