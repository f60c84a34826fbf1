"""CVAE-GAN: its losses are the paper's, per class and per player, and it answers to labels."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import one_hot

from genbench import MONITOR, Batch, Conditional, DataSpec, IncompatibleError, UsageError
from genbench.engine import train
from genbench.spec import RunSpec
from genbench.testing import check_model, small_data
from genbench_hybrid.cvae_gan_settings import CVAEGANSettings
from genbench_nets.feature_matching import (
    RunningMeans,
    group_means,
    means_distance,
    pair_distance,
)
from genbench_nets.labels import FIRST_FACTOR

IMAGES = DataSpec(name="images", shape=(1, 28, 28), classes=10, train=1000, test=100)
SMALL = {"network": "mlp", "z_dim": 6, "hidden": (64,), "judge_hidden": (48, 32)}
CONV = {
    "network": "conv",
    "z_dim": 6,
    "channels": (4, 8),
    "conv_hidden": 32,
    "judge_channels": (4, 8),
    "judge_features": 16,
}


def batch(n: int = 20) -> Batch:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(n, 1, 28, 28, generator=generator) * 2 - 1
    return Batch(x=x, y=torch.arange(n) % 10)


# --- the contract


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((1, 8, 8), CONV),
        ((1, 8, 8), {**CONV, "code": "spatial", "z_dim": 2, "batch_norm": True}),
        ((1, 8, 8), {**SMALL, "means_decay": 0.9, "d_reconstructions": True}),
        ((2,), SMALL),
    ],
)
def test_cvae_gan_keeps_the_contract(shape, settings):
    check_model("cvae-gan", CVAEGANSettings(**settings), data=small_data(shape))


def test_unlabelled_data_is_refused_in_one_sentence(make):
    with pytest.raises(IncompatibleError, match="cvae-gan needs labels, and 'faces' has none"):
        make("cvae-gan", DataSpec(name="faces", shape=(3, 32, 32)))


def test_judges_that_halve_the_image_to_nothing_are_refused(make):
    with pytest.raises(
        IncompatibleError, match=r"5 judge_channels halve the images of 'images'.*set fewer"
    ):
        make("cvae-gan", IMAGES, **{**CONV, "judge_channels": (4,) * 5})


def test_without_a_label_it_says_what_it_needs(make):
    model = make("cvae-gan", IMAGES, **SMALL)
    for call in (lambda: model.generate(model.prior(2)), lambda: model.encode(batch().x)):
        with pytest.raises(UsageError, match="needs the label of each sample"):
            call()


@pytest.mark.parametrize("settings", [SMALL, CONV])
def test_the_generator_answers_to_labels_and_to_mixtures_of_them(make, settings):
    model = make("cvae-gan", IMAGES, **settings)
    assert isinstance(model, Conditional)
    z, y = model.prior(1).expand(10, -1), torch.arange(10)
    with torch.no_grad():
        images = model.generate(z, y)
        assert len(images.flatten(1).unique(dim=0)) == 10
        assert torch.equal(images, model.decode(z, one_hot(y, 10).float()))


# --- mean feature matching, by hand

REAL = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
FAKE = torch.tensor([[0.0, 0.0], [0.0, 2.0], [2.0, 2.0]])


def distance(fake_labels: list[int], real_labels: tuple[int, ...] = (0, 0, 1)) -> float:
    real = group_means(REAL, torch.tensor(real_labels), 3)
    return float(means_distance(real, group_means(FAKE, torch.tensor(fake_labels), 3)))


def test_the_distances_are_the_formulas_on_a_hand_example():
    # Class means (2, 0), (0, 4) of the real ones; (0, 0), (1, 2) of the fake ones.
    assert distance([0, 1, 1]) == pytest.approx(0.5 * (4 + (1 + 4)))
    # Pairs: |1,0|^2 + |3,-2|^2 + |2,-2|^2 over three, halved.
    assert float(pair_distance(REAL, FAKE)) == pytest.approx(0.5 * (1 + 13 + 8) / 3)
    whole = torch.zeros(3, dtype=torch.int64)
    overall = means_distance(group_means(REAL, whole, 1), group_means(FAKE, whole, 1))
    # Means (4/3, 4/3) and (2/3, 4/3).
    assert float(overall) == pytest.approx(0.5 * 4 / 9)


def test_a_class_that_either_side_lacks_contributes_nothing():
    assert distance([0, 0, 2]) == pytest.approx(0.5 * ((2 - 0) ** 2 + (0 - 1) ** 2))
    assert distance([2, 2, 2]) == 0.0


def test_one_sided_classes_leave_no_gradient_and_no_nan():
    fake = FAKE.clone().requires_grad_()
    real = group_means(REAL, torch.tensor([0, 0, 1]), 3)
    means_distance(real, group_means(fake, torch.tensor([0, 2, 2]), 3)).backward()
    assert fake.grad[0].abs().sum() > 0
    assert fake.grad[1:].abs().sum() == 0


def test_exchanged_classes_cost_by_class_and_not_overall(make):
    """The law of the paper's L_GC: the same images under other labels are another matter."""
    model = make("cvae-gan", IMAGES, **SMALL)
    features = torch.randn(60, 32, generator=torch.Generator().manual_seed(1))
    features[20:40] = features[40:] = features[:20]  # fakes as the real ones, to begin with
    y = torch.arange(20) % 10
    exact = model._means(features, features, y)
    assert float(exact["d_mean"]) == float(exact["c_means"]) == 0.0
    exchanged = features.clone()
    exchanged[40:] = features[:20].roll(1, 0)  # each fake now has its neighbour's class
    other = model._means(exchanged, exchanged, y)
    assert float(other["d_mean"]) == pytest.approx(0.0, abs=1e-6)
    assert float(other["c_means"]) > 1e-3


def test_running_means_are_the_plain_mean_at_first_and_then_forget():
    means, zero = RunningMeans(2, 1, decay=0.5), torch.zeros(1, dtype=torch.int64)
    values = [means(group_means(torch.tensor([[v]]), zero, 2)).means[0, 0] for v in (4.0, 8.0, 0.0)]
    assert [float(v) for v in values] == [4.0, 6.0, 3.0]
    assert means.seen.tolist() == [3.0, 0.0]
    means.eval()
    means(group_means(torch.tensor([[100.0]]), zero, 2))
    assert float(means.average[0, 0]) == 3.0


def test_running_means_have_the_gradient_of_the_minibatchs_means():
    means, y = RunningMeans(1, 1, decay=0.9), torch.zeros(4, dtype=torch.int64)
    means(group_means(torch.ones(4, 1), y, 1))
    fake = torch.zeros(4, 1, requires_grad=True)
    given = means(group_means(fake, y, 1))
    assert float(given.means.detach()) == pytest.approx(0.5)
    given.means.sum().backward()
    assert fake.grad.flatten().tolist() == [0.25] * 4


def test_running_means_move_while_the_engine_trains(make, tmp_path):
    data = small_data((1, 8, 8))
    model = make("cvae-gan", data.spec, **SMALL, means_decay=0.9)
    spec = RunSpec(model="cvae-gan", dataset="small", epochs=2, batch_size=16)
    cpu = torch.device("cpu")
    train(model, data, spec, device=cpu, folder=tmp_path, emit=lambda event: None)
    steps = 2 * (data.spec.train // 16)
    for side in (model.nets["d_means"].real, model.nets["d_means"].fake):
        assert side.seen.tolist() == [steps]
        assert float(side.average.abs().sum()) > 0
    assert float(model.nets["c_means"].fake.seen.min()) > 0


# --- which loss trains which network


def gradients(model, value, nets: str) -> list[torch.Tensor | None]:
    parameters = list(model.nets[nets].parameters())
    return list(torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True))


def reaches(model, value, nets: str) -> bool:
    found = gradients(model, value, nets)
    return any(g is not None and g.abs().sum() > 0 for g in found)


@pytest.mark.parametrize("settings", [SMALL, CONV])
def test_each_term_reaches_the_networks_that_the_paper_gives_it_to(make, settings):
    torch.manual_seed(0)
    model = make("cvae-gan", IMAGES, **settings)
    terms = model.loss(batch())
    of = {name: value for owner in ("g", "d", "c") for name, value in terms[owner].items()}
    told = {
        name: {net for net in ("encoder", "generator") if reaches(model, of[name], net)}
        for name in terms["g"]
    }
    both = {"encoder", "generator"}
    assert told == {
        "kl": {"encoder"},
        "pixels": both,
        "d_pairs": both,
        "c_pairs": both,
        "d_mean": {"generator"},
        "c_means": {"generator"},
    }
    assert reaches(model, of["real"], "discriminator")
    assert not reaches(model, of["real"], "classifier")
    assert reaches(model, of["cross_entropy"], "classifier")
    assert not reaches(model, of["cross_entropy"], "discriminator")


def test_the_engine_gives_each_player_the_gradient_of_its_own_loss_alone(make):
    from genbench.engine import seed_everything
    from genbench.engine.optim import build_optimizers
    from genbench.engine.update import Update

    model = make("cvae-gan", IMAGES, **SMALL, d_reconstructions=True)
    (phase,) = model.stages()[0].phases
    seed_everything(3)
    terms = model.loss(batch())
    expected = {
        net: gradients(model, sum(terms[owner].values()), net)
        for owner, settings in model.optimizers().items()
        for net in settings.nets
        if list(model.nets[net].parameters())
    }
    players = build_optimizers(model, clip_norm=None)
    seed_everything(3)
    Update(phase, players, model, device=torch.device("cpu"))(batch())
    for net, wanted in expected.items():
        for parameter, gradient in zip(model.nets[net].parameters(), wanted, strict=True):
            assert torch.allclose(parameter.grad, gradient, rtol=1e-4, atol=1e-6), net


def test_the_kl_is_per_image_and_a_sum_over_dimensions(make):
    """Twice the batch leaves it as it is: no sum over a batch that collapses the posterior."""
    model = make("cvae-gan", IMAGES, **SMALL, kl_weight=1.0, label_first=0)
    one = batch(10)
    two = Batch(x=one.x.repeat(2, 1, 1, 1), y=one.y.repeat(2))
    mean, logvar = model.encode(one.x, one.y)
    by_hand = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).sum(1).mean()
    for given in (one, two):
        assert torch.allclose(model.loss(given)["g"]["kl"], by_hand, rtol=1e-4)


def test_training_records_kl_and_pixels_without_their_weights(make):
    model = make("cvae-gan", IMAGES, **SMALL, reconstruction_weight=4.0)
    terms, validated = model.loss(batch()), model.validate(batch())
    assert torch.allclose(terms["g"]["kl"], 3 * FIRST_FACTOR * terms[MONITOR]["kl"])
    assert torch.allclose(terms["g"]["pixels"], 4 * terms[MONITOR]["pixels"])
    assert torch.allclose(terms[MONITOR]["kl"], validated["kl"])
    assert {"d_real", "d_fake", "d_accuracy"} < set(terms[MONITOR])


def test_the_discriminator_sees_reconstructions_only_where_it_is_asked_to(make):
    fakes = {}
    for shown in (False, True):
        torch.manual_seed(0)
        model = make("cvae-gan", IMAGES, **SMALL, d_reconstructions=shown)
        fakes[shown] = model.loss(batch())["d"]["fake"].item()
    assert fakes[False] != fakes[True]


def test_guo2023_is_the_paper_with_the_documents_numbers(plugins):
    (preset,) = plugins.presets("cvae-gan")
    assert (preset.name, preset.epochs, preset.batch_size, preset.seed) == ("guo2023", 200, 128, 88)
    s = CVAEGANSettings(**preset.settings)
    assert (s.z_dim, s.lr, s.d_lr, s.c_lr, s.label_first) == (100, 1e-4, 1e-4, 1e-4, 0.0)
    weights = (s.kl_weight, s.reconstruction_weight, s.d_mean_weight, s.c_mean_weight)
    assert weights == (3.0, 1.0, 1e-3, 1e-3)


# --- learning


def test_it_learns_digits_and_to_draw_the_class_that_is_asked_for(learns, label_accuracy):
    settings = {**SMALL, "hidden": (128,), "judge_hidden": (128, 64), "beta1": 0.9}
    untrained, trained, model = learns("cvae-gan", epochs=15, **settings)
    assert trained < 0.5 * untrained
    assert label_accuracy(model).value > 0.8
