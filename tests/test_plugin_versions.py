"""Which version of a plugin made a run: stored, shown, warned of, and named once it is gone.

A tiny distribution is really installed, as pip leaves it: a module, its metadata, an entry point.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import Answer, CommandLine
from torch import nn

import genbench as genbench_face
from genbench import Batch, Optimizer, Phase, Stage, __version__
from genbench.compare.read_results import read_results
from genbench.compare.row_labels import group_runs
from genbench.contracts import DataAccess
from genbench.errors import GenbenchWarning, InterruptedRunError, PluginError
from genbench.latent.traverse import Traversal, traverse
from genbench.registration.installed import PluginInfo
from genbench.registry import Registry
from genbench.runner import (
    evaluate_run,
    load_run,
    resume,
    run,
    sample_run,
    with_runs,
)
from genbench.runner.opened import Opened, at_work
from genbench.spec import Part, RunSpec
from genbench.store import Run, Store

MODULE = """
import torch
from torch import nn
import genbench
from genbench import Optimizer, Phase, Stage, hookimpl

@hookimpl
def genbench_register_models(register):
    register("tinygen", "genbench_tinygen:Tiny", summary="a linear generator")

class Tiny:
    averaged = ()
    def __init__(self, settings, data):
        self.shape = data.shape
        pixels = int(torch.Size(data.shape).numel())
        self.nets = nn.ModuleDict({"g": nn.Sequential(nn.Linear(2, pixels), nn.Tanh())})
    def optimizers(self):
        return {"g": Optimizer(nets=("g",), lr=LR)}
    def stages(self):
        return (Stage(name="train", phases=(Phase(name="g", loss=self.loss, updates=("g",)),)),)
    def loss(self, batch):
        z = torch.randn(len(batch.x), 2)
        return {"g": {"mse": (self.generate(z) - batch.x).square().mean()}}
    def prior(self, n, generator=None):
        return torch.randn(n, 2, generator=generator)
    def generate(self, z, y=None):
        return self.nets["g"](z).unflatten(1, self.shape)
    def render(self, h):
        return h
"""


def install(site: Path, version: str) -> None:
    """What pip leaves of the distribution genbench-tinygen; another version is replaced."""
    uninstall(site)
    site.mkdir(exist_ok=True)
    rate = "1e-3" if version == "0.1.0" else "1e-1"
    (site / "genbench_tinygen.py").write_text(MODULE.replace("LR", rate))
    info = site / f"genbench_tinygen-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: genbench-tinygen\nVersion: {version}\n"
    )
    (info / "entry_points.txt").write_text("[genbench]\ntinygen = genbench_tinygen\n")


def uninstall(site: Path) -> None:
    shutil.rmtree(site, ignore_errors=True)


WARNING = (
    "was made with genbench-tinygen 0.1.0, but genbench-tinygen 0.2.0 is installed, so numbers may "
    "differ. To install the same version: pip install 'genbench-tinygen==0.1.0'"
)
GONE = "model 'tinygen' of genbench-tinygen 0.1.0, which is not installed; to install it: pip "


def test_versions_are_shown_warned_of_and_named_once_they_are_gone(
    command_line: CommandLine, tmp_path: Path
) -> None:
    site = tmp_path / "site"

    def genbench(*arguments: str) -> Answer:
        """A command line in a folder of its own, beside a site folder with the plugin."""
        return command_line(*arguments, folder=tmp_path, env={"PYTHONPATH": str(site)})

    install(site, "0.1.0")
    train = ("--epochs", "1", "--metric", "fd_pixel", "--samples", "50", "--device", "cpu")
    ran = genbench("run", "tinygen", "digits", *train, "--set", "data.size=8", "--json")
    assert ran.code == 0, ran.err
    run = json.loads(ran.out)["run"]
    install(site, "0.2.0")
    shown = [line.split() for line in genbench("show", run).out.splitlines()]
    assert ["model", "tinygen", "genbench-tinygen", "0.1.0", "0.2.0"] in shown
    said = genbench("sample", run)
    assert (said.code, said.err.count(WARNING)) == (0, 1)
    uninstall(site)
    said = genbench("rerun", run)
    assert said.code == 4
    assert f"{GONE}install 'genbench-tinygen==0.1.0'" in said.err
    assert genbench("show", run).code == 0


# --- the same in one process: a registry knows each plugin with its version


class Tiny:
    """A linear generator."""

    averaged = ()

    def __init__(self, settings: genbench_face.Settings, data: genbench_face.DataSpec) -> None:
        self.shape = data.shape
        pixels = int(torch.Size(data.shape).numel())
        self.nets = nn.ModuleDict({"g": nn.Sequential(nn.Linear(2, pixels), nn.Tanh())})

    def optimizers(self) -> dict[str, Optimizer]:
        return {"g": Optimizer(nets=("g",), lr=1e-3)}

    def stages(self) -> tuple[Stage, ...]:
        return (Stage(name="train", phases=(Phase(name="g", loss=self.loss, updates=("g",)),)),)

    def loss(self, batch: Batch) -> dict[str, dict[str, torch.Tensor]]:
        z = torch.randn(len(batch.x), 2)
        return {"g": {"mse": (self.generate(z) - batch.x).square().mean()}}

    def prior(self, n: int, generator: torch.Generator | None = None) -> torch.Tensor:
        return torch.randn(n, 2, generator=generator)

    def generate(self, z: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
        return self.nets["g"](z).unflatten(1, self.shape)

    def render(self, h: torch.Tensor) -> torch.Tensor:
        return h


def registry_with(version: str | None) -> Registry:
    """The built-in plugins, and genbench-tinygen of a version (None: it is not installed)."""
    registry = Registry.from_environment(strict=True)
    plugin = types.ModuleType("tinygen")

    @genbench_face.hookimpl
    def genbench_register_models(register: genbench_face.Register) -> None:
        register("tinygen", f"{__name__}:Tiny")

    plugin.genbench_register_models = genbench_register_models  # type: ignore[attr-defined]
    if version is not None:
        info = PluginInfo(
            name="tinygen", distribution="genbench-tinygen", version=version, module="tinygen"
        )
        registry.add(plugin, info=info, strict=True)
    return registry


SPEC = RunSpec(
    model="tinygen",
    dataset="digits",
    dataset_settings={"size": 8},
    epochs=2,
    batch_size=600,
    samples=40,
    metrics=(Part(name="fd_pixel"),),
)


def test_a_run_keeps_the_versions_of_all_its_parts(store: Store, access: DataAccess) -> None:
    done = run(SPEC, registry=registry_with("0.1.0"), store=store, access=access)
    ours = ("genbench", __version__)
    assert {(p.kind, p.name): (p.distribution, p.version) for p in store.plugins(done.id)} == {
        ("model", "tinygen"): ("genbench-tinygen", "0.1.0"),
        ("dataset", "digits"): ours,
        ("sampler", "plain"): ours,
        ("metric", "fd_pixel"): ours,
    }


def test_scores_by_another_version_are_of_another_protocol_and_say_so(
    store: Store, access: DataAccess
) -> None:
    done = run(SPEC, registry=registry_with("0.1.0"), store=store, access=access)
    with pytest.warns(GenbenchWarning, match=re.escape(WARNING)):
        evaluate_run(done.id, registry=registry_with("0.2.0"), store=store, access=access)
    own, added = store.scores(done.id)
    assert added.protocol_hash != own.protocol_hash
    assert added.protocol["plugins"] == [
        "genbench-tinygen 0.2.0, the run had genbench-tinygen 0.1.0"
    ]
    evaluate_run(done.id, registry=registry_with("0.1.0"), store=store, access=access)
    assert store.scores(done.id)[-1].protocol_hash == own.protocol_hash


def test_a_run_resumed_with_another_version_was_made_with_both(
    store: Store, access: DataAccess
) -> None:
    asked = itertools.count()
    made: list[Run] = []
    with pytest.raises(InterruptedRunError):
        run(
            SPEC,
            registry=registry_with("0.1.0"),
            store=store,
            access=access,
            started=made.append,
            should_stop=lambda: bool(made) and next(asked) > 3,
        )
    (stopped,) = store.runs()
    with pytest.warns(GenbenchWarning, match=re.escape(WARNING)):
        resume(stopped.id, registry=registry_with("0.2.0"), store=store, access=access)
    made = [p.version for p in store.plugins(stopped.id) if p.name == "tinygen"]
    assert made == ["0.1.0", "0.2.0"]


def test_every_use_of_a_run_without_its_plugin_names_what_to_install(
    store: Store, access: DataAccess, tmp_path: Path
) -> None:
    done = run(SPEC, registry=registry_with("0.1.0"), store=store, access=access)
    rest: dict[str, Any] = {"registry": registry_with(None), "store": store, "access": access}

    def traversed() -> None:
        with at_work(done.id, Opened(**rest), seed=0) as loaded:
            traverse(loaded, Traversal(), tmp_path / "t.png")

    uses: list[Callable[[], Any]] = [
        lambda: evaluate_run(done.id, **rest),
        lambda: sample_run(done.id, out=tmp_path / "grid.png", **rest),
        lambda: load_run(done.id, **rest),
        traversed,
        lambda: with_runs(access, rest["registry"], store).runs.head(done.id),
    ]
    for use in uses:
        with pytest.raises(PluginError, match=f"{GONE}install 'genbench-tinygen==0.1.0'"):
            use()


def test_a_plugin_that_is_left_out_is_not_one_to_be_installed(
    store: Store, access: DataAccess
) -> None:
    done = run(SPEC, registry=registry_with("0.1.0"), store=store, access=access)
    registry = registry_with(None)
    left_out = PluginInfo(
        name="tinygen",
        distribution="genbench-tinygen",
        version="0.1.0",
        module="tinygen",
        disabled="GENBENCH_DISABLE_PLUGINS",
    )
    registry.plugins.append(left_out)
    with pytest.raises(
        PluginError, match="which is disabled by GENBENCH_DISABLE_PLUGINS; unset it"
    ):
        load_run(done.id, registry=registry, store=store, access=access)


def test_runs_of_two_versions_are_two_experiments_not_seeds(
    store: Store, access: DataAccess
) -> None:
    for version, seed in (("0.1.0", 0), ("0.1.0", 1), ("0.2.0", 2)):
        spec = replace(SPEC, seed=seed, epochs=1)
        run(spec, registry=registry_with(version), store=store, access=access)
    numbers = [number for (number,) in store.rows("SELECT run FROM runs")]
    rows = group_runs(read_results(store, numbers))
    assert {(row.label, len(row.runs)) for row in rows} == {
        ("genbench-tinygen=0.1.0", 2),
        ("genbench-tinygen=0.2.0", 1),
    }
