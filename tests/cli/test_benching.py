"""``genbench bench`` measures and stores; ``genbench benches`` lists."""

from __future__ import annotations

import pytest

VAE = ("vae", "digits", "--set", "data.size=8", "--set", "hidden=[8]", "--set", "z_dim=2")


def test_a_bench_is_stored_and_listed_and_makes_no_run(genbench):
    said = genbench(
        "bench", *VAE, "--compare", "precision", "--seconds", "0.02", "--threads", "1", "--json"
    )
    assert said.code == 0, said.err
    measured = said.json
    [stage] = measured["stages"]
    assert measured["threads"] == 1
    assert stage["ways"].keys() == {"bf16"}
    assert 0 < stage["limit_ms"] < stage["ms"]
    [listed] = genbench("benches", "--json").json["benches"]
    assert listed["stages"] == measured["stages"]
    assert "vae" in genbench("benches").out
    counted = "select (select count(*) from runs), model, device from benches"
    assert "0,vae,cpu" in genbench("query", counted, "--format", "csv").out


def test_a_table_names_the_parts_and_the_limit(genbench):
    said = genbench("bench", *VAE, "--compare", "none", "--seconds", "0.02")
    assert said.code == 0, said.err
    for text in ("data", "elbo: forward", "elbo: optimizer", "all of a step", "arithmetic limit"):
        assert text in said.out
    assert "GFLOP/s" in said.err


@pytest.mark.parametrize("given", [("--compare", "magic"), ("--seconds", "0")])
def test_what_can_not_be_compared_is_a_usage_error(genbench, given):
    assert genbench("bench", *VAE, *given).code == 2
