"""models, datasets, samplers, metrics, presets and info."""

from __future__ import annotations

import csv
import io
import json

import pytest

from genbench.cli.listing import _typed


@pytest.mark.parametrize("kind", ["models", "datasets", "samplers", "metrics"])
def test_a_listing_as_json_has_the_documented_keys(genbench, kind):
    found = json.loads(genbench(kind, "--json").out)
    assert found["schema_version"] == 1
    assert found[kind]
    for head in found[kind]:
        words = {"name", "summary", "family", "source", "owner"}
        assert set(head) == words | {"capabilities", "optional", "default_sampler"}
        assert head["summary"]


@pytest.mark.parametrize("format", ["table", "md", "csv", "latex"])
def test_a_listing_comes_in_every_format(genbench, format):
    text = genbench("models", "--format", format).out
    assert "vae" in text
    if format == "csv":
        rows = list(csv.DictReader(io.StringIO(text)))
        assert {"vae", "gan", "dcgan", "vaegan"} <= {row["name"] for row in rows}


def test_presets_are_those_of_all_models_or_of_one(genbench):
    everything = json.loads(genbench("presets", "--json").out)["presets"]
    one = json.loads(genbench("presets", "vae", "--json").out)["presets"]
    assert one == [preset for preset in everything if preset["model"] == "vae"]
    assert {"guo2023", "ijzer"} <= {preset["name"] for preset in one}
    assert all(preset["source"] for preset in everything)


def test_info_shows_settings_with_default_bounds_and_help(genbench):
    text = genbench("info", "vae").out
    assert "arXiv" in text
    assert "z_dim" in text
    assert ">= 1" in text
    assert "--preset guo2023" in text
    found = json.loads(genbench("info", "vae", "--json").out)
    assert (found["kind"], found["name"]) == ("model", "vae")
    setting = next(s for s in found["settings"] if s["name"] == "z_dim")
    assert set(setting) == {"name", "type", "default", "required", "bounds", "help", "of_drawing"}


@pytest.mark.parametrize("name", ["digits", "plain", "fd_pixel"])
def test_info_knows_every_kind_of_name(genbench, name):
    assert json.loads(genbench("info", name, "--json").out)["name"] == name


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["info", "vea"], "did you mean 'vae'?"),
        (["info", "lin2032"], "did you mean 'lin2023'?"),
        (["info", "digits", "--kind", "model"], "unknown model 'digits'"),
        (["presets", "vea"], "did you mean 'vae'?"),
    ],
)
def test_an_unknown_name_is_a_usage_error_with_the_nearest(genbench, arguments, words):
    done = genbench(*arguments)
    assert done.code == 2
    assert words in done.err
    assert done.out == ""


def test_defaults_print_as_they_are_typed():
    assert _typed([512, None, True]) == "[512, null, true]".replace("null", "none")


def test_info_knows_presets_and_the_models_that_have_them(genbench):
    text = genbench("info", "lin2023").out
    assert text.startswith("preset lin2023 (gan, vae, vaegan)")
    assert "genbench run vae mnist --preset lin2023" in text
    found = json.loads(genbench("info", "lin2023", "--json").out)
    assert found["kind"] == "preset"
    assert {preset["model"] for preset in found["presets"]} == {"gan", "vae", "vaegan"}
