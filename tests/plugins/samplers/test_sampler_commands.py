"""Samplers through the command line, on finished runs that are not trained again."""

from __future__ import annotations

import json

import numpy as np

DATA = ("digits", "--set", "data.size=8", "--device", "cpu", "--batch-size", "240", "--epochs", "2")
SMALL = (
    *("--set", "g_hidden=[16]", "--set", "d_hidden=[16]"),
    *("--metric", "fd_pixel", "--no-watch", "-q"),
)
GAN = ("run", "gan", *DATA, *SMALL, "--samples", "64")
QUICK = ("--set", "sampler.drs.burn_in=200")
NOTHING = ("--set", "sampler.drs.gamma=1e9", "--set", "sampler.drs.max_proposals=2")


def shown(genbench) -> dict:
    return json.loads(genbench("show", "@1", "--json").out)


def test_a_run_scores_each_sampler_and_keeps_its_figures(genbench) -> None:
    assert genbench(*GAN, "--sampler", "plain", "--sampler", "drs", *QUICK).code == 0
    run = shown(genbench)
    assert {score["sampler"] for score in run["scores"]} == {"plain", "drs"}
    [figures] = [draw["diagnostics"] for draw in run["diagnostics"] if draw["sampler"] == "drs"]
    assert 0 < figures["acceptance"] < 1
    assert {"calibration_z", "cost_ratio", "log_M", "gamma"} <= set(figures)


def test_a_finished_run_is_scored_and_sampled_again_without_training(genbench, tmp_path) -> None:
    genbench(*GAN)
    said = genbench("evaluate", "@1", "--sampler", "drs", "--set", "sampler.drs.gamma=-3")
    assert (said.code, "drs" in said.err) == (0, True), said.err
    said = genbench("evaluate", "@1", "--sampler", "drs", *QUICK)
    assert (
        "drs: not exact: gamma at the 80th percentile trades exactness for acceptance" in said.err
    )
    for sampler in ("drs", "mh", "ddls", "truncation"):
        steps = () if sampler in ("drs", "truncation") else ("--set", f"sampler.{sampler}.steps=5")
        said = genbench("sample", "@1", "--sampler", sampler, *steps, "-n", "10", "--out", "s.npz")
        assert said.code == 0, said.err
        with np.load("s.npz") as arrays:
            assert arrays["images"].shape == (10, 8, 8, 1)
    ddls = ("sample", "@1", "--sampler", "ddls", "--set", "sampler.ddls.steps=3", "-n", "4")
    uncalibrated = ("--set", "sampler.ddls.calibration=none")
    assert genbench(*ddls, *uncalibrated, "--out", "s.npz").code == 0
    assert genbench(*ddls, "--out", "grid.png").code == 0
    assert genbench(*ddls, "--out", "many/").code == 0
    assert (tmp_path / "grid.png").is_file()
    assert len(list((tmp_path / "many").iterdir())) == 4
    assert shown(genbench)["epochs"][-1]["epoch"] == 2


def test_a_latent_gan_is_sampled_like_any_other(genbench) -> None:
    hidden = ("--set", "vae_hidden=[16]", "--set", "vae_epochs=1")
    genbench("run", "vaegan", *DATA, *SMALL, *hidden, "--samples", "64")
    for sampler in ("drs", "ddls"):
        quick = QUICK if sampler == "drs" else ("--set", "sampler.ddls.steps=5")
        said = genbench("sample", "@1", "--sampler", sampler, *quick, "-n", "6", "--out", "s.npz")
        assert said.code == 0, said.err
        with np.load("s.npz") as arrays:
            assert arrays["images"].shape == (6, 8, 8, 1)


def test_a_plain_vae_has_no_discriminator_to_ask(genbench) -> None:
    said = genbench("run", "vae", *DATA, "--sampler", "drs")
    assert (said.code, len(said.err.strip().splitlines())) == (2, 1)
    assert "discriminates" in said.err
    vae = ("--set", "hidden=[16]", "--metric", "fd_pixel", "--samples", "64", "-q")
    assert genbench("run", "vae", *DATA, *vae).code == 0
    for command in ("evaluate", "sample"):
        said = genbench(command, "@1", "--sampler", "drs")
        assert (said.code, len(said.err.strip().splitlines())) == (2, 1)
        assert "discriminates" in said.err


def test_a_sampler_that_accepts_nothing_costs_no_other_score(genbench, tmp_path) -> None:
    run = [argument for argument in GAN if argument != "-q"]
    said = genbench(*run, "--sampler", "drs", "--sampler", "plain", *NOTHING)
    assert said.code == 0
    assert "accepted 0 of 128 proposals" in said.err
    stored = shown(genbench)
    assert stored["status"] == "finished"
    assert [score["sampler"] for score in stored["scores"]] == ["plain"]
    said = genbench("evaluate", "@1", "--sampler", "drs", *NOTHING)
    assert said.err.count("accepted 0 of") == 1
    said = genbench("sample", "@1", "--sampler", "drs", *NOTHING, "--out", "s.npz")
    assert (said.code, "accepted 0 of" in said.err) == (1, True)
    assert not (tmp_path / "s.npz").exists()


def test_what_was_accepted_until_the_cap_is_written(genbench) -> None:
    genbench(*GAN)
    some = ("--set", "sampler.drs.max_proposals=1", *QUICK)
    said = genbench("sample", "@1", "--sampler", "drs", *some, "-n", "200", "--out", "s.npz")
    assert said.code == 1
    assert "that were drawn are in s.npz" in said.err
    with np.load("s.npz") as arrays:
        assert 0 < len(arrays["images"]) < 200
