"""StarGAN: its losses, who learns from what, and how a label reaches the output."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from genbench import Batch, DataSpec, IncompatibleError
from genbench.engine.optim import factor
from genbench.testing import check_model, small_data
from genbench.testing.models import check_capabilities
from genbench.testing.subject import Subject
from genbench_gan.stargan import StarGAN, cycle_loss, permuted
from genbench_gan.stargan_settings import StarGANSettings
from genbench_nets.translation_networks import bits

TINY = {"g_channels": 2, "d_channels": 2, "g_blocks": 1, "hidden": (8,)}
IMAGES = DataSpec(name="images", shape=(1, 16, 16), classes=3)
FACES = DataSpec(name="faces", shape=(3, 16, 16), classes=8, attributes=("Hat", "Male", "Young"))
CODES = DataSpec(name="codes", shape=(6,), classes=3, latent=True)
GRID = DataSpec(name="grid", shape=(2, 7, 7), classes=3, latent=True)


def batch_of(data: DataSpec, n: int = 6) -> Batch:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand((n, *data.shape), generator=generator) * 2 - 1
    return Batch(x=x, y=torch.arange(n) % (data.classes or 1))


def test_stargan_keeps_the_contract_on_vectors():
    check_model("stargan", StarGANSettings(**TINY, n_critic=1), data=small_data((2,)))


@pytest.mark.parametrize("data", [IMAGES, FACES, CODES, GRID], ids=lambda data: data.name)
def test_one_code_path_translates_images_attributes_vectors_and_grids(make, data):
    model, batch = make("stargan", data, **TINY), batch_of(data)
    assert model.translate(batch.x, batch.y).shape == batch.x.shape
    for terms in (model.d_loss(batch)["d"], model.g_loss(batch)["g"]):
        assert all(torch.isfinite(term) for term in terms.values())


def test_the_cycle_loss_of_a_generator_that_changes_nothing_is_zero(make):
    class Identity(nn.Module):
        def forward(self, x, c):
            return x

    model, batch = make("stargan", IMAGES, **TINY), batch_of(IMAGES)
    model.generator = Identity()
    assert model.g_loss(batch)["g"]["cycle"] == 0
    assert cycle_loss(batch.x, batch.x + 0.5) == pytest.approx(0.5)


def test_the_class_head_learns_from_real_samples_only(make):
    """Other fakes leave L_D's gradient to the class head as it is; other real samples don't."""
    model, batch = make("stargan", IMAGES, **TINY), batch_of(IMAGES)
    head = model.discriminator.domain.weight

    def gradient(batch):
        terms = model.d_loss(batch)["d"].values()
        return torch.autograd.grad(sum(terms), head)[0]

    before = gradient(batch)
    with torch.no_grad():
        for parameter in model.generator.parameters():
            parameter.mul_(-3)
    assert torch.equal(before, gradient(batch))
    assert not torch.equal(before, gradient(Batch(x=-batch.x, y=batch.y)))


def test_the_class_term_of_the_generator_comes_from_fake_samples_only(make):
    """The discriminator sees nothing but translations in the generator's phase."""
    model, batch = make("stargan", IMAGES, **TINY), batch_of(IMAGES)
    seen = []
    model.discriminator.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    terms = model.g_loss(batch)["g"]
    (only,) = seen
    assert only.requires_grad
    assert not torch.equal(only, batch.x)
    gradients = torch.autograd.grad(terms["class"], list(model.generator.parameters()))
    assert any(gradient.abs().sum() > 0 for gradient in gradients)


def test_the_discriminators_step_gives_no_gradient_to_the_generator(make):
    model, batch = make("stargan", IMAGES, **TINY), batch_of(IMAGES)
    total = sum(model.d_loss(batch)["d"].values())
    found = torch.autograd.grad(total, list(model.generator.parameters()), allow_unused=True)
    assert found == (None,) * len(found)


@pytest.mark.parametrize("data", [IMAGES, GRID, CODES], ids=lambda data: data.name)
def test_label_planes_reach_every_output_value(make, data):
    """Also after instance normalisation, which removes what is the same everywhere."""
    torch.manual_seed(0)  # of some weights, a value in a thousand rounds to the same
    model, batch = make("stargan", data, **TINY), batch_of(data, 2)
    model.nets.eval()
    one, other = (model.translate(batch.x, torch.full((2,), y)) for y in (0, 1))
    assert (one != other).all()


def test_pictures_are_the_same_in_training_and_in_eval_mode(make):
    model, batch = make("stargan", IMAGES, **TINY), batch_of(IMAGES)
    model.nets.train()
    training = model.translate(batch.x, batch.y)
    model.nets.eval()
    assert torch.equal(training, model.translate(batch.x, batch.y))
    assert not list(model.nets.buffers())


def test_targets_are_the_labels_of_the_batch_in_another_order():
    y = torch.arange(50) % 7
    torch.manual_seed(0)
    assert not torch.equal(permuted(y), y)
    assert torch.equal(permuted(y).sort().values, y.sort().values)


def test_attributes_are_the_binary_digits_of_a_class_and_their_loss_is_a_sum(make):
    assert bits(torch.tensor([0, 6]), 3).tolist() == [[0, 0, 0], [1, 1, 0]]
    model = make("stargan", FACES, **TINY)
    undecided = torch.zeros(4, 3)
    assert model.class_loss(undecided, torch.arange(4)) == pytest.approx(3 * 0.6931, abs=1e-3)
    assert model.conditions(torch.tensor([5])).tolist() == [[1, 0, 1]]


def test_rates_stay_constant_for_half_of_the_steps_and_fall_to_zero(make):
    model = make("stargan", IMAGES, **TINY)
    for optimizer in model.optimizers().values():
        rates = [factor(optimizer.schedule, step, 100) for step in (0, 49, 75, 100)]
        assert rates == pytest.approx([1, 1, 0.5, 0])


def test_the_paper_s_preset_has_the_paper_s_networks(plugins, make):
    """Tables 4 and 5 at 128 px: six halvings to 2x2 patches, 8.4 and 44.8 million weights."""
    (preset,) = [p for p in plugins.presets("stargan") if p.name == "choi2018"]
    data = DataSpec(name="celeba", shape=(3, 128, 128), classes=32, attributes=tuple("abcde"))
    with torch.device("meta"):
        model = make("stargan", data, **preset.settings)
    count = {name: sum(p.numel() for p in net.parameters()) for name, net in model.nets.items()}
    assert count == {"generator": 8_430_528, "discriminator": 44_762_048}
    real, domain = model.discriminator(torch.empty(2, 3, 128, 128, device="meta"))
    assert (real.shape, domain.shape) == ((2, 4), (2, 5))


@pytest.mark.parametrize(
    ("data", "settings", "words"),
    [
        (DataSpec(name="x", shape=(1, 16, 16)), {}, "stargan needs labels"),
        (DataSpec(name="x", shape=(1, 30, 30), classes=2), {}, "sides that are divisible by 4"),
        (IMAGES, {"network": "mlp"}, "set network=conv"),
        (CODES, {"network": "conv"}, "set network=mlp"),
    ],
)
def test_data_that_do_not_fit_are_refused_in_one_sentence(make, data, settings, words):
    with pytest.raises(IncompatibleError, match=words):
        make("stargan", data, **settings)


def test_the_contract_refuses_a_translation_that_ignores_the_class():
    """As with reflection padding before an instance normalisation."""

    class Deaf(StarGAN):
        def conditions(self, y):
            return super().conditions(torch.zeros_like(y))

    with pytest.raises(AssertionError, match="gives the same for two classes"):
        check_capabilities(
            Subject(
                name="deaf",
                cls=Deaf,
                settings=StarGANSettings(**TINY),
                capabilities=("translates",),
            ),
            small_data((2,)),
        )
