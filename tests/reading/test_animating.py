"""``genbench animate``: what it writes and what it says where it can't."""

from __future__ import annotations

from PIL import Image


def test_animate_makes_one_frame_of_each_epoch(filled, genbench, tmp_path):
    run = filled.store.runs()[-1]
    said = genbench("animate", run.id, "--json")
    assert said.code == 0, said.err
    epochs = [a.epoch for a in filled.store.artifacts(run.id) if a.kind == "samples"]
    assert (said.json["frames"], said.json["epochs"]) == (len(epochs), epochs)
    with Image.open(tmp_path / f"samples-{run.id}.gif") as gif:
        assert gif.n_frames == len(epochs)


def test_a_png_shows_the_pictures_nearest_to_shares_of_the_last_stage(filled, genbench, tmp_path):
    run = filled.store.runs()[-1]
    epochs = [a.epoch for a in filled.store.artifacts(run.id) if a.kind == "samples"]
    said = genbench("animate", run.id, "--at", "0,1", "--out", "a.png", "--json")
    assert said.json["epochs"] == [min(epochs), max(epochs)]
    genbench("animate", run.id, "--at", "1", "--out", "b.png")
    with Image.open(tmp_path / "a.png") as both, Image.open(tmp_path / "b.png") as last:
        assert both.size == (2 * last.width, last.height)
    assert "expected shares" in genbench("animate", run.id, "--at", "0,2").err


def test_animate_refuses_what_it_cannot_show(filled, genbench):
    bare = filled.add("vae", score=1.0)
    said = genbench("animate", bare)
    assert said.code == 2
    assert "sample_every=1" in said.err
    assert genbench("animate", "@2", "--out", "a.webm").code == 2
    assert genbench("animate", "@2", "--out", "runs.db").code == 2
    assert genbench("animate", "@2", "--fps", "0").code == 2
