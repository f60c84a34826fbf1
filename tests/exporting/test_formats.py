"""A file of an exported generator draws the samples of its model, in every format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from light import light
from torch import Tensor, nn

from genbench.contracts import Conditional, Data, Generates
from genbench.errors import IncompatibleError, UsageError
from genbench.evaluation.loaded_run import LoadedRun
from genbench.exporting.export import Exported, check_generates, export_generator
from genbench.exporting.format import ExportFormat
from genbench.registry import Registry
from genbench.spec import RunSpec
from genbench.testing import small_data

REGISTRY = Registry.from_environment()
GENERATING = [m.name for m in REGISTRY.of("model") if "generates" in m.capabilities]
UNROLLED = "pixelcnn"
"""It draws one pixel after the other, and a file has the computation of each: slow to write."""


def loaded(model: Any, data: Data, name: str = "tiny") -> LoadedRun:
    spec = RunSpec(model=name, dataset=data.spec.name, epochs=1, batch_size=2)
    return LoadedRun(id="r0", spec=spec, model=model, data=data, device=torch.device("cpu"))


def registered(name: str) -> LoadedRun:
    """A registered model with small networks and its initial weights."""
    settings = light(name)
    for shape in ((1, 8, 8), (1, 28, 28)):
        data = small_data(shape)
        try:
            settings.check(data.spec)
        except IncompatibleError:
            continue
        model = REGISTRY.target("model", name)(settings.fitted(data.spec), data.spec)
        if hasattr(model, "path"):  # a file holds the computation of each step
            model.path = replace(model.path, steps=3)
        return loaded(model, data)
    raise AssertionError(f"no small data fits {name}")


def exported(run: LoadedRun, folder: Path, format: ExportFormat) -> Exported:
    path = folder / f"generator{format.ending}"
    return export_generator(run, path, format, weights="0" * 32)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name == UNROLLED else ()) for name in GENERATING],
)
def test_every_model_that_generates_is_exported(name: str, tmp_path: Path) -> None:
    run = registered(name)
    written = exported(run, tmp_path, ExportFormat.TORCHSCRIPT)
    assert written.difference == 0.0
    takes, output = written.description["inputs"], written.description["output"]
    assert takes["z"]["shape"][1:] == list(run.model.prior(1).shape[1:])
    assert ("y" in takes) == isinstance(run.model, Conditional)
    assert output["shape"] == ["batch", *run.data.spec.shape]


@pytest.mark.parametrize("name", ["gan", "cvae", "vae-gmm"])
def test_families_are_exported_by_torch_export(name: str, tmp_path: Path) -> None:
    assert exported(registered(name), tmp_path, ExportFormat.TORCH).difference == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("format", [ExportFormat.TORCH, ExportFormat.ONNX])
@pytest.mark.parametrize("name", GENERATING)
def test_every_model_is_exported_in_every_format(
    name: str, format: ExportFormat, tmp_path: Path
) -> None:
    assert exported(registered(name), tmp_path, format).difference < 1e-5


class Drawing(nn.Module):
    """A generator in which a switch shows one way to be wrong."""

    def __init__(self, wrong: str = "") -> None:
        super().__init__()
        self.wrong = wrong
        self.nets = nn.ModuleDict({"g": nn.Linear(4, 64), "unused": nn.Linear(500, 500)})

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return torch.randn(n, 4, generator=generator)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        x: Tensor = torch.tanh(self.nets["g"](z))
        if self.wrong == "noise":
            x = x + torch.rand_like(x)
        return x.view(len(z) if self.wrong == "length" else -1, 1, 8, 8)


def test_a_file_holds_the_nets_of_sampling_alone(tmp_path: Path) -> None:
    run = loaded(Drawing(), small_data())
    for format in (ExportFormat.TORCH, ExportFormat.TORCHSCRIPT):
        written = exported(run, tmp_path, format)
        assert written.path.stat().st_size < 100_000  # the unused net has 1 MB


@pytest.mark.parametrize("wrong", ["noise", "length"])
@pytest.mark.parametrize("format", [ExportFormat.TORCH, ExportFormat.TORCHSCRIPT])
def test_a_file_that_draws_something_else_is_not_kept(
    wrong: str, format: ExportFormat, tmp_path: Path
) -> None:
    with pytest.raises(IncompatibleError, match=rf"r0 can't be exported as {format}: .*--format"):
        exported(loaded(Drawing(wrong), small_data()), tmp_path, format)
    assert list(tmp_path.iterdir()) == []


def test_samples_of_latents_are_decoded_in_the_file(tmp_path: Path) -> None:
    decoder = nn.Linear(2, 64).requires_grad_(False)
    images = small_data()
    points = small_data((2,))
    data = Data(
        spec=points.spec,
        train=points.train,
        test=points.test,
        render=lambda h: torch.tanh(decoder(h)).view(-1, 1, 8, 8),
        source=images,
    )
    kind = REGISTRY.settings("model", "gan")
    model = REGISTRY.target("model", "gan")(kind(z_dim=4, g_hidden=(8,)), points.spec)
    written = exported(loaded(model, data), tmp_path, ExportFormat.TORCHSCRIPT)
    assert written.difference == 0.0
    assert written.description["output"]["shape"] == ["batch", 1, 8, 8]


def test_a_model_without_a_generator_is_refused_in_one_sentence() -> None:
    names = [m.name for m in REGISTRY.of("model") if m.name not in GENERATING]
    assert names == ["stargan"]
    settings, data = REGISTRY.settings("model", "stargan")(), small_data((1, 28, 28))
    model = REGISTRY.target("model", "stargan")(settings.fitted(data.spec), data.spec)
    assert not isinstance(model, Generates)
    with pytest.raises(IncompatibleError, match="'stargan' of run r0 translates samples and gen"):
        check_generates(loaded(model, data, "stargan"))


def test_a_model_of_many_passes_is_refused_in_one_sentence(tmp_path: Path) -> None:
    data = small_data((1, 12, 12))
    kind = REGISTRY.settings("model", UNROLLED)
    model = REGISTRY.target("model", UNROLLED)(kind(channels=2, hidden=2, layers=1), data.spec)
    with pytest.raises(IncompatibleError, match=r"a sample in 144 passes .* at most 100 passes"):
        exported(loaded(model, data, UNROLLED), tmp_path, ExportFormat.TORCHSCRIPT)
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_onnx_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(UsageError, match=r"needs the package 'onnxscript'\. pip install 'genb"):
        exported(loaded(Drawing(), small_data()), tmp_path, ExportFormat.ONNX)
