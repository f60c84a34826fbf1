"""Planning a run: the precedence, the names, the bounds, and what fits together."""

from __future__ import annotations

import dataclasses
import inspect
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
from pydantic import Field

import genbench
from genbench.cli import _app
from genbench.cli.running import run
from genbench.contracts import DataAccess
from genbench.errors import IncompatibleError, SettingError, UnknownNameError, UsageError
from genbench.planning.resolve import Request, resolve, resolve_parts
from genbench.planning.sources import RunSettings, literal
from genbench.registry import Registry
from genbench.spec import RunFields, RunSpec

MODULE = "planning_parts"


class AutoencoderSettings(genbench.ModelSettings):
    training = genbench.Training(images=6_000, epochs=2, batch_size=50)
    z_dim: int = Field(8, ge=1, le=512, description="size of the latent code")
    hidden: tuple[int, ...] = (64,)
    seed: int = 7

    def check(self, data: genbench.DataSpec) -> None:
        if not data.is_image:
            raise genbench.IncompatibleError(f"autoenc takes images, not {data.shape}")


class GridSettings(genbench.DatasetSettings):
    size: int = Field(8, ge=4)
    label: str = "grid"
    count: int = 1_000

    def describe(self, access: genbench.DataAccess) -> genbench.DataSpec:
        shape = (1, self.size, self.size)
        return genbench.DataSpec(name="grid", shape=shape, classes=10, train=self.count, test=100)


class PointSettings(genbench.DatasetSettings):
    def describe(self, access: genbench.DataAccess) -> genbench.DataSpec:
        return genbench.DataSpec(name="points", shape=(2,), train=500)


class FolderSettings(genbench.DatasetSettings):
    path: Path

    def describe(self, access: genbench.DataAccess) -> genbench.DataSpec:
        return genbench.DataSpec(name="folder", shape=(3, 8, 8))


class RejectSettings(genbench.Settings):
    gamma: float = Field(0.0, ge=0)


PRESETS = (
    genbench.Preset(
        name="paper",
        source="A (2020)",
        datasets=("grid",),
        epochs=11,
        batch_size=64,
        settings={"z_dim": 20},
        data={"size": 16},
    ),
    genbench.Preset(name="two", source="B", datasets=("grid",), epochs=5),
    genbench.Preset(name="two", source="B", datasets=("folder",), epochs=6),
)


class Plugin:
    @genbench.hookimpl
    def genbench_register_models(self, register: Any) -> None:
        register(
            "autoenc",
            f"{MODULE}:Missing",
            settings=f"{MODULE}:AutoencoderSettings",
            presets=f"{MODULE}:PRESETS",
            capabilities=("generates", "encodes", "reconstructs"),
        )
        register("bare", f"{MODULE}:Missing")

    @genbench.hookimpl
    def genbench_register_datasets(self, register: Any) -> None:
        register("grid", f"{MODULE}:Missing", settings=f"{MODULE}:GridSettings")
        register("points", f"{MODULE}:Missing", settings=f"{MODULE}:PointSettings")
        register("folder", f"{MODULE}:Missing", settings=f"{MODULE}:FolderSettings")

    @genbench.hookimpl
    def genbench_register_samplers(self, register: Any) -> None:
        register("plain", f"{MODULE}:Missing", capabilities=("generates",))
        register(
            "reject",
            f"{MODULE}:Missing",
            settings=f"{MODULE}:RejectSettings",
            capabilities=("generates", "discriminates"),
        )
        register("thin", f"{MODULE}:Missing", settings=f"{MODULE}:RejectSettings")

    @genbench.hookimpl
    def genbench_register_metrics(self, register: Any) -> None:
        for name in ("fd_clf", "fd_pixel"):
            register(name, f"{MODULE}:Missing", capabilities=("generates",))
        register("reconstruction", f"{MODULE}:Missing", capabilities=("reconstructs",))


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    module = ModuleType(MODULE)
    vars(module).update(
        AutoencoderSettings=AutoencoderSettings,
        GridSettings=GridSettings,
        PointSettings=PointSettings,
        FolderSettings=FolderSettings,
        RejectSettings=RejectSettings,
        PRESETS=PRESETS,
    )
    monkeypatch.setitem(sys.modules, MODULE, module)
    built = Registry()
    assert built.add(Plugin()).error is None
    return built


@pytest.fixture
def plan(registry: Registry, tmp_path: Path) -> Any:
    access = genbench.DataAccess(root=tmp_path / "data", cache=tmp_path / "cache")

    def plan(
        model: str = "autoenc",
        dataset: str = "grid",
        environ: Mapping[str, str] | None = None,
        **given: Any,
    ) -> Any:
        own = {name: given.pop(name) for name in ("sets", "config") if name in given}
        request = Request(model=model, dataset=dataset, run=given, **own)
        return resolve(request, registry, access, environ or {}, tmp_path)

    return plan


# --- defaults ---------------------------------------------------------------------------------


def test_without_any_option_the_models_training_decides_and_all_defaults_are_stored(plan):
    spec = plan().spec
    assert (spec.epochs, spec.batch_size) == (6, 50)
    assert spec.model_settings == {"z_dim": 8, "hidden": [64], "seed": 7}
    assert spec.dataset_settings == {"size": 8, "label": "grid", "count": 1_000}
    assert (spec.seed, spec.device, spec.precision) == (0, "auto", "fp32")


def test_a_large_data_set_gets_fewer_epochs_but_never_less_than_the_models_least(plan):
    assert plan(sets=["data.count=60"]).spec.epochs == 100
    assert plan(sets=["data.count=1000000"]).spec.epochs == 2


def test_default_metrics_are_those_that_fit_the_data_and_the_model(plan):
    def names(**given):
        return [part.name for part in plan(**given).spec.metrics]

    assert names() == ["fd_clf", "fd_pixel", "reconstruction"]
    assert names(model="bare", dataset="points") == ["fd_pixel"]
    assert names(model="bare", dataset="folder", sets=["data.path=x"]) == ["fd_pixel"]


def test_a_model_without_settings_gets_empty_ones(plan):
    assert plan(model="bare").spec.model_settings == {}


# --- precedence -------------------------------------------------------------------------------


def test_each_source_beats_all_those_below_it(plan, tmp_path):
    (tmp_path / "genbench.toml").write_text("epochs = 2\n")
    (tmp_path / "other.toml").write_text("epochs = 3\n")
    sources = {
        "config": tmp_path / "other.toml",
        "preset": "paper",
        "environ": {"GENBENCH_EPOCHS": "12"},
        "sets": ["epochs=13"],
        "epochs": 14,
    }
    expected = [2, 3, 11, 12, 13, 14]
    for count, epochs in enumerate(expected):
        given = dict(list(sources.items())[:count])
        assert plan(**given).spec.epochs == epochs, list(given)


def test_model_settings_follow_the_same_precedence(plan, tmp_path):
    (tmp_path / "genbench.toml").write_text("[model]\nz_dim = 2\n[model.autoenc]\nz_dim = 3\n")
    assert plan().spec.model_settings["z_dim"] == 3
    assert plan(preset="paper").spec.model_settings["z_dim"] == 20
    assert plan(preset="paper", sets=["z_dim=4"]).spec.model_settings["z_dim"] == 4


def test_pyproject_counts_where_there_is_no_genbench_toml(plan, tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.genbench]\nseed = 5\n[tool.other]\nx = 1\n")
    assert plan().spec.seed == 5
    (tmp_path / "genbench.toml").write_text("epochs = 1\n")
    assert plan().spec.seed == 0


def test_the_environment_sets_every_run_field(plan):
    environ = {
        "GENBENCH_BATCH_SIZE": "32",
        "GENBENCH_SEED": "4",
        "GENBENCH_DEVICE": "cuda:1",
        "GENBENCH_PRECISION": "bf16",
        "GENBENCH_METRICS": "fd_pixel, reconstruction",
    }
    spec = plan(environ=environ).spec
    assert (spec.batch_size, spec.seed, spec.device) == (32, 4, "cuda:1")
    assert spec.precision == "bf16"
    assert [part.name for part in spec.metrics] == ["fd_pixel", "reconstruction"]


def test_a_file_may_hold_parts_of_other_runs(plan, tmp_path):
    (tmp_path / "genbench.toml").write_text(
        'metrics = ["fd_pixel"]\n[model.bare]\n[data.points]\n[data.grid]\nsize = 12\n'
        "[sampler.thin]\ngamma = 0.5\n"
    )
    resolved = plan(samplers=["thin"])
    assert resolved.data_spec.shape == (1, 12, 12)
    assert resolved.spec.samplers[0].settings == {"gamma": 0.5}
    assert [part.name for part in resolved.spec.metrics] == ["fd_pixel"]


# --- --set ------------------------------------------------------------------------------------


def test_a_bare_name_is_a_model_setting_first_and_a_run_field_next(plan):
    spec = plan(sets=["z_dim=20", "seed=9", "epochs=3", "run.seed=2"]).spec
    assert spec.model_settings["z_dim"] == 20
    assert spec.model_settings["seed"] == 9
    assert (spec.epochs, spec.seed) == (3, 2)


def test_dotted_names_reach_every_part(plan):
    spec = plan(
        sets=["model.hidden=[32, 16]", "data.label=2024", "sampler.thin.gamma=0.8"],
        samplers=["thin"],
    ).spec
    assert spec.model_settings["hidden"] == [32, 16]
    assert spec.dataset_settings["label"] == "2024"
    assert spec.samplers[0].settings == {"gamma": 0.8}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("20", 20),
        ("1e-3", 1e-3),
        ("true", True),
        ("False", False),
        ("none", None),
        ("null", None),
        ("[1, 2]", [1, 2]),
        ('"two words"', "two words"),
        ("adam", "adam"),
        ("2024-01-01", "2024-01-01"),
        ("1\nx = 2", "1\nx = 2"),
        ("", ""),
    ],
)
def test_values_read_as_toml_and_else_as_text(text, value):
    assert literal(text) == value


def test_a_preset_records_its_name_and_sets_the_data_too(plan):
    resolved = plan(preset="paper")
    assert resolved.spec.preset == "paper"
    assert resolved.spec.batch_size == 64
    assert resolved.data_spec.shape == (1, 16, 16)
    assert resolved.notes == ()


def test_the_variant_of_a_preset_for_this_data_set_is_taken(plan):
    assert plan(preset="two").spec.epochs == 5
    assert plan(preset="two", dataset="folder", sets=["data.path=x"]).spec.epochs == 6


def test_the_only_variant_of_a_preset_is_used_elsewhere_with_a_note(plan, registry, monkeypatch):
    monkeypatch.setattr(sys.modules[MODULE], "PRESETS", PRESETS[1:2])
    notes = plan(dataset="folder", sets=["data.path=x"], preset="two").notes
    assert notes == ("preset 'two' is for grid; using it on folder",)


def test_of_variants_made_for_other_data_the_first_is_taken_with_a_note(plan, monkeypatch):
    variants = [genbench.Preset(name="two", source="B", datasets=(d,), epochs=7) for d in "ab"]
    monkeypatch.setattr(sys.modules[MODULE], "PRESETS", tuple(variants))
    assert plan(preset="two").notes == ("preset 'two' is for a, b; using it as on a on grid",)


def test_settings_for_a_stored_runs_samplers_resolve_alike(registry, plan):
    spec = plan().spec
    parts = resolve_parts("sampler", ["thin"], ["sampler.thin.gamma=2"], registry, spec)
    assert [(part.name, part.settings) for part in parts] == [("thin", {"gamma": 2.0})]
    with pytest.raises(IncompatibleError, match="discriminates"):
        resolve_parts("sampler", ["reject"], [], registry, spec)


def test_the_metric_none_stands_for_no_metric(plan):
    assert plan(metrics=["none"]).spec.metrics == ()
    assert [part.name for part in plan(metrics=["none", "fd_pixel"]).spec.metrics] == ["fd_pixel"]


# --- what is wrong is said in one sentence ----------------------------------------------------


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"model": "autoecn"}, UnknownNameError, "did you mean 'autoenc'"),
        ({"dataset": "gird"}, UnknownNameError, "did you mean 'grid'"),
        ({"samplers": ["plian"]}, UnknownNameError, "did you mean 'plain'"),
        ({"metrics": ["fd_pixle"]}, UnknownNameError, "did you mean 'fd_pixel'"),
        ({"preset": "papr"}, UnknownNameError, "did you mean 'paper'"),
        ({"sets": ["zdim=3"]}, SettingError, "did you mean 'z_dim'"),
        ({"sets": ["epoch=3"]}, SettingError, "did you mean 'epochs'"),
        ({"sets": ["z_dim"]}, SettingError, "expected name=value"),
        ({"sets": ["modle.z_dim=3"]}, SettingError, "did you mean 'model'"),
        ({"sets": ["data.sise=3"]}, SettingError, "did you mean 'size'"),
        ({"sets": ["run.epoch=3"]}, SettingError, "did you mean 'epochs'"),
        ({"sets": ["sampler.thin=3"]}, SettingError, "sampler.NAME.setting=value"),
        ({"sets": ["sampler.thin.gamma=3"]}, UsageError, "add --sampler thin"),
        ({"sets": ["z_dim=0"]}, SettingError, "it must be at least 1"),
        ({"sets": ["z_dim=many"]}, SettingError, "'z_dim' = 'many'"),
        ({"epochs": 0}, SettingError, "from the command line"),
        ({"batch_size": 0}, SettingError, "batch_size"),
        ({"seed": -1}, SettingError, "seed"),
        ({"device": "gpu"}, SettingError, "auto, cpu, cuda, cuda:N"),
        ({"precision": "fp16"}, SettingError, "'fp32', 'bf16' or 'auto'"),
        ({"ema": 1.0}, SettingError, "less than 1"),
        ({"accumulate": 3}, SettingError, "must divide the batch size, 50"),
        ({"batch_size": 1_001}, IncompatibleError, "--batch-size 1000 or less"),
        ({"environ": {"GENBENCH_EPOCHS": "x"}}, SettingError, "from the environment"),
        ({"dataset": "points"}, IncompatibleError, "takes images"),
        ({"dataset": "folder"}, SettingError, "needs the setting 'path'"),
        ({"samplers": ["reject"]}, IncompatibleError, "needs a model with 'discriminates'"),
        ({"config": Path("no-such.toml")}, UsageError, "No such file"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_in_one_sentence(plan, given, error, words):
    with pytest.raises(error) as caught:
        plan(**given)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epoch = 3", "unknown key 'epoch'; did you mean 'epochs'?"),
        ("[modle]\nz_dim = 3", "unknown key 'modle'; did you mean 'model'?"),
        ("[model]\nzdim = 3", "[model] zdim: model 'autoenc' has no such setting; did you mean"),
        ("[model.autoecn]\nz_dim = 3", "[model.autoecn]: model 'autoenc' has no such setting"),
        ("[model.autoenc]\nzdim = 3", "no setting 'zdim' (from genbench.toml); did you mean"),
        ("[metric.fd_pixle]\nn = 3", "unknown metric 'fd_pixle'; did you mean 'fd_pixel'?"),
        ("epochs = 0", "'epochs' = 0 (from genbench.toml)"),
        ("epochs = true", "it must be a number, not true"),
        ("epochs =", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_named_with_the_key(plan, tmp_path, text, words):
    (tmp_path / "genbench.toml").write_text(text)
    with pytest.raises(SettingError) as caught:
        plan()
    assert words in str(caught.value)
    assert "genbench.toml" in str(caught.value)


def test_planning_a_run_loads_neither_torch_nor_numpy(tmp_path):
    script = f"""
import sys
from pathlib import Path
from genbench import DataAccess
from genbench.registry import Registry
from genbench.planning.resolve import Request, resolve
registry = Registry.from_environment()
access = DataAccess(root=Path({str(tmp_path)!r}), cache=Path({str(tmp_path)!r}))
resolved = resolve(Request(model="vae", dataset="digits"), registry, access, {{}}, Path())
assert resolved.spec.model == "vae"
heavy = {{"torch", "numpy", "sqlalchemy", "alembic", "sklearn"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)


def test_an_epoch_of_fewer_images_makes_more_epochs_and_holds_a_batch(plan) -> None:
    resolved = plan("autoenc", "grid", epoch_images=500).spec
    assert (resolved.epochs, resolved.epoch_images) == (12, 500)
    with pytest.raises(SettingError, match="epoch_images = 40 is less than a batch of 50"):
        plan("autoenc", "grid", epoch_images=40)


@pytest.mark.parametrize(("model", "own"), [("vaegan", "vae_epochs"), ("vq-vae", "code_epochs")])
def test_a_stage_with_epochs_of_its_own_gets_more_of_them_where_they_are_smaller(
    model: str, own: str, tmp_path: Path
) -> None:
    builtin = Registry.from_environment()
    access = DataAccess(root=tmp_path, cache=tmp_path)

    def epochs(*sets: str, images: int | None) -> Any:
        request = Request(model=model, dataset="digits", sets=sets, run={"epoch_images": images})
        return resolve(request, builtin, access, {}, tmp_path).spec.model_settings[own]

    assert epochs(images=None) is None
    assert epochs(images=60_000) < epochs(images=20_000)
    assert epochs(f"{own}=3", images=500) == 3


def test_each_field_of_a_run_is_an_option_a_settings_key_and_a_field_of_the_spec() -> None:
    command = typer.main.get_command(_app(["run"])).commands["run"]
    options = {parameter.name: parameter.help for parameter in command.params}
    spec = {field.name for field in dataclasses.fields(RunSpec)}
    assert len(dataclasses.fields(RunFields)) > 10
    for field in dataclasses.fields(RunFields):
        assert options[field.name], field.name
        assert RunSettings.model_fields[field.name].default == field.default
        assert field.name in spec
        assert f"{field.name}: " not in inspect.getsource(run), "declared a second time"


def test_a_field_of_a_run_keeps_its_bounds_from_every_source(plan) -> None:
    for given in ({"environ": {"GENBENCH_REPEATS": "1001"}}, {"sets": ["run.repeats=1001"]}):
        with pytest.raises(SettingError, match=r"'repeats' = 1001 \(from .*\): .* at most 1,000"):
            plan(**given)
    with pytest.raises(SettingError, match=r"'ema' = 1.0 \(from the command line\): .* than 1"):
        plan(ema=1.0)
