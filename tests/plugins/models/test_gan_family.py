"""Adversarial training: contract, gradients of one network alone, refusals, learning."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from genbench import Batch, Data, DataAccess, DataSpec, IncompatibleError, SettingError, UsageError
from genbench.registry import Registry
from genbench.settings import validate
from genbench.testing import check_model, small_data
from genbench_gan.gan import OBJECTIVES
from genbench_nets.adversarial_model import adversarial_model
from genbench_nets.spectral import LAYERS

IMAGES = DataSpec(name="images", shape=(1, 28, 28), classes=10, train=1000, test=100)
POINTS = DataSpec(name="ring", shape=(2,), train=1000, test=100)
SMALL = {"g_hidden": (32,), "d_hidden": (32,), "z_dim": 8}
FAMILY = ("gan", "lsgan", "wgan", "wgan-gp", "sngan")
VARIANTS = {
    "hinge and spectral normalisation": {"loss": "hinge", "spectral_norm": True},
    "clipped critic": {"loss": "wasserstein", "clip": 0.05, "optimizer": "rmsprop"},
    "penalised critic": {"loss": "wasserstein", "gradient_penalty": 10.0, "n_critic": 2},
    "R1 with each step": {"r1": 1.0},
    "lazy R1": {"r1": 1.0, "r1_every": 3},
    "all aids": {
        "loss": "least_squares",
        "label_smoothing": 0.1,
        "feature_matching": 1.0,
        "instance_noise": 0.1,
        "minibatch_std": True,
        "augment": ("translation", "cutout", "brightness"),
        "d_norm": "batch",
        "decay": "linear",
    },
}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.from_environment()


def settings_of(registry, name, **values):
    return validate(registry.settings("model", name), values, owner=name)


def build(registry, name, data=IMAGES, **values):
    return registry.target("model", name)(settings_of(registry, name, **values), data)


def losses(model):
    """The losses of a model's one stage by the names of their phases."""
    return {phase.name: phase.loss for phase in model.stages()[0].phases}


def batch_of(data: DataSpec, size: int = 8) -> Batch:
    return Batch(x=torch.rand(size, *data.shape) * 2 - 1, step=0, steps=10)


# --- the contract


@pytest.mark.parametrize("values", VARIANTS.values(), ids=VARIANTS.keys())
def test_a_gan_with_regularisers_keeps_the_contract(registry, values):
    settings = settings_of(registry, "gan", d_dropout=0.0, **SMALL, **values)
    check_model("gan", settings, registry=registry)


@pytest.mark.parametrize("name", ["gan", "wgan-gp"])
def test_the_model_keeps_the_contract_on_points(registry, name):
    check_model(name, settings_of(registry, name, **SMALL), data=small_data((2,)))


def test_the_convolutional_networks_keep_the_contract(registry):
    settings = settings_of(
        registry, "sngan", network="conv", g_channels=2, d_channels=2, n_critic=1
    )
    check_model("sngan", settings, data=small_data((1, 28, 28)))


# --- the two networks


@pytest.mark.parametrize("name", FAMILY)
def test_no_gradient_of_one_networks_loss_is_meant_for_the_other(registry, name):
    """The model's half of the engine's law: D's loss sees G's samples as plain data."""
    model = build(registry, name, **SMALL)
    (stage,) = model.stages()
    generator = list(model.nets["generator"].parameters())
    for phase in stage.phases:
        total = sum(phase.loss(batch_of(IMAGES))[phase.updates[0]].values())
        own = model.nets["discriminator" if phase.updates == ("d",) else "generator"]
        gradients = torch.autograd.grad(total, list(own.parameters()), retain_graph=True)
        assert any(gradient.abs().sum() > 0 for gradient in gradients)
        if phase.updates == ("d",):
            assert torch.autograd.grad(total, generator, allow_unused=True)[0] is None


@pytest.mark.parametrize("name", FAMILY)
def test_each_step_of_the_engine_moves_one_network_alone(registry, name):
    from genbench.engine.optim import build_optimizers
    from genbench.engine.update import Update

    model = build(registry, name, **SMALL)
    players = build_optimizers(model, clip_norm=None)
    for phase in model.stages()[0].phases:
        before = {key: p.detach().clone() for key, p in model.nets.named_parameters()}
        Update(phase, players, model, device=torch.device("cpu"))(batch_of(IMAGES))
        moved = {
            key.partition(".")[0]
            for key, p in model.nets.named_parameters()
            if not torch.equal(p, before[key])
        }
        assert moved == {"discriminator" if phase.updates == ("d",) else "generator"}


@pytest.mark.parametrize("name", FAMILY)
def test_every_discriminator_is_watched_by_its_outputs_and_its_accuracy(registry, name):
    terms = losses(build(registry, name, **SMALL))["d"](batch_of(IMAGES))
    assert set(terms["monitor"]) == {"d_real", "d_fake", "d_accuracy"}


@pytest.mark.parametrize(
    ("name", "values"),
    [(name, {}) for name in ("lsgan", "wgan", "wgan-gp", "sngan", "cgan", "infogan")]
    + [("sngan", {"loss": "non_saturating"})]
    + [("gan", {"loss": loss, "spectral_norm": True}) for loss in OBJECTIVES]
    + [("gan", {"feature_matching": 1.0, "r1": 1.0, "d_dropout": 0.0})],
)
def test_every_loss_of_bfloat16_networks_is_computed_in_float32(registry, name, values):
    batch = replace(batch_of(IMAGES), y=torch.arange(8))
    model = build(registry, name, **SMALL, **values)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model.discriminate(batch.x, batch.y).dtype == torch.bfloat16
        terms = [loss(batch) for loss in losses(model).values()]
    assert all(t.dtype == torch.float32 for p in terms for o in p.values() for t in o.values())


def test_the_critic_takes_five_steps_for_one_of_the_generator(registry):
    for name in ("wgan", "wgan-gp", "sngan"):
        phases = build(registry, name, n_critic=5, **SMALL).stages()[0].phases
        assert [(p.name, p.repeat) for p in phases] == [("d", 5), ("g", 1)]


def test_double_backward_is_never_compiled(registry):
    assert not build(registry, "wgan-gp", **SMALL).stages()[0].phases[0].compile
    lazy = build(registry, "gan", r1=1.0, r1_every=4, **SMALL).stages()[0].phases
    assert [(p.name, p.every, p.compile) for p in lazy] == [
        ("d", 1, True),
        ("r1", 4, False),
        ("g", 1, True),
    ]


def test_lazy_r1_weighs_as_much_on_average_as_r1_with_each_step(registry):
    torch.manual_seed(0)
    batch = batch_of(IMAGES)
    eager, lazy = (
        build(registry, "gan", r1=2.0, r1_every=every, d_dropout=0.0, **SMALL) for every in (1, 4)
    )
    lazy.nets.load_state_dict(eager.nets.state_dict())
    often = losses(eager)["d"](batch)["d"]["r1"]
    seldom = losses(lazy)["r1"](batch)["d"]["r1"]
    assert torch.allclose(4 * often, seldom, rtol=1e-5)
    assert set(losses(lazy)["d"](batch)["d"]) == {"real", "fake"}


def test_every_layer_of_sngans_discriminator_has_a_spectral_norm_of_one(registry):
    for values in ({"d_hidden": (24, 16)}, {"network": "conv", "d_channels": 2, "g_channels": 2}):
        model = build(registry, "sngan", **values)
        for _ in range(400):
            model.nets["discriminator"](torch.zeros(1, 1, 28, 28))
        layers = [m for m in model.nets["discriminator"].modules() if isinstance(m, LAYERS)]
        assert len(layers) == 3
        for layer in layers:
            norm = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2)
            assert abs(float(norm) - 1) < 1e-3


def test_samples_of_a_minibatch_with_statistics_are_judged_apart_from_fake_ones(registry):
    model = build(registry, "gan", minibatch_std=True, d_dropout=0.0, **SMALL)
    real, fake = batch_of(IMAGES), torch.zeros(8, 1, 28, 28)
    alone = model.discriminate(real.x)
    together, _ = model.scores(real.x, fake)
    assert torch.allclose(alone, together)
    assert not torch.allclose(alone, model.discriminate(torch.cat((real.x, fake))).chunk(2)[0])


# --- networks


@pytest.mark.parametrize("side", [28, 32, 64])
@pytest.mark.parametrize("name", ["gan", "wgan-gp"])
def test_convolutional_networks_draw_and_judge_every_size_they_promise(registry, name, side):
    data = DataSpec(name="x", shape=(3, side, side))
    model = build(registry, name, data, network="conv", g_channels=4, d_channels=4)
    images = model.generate(model.prior(2))
    assert images.shape == (2, 3, side, side)
    assert images.abs().max() <= 1
    assert model.discriminate(images).shape == (2,)
    normed = any(isinstance(m, torch.nn.BatchNorm2d) for m in model.nets["discriminator"])
    assert normed == (name == "gan")


@pytest.mark.parametrize("name", FAMILY)
def test_what_is_left_to_the_data_is_decided_for_what_is_stored(registry, name):
    settings = settings_of(registry, name)
    for data, network in ((IMAGES, "mlp"), (POINTS, "points")):
        fitted = settings.fitted(data)
        assert fitted.network == network
        assert None not in (fitted.z_dim, fitted.g_hidden, fitted.d_hidden, fitted.d_norm)
        again = settings_of(registry, name, **fitted.model_dump(mode="json"))
        assert again.fitted(data) == again == fitted


@pytest.mark.parametrize("name", FAMILY)
def test_points_are_drawn_in_their_own_units_without_dropout(registry, name):
    model = build(registry, name, POINTS)
    kinds = [type(m) for m in model.nets.modules()]
    assert torch.nn.Tanh not in kinds
    assert torch.nn.Dropout not in kinds
    assert model.generate(model.prior(5)).shape == (5, 2)


def test_both_networks_of_a_conditional_model_see_the_label(registry):
    settings = settings_of(registry, "gan", d_dropout=0.0, **SMALL).fitted(IMAGES)
    for network in ("mlp", "conv"):
        if network == "conv":
            settings = settings_of(
                registry, "gan", network="conv", g_channels=2, d_channels=2, g_norm="identity"
            ).fitted(IMAGES)
        model = adversarial_model(settings, IMAGES, classes=10)
        z, ones, twos = model.prior(4), torch.full((4,), 1), torch.full((4,), 2)
        assert not torch.equal(model.generate(z, ones), model.generate(z, twos))
        x = torch.rand(4, 1, 28, 28)
        assert not torch.equal(model.discriminate(x, ones), model.discriminate(x, twos))
        with pytest.raises(UsageError, match="needs the label of each sample"):
            model.generate(z)


# --- refusals


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"loss": "wasserstein"}, "wasserstein needs a bound on D's slope; set gradient_penalty"),
        ({"loss": "hinge", "label_smoothing": 0.1}, "label_smoothing needs a loss with labels"),
        (
            {"loss": "wasserstein", "clip": 0.01, "label_smoothing": 0.1},
            "wasserstein has none; set label_smoothing=0",
        ),
        ({"clip": 0.01, "gradient_penalty": 10}, "clip and gradient_penalty each bound D's slope"),
        ({"clip": 0.01, "spectral_norm": True}, "choose one"),
        ({"spectral_norm": True, "gradient_penalty": 1}, "choose one"),
        ({"gradient_penalty": 10, "d_norm": "batch"}, "forbids batch normalisation in D"),
        ({"r1": 1, "d_norm": "batch"}, "set d_norm=identity"),
        ({"spectral_norm": True, "d_norm": "batch"}, "set d_norm=identity"),
        ({"r1": 1, "gradient_penalty": 10}, "r1 pulls D's slope at real samples to 0"),
        ({"r1_every": 16}, "r1_every has no effect without r1; set r1=10"),
        ({"network": "conv", "g_hidden": [8]}, "with network=conv set g_channels and d_channels"),
        ({"d_channels": 8}, "belong to network=conv"),
        ({"augment": ["cutout", "cutout"]}, "name each once"),
    ],
)
def test_settings_that_make_no_sense_together_are_refused_in_one_sentence(
    registry, values, sentence
):
    with pytest.raises(SettingError) as refused:
        settings_of(registry, "gan", **values)
    assert sentence in str(refused.value)
    assert ". " not in str(refused.value)


@pytest.mark.parametrize("name", ["wgan-gp", "sngan"])
def test_a_model_with_a_bound_on_each_samples_slope_takes_no_batch_normalisation(registry, name):
    with pytest.raises(SettingError, match="set d_norm=identity"):
        settings_of(registry, name, d_norm="batch")


@pytest.mark.parametrize(
    ("data", "values", "sentence"),
    [
        (POINTS, {"network": "conv"}, "network=conv takes images, and 'ring' has points"),
        (POINTS, {"network": "mlp"}, "set network=points"),
        (POINTS, {"augment": ["cutout"]}, "augment takes images"),
        (POINTS, {"minibatch_std": True}, "minibatch_std takes images"),
        (IMAGES, {"network": "points"}, "network=points takes points"),
        (DataSpec(name="odd", shape=(1, 30, 30)), {"network": "conv"}, "set data.size=32"),
        (DataSpec(name="wide", shape=(1, 28, 32)), {"network": "conv"}, "28, 32 or 64 px"),
    ],
)
def test_settings_that_do_not_fit_the_data_are_refused_in_one_sentence(
    registry, data, values, sentence
):
    for name in FAMILY:
        with pytest.raises(IncompatibleError) as refused:
            settings_of(registry, name, **values).check(data)
        assert sentence in str(refused.value)


# --- learning

LEARNING = {
    "gan": ({"g_hidden": (128,), "d_hidden": (128,), "d_dropout": 0.0}, 1e-3, 1),
    "lsgan": ({"g_hidden": (128,), "d_hidden": (128,)}, 1e-3, 1),
    "wgan": ({"g_hidden": (128,), "d_hidden": (128,)}, 1e-3, 2),
    "wgan-gp": ({"g_hidden": (128,), "d_hidden": (64,)}, 2e-3, 2),
    "sngan": ({"g_hidden": (128,), "d_hidden": (64,)}, 2e-3, 1),
}


@pytest.fixture(scope="module")
def digits(registry, tmp_path_factory) -> Data:
    cache = tmp_path_factory.mktemp("cache")
    access = DataAccess(root=cache, cache=cache, offline=True)
    settings = registry.settings("dataset", "digits")()
    data: Data = registry.target("dataset", "digits")(settings).load(access)
    return data


def fd_clf(model, data: Data, folder: Path) -> float:
    from genbench import MetricContext, to_uint8
    from genbench_metrics.fd_clf import FdClf

    metric = FdClf()
    cpu = torch.device("cpu")
    metric.begin(MetricContext(data=data, model=model, device=cpu, cache=folder, n=300))
    model.nets.eval()
    with torch.no_grad():
        z = model.prior(300, torch.Generator().manual_seed(0))
        metric.update(to_uint8(model.generate(z)))
    return metric.result()[0].value


@pytest.mark.parametrize("name", FAMILY)
def test_a_trained_generator_beats_the_untrained_one_on_digits(
    registry, digits, name, references, tmp_path
):
    from genbench.engine import seed_everything, train
    from genbench.spec import RunSpec

    sizes, rate, n_critic = LEARNING[name]
    seed_everything(0)
    model = build(
        registry, name, digits.spec, z_dim=16, g_lr=rate, d_lr=rate, n_critic=n_critic, **sizes
    )
    untrained = fd_clf(model, digits, references)
    model.nets.train()
    spec = RunSpec(model=name, dataset="digits", epochs=12 * n_critic, batch_size=50)
    train(model, digits, spec, device=torch.device("cpu"), folder=tmp_path, emit=lambda event: None)
    trained = fd_clf(model, digits, references)
    assert trained < 0.7 * untrained


def test_an_average_of_the_generator_is_followed_on_request(registry, digits, tmp_path):
    from genbench.engine import train
    from genbench.spec import RunSpec

    model = build(registry, "gan", digits.spec, d_dropout=0.0, **SMALL)
    drawn = []

    def look(done) -> None:
        drawn.append(model.nets["generator"][0].weight.detach().clone())

    spec = RunSpec(model="gan", dataset="digits", epochs=1, batch_size=50, ema=0.9)
    train(
        model,
        digits,
        spec,
        device=torch.device("cpu"),
        folder=tmp_path,
        emit=lambda event: None,
        between_epochs=look,
    )
    live = model.nets["generator"][0].weight
    assert not torch.equal(drawn[0], live)
    assert torch.allclose(drawn[0], live, atol=0.05)
