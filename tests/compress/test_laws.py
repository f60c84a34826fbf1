"""Laws of the networks that compressors make, and what is refused."""

from __future__ import annotations

import builtins
import re
import time
from dataclasses import replace

import pytest
import torch

from genbench.contracts import Batch, DataSpec, MetricContext
from genbench.engine import seed_everything
from genbench.engine.shapes import take_shapes
from genbench.errors import IncompatibleError, SettingError, UsageError
from genbench.planning.compressing import check_parent, compression_of
from genbench.registry import Registry
from genbench.spec import RunSpec
from genbench.testing import check_compressor, small_data
from genbench_compress.channels import by_channel, channels_of, narrow
from genbench_compress.cost_settings import LatencySettings
from genbench_compress.criteria import channel_values, lowest, with_gradients
from genbench_compress.int8_layers import as_int8, float_layers, replaced
from genbench_compress.latency import Latency
from genbench_compress.nets import forget_gradients, generating, judging
from genbench_compress.prune_settings import GrowSettings, PruneSettings
from genbench_compress.size import Size

IMAGES = DataSpec(name="images", shape=(1, 28, 28), classes=10, train=100, test=100)
MODELS = {
    "dcgan": {"g_channels": 8, "d_channels": 8},
    "gan conv": {"network": "conv", "g_channels": 8, "d_channels": 8, "g_norm": "batch"},
    "vae": {"hidden": (32,)},
    "vae conv": {"network": "conv", "channels": (8, 16), "conv_hidden": 16, "batch_norm": True},
    "cgan": {"g_hidden": (32, 32), "d_hidden": (32,)},
}
REGISTRY = Registry.from_environment()


def built(name, seed=0):
    kind = name.split()[0]
    settings = REGISTRY.settings("model", kind)(**MODELS.get(name, {})).fitted(IMAGES)
    seed_everything(seed)
    model = REGISTRY.target("model", kind)(settings, IMAGES)
    for module in model.nets.modules():  # as after a training
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.normal_(module.bias)
    model.nets.eval()
    return model


def drawn(model, n=8):
    z = model.prior(n, torch.Generator().manual_seed(1))
    y = torch.arange(n) % model.classes if hasattr(model, "classes") else None
    with torch.no_grad():
        return model.generate(z, y)


def narrow_to_half(model):
    """Keep every other channel of the layers that make samples."""
    layers = channels_of(model, generating(model))
    narrow(layers, {one.name: torch.arange(one.count) % 2 == 0 for one in layers})


@pytest.mark.parametrize("name", MODELS)
def test_a_silenced_network_and_its_rebuilt_smaller_self_agree(name):
    model = built(name)
    layers = channels_of(model, generating(model))
    removed = {
        layer.name: lowest(layer.weights().norm(dim=1), layer.count // 2) for layer in layers
    }
    for layer in layers:
        layer.silence(removed[layer.name].nonzero().flatten().tolist())
    silenced = drawn(model)
    narrow(layers, {name: ~mask for name, mask in removed.items()})
    torch.testing.assert_close(drawn(model), silenced, rtol=1e-5, atol=1e-5)
    assert all(layer.count // 2 == int(removed[layer.name].sum()) for layer in layers)


def test_taylor_ranks_channels_by_weights_times_gradients_of_the_losses():
    model, batch = built("vae"), Batch(x=torch.rand(16, 1, 28, 28) * 2 - 1)
    nets = generating(model)
    torch.manual_seed(3)
    with_gradients(model, iter([batch]), 1, nets)
    found = [channel_values(layer, "taylor") for layer in channels_of(model, nets)]
    torch.manual_seed(3)
    terms = model.stages()[0].phases[0].loss(batch)["vae"]
    forget_gradients(model.nets)
    sum(terms.values()).backward()
    layers = channels_of(model, nets)
    assert layers
    for layer, values in zip(layers, found, strict=True):
        wanted = (layer.weights() * layer.gradients()).sum(1).abs().detach()
        torch.testing.assert_close(values, wanted)
        assert wanted.std() > 0


def test_taylor_gives_a_stage_the_data_that_it_prepares():
    model, batch = built("vaegan"), Batch(x=torch.rand(16, 1, 28, 28) * 2 - 1)
    with_gradients(model, iter([batch]), 1, ("generator", "decoder"))
    for net in ("generator", "decoder"):
        assert all(p.grad.abs().sum() > 0 for p in model.nets[net].parameters())


def test_latency_is_a_time_its_rate_and_the_memory_that_a_draw_holds(tmp_path):
    model, cpu = built("vae"), torch.device("cpu")
    metric = Latency(LatencySettings(batch_sizes=(1, 10), runs=3))
    metric.begin(MetricContext(data=None, model=model, device=cpu, cache=tmp_path, n=1))
    found = {score.metric: score.value for score in metric.result()}
    for size in (1, 10):
        rate = found[f"samples_per_second_at_{size}"]
        assert rate == pytest.approx(1e3 * size / found[f"ms_at_{size}"])
    decoder = sum(4 * weight.numel() for weight in model.nets["decoder"].parameters())
    assert found["peak_memory"] > decoder + 4 * 10 * 28 * 28


def test_half_of_the_channels_of_a_dcgan_halve_its_bytes(tmp_path):
    def size(model):
        cpu, metric = torch.device("cpu"), Size()
        metric.begin(MetricContext(data=None, model=model, device=cpu, cache=tmp_path, n=1))
        return {score.metric: score.value for score in metric.result()}

    settings = REGISTRY.settings("model", "dcgan")()
    model = REGISTRY.target("model", "dcgan")(settings, IMAGES)
    before = size(model)
    narrow_to_half(model)
    after = size(model)
    for metric in ("weights", "bytes", "macs"):
        assert after[metric] <= before[metric] / 2, metric


@pytest.mark.parametrize("name", ["dcgan", "gan conv", "vae conv"])
def test_shapes_alone_rebuild_a_smaller_network(name):
    model, other = built(name), built(name, seed=1)
    narrow_to_half(model)
    stored = model.nets.state_dict()
    take_shapes(other.nets, stored)
    other.nets.load_state_dict(stored)
    assert torch.equal(drawn(other), drawn(model))


def test_only_what_makes_samples_is_called_generating_and_only_the_judge_judging():
    assert (generating(built("dcgan")), judging(built("dcgan"))) == (
        ("generator",),
        ("discriminator",),
    )
    assert (generating(built("vae")), judging(built("vae"))) == (("decoder",), ())
    # A flow is drawn from by its inverse, which calls no module.
    points = small_data((2,)).spec
    settings = REGISTRY.settings("model", "maf")(hidden=(8,)).fitted(points)
    flow = REGISTRY.target("model", "maf")(settings, points)
    assert (generating(flow), judging(flow)) == (("flow", "scaling"), ())


def test_a_channel_of_a_transposed_convolution_is_its_second_dimension():
    layer = torch.nn.ConvTranspose2d(3, 5, 4)
    assert by_channel(layer, layer.weight).shape[0] == 5


@pytest.mark.parametrize("compressor", ["prune", "lottery", "self-supervised", "evolve", "grow"])
def test_the_compressors_keep_the_contract(compressor):
    cls = REGISTRY.settings("compressor", compressor)
    few = {"generations": 2, "population": 4} if compressor == "evolve" else {}
    check_compressor(compressor, cls(**few), registry=REGISTRY)


def test_rounds_remove_the_ratio_in_all():
    for ratio, rounds in ((0.5, 4), (0.36, 2), (0.2, 1), (0.1, 1)):
        shares = PruneSettings(ratio=ratio, per_round=0.2).rounds()
        left = 1.0
        for share in shares:
            left *= 1 - share
        assert (len(shares), left) == (rounds, pytest.approx(1 - ratio))
    assert GrowSettings(start=0.25, growth=2).widths() == (0.25, 0.5, 1.0)


# --- what is refused


def without(package, monkeypatch):
    """Make the import of a package fail, as it does where it isn't installed."""
    real = builtins.__import__

    def importing(name, *arguments, **more):
        if name.partition(".")[0] == package:
            raise ImportError(name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", importing)


@pytest.mark.parametrize(
    ("model", "words", "missing", "said"),
    [
        ("stargan", "prune", "", "'prune' needs a model with 'generates'"),
        ("dcgan", "prune --set ratio=0.99", "", "leaves nothing of layer 'generator.1'"),
        ("vae", "distil --set model.z_dim=3", "", "the student takes z of shape (3,)"),
        ("dcgan", "prune", "torch_pruning", "pip install 'genbench[compress]'"),
        ("vae", "quantize", "torchao", "pip install 'genbench[quantize]'"),
    ],
)
def test_bad_input_is_answered_in_one_sentence_and_nothing_is_stored(
    bench, dcgan, vae, genbench, monkeypatch, model, words, missing, said
):
    runs = {"dcgan": dcgan.id, "vae": vae.id}
    if model not in runs:
        spec = replace(RunSpec.from_json(dcgan.spec), model=model)
        made = bench.store.create_run(spec, stages=[("train", 1)], environment={})
        bench.store.finish(made.id)
        runs[model] = made.id
    before = len(bench.store.runs())
    if missing:
        without(missing, monkeypatch)
    store = str(bench.folder / "runs.db")
    answer = genbench("compress", runs[model], "--method", *words.split(), "--store", store)
    assert answer.code == 2
    assert len(re.findall(r"^genbench: error: ", answer.err, flags=re.MULTILINE)) == 1, answer.err
    assert said in " ".join(answer.err.split())
    assert len(bench.store.runs()) == before


def test_a_model_without_samples_is_refused_in_one_sentence(bench, dcgan):
    spec = replace(RunSpec.from_json(dcgan.spec), model="stargan")
    with pytest.raises(IncompatibleError, match="'prune' needs a model with 'generates'"):
        compression_of(spec, dcgan.id, "prune", bench.registry, bench.access)


def test_a_ratio_that_leaves_a_layer_empty_is_refused_before_the_run_is_stored(bench, dcgan):
    before = len(bench.store.runs())
    with pytest.raises(
        UsageError, match=r"leaves nothing of layer 'generator\.1', which has 16 chan"
    ):
        bench.compress(dcgan, "prune", "ratio=0.99")
    with pytest.raises(UsageError, match=r"use --set ratio=0\.93 or less"):
        bench.compress(dcgan, "self-supervised", "ratio=0.99")
    assert len(bench.store.runs()) == before


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (("criterion=bn_scale", "granularity=weight"), "criterion=bn_scale ranks channels"),
        (("per_round=0.2", "finetune=false"), "per_round needs fine-tuning between the rounds"),
        (("rato=0.5",), "compressor 'prune' has no setting 'rato'; did you mean 'ratio'"),
        (("ratio=1",), "it must be less than 1"),
    ],
)
def test_settings_that_mean_nothing_are_refused(bench, dcgan, sets, message):
    with pytest.raises(SettingError, match=message):
        bench.planned(dcgan, "prune", *sets)


def test_a_discriminator_that_is_not_there_is_refused(bench, vae):
    with pytest.raises(IncompatibleError, match="players=both: VAE has no discriminator"):
        bench.compress(vae, "prune", "players=both")


def test_without_torch_pruning_a_sentence_says_what_to_install(bench, dcgan, monkeypatch):
    without("torch_pruning", monkeypatch)
    with pytest.raises(UsageError, match="genbench needs torch-pruning") as raised:
        bench.compress(dcgan, "prune", "ratio=0.5")
    assert "pip install 'genbench[compress]'" in str(raised.value.hint)


@pytest.mark.parametrize("status", ["running", "failed"])
def test_only_a_finished_run_is_compressed(status):
    with pytest.raises(UsageError, match=f"is {status}, and only a finished run can be compressed"):
        check_parent("abc", "gan", status)


# --- speed


@pytest.mark.slow
def test_half_of_the_channels_of_a_dcgan_sample_at_least_1_6_times_as_fast():
    """CPU seconds of one thread, so that other processes matter less."""
    settings = REGISTRY.settings("model", "dcgan")()
    model = REGISTRY.target("model", "dcgan")(settings, IMAGES)
    model.nets.eval()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        before = seconds(model, 500)
        narrow_to_half(model)
        assert before / seconds(model, 500) >= 1.6
    finally:
        torch.set_num_threads(threads)


@pytest.mark.slow
def test_a_wide_generator_of_int8_linear_layers_samples_faster():
    """docs/compression.md has the measured ratios, and the sizes for which there is no gain."""
    pytest.importorskip("torchao")
    if not torch.cpu._is_vnni_supported():
        pytest.skip("this CPU has no int8 instructions (VNNI)")
    settings = REGISTRY.settings("model", "gan")(g_hidden=(2048, 2048)).fitted(IMAGES)
    model = REGISTRY.target("model", "gan")(settings, IMAGES)
    model.nets.eval()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        before = seconds(model, 100)
        for name, layer in list(float_layers(model.nets, generating(model))):
            replaced(model.nets, name, as_int8(layer, torch.tensor(0.05)))
        assert before / seconds(model, 100) >= 1.2
    finally:
        torch.set_num_threads(threads)


def seconds(model, n):
    """The fastest of several draws of n samples."""
    drawn(model, n)
    found = []
    for _ in range(5):
        began = time.process_time()
        drawn(model, n)
        found.append(time.process_time() - began)
    return min(found)
