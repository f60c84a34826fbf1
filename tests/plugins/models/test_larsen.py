"""Laws of Larsen's VAE/GAN: which gradient reaches which network, with which sign and size."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from genbench import Batch, Conditional, DataSpec, IncompatibleError
from genbench.engine.optim import build_optimizers
from genbench.engine.update import Update
from genbench.testing import check_model, small_data
from genbench_hybrid.larsen_settings import LarsenSettings

FACES = DataSpec(name="celeba", shape=(3, 64, 64), classes=2, train=1000, test=100)
SMALL = {"z_dim": 4, "hidden": (24,), "d_hidden": (24, 16)}
CONV = {"network": "conv", "z_dim": 4, "channels": (8,), "d_channels": (8,), "conv_hidden": 16}


@pytest.mark.parametrize("settings", [{**SMALL, "conditional": True}, CONV])
def test_larsens_model_keeps_the_contract(settings):
    check_model("vaegan-larsen", LarsenSettings(**settings))


def stepped(make, **settings):
    """A model, a batch, and the gradients by weight that the engine takes of its one phase."""
    torch.manual_seed(0)
    model = make("vaegan-larsen", small_data((1, 8, 8)).spec, **SMALL, **settings)
    batch = Batch(x=torch.rand(6, 1, 8, 8) * 2 - 1)
    players = build_optimizers(model, clip_norm=None)
    (stage,) = model.stages()
    before = {name: p.detach().clone() for name, p in model.nets.named_parameters()}
    update = Update(stage.phases[0], players, model, device=torch.device("cpu"))
    torch.manual_seed(1)
    update(batch)
    gradients = {name: p.grad.clone() for name, p in model.nets.named_parameters()}
    with torch.no_grad():
        for name, parameter in model.nets.named_parameters():
            parameter.copy_(before[name])
    return model, batch, gradients


def written_out(model, x, *, gamma: float, adversarial: str):
    """Algorithm 1's losses by the networks alone: encoder's, decoder's two parts, D's."""
    encoder, decoder, judge = (model.nets[n] for n in ("encoder", "decoder", "discriminator"))
    torch.manual_seed(1)
    mean, logvar = encoder(x).chunk(2, dim=1)
    fake = decoder(mean + (0.5 * logvar).exp() * torch.randn_like(mean)).tanh()
    sample = decoder(torch.randn(len(x), mean.shape[1])).tanh()
    kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).sum(1).mean()
    likeness = 0.5 * ((judge.features(x) - judge.features(fake)) ** 2).sum(1).mean()
    real, *fakes = (judge(h).squeeze(1) for h in (x, fake, sample))
    cross_entropy = -F.logsigmoid(real).mean() - sum(F.logsigmoid(-s).mean() for s in fakes)
    against = -cross_entropy
    if adversarial == "non_saturating":
        against = -sum(F.logsigmoid(s).mean() for s in fakes)
    return kl + likeness, gamma * likeness, against, cross_entropy


def gradients_of(loss, net):
    return torch.autograd.grad(loss, list(net.parameters()), retain_graph=True)


def close(mine, theirs) -> bool:
    return all(
        torch.allclose(a, b, rtol=1e-3, atol=1e-6) for a, b in zip(mine, theirs, strict=True)
    )


@pytest.mark.parametrize("adversarial", ["minimax", "non_saturating"])
def test_the_decoder_gets_the_adversarial_gradient_with_the_right_sign_and_size(make, adversarial):
    gamma = 0.25
    model, batch, found = stepped(make, gamma=gamma, adversarial=adversarial)
    parts = written_out(model, batch.x, gamma=gamma, adversarial=adversarial)
    decoder = model.nets["decoder"]
    mine = [found[f"decoder.{name}"] for name, _ in decoder.named_parameters()]
    features, against = (gradients_of(part, decoder) for part in parts[1:3])
    assert close(mine, [a + b for a, b in zip(features, against, strict=True)])
    rest = torch.cat([(m - f).flatten() for m, f in zip(mine, features, strict=True)])
    adversary = torch.cat([g.flatten() for g in against])
    assert torch.dot(rest, adversary) / adversary.square().sum() == pytest.approx(1, rel=1e-3)


def test_the_encoder_gets_none_of_the_adversarial_gradient(make):
    model, batch, found = stepped(make, gamma=0.25, adversarial="minimax")
    loss, _, against, _ = written_out(model, batch.x, gamma=0.25, adversarial="minimax")
    encoder = model.nets["encoder"]
    mine = [found[f"encoder.{name}"] for name, _ in encoder.named_parameters()]
    assert close(mine, gradients_of(loss, encoder))
    assert max(g.abs().max() for g in gradients_of(against, encoder)) > 1e-3


def test_the_discriminator_gets_none_of_the_feature_reconstruction(make):
    model, batch, found = stepped(make, gamma=0.25, adversarial="minimax")
    loss, _, _, cross_entropy = written_out(model, batch.x, gamma=0.25, adversarial="minimax")
    judge = model.nets["discriminator"]
    mine = [found[f"discriminator.{name}"] for name, _ in judge.named_parameters()]
    assert close(mine, gradients_of(cross_entropy, judge))
    body = [p for name, p in judge.named_parameters() if name.startswith("1.")]
    assert max(g.abs().max() for g in torch.autograd.grad(loss, body)) > 1e-3


def test_labels_reach_all_three_networks_only_where_it_is_conditional(make):
    data = small_data((1, 8, 8)).spec
    assert not isinstance(make("vaegan-larsen", data, **SMALL), Conditional)
    model = make("vaegan-larsen", data, **SMALL, conditional=True)
    assert model.classes == data.classes == 4
    x, y = torch.rand(1, 1, 8, 8).repeat(4, 1, 1, 1), torch.arange(4)
    z = torch.zeros(4, 4)
    for output in (model.encode(x, y)[0], model.decode(z, y), model.discriminate(x, y)):
        assert len(output.reshape(4, -1).unique(dim=0)) == 4
    even = torch.full((1, 4), 0.25)
    assert model.generate(z[:1], even).shape == (1, 1, 8, 8)
    with pytest.raises(IncompatibleError, match="set conditional=false"):
        make("vaegan-larsen", DataSpec(name="faces", shape=(1, 8, 8)), conditional=True)


def test_the_papers_networks_have_the_sizes_of_its_table(make):
    model = make("vaegan-larsen", FACES, architecture="paper", z_dim=128)
    kinds = (torch.nn.Conv2d, torch.nn.ConvTranspose2d, torch.nn.Linear)
    widths = {
        name: [m.weight.shape[m.__class__ is torch.nn.ConvTranspose2d] for m in net.modules()
               if isinstance(m, kinds)]
        for name, net in model.nets.items()
    }  # fmt: skip
    assert widths["encoder"] == [64, 128, 256, 2048, 256]
    assert widths["decoder"] == [8 * 8 * 256, 256, 128, 32, 3]
    assert widths["discriminator"] == [32, 128, 256, 256, 512, 1]
    model.nets.eval()
    with torch.no_grad():
        assert model.discriminator.features(torch.zeros(1, 3, 64, 64)).shape == (1, 256, 8, 8)


def test_a_layer_that_is_not_there_is_refused():
    with pytest.raises(ValidationError, match="2 hidden layers; set a smaller one"):
        LarsenSettings(**SMALL, feature_layer=3)


def test_larsens_model_learns_digits(learns, make, digits_data):
    sizes = {"d_hidden": (128,), "hidden": (128,)}
    untrained, trained, model = learns("vaegan-larsen", epochs=12, **sizes)
    assert trained < 0.6 * untrained
    x = torch.tensor(digits_data.test.x).float() / 127.5 - 1
    fresh = make("vaegan-larsen", digits_data.spec, **sizes)
    with torch.no_grad():
        errors = [float(m.validate(Batch(x=x))["pixels"]) for m in (fresh, model)]
    assert errors[1] < 0.6 * errors[0]
