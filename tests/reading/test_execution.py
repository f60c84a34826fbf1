"""How updates were executed is stored, shown and compared: a capture that did nothing is seen."""

from __future__ import annotations

import json

import pytest

from genbench.events import BATCHES, NO_GRAPHS, Execution

STEP = "its loss reads batch.step"
CAPTURED, ORDINARY = Execution(updates=600, captured=600), Execution(updates=600, reason=STEP)
CPU = Execution(updates=600, reason=f"{NO_GRAPHS}cpu")


@pytest.fixture
def three(bench, new_plan):
    """Runs that were captured, captured in part, and trained on the CPU, in this order."""
    for seed, (d, batches) in enumerate([(CAPTURED, CAPTURED), (ORDINARY, CAPTURED), (CPU, CPU)]):
        plan = new_plan(name="train", epochs=2, epoch_s=1.0, execution={"d": d, BATCHES: batches})
        bench.add("gan", seed=seed, stages=(plan,))
    return bench


def test_show_tells_which_updates_were_captured_and_why_others_were_not(three, genbench):
    said = genbench("show", "@2").out
    assert "Updates of the last epoch of each stage" in said
    rows = [line.split() for line in said.splitlines() if line.split()[:1] == ["train"]]
    assert ["train", "d", "600", "0", *STEP.split()] in rows
    assert ["train", BATCHES, "600", "600"] in rows
    (stage,) = genbench("show", "@2", "--json").json["stages"]
    assert stage["execution"]["d"] == {"updates": 600, "captured": 0, "reason": STEP}


def test_show_is_silent_about_graphs_on_a_cpu_but_the_record_is_not(three, genbench):
    assert "Updates of the last epoch" not in genbench("show", "@1").out
    (stage,) = genbench("show", "@1", "--json").json["stages"]
    assert stage["execution"]["d"]["reason"] == "the device is cpu"


def test_diff_names_the_phases_that_were_executed_in_another_way(three, genbench):
    assert genbench("diff", "@3", "@2", "--json").json["execution"] == [
        {"key": "train, d", "a": "captured", "b": STEP}
    ]
    assert "its loss reads batch.step" in genbench("diff", "@3", "@2").out
    assert genbench("diff", "@3", "@3", "--json").json["execution"] == []


def test_the_record_is_plain_sql(three, genbench):
    rows = genbench("query", "SELECT execution FROM stages ORDER BY run", "--json").json["rows"]
    found = [json.loads(execution)["d"]["captured"] for (execution,) in rows]
    assert found == [600, 0, 0]
