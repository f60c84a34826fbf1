"""Laws of one phase's move."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from genbench.contracts import MONITOR, Batch, Optimizer, Phase
from genbench.engine.optim import build_optimizers
from genbench.engine.update import Update
from genbench.errors import PluginError

CPU = torch.device("cpu")


def model_of(nets, clip_norm=None, lr=1.0):
    """A model with plain SGD for each of its nets: the step is the gradient, negated."""
    settings = {
        name: Optimizer(nets=(name,), kind="sgd", lr=lr, clip_norm=clip_norm) for name in nets
    }
    return SimpleNamespace(nets=nn.ModuleDict(nets), averaged=(), optimizers=lambda: settings)


def update_of(model, phase, **options):
    optimizers = build_optimizers(model, clip_norm=options.pop("clip_norm", None))
    return Update(phase, optimizers, model, device=CPU, **options)


def weights(model):
    return {name: p.detach().clone() for name, p in model.nets.named_parameters()}


@pytest.fixture
def batch():
    torch.manual_seed(1)
    return Batch(x=torch.randn(12, 5))


def test_no_gradient_of_one_players_loss_reaches_another_players_weights(batch):
    """Larsen's VAE/GAN: one forward pass, three optimizers, the decoder against D."""
    torch.manual_seed(0)
    e, d, c = nn.Linear(5, 2), nn.Linear(2, 5), nn.Linear(5, 1)
    model = model_of({"encoder": e, "decoder": d, "discriminator": c})

    def loss(batch):
        z = e(batch.x)
        x = d(z)
        real, fake = F.softplus(-c(batch.x)).mean(), F.softplus(c(x)).mean()
        like = (x - batch.x).square().mean()
        return {
            "encoder": {"kl": z.square().mean(), "like": like},
            "decoder": {"like": 0.2 * like, "adversarial": -0.8 * (real + fake)},
            "discriminator": {"gan": real + fake},
        }

    terms = loss(batch)
    expected = {}
    for name, net in model.nets.items():
        total = sum(terms[name].values())
        grads = torch.autograd.grad(total, list(net.parameters()), retain_graph=True)
        names = [f"{name}.{key}" for key, _ in net.named_parameters()]
        expected.update(zip(names, grads, strict=True))

    before = weights(model)
    update_of(model, Phase(name="joint", loss=loss, updates=tuple(model.nets)))(batch)
    for name, after in weights(model).items():
        torch.testing.assert_close(before[name] - after, expected[name])
        assert expected[name].abs().max() > 0, name


def test_adversarial_gradient_reaches_the_decoder_with_its_sign_and_size(batch):
    """-0.8 was meant; a loop that adds up .backward() calls gives +0.2."""
    d, c = nn.Linear(5, 5, bias=False), nn.Linear(5, 1, bias=False)
    model = model_of({"decoder": d, "discriminator": c})

    def loss(batch):
        gan = c(d(batch.x)).mean()
        return {"decoder": {"gan": -0.8 * gan}, "discriminator": {"gan": gan}}

    before = weights(model)
    gan = c(d(batch.x)).mean()
    (full,) = torch.autograd.grad(gan, [d.weight])
    phase = Phase(name="joint", loss=loss, updates=("discriminator", "decoder"))
    update_of(model, phase)(batch)
    torch.testing.assert_close(before["decoder.weight"] - d.weight, -0.8 * full)


def test_weights_that_a_phase_does_not_update_get_no_gradient_and_may_learn_later(batch):
    g, d = nn.Linear(5, 5), nn.Linear(5, 1)
    model = model_of({"g": g, "d": d})
    phase = Phase(name="g", loss=lambda b: {"g": {"a": d(g(b.x)).mean()}}, updates=("g",))
    update_of(model, phase)(batch)
    assert all(p.grad is None and p.requires_grad for p in d.parameters())
    assert all(p.grad is not None for p in g.parameters())


@pytest.mark.parametrize("chunks", [2, 3, 5, 12, 50])
def test_accumulation_gives_the_gradient_of_the_whole_batch(batch, chunks):
    deltas, values = [], []
    for accumulate in (1, chunks):
        torch.manual_seed(0)
        net = nn.Linear(5, 1)
        model = model_of({"f": net})
        phase = Phase(
            name="fit", loss=lambda b, n=net: {"f": {"mse": n(b.x).square().mean()}}, updates=("f",)
        )
        before = weights(model)
        values.append(update_of(model, phase, accumulate=accumulate)(batch)[0].item())
        deltas.append({k: before[k] - v for k, v in weights(model).items()})
    torch.testing.assert_close(deltas[0], deltas[1])
    assert values[0] == pytest.approx(values[1], rel=1e-6)


@pytest.mark.parametrize(("accumulate", "size"), [(1, 12), (2, 6), (5, 3)])
def test_a_batch_is_split_into_as_many_microbatches_as_asked_for(batch, accumulate, size):
    seen = []
    net = nn.Linear(5, 1)

    def loss(microbatch):
        seen.append((len(microbatch), microbatch.y.tolist(), microbatch.step, microbatch.steps))
        return {"f": {"mse": net(microbatch.x).square().mean()}}

    phase = Phase(name="fit", loss=loss, updates=("f",))
    labelled = Batch(x=batch.x, y=torch.arange(12), step=3, steps=9)
    update_of(model_of({"f": net}), phase, accumulate=accumulate)(labelled)
    assert seen == [(size, list(range(k, k + size)), 3, 9) for k in range(0, 12, size)]


@pytest.mark.parametrize("bound", [0.01, 1e6])
def test_clipping_bounds_the_norm_over_all_parameters_and_leaves_small_ones(batch, bound):
    torch.manual_seed(0)
    net = nn.Linear(5, 1)
    model = model_of({"f": net})
    total = net(batch.x).square().mean()
    grads = torch.autograd.grad(total, list(net.parameters()))
    norm = torch.cat([g.flatten() for g in grads]).norm().item()
    before = weights(model)
    phase = Phase(name="fit", loss=lambda b: {"f": {"a": net(b.x).square().mean()}}, updates=("f",))
    update_of(model, phase, clip_norm=bound)(batch)
    moved = torch.cat([(before[k] - v).flatten() for k, v in weights(model).items()]).norm().item()
    assert moved == pytest.approx(min(norm, bound), rel=1e-3)


def test_an_optimizers_own_clip_norm_wins_over_the_runs(batch):
    optimizers = build_optimizers(model_of({"f": nn.Linear(5, 1)}, clip_norm=3.0), clip_norm=1.0)
    assert optimizers["f"].clip_norm == 3.0


def test_under_bf16_losses_and_weights_stay_fp32(batch):
    net, seen = nn.Linear(5, 1), []
    model = model_of({"f": net})

    def loss(b):
        out = net(b.x)
        seen.append(out.dtype)
        return {"f": {"a": out.mean(), "b": out.square().mean()}, MONITOR: {"m": out.max()}}

    values = update_of(model, Phase(name="fit", loss=loss, updates=("f",)), precision="bf16")(batch)
    assert seen == [torch.bfloat16]
    assert {v.dtype for v in values} == {torch.float32} == {p.dtype for p in net.parameters()}


def test_after_runs_without_gradients_and_gets_the_terms_of_the_step(batch):
    net, seen = nn.Linear(5, 1), []

    def after(terms):
        assert not torch.is_grad_enabled()
        seen.append({owner: list(named) for owner, named in terms.items()})

    def loss(b):
        return {"f": {"a": net(b.x).mean()}, MONITOR: {"m": b.x.mean()}}

    for accumulate in (1, 3):
        phase = Phase(name="fit", loss=loss, updates=("f",), after=after)
        update_of(model_of({"f": net}), phase, accumulate=accumulate)(batch)
    assert seen == [{"f": ["a"], MONITOR: ["m"]}] * 2


W = nn.Linear(5, 1)
BROKEN_LOSSES = {
    "must return": lambda b: {"f": W(b.x).mean()},
    "updates names": lambda b: {"other": {"a": W(b.x).mean()}},
    "has no term": lambda b: {"f": {}},
    "0-dim tensor on cpu, not a tensor of shape": lambda b: {"f": {"a": W(b.x)}},
    "not float": lambda b: {"f": {"a": W(b.x).mean().item()}},
    "doesn't depend on the weights": lambda b: {"f": {"a": b.x.mean()}},
    "may be called 'loss' only": lambda b: {"f": {"loss": W(b.x).mean(), "b": W(b.x).mean()}},
}


@pytest.mark.parametrize("words", BROKEN_LOSSES)
def test_broken_loss_is_refused_at_the_first_step_in_one_sentence(batch, words):
    phase = Phase(name="fit", loss=BROKEN_LOSSES[words], updates=("f",))
    with pytest.raises(PluginError, match=words):
        update_of(model_of({"f": W}), phase)(batch)


def test_loss_that_reaches_only_another_players_weights_is_refused(batch):
    g, d = nn.Linear(5, 5), nn.Linear(5, 1)
    model = model_of({"g": g, "d": d})

    def loss(b):
        return {"g": {"a": g(b.x).mean()}, "d": {"a": d(b.x).mean() * 0 + g(b.x).mean()}}

    update_of(model, Phase(name="fine", loss=loss, updates=("g", "d")))(batch)

    def swapped(b):
        return {"g": {"a": d(b.x).mean()}, "d": {"a": g(b.x).mean()}}

    with pytest.raises(PluginError, match="optimizer 'g' doesn't depend"):
        update_of(model, Phase(name="swapped", loss=swapped, updates=("g", "d")))(batch)


def test_loss_with_terms_that_change_their_names_is_refused(batch):
    net, extra = nn.Linear(5, 1), {}

    def loss(b):
        return {"f": {"a": net(b.x).mean(), **extra}}

    update = update_of(model_of({"f": net}), Phase(name="fit", loss=loss, updates=("f",)))
    update(batch)
    extra["b"] = torch.zeros(())
    with pytest.raises(PluginError, match="other terms than at its first step"):
        update(batch)


def test_unknown_optimizer_gets_the_nearest_name():
    phase = Phase(name="fit", loss=lambda b: {}, updates=("genrator",))
    with pytest.raises(PluginError, match="did you mean 'generator'"):
        update_of(model_of({"generator": nn.Linear(2, 2)}), phase)


@pytest.mark.slow
def test_compiled_losses_move_the_weights_as_eager_ones_do(batch):
    """Needs a C++ compiler; a loss that reads batch.step must not be recompiled at each step."""
    results = []
    for compiled in (False, True):
        torch.manual_seed(0)
        e, d = nn.Linear(5, 5), nn.Linear(5, 1)
        model = model_of({"e": e, "d": d}, lr=0.1)

        def loss(b, e=e, d=d):
            out = d(e(b.x)).square().mean()
            return {"e": {"a": (b.step + 1) / b.steps * out}, "d": {"a": -out}}

        update = update_of(
            model, Phase(name="fit", loss=loss, updates=("e", "d")), compile=compiled
        )
        try:
            for step in range(12):
                update(Batch(x=batch.x, step=step, steps=12))
        except torch._inductor.exc.InductorError as error:
            pytest.skip(f"no working compiler here: {error}")
        results.append(weights(model))
    torch.testing.assert_close(results[0], results[1])
    assert torch._dynamo.utils.counters["frames"]["ok"] <= 4
