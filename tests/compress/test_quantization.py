"""int8 layers compute what their float layers do, up to rounding, and are stored as int8."""

from __future__ import annotations

import copy
import sys
from types import SimpleNamespace

import pytest
import torch
from needs import needs
from safetensors.torch import load_file
from torch import nn

from genbench.errors import IncompatibleError, InterruptedRunError, UsageError
from genbench.events import EpochDone
from genbench.exporting.export import export_generator
from genbench.exporting.format import ExportFormat
from genbench.runner import resume
from genbench_compress import int8_kernels, int8_layers
from genbench_compress.quantize import count_int8, nothing_to_quantize
from genbench_compress.size import macs

pytestmark = needs("torchao", "quantize")

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def resized(bench):
    """A DCGAN with convolutions after an upsampling in its generator."""
    small = ("g_channels=4", "d_channels=4", "z_dim=8", "upsample=resize")
    return bench.train("dcgan", "data.size=28", *small)


def series(bench, run):
    sql = "SELECT series, value FROM v_series WHERE id = :id"
    return dict(bench.store.rows(sql, {"id": run.id}))


def tensors(bench, run):
    [path] = bench.store.folder(run.id).glob("checkpoints/**/weights*.safetensors")
    return load_file(path)


def difference(bench, first, second):
    models = [bench.load(run).model for run in (first, second)]
    z = models[0].prior(32, torch.Generator().manual_seed(0))
    with torch.no_grad():
        a, b = (model.generate(z) for model in models)
    return float((a - b).abs().max())


@pytest.mark.parametrize("mode", ["dynamic", "static", "aware"])
def test_a_quantized_decoder_runs_int8_products_and_draws_nearly_the_same(bench, vae, mode):
    made = bench.compress(vae, "quantize", f"mode={mode}", epochs=1)
    assert series(bench, made)["test/int8_ops"] == 2
    model = bench.load(made).model
    assert count_int8(model) == 2
    assert macs(model, CPU) == macs(bench.load(vae).model, CPU) > 0
    if mode != "aware":  # which trains the weights too
        assert difference(bench, vae, made) < 0.05


def test_convolutions_are_quantized_and_transposed_ones_are_refused(bench, resized, dcgan):
    made = bench.compress(resized, "quantize", "mode=static", metrics=("size", "latency"))
    assert count_int8(bench.load(made).model) == 2
    assert difference(bench, resized, made) < 0.1
    measured = {score.metric for score in bench.store.scores(made.id)}
    assert {"bytes", "macs", "ms_at_1", "ms_at_100", "peak_memory"} <= measured
    with pytest.raises(IncompatibleError, match=r"no int8 operation would run.*upsample=resize"):
        bench.compress(dcgan, "quantize", "mode=static")
    with pytest.raises(IncompatibleError, match="no int8 operation would run"):
        bench.compress(resized, "quantize", "mode=dynamic")


def test_a_device_without_int8_products_is_named():
    elsewhere = SimpleNamespace(nets=nn.ModuleDict({"decoder": nn.Linear(2, 2, device="meta")}))
    error = str(nothing_to_quantize(elsewhere))
    assert "no int8 operation would run on meta" in error
    assert "--device cpu" in error


def test_int8_weights_go_through_a_checkpoint_bitwise(bench, vae):
    made = bench.compress(vae, "quantize", "mode=static")
    stored = tensors(bench, made)
    own = bench.load(made).model.nets.state_dict()
    assert own.keys() == stored.keys()
    for name, tensor in stored.items():
        assert own[name].dtype == tensor.dtype
        assert torch.equal(own[name], tensor), name
    assert stored["decoder.0.weight"].dtype == torch.int8
    assert stored["encoder.1.weight"].dtype == torch.float32
    kept = tensors(bench, vae)
    expected, scale = int8_kernels.quantized(kept["decoder.0.weight"])
    assert torch.equal(stored["decoder.0.weight"], expected)
    assert torch.equal(stored["decoder.0.scale"], scale)
    assert torch.equal(stored["decoder.0.bias"], kept["decoder.0.bias"])


def test_a_quantized_run_is_exported_and_neither_quantized_again_nor_pruned(
    bench, vae, resized, tmp_path
):
    made = bench.compress(vae, "quantize", "mode=static")
    path = tmp_path / "generator.pt"
    loaded = bench.load(made)
    assert export_generator(loaded, path, ExportFormat.TORCHSCRIPT, weights="").difference == 0.0
    convolutions = bench.load(bench.compress(resized, "quantize", "mode=static"))
    for run, format in ((loaded, ExportFormat.ONNX), (convolutions, ExportFormat.TORCHSCRIPT)):
        exported = export_generator(run, path, format, weights="")
        assert exported.difference <= 2 / 255, format
    with pytest.raises(IncompatibleError, match="is quantized already"):
        bench.compress(made, "quantize")
    for granularity in ("channel", "weight"):
        with pytest.raises(IncompatibleError, match="is quantized, and int8 weights are neither"):
            bench.compress(made, "prune", f"granularity={granularity}")


def interrupted(bench, spec, epochs):
    """The run of a spec, stopped after some epochs and resumed."""
    done: list[EpochDone] = []
    with pytest.raises(InterruptedRunError):
        bench.run(
            spec,
            listeners=[lambda event: done.append(event) if isinstance(event, EpochDone) else None],
            should_stop=lambda: len(done) >= epochs,
        )
    [stopped] = [run for run in bench.store.runs() if run.status == "interrupted"]
    return resume(stopped.id, registry=bench.registry, store=bench.store, access=bench.access)


@pytest.mark.parametrize(("method", "last"), [("quantize", 1), ("distil", 1)])
def test_a_run_that_learns_is_resumed_bitwise(bench, vae, method, last):
    setting = "mode=aware" if method == "quantize" else "width=0.5"
    spec = bench.planned(vae, method, setting, epochs=2)
    whole, ended = tensors(bench, bench.run(spec)), tensors(bench, interrupted(bench, spec, last))
    assert whole.keys() == ended.keys()
    assert all(torch.equal(whole[name], ended[name]) for name in whole)


def test_without_torchao_quantization_is_refused_in_one_sentence(bench, vae, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchao.quantization", None)
    with pytest.raises(UsageError, match=r"needs the package 'torchao'\. pip install 'genbench\["):
        bench.compress(vae, "quantize")


# --- the layers


LAYERS = {
    "linear": (nn.Linear(24, 10), (7, 24)),
    "convolution": (nn.Conv2d(8, 6, 3, 2, 1), (3, 8, 9, 9)),
    "without bias": (nn.Conv2d(8, 6, 3, 1, 1, bias=False), (3, 8, 5, 5)),
}


@torch.no_grad()
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_rounds_in_training_as_its_int8_form_does(name):
    layer, shape = LAYERS[name]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    scale = x.abs().max() / 127
    rounding = int8_layers.as_rounding(copy.deepcopy(layer), scale).eval()
    made = int8_layers.as_int8(rounding, scale)
    assert torch.allclose(made(x), rounding(x), atol=1e-3)
    assert float((made(x) - layer(x)).abs().max()) < 0.05
    assert torch.equal(copy.deepcopy(made)(x), made(x))


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_pass_an_int8_layer_as_if_nothing_was_rounded(name):
    layer, shape = LAYERS[name]
    x = torch.randn(shape, requires_grad=True)
    made = int8_layers.as_int8(layer, x.detach().abs().max() / 127)
    values = made(x)
    [gradient] = torch.autograd.grad(values.sum(), x)
    [expected] = torch.autograd.grad(layer(x).sum(), x)
    assert torch.allclose(gradient, expected, atol=0.02)
    assert torch.allclose(values, made(x.detach()), atol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_an_int8_layer_counts_as_many_operations_as_its_float_form(name):
    from torch.utils.flop_counter import FlopCounterMode

    layer, shape = LAYERS[name]
    x = torch.randn(shape)
    counts = []
    for each in (layer, int8_layers.as_int8(layer, x.abs().max() / 127)):
        counter = FlopCounterMode(display=False, custom_mapping=int8_kernels.flops())
        with torch.no_grad(), counter:
            each(x)
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1] > 0


@torch.no_grad()
def test_a_row_of_a_dynamic_layer_does_not_depend_on_the_others():
    made = int8_layers.as_int8(nn.Linear(24, 10), None)
    x = torch.randn(5, 24)
    more = torch.cat((x, 100 * torch.randn(3, 24)))
    assert torch.equal(made(more)[:5], made(x))


def test_a_rounding_layer_learns_through_its_rounding():
    layer = int8_layers.as_rounding(nn.Linear(4, 3), torch.tensor(0.1)).train()
    layer(torch.randn(6, 4)).sum().backward()
    assert layer.weight.grad.abs().sum() > 0
    assert layer.input_scale != 0.1
    assert isinstance(layer, nn.Linear)
