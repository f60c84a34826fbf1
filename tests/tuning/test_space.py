"""The space of a tuning: ranges and choices from --set, published spaces, and the default one."""

from __future__ import annotations

import pytest

from genbench.errors import SettingError, UsageError
from genbench.planning.sources import Scope
from genbench.registry import Registry
from genbench.tuning.space import (
    Categories,
    Range,
    assignments,
    default_space,
    named_space,
    read_sets,
)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.from_environment()


def scope(registry: Registry, model: str = "gan") -> Scope:
    return Scope(registry=registry, model=model, dataset="digits")


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("g_lr=1e-5..1e-2", Range(low=1e-5, high=1e-2, log=True)),
        ("g_lr=1e-3..1e-2", Range(low=1e-3, high=1e-2)),
        ("g_lr=log:1e-3..1e-2", Range(low=1e-3, high=1e-2, log=True)),
        ("g_lr=lin:1e-5..1e-2", Range(low=1e-5, high=1e-2)),
        ("beta1=0..0.9", Range(low=0.0, high=0.9)),
        ("n_critic=1..8", Range(low=1, high=8, whole=True)),
        ("z_dim=2..512", Range(low=2, high=512, whole=True, log=True)),
        ("batch_size=32..64", Range(low=32, high=64, whole=True)),
        ("loss=hinge,non_saturating", Categories(values=("hinge", "non_saturating"))),
        ("g_hidden=[8],[8,8]", Categories(values=("[8]", "[8,8]"))),
    ],
)
def test_a_range_is_logarithmic_and_whole_by_its_setting_and_its_ends(registry, text, domain):
    [knob], fixed = read_sets([text], scope(registry))
    assert knob.domain == domain
    assert fixed == ()


def test_a_setting_with_one_value_is_fixed_and_a_knob_may_set_several(registry) -> None:
    knobs, fixed = read_sets(["g_lr=1e-4..1e-3", "g_hidden=[8]"], scope(registry))
    assert fixed == ("g_hidden=[8]",)
    assert assignments(knobs, {"g_lr": 0.0005}) == ("g_lr=0.0005",)
    lr = named_space("lucic2018", scope(registry))[0]
    assert assignments((lr,), {"lr": 0.1}) == ("g_lr=0.1", "d_lr=0.1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("g_lr=1e-2..1e-5", "must go from a lower number to a higher one"),
        ("g_lr=a..b", "expected a range from one number to another"),
        ("g_lr=0..1", None),
        ("g_lr=log:0..1", "must begin above 0; for a linear one write lin:"),
        ("n_critic=1..2.5", "takes whole numbers"),
        ("g_lrr=1..2", "has no setting 'g_lrr'; did you mean 'g_lr'"),
        ("g_lr=1e-3,,1e-4", "a value between its commas is empty"),
        ("g_lr", "expected name=range"),
    ],
)
def test_a_range_that_can_not_be_meant_is_one_sentence(registry, text, message) -> None:
    if message is None:
        assert read_sets([text], scope(registry))[0]
        return
    with pytest.raises(SettingError, match=message.replace("(", r"\(")):
        read_sets([text], scope(registry))


def test_the_space_of_lucic_2018_has_what_each_model_has(registry) -> None:
    names = {
        model: [knob.name for knob in named_space("lucic2018", scope(registry, model))]
        for model in ("gan", "wgan", "wgan-gp", "began", "dcgan", "vae")
    }
    assert names["gan"] == ["lr", "beta1", "n_critic", "d_norm"]
    assert names["wgan"] == ["lr", "beta1", "n_critic", "d_norm", "clip"]
    assert names["wgan-gp"] == ["lr", "beta1", "n_critic", "gradient_penalty"]
    assert names["began"] == ["lr", "beta1", "k_rate", "gamma"]
    assert names["dcgan"] == ["lr", "beta1", "n_critic"]
    assert names["vae"] == ["lr"]


def test_every_model_has_a_default_space_that_holds_its_defaults_or_says_why_not(registry) -> None:
    without = []
    for model in registry.of("model"):
        own = scope(registry, model.name)
        fields = own.settings("model", model.name).model_fields
        try:
            space = default_space(own)
        except UsageError as error:
            without.append(str(error))
            continue
        for knob in space:
            default = fields[knob.name].get_default()
            assert isinstance(knob.domain, Range)
            assert knob.domain.low <= default <= knob.domain.high, (model.name, knob)
    assert len(without) < 5
    assert all("has no numbers to tune by default; give a range" in said for said in without)
