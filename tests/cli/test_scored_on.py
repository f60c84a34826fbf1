"""``--scored-on validation``: runs, protocols and tables of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from genbench.spec import RunSpec
from genbench.store import Store

SMALL = ("--set", "data.size=8", "--set", "hidden=[8]", "--batch-size", "240", "--device", "cpu")
RUN = (
    *("run", "vae", "digits", *SMALL, "--epochs", "1", "--no-watch"),
    *("--metric", "fd_pixel", "--samples", "64"),
)
SPLITS = ("test", "validation", "search")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("splits")


@pytest.fixture
def genbench(genbench, home: Path, monkeypatch: pytest.MonkeyPatch):
    """The command line in a folder with a run on each split."""
    monkeypatch.chdir(home)
    if not (home / "runs.db").exists():
        for split in SPLITS:
            assert genbench(*RUN, "--scored-on", split, "--name", split).code == 0
    return genbench


def test_the_protocol_of_a_score_names_its_split_and_that_of_the_test_split_is_unchanged(
    genbench, home: Path
) -> None:
    with Store.open(home / "runs.db", mode="read") as store:
        found = {name: store.scores(store.resolve(name))[0].protocol for name in SPLITS}
    assert "split" not in found["test"]
    assert [found[name]["split"] for name in SPLITS[1:]] == list(SPLITS[1:])
    assert found["test"]["reference_digest"] != found["validation"]["reference_digest"]
    assert found["search"]["reference_digest"] == found["validation"]["reference_digest"]


def test_scores_of_two_splits_are_never_in_one_table(genbench) -> None:
    said = genbench("compare")
    titles = [line for line in said.out.splitlines() if line.startswith("digits")]
    assert [("scored on" in title, title.count("search")) for title in titles] == [
        (False, 0),
        (True, 1),
        (True, 0),
    ]
    tables = genbench("compare", "--json").json["datasets"]
    assert [table["dataset_settings"].get("scored_on") for table in tables] == [
        None,
        "search",
        "validation",
    ]
    assert [len(table["rows"]) for table in tables] == [1, 1, 1]


def test_a_run_that_is_scored_on_the_test_split_keeps_the_hash_of_before() -> None:
    spec = RunSpec(model="vae", dataset="digits", epochs=1, batch_size=10)
    assert spec.experiment == "6fe8885e1f05740d"
    others = {replace(spec, scored_on=split).experiment for split in SPLITS}
    assert len(others) == 3


def test_a_dry_run_counts_what_is_left_to_train_on(genbench) -> None:
    said = genbench(*RUN, "--scored-on", "validation", "--dry-run").out
    assert "1,197 to train, about 240 to validate" in said


def test_latents_of_a_run_are_used_with_the_split_of_that_run(genbench) -> None:
    nets = ("--set", "g_hidden=[8]", "--set", "d_hidden=[8]", "--epochs", "1", "--device", "cpu")
    scores = ("--metric", "fd_pixel", "--samples", "64")
    said = genbench("run", "gan", "latents:validation", *nets, *scores)
    assert said.code == 2
    assert "held samples out for validation; add --scored-on validation" in said.err
    said = genbench("run", "gan", "latents:test", *nets, *scores, "--scored-on", "search")
    assert said.code == 2
    assert "was trained on the samples that --scored-on search holds out" in said.err
    said = genbench("run", "gan", "latents:validation", *nets, *scores, "--scored-on", "search")
    assert said.code == 0, said.err
    tables = genbench("compare", "--json").json["datasets"]
    assert [len(table["rows"]) for table in tables] == [1, 2, 1]
