"""Settings: validation in sentences, and their description for a person."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, model_validator

from genbench import DataSpec, ModelSettings, Settings, Training
from genbench.errors import SettingError
from genbench.settings import describe_settings, validate


class Example(Settings):
    folder: Path
    z_dim: int = Field(20, ge=1, le=512, description="size of the latent")
    widths: tuple[int, ...] = (64,)
    betas: tuple[float, float] = (0.5, 0.999)
    kind: Literal["mlp", "conv"] = "mlp"
    clip: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def fits(self) -> Example:
        if self.kind == "conv" and self.z_dim > 100:
            raise ValueError("a conv net takes z_dim up to 100; set z_dim=100 or kind=mlp")
        return self


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"zdim": 3}, "model 'm' has no setting 'zdim'; did you mean 'z_dim'?"),
        ({"z_dim": 0}, "model 'm': setting 'z_dim' = 0: it must be at least 1"),
        ({"kind": "rnn"}, "setting 'kind' = 'rnn': it must be 'mlp' or 'conv'"),
        ({"z_dim": "many"}, "setting 'z_dim' = 'many': it must be a whole number"),
        ({"z_dim": True}, "setting 'z_dim' = True: it must be a number, not true"),
        ({"clip": False}, "setting 'clip' = False: it must be a number, not false"),
        ({"betas": [0.5, True]}, "it must be a number, not true"),
        (
            {"betas": [0.5, 0.9, 1]},
            "setting 'betas' = [0.5, 0.9, 1]: it must have at most 2 values",
        ),
        ({"kind": "conv", "z_dim": 101}, "model 'm': a conv net takes z_dim up to 100"),
    ],
)
def test_what_is_wrong_is_a_sentence_with_name_value_and_bound(values, sentence):
    with pytest.raises(SettingError) as caught:
        validate(Example, {"folder": "x", **values}, owner="model 'm'")
    assert sentence in str(caught.value)


def test_all_that_is_wrong_is_said_at_once_with_its_source():
    with pytest.raises(SettingError) as caught:
        validate(Example, {"z_dim": 0, "clip": -1}, owner="m", sources={"z_dim": "--set"})
    assert str(caught.value).count("; ") == 2
    assert "'z_dim' = 0 (from --set)" in str(caught.value)
    assert "m needs the setting 'folder': --set folder=..." in str(caught.value)


def test_settings_are_described_in_a_persons_words():
    found = {s.name: (s.type, s.bounds, s.required) for s in describe_settings(Example)}
    assert found == {
        "folder": ("path", "", True),
        "z_dim": ("int", ">= 1, <= 512", False),
        "widths": ("list of int", "", False),
        "betas": ("list of 2 float", "", False),
        "kind": ("mlp | conv", "", False),
        "clip": ("float or none", "> 0", False),
    }
    assert describe_settings(Example)[1].help == "size of the latent"


def test_a_small_data_set_gets_more_epochs_but_never_fewer_than_the_least():
    training = Training(images=60_000, epochs=5)
    assert training.epochs_for(1_000) == 60
    assert training.epochs_for(60_000) == 5
    assert training.epochs_for(0) == 5


def test_settings_are_frozen_and_accept_any_data_unless_they_say_otherwise():
    settings = ModelSettings()
    settings.check(DataSpec(name="d", shape=(2,)))
    with pytest.raises(ValueError, match="frozen"):
        Example(folder=Path()).z_dim = 3


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_no_setting_takes_a_number_that_is_not_finite(value):
    for setting in ({"clip": value}, {"betas": (0.5, value)}):
        with pytest.raises(SettingError, match="it must be finite"):
            validate(Example, {"folder": "x", **setting}, owner="m")


def test_a_setting_may_say_that_it_takes_infinity():
    class Open(Settings):
        bound: float = Field(float("inf"), allow_inf_nan=True)

    assert validate(Open, {}, owner="m").bound == float("inf")
