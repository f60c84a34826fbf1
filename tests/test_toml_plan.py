"""``--dry-run --format toml`` writes a file that makes the same experiment with ``--config``."""

from __future__ import annotations

import tomllib

import pytest

from genbench.errors import IncompatibleError, SettingError
from genbench.planning.resolve import Request, Resolved, resolve
from genbench.planning.toml_plan import as_toml, value_of
from genbench.registry import Registry
from genbench.runner import data_access
from genbench.spec import Part

REGISTRY = Registry.from_environment(environ={})
DATA = ("digits", "mnist", "swiss-roll", *(r.name for r in REGISTRY.of("dataset")))


@pytest.fixture
def plan(tmp_path):
    access = data_access(tmp_path / "data", {"GENBENCH_CACHE": str(tmp_path)}, offline=True)

    def planned(model: str, dataset: str, folder=tmp_path, **asked) -> Resolved:
        request = Request(model=model, dataset=dataset, **asked)
        return resolve(request, REGISTRY, access, {}, folder)

    return planned


def fitting(plan, model: str, **asked) -> Resolved:
    """The plan of a model on the first data set that it can take."""
    for dataset in DATA:
        try:
            return plan(model, dataset, **asked)
        except (IncompatibleError, SettingError):  # one of a preset for other data
            continue
    raise AssertionError(f"{model} takes none of the data sets")


def again(plan, resolved: Resolved, tmp_path) -> Resolved:
    file = tmp_path / "plan.toml"
    file.write_text(as_toml(resolved.spec))
    return plan(resolved.spec.model, resolved.spec.dataset, config=file)


@pytest.mark.parametrize("model", [r.name for r in REGISTRY.of("model")])
def test_a_run_from_the_file_is_the_same_experiment(plan, model, tmp_path):
    changes = {"seed": 7, "ema": 0.5, "epoch_images": 1_000, "repeats": 3, "precision": "bf16"}
    wanted = [{"run": {}}, {"run": changes}]
    wanted += [{"run": {"preset": preset.name}} for preset in REGISTRY.presets(model)]
    for asked in wanted:
        resolved = fitting(plan, model, **asked)
        found = again(plan, resolved, tmp_path)
        assert found.spec.digest == resolved.spec.digest
        assert found.spec.model_settings == resolved.spec.model_settings
        assert found.spec.dataset_settings == resolved.spec.dataset_settings


def test_every_setting_is_in_the_file_so_that_a_project_s_own_defaults_change_nothing(
    plan, tmp_path
):
    resolved = plan("vae", "digits")
    (tmp_path / "genbench.toml").write_text("clip_norm = 5.0\n[model.vae]\nz_dim = 3\n")
    assert plan("vae", "digits").spec != resolved.spec
    assert again(plan, resolved, tmp_path).spec == resolved.spec


def test_samplers_with_settings_and_twice_the_same_name_come_back(plan, tmp_path):
    for names in (
        ["plain", "ddls[eps=0.01,steps=3]"],
        ["ddls[eps=0.01,steps=3]", "ddls[eps=0.5]", "plain"],
    ):
        resolved = plan("gan", "digits", run={"samplers": names, "metrics": ["fd_clf"]})
        found = again(plan, resolved, tmp_path).spec
        assert found.samplers == resolved.spec.samplers
        assert len(found.samplers) == len(names)


@pytest.mark.parametrize(
    "value",
    [1, 1.5, 1e-7, 1e300, True, 'a "b" \\ \x07\x7f \U0001f600 \'', ["a", [1, 2]], {"a b": 1.0}],
)
def test_every_value_comes_back_as_it_was(value):
    assert tomllib.loads(f"x = {value_of(value)}")["x"] == value


def test_a_part_of_a_strange_name_is_quoted(plan):
    from dataclasses import replace

    spec = replace(plan("vae", "digits").spec, metrics=(Part(name='a.b"]', settings={"x y": 1}),))
    assert tomllib.loads(as_toml(spec))["metric"]['a.b"]'] == {"x y": 1}
