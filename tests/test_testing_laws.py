"""The contract kit's laws on what models compute: each catches the plugin that breaks it."""

from __future__ import annotations

from math import prod
from types import ModuleType
from typing import Any

import pytest
import torch
from sound_parts import MeanDistance, Plain
from torch import nn
from torch.nn.functional import softplus

import genbench
from genbench import ModelSettings, Optimizer, Phase, Stage
from genbench.testing import check_metric, check_model, check_plugin, check_sampler
from genbench.testing.devices import check_device
from genbench.testing.subject import subject
from genbench.testing.trial import fitting_data


class Autoencoder:
    """Sound: it learns to give a few images back."""

    averaged = ("decoder",)

    def __init__(self, settings: Any, data: genbench.DataSpec) -> None:
        self.shape, size = data.shape, prod(data.shape)
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(size, 16))
        decoder = nn.Sequential(nn.Linear(16, size), nn.Tanh())
        self.nets = nn.ModuleDict({"encoder": encoder, "decoder": decoder})

    def optimizers(self):
        return {"auto": Optimizer(nets=("encoder", "decoder"), lr=1e-2)}

    def stages(self):
        return (Stage(name="train", phases=(Phase(name="a", loss=self.loss, updates=("auto",)),)),)

    def loss(self, batch):
        return {"auto": {"mse": (self.through(batch.x) - batch.x).square().mean()}}

    def through(self, x):
        return self.nets["decoder"](self.nets["encoder"](x)).view(-1, *self.shape)

    def reconstruct(self, x, y=None):
        return self.through(x)


class Transposed(Autoencoder):
    def reconstruct(self, x, y=None):
        return self.through(x).transpose(2, 3)


class UpsideDown(Autoencoder):
    def reconstruct(self, x, y=None):
        return self.through(x).flip(2)


class OfAnotherRow(Autoencoder):
    def reconstruct(self, x, y=None):
        return self.through(x).roll(1, 0)


class OfTheLastRow(Autoencoder):
    def reconstruct(self, x, y=None):
        return self.through(x).flip(0)


class GAN:
    """Sound: two players, fully connected, batch normalisation held in G's move."""

    averaged = ("g",)
    z_dim = 8

    def __init__(self, settings: Any, data: genbench.DataSpec) -> None:
        self.shape, size = data.shape, prod(data.shape)
        g = nn.Sequential(nn.Linear(self.z_dim, 32), nn.BatchNorm1d(32), nn.ReLU())
        g.extend((nn.Linear(32, size), nn.Tanh()))
        d = nn.Sequential(nn.Flatten(), nn.Linear(size, 32), nn.BatchNorm1d(32), nn.LeakyReLU(0.2))
        d.append(nn.Linear(32, 1))
        self.nets = nn.ModuleDict({"g": g, "d": d})

    def optimizers(self):
        return {name: Optimizer(nets=(name,), lr=1e-3, betas=(0.5, 0.999)) for name in "dg"}

    def stages(self):
        d = Phase(name="d", loss=self.d_loss, updates=("d",))
        g = Phase(name="g", loss=self.g_loss, updates=("g",))
        return (Stage(name="train", phases=(d, g)),)

    def d_loss(self, batch):
        fake = self.generate(self.prior(len(batch)))
        real, fake = (self.logit(x) for x in (batch.x, fake))
        return {"d": {"real": softplus(-real).mean(), "fake": softplus(fake).mean()}}

    def g_loss(self, batch):
        with genbench.statistics_held(self.nets["d"]):
            fake = self.logit(self.generate(self.prior(len(batch))))
        return {"g": {"adversarial": softplus(-fake).mean()}}

    def logit(self, h):
        return self.nets["d"](h).squeeze(1)

    def prior(self, n, generator=None):
        here = self.nets["g"][0].weight.device
        where = here if generator is None else "cpu"
        return torch.randn(n, self.z_dim, generator=generator, device=where).to(here)

    def generate(self, z, y=None):
        return self.nets["g"](z).view(-1, *self.shape)

    def render(self, h):
        return h

    def discriminate(self, h, y=None):
        return self.logit(h)


class Diagonal:
    """Sound: x ~ N(mean, diag(exp(2 log_sd))), which starts as N(0, 1) with every seed."""

    averaged = ()

    def __init__(self, settings: Any, data: genbench.DataSpec) -> None:
        self.shape, size = data.shape, prod(data.shape)
        start = {"mean": nn.Parameter(torch.zeros(size)), "log_sd": nn.Parameter(torch.zeros(size))}
        self.nets = nn.ModuleDict({"density": nn.ParameterDict(start)})

    def optimizers(self):
        return {"density": Optimizer(nets=("density",), lr=1e-2)}

    def stages(self):
        phase = Phase(name="density", loss=self.loss, updates=("density",))
        return (Stage(name="train", phases=(phase,)),)

    def loss(self, batch):
        return {"density": {"nll": -self.log_density(batch.x).mean()}}

    def log_density(self, x, y=None):
        density = self.nets["density"]
        z = (x.flatten(1) - density["mean"]) * (-density["log_sd"]).exp()
        return (-0.5 * z.square() - density["log_sd"]).sum(1)


class WiderThanTanh(GAN):
    """At its first weights and after a little training all its samples lie in [-1, 1]."""

    def render(self, h):
        return 1.2 * h


class SeesItsNeighbours(GAN):
    def generate(self, z, y=None):
        return super().generate(z - 0.5 * z.mean(0))


class BatchStatistics(GAN):
    """Its normalisation takes the minibatch in eval mode too."""

    def __init__(self, settings, data):
        super().__init__(settings, data)
        self.nets["g"][1].track_running_stats = False
        self.nets["g"][1].running_mean = self.nets["g"][1].running_var = None


class ChangesItsBatch(GAN):
    def d_loss(self, batch):
        batch.x.add_(0.1)
        return super().d_loss(batch)


class MovesTheCriticsStatistics(GAN):
    def g_loss(self, batch):
        fake = self.logit(self.generate(self.prior(len(batch))))
        return {"g": {"adversarial": softplus(-fake).mean()}}


class LeaksAtStepSeven(GAN):
    def g_loss(self, batch):
        if batch.step == 7:
            with torch.no_grad():
                self.nets["d"][1].weight.data.mul_(0.9)
        return super().g_loss(batch)


class LeaksAfterStepSeven(GAN):
    def stages(self):
        self.moves = 0

        def after(terms):
            self.moves += 1
            if self.moves == 8:
                self.nets["d"][1].weight.mul_(0.9)

        d = Phase(name="d", loss=self.d_loss, updates=("d",))
        g = Phase(name="g", loss=self.g_loss, updates=("g",), after=after)
        return (Stage(name="train", phases=(d, g)),)


class GradientAtStepSeven(GAN):
    def g_loss(self, batch):
        if batch.step == 7:
            self.nets["d"].requires_grad_(True)
        return super().g_loss(batch)


class TiedStorage(GAN):
    def __init__(self, settings, data):
        super().__init__(settings, data)
        self.nets["d"][1].weight = nn.Parameter(self.nets["g"][3].weight.data.view(32, -1))


class UniformPrior(GAN):
    def prior(self, n, generator=None):
        return 2 * torch.special.ndtr(super().prior(n, generator)) - 1


class WidePrior(GAN):
    def prior(self, n, generator=None):
        return 2 * super().prior(n, generator)


class TiedPrior(GAN):
    def prior(self, n, generator=None):
        return super().prior(n, generator)[:, :1].expand(-1, self.z_dim).contiguous()


class DeclaredUniformPrior(UniformPrior):
    prior_kind = "uniform"


class OwnPrior(WidePrior):
    prior_kind = "wide normal"


class LeftOnTheCPU(GAN):
    def __init__(self, settings, data):
        super().__init__(settings, data)
        self.shift = torch.linspace(-0.1, 0.1, self.z_dim)

    def generate(self, z, y=None):
        return super().generate(z + self.shift)


class LeftInTheLoss(GAN):
    def __init__(self, settings, data):
        super().__init__(settings, data)
        self.weights = torch.ones(8) / 8

    def d_loss(self, batch):
        terms = super().d_loss(batch)
        real = softplus(-self.logit(batch.x))
        return {"d": {**terms["d"], "weighted": (real * self.weights).sum()}}


class PriorOnTheCPU(GAN):
    def prior(self, n, generator=None):
        if generator is None:
            return super().prior(n)
        return torch.randn(n, self.z_dim, generator=generator)


class ZerosInThePrior(GAN):
    def prior(self, n, generator=None):
        return super().prior(n, generator) + torch.zeros(n, self.z_dim)


class NoiseOfTheCPU(GAN):
    """Its noise is drawn on the CPU and copied in each step."""

    def prior(self, n, generator=None):
        z = torch.randn(n, self.z_dim, generator=generator)
        return z.to(self.nets["g"][0].weight.device)


class GeneratorOfTheCPU(GAN):
    def prior(self, n, generator=None):
        here = self.nets["g"][0].weight.device
        return torch.randn(n, self.z_dim, generator=generator, device=here)


class ZerosInTheLoss(GAN):
    def d_loss(self, batch):
        target = torch.zeros(len(batch))
        return {"d": {"real": (self.logit(batch.x) - target).square().mean()}}


class ZerosInAfter(GAN):
    def stages(self):
        d = Phase(name="d", loss=self.d_loss, updates=("d",), after=self.clip)
        g = Phase(name="g", loss=self.g_loss, updates=("g",))
        return (Stage(name="train", phases=(d, g)),)

    def clip(self, terms):
        for weight in self.nets["d"].parameters():
            weight.clamp_(-torch.ones(weight.shape), torch.ones(weight.shape))


class ReadsItsLoss(GAN):
    read = staticmethod(lambda term: term.item())

    def d_loss(self, batch):
        terms = super().d_loss(batch)
        self.last = self.read(terms["d"]["real"].detach())
        return terms


class CopiesItsLoss(ReadsItsLoss):
    read = staticmethod(lambda term: term.cpu())


class DecidesByItsLoss(ReadsItsLoss):
    read = staticmethod(lambda term: 1 if term > 0 else 0)


class PicksByAMask(ReadsItsLoss):
    read = staticmethod(lambda term: term[term > 0])


class ReadsInItsGradient(GAN):
    """The host waits in the backward pass, in a function of its own."""

    class Identity(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * float(gradient.isfinite().all())

    def logit(self, h):
        return self.Identity.apply(super().logit(h))


class Buffered(GAN):
    """Sound: its constant moves with its nets."""

    def __init__(self, settings, data):
        super().__init__(settings, data)
        self.nets["g"].register_buffer("shift", torch.linspace(-0.1, 0.1, self.z_dim))

    def generate(self, z, y=None):
        return super().generate(z + self.nets["g"].shift)


class Reversed(GAN):
    def discriminate(self, h, y=None):
        return -self.logit(h)


class OneSeed(GAN):
    def __init__(self, settings, data):
        torch.manual_seed(0)
        super().__init__(settings, data)


class NoSeed(GAN):
    def __init__(self, settings, data):
        torch.seed()
        super().__init__(settings, data)


@pytest.mark.parametrize(
    "model", [Autoencoder, GAN, Buffered, Diagonal, DeclaredUniformPrior, OwnPrior]
)
def test_a_sound_model_passes(model):
    check_model(model)


@pytest.mark.parametrize(
    ("model", "law"),
    [
        (WiderThanTanh, r"render\(generate\(z\)\) of large weights is in .* outside \[-1, 1\]"),
        (Transposed, "resembles them transposed"),
        (UpsideDown, "resembles them upside down"),
        (OfAnotherRow, r"a row of reconstruct\(x\) changes by"),
        (OfTheLastRow, r"a row of reconstruct\(x\) changes by"),
        (SeesItsNeighbours, r"a row of render\(generate\(z\)\) changes by"),
        (BatchStatistics, r"a row of render\(generate\(z\)\) changes by"),
        (ChangesItsBatch, "changed batch.x or batch.y in place"),
        (MovesTheCriticsStatistics, "phase 'g' .* changed the running statistics 'd.2"),
        (LeaksAtStepSeven, "changed the weights 'd.1.weight' in phase 'g' .*step 7"),
        (LeaksAfterStepSeven, "phase 'g' .*step 7.* changed 'd.1.weight', which"),
        (GradientAtStepSeven, "changed requires_grad of 'd.1.bias'"),
        (TiedStorage, "share their storage"),
        (UniformPrior, r"each dimension is N\(0, 1\) .*declare the attribute prior_kind"),
        (WidePrior, "lies|lie .* away from that law"),
        (TiedPrior, "two dimensions of the prior are correlated"),
        (LeftOnTheCPU, r"mixes devices once nets are moved[\s\S]*LeftOnTheCPU.shift"),
        (LeftInTheLoss, r"phase 'd' .* mixes devices[\s\S]*LeftInTheLoss.weights"),
        (PriorOnTheCPU, r"prior\(n, generator\) gives a tensor on cpu"),
        (Reversed, "the sign is reversed"),
        (OneSeed, "all seeds give the same weights"),
        (NoSeed, "the same seed gives other weights"),
    ],
)
def test_each_law_catches_the_model_that_breaks_it(model, law):
    with pytest.raises(AssertionError, match=law):
        check_model(model)


HERE = r"at tests/test_testing_laws\.py:\d+"
WAITS = rf"phase 'd' of model '\w+' makes the host wait .* in every training step: .*, {HERE}"


@pytest.mark.parametrize(
    ("model", "law"),
    [
        (ZerosInThePrior, rf"phase 'd' .* mixes devices .* shape \(8, 8\).*, {HERE} \(prior\)"),
        (
            ZerosInTheLoss,
            rf"phase 'd' of model 'ZerosInTheLoss' mixes .* \(8,\).*, {HERE} \(d_loss",
        ),
        (ZerosInAfter, rf"phase 'd' of model 'ZerosInAfter' mixes .*, {HERE} \(clip\)"),
        (GeneratorOfTheCPU, rf"prior\(n, generator\) .* generator on cuda.*, {HERE} \(prior\)"),
        (NoiseOfTheCPU, rf"{WAITS} \(prior\)"),
        (ReadsItsLoss, rf"{WAITS} \(<lambda>\)"),
        (CopiesItsLoss, rf"{WAITS} \(<lambda>\)"),
        (DecidesByItsLoss, rf"{WAITS} \(<lambda>\)"),
        (PicksByAMask, rf"{WAITS} \(<lambda>\)"),
        (ReadsInItsGradient, rf"{WAITS} \(backward\)"),
    ],
)
def test_the_device_law_names_model_phase_and_line(model, law):
    part = subject("model", model, None, None)
    with pytest.raises(AssertionError, match=law):
        check_device(part, fitting_data(part.settings))


# --- samplers and metrics -----------------------------------------------------------------------


class NotRendered(Plain):
    def sample(self, model, z, y):
        return model.generate(z, y)


class NoLabels(Plain):
    def sample(self, model, z, y):
        return model.render(model.generate(z))


class OtherLabels(Plain):
    def sample(self, model, z, y):
        return model.render(model.generate(z, None if y is None else y.flip(0)))


class Doubles(Plain):
    def sample(self, model, z, y):
        return super().sample(model, z, y).double()


class ZerosInAStep(Plain):
    def sample(self, model, z, y):
        return super().sample(model, z + torch.zeros(z.shape), y)


class MixesItsNoise(Plain):
    """A step of a chain: noise of the CPU generator, drawn where the latents are."""

    def draw(self, model, n, context):
        z = model.prior(n, context.generator)
        z = z + torch.randn(z.shape, generator=context.generator, device=z.device)
        y = None if context.labels is None else context.labels.to(context.device)
        yield self.sample(model, z, y).detach()


def test_a_sound_sampler_passes():
    check_sampler(Plain)


@pytest.mark.parametrize(
    ("sampler", "law"),
    [
        (NotRendered, r"generate returns h, so yield genbench.rendered\(model, h\)"),
        (NoLabels, "got no labels; pass those of context.labels"),
        (OtherLabels, "have the class that context.labels asks for"),
        (Doubles, "expected float32"),
        (ZerosInAStep, rf"draw\(\) of sampler 'ZerosInAStep' mixes devices .*, {HERE} \(sample\)"),
        (MixesItsNoise, rf"draw\(\) of sampler .* needs a generator on cuda.*, {HERE} \(draw\)"),
    ],
)
def test_each_law_catches_the_sampler_that_breaks_it(sampler, law):
    with pytest.raises(AssertionError, match=law):
        check_sampler(sampler)


class UnderAnothersName(MeanDistance):
    """It is no FID."""

    requires = ("generates",)
    name = "fid"


class UnderItsOwnName(UnderAnothersName):
    name = "mean_distance"


class SumsOnTheCPU(UnderItsOwnName):
    def update(self, images):
        self.total += images.double().sum(0)
        self.n += len(images)


def test_a_metric_that_leaves_its_sums_on_the_cpu_is_caught():
    with pytest.raises(AssertionError, match=rf"metric 'SumsOnTheCPU' mixes .*, {HERE} \(update"):
        check_metric(SumsOnTheCPU)


def test_a_score_under_another_metrics_name_is_caught():
    check_metric(UnderItsOwnName)
    with pytest.raises(AssertionError, match="reports a score as 'fid', which is the metric of"):
        check_metric(UnderAnothersName)


# --- the parts of a plugin together ---------------------------------------------------------------


class NoSettings(ModelSettings):
    """Nothing to set."""


class OnlyBatchesOfEight(GAN):
    """Passes each law of a model, for these ask for so many latents; a sampler asks for others."""

    def generate(self, z, y=None):
        if len(z) == 5:  # the last minibatch of 12 samples by 7
            raise ValueError("no such batch")
        return super().generate(z)


class RaisesOnData(UnderItsOwnName):
    def begin(self, context):
        super().begin(context)
        if not hasattr(context.model, "classes"):
            raise KeyError("classes")


def plugin(name: str, **parts: tuple[str, dict[str, Any]]) -> ModuleType:
    module = ModuleType(name)
    for kind, (target, details) in parts.items():

        def hook(register, kind=kind, target=target, details=details):
            register(f"{name}-{kind}", f"{__name__}:{target}", **details)

        hook.__name__ = f"genbench_register_{kind}s"
        setattr(module, hook.__name__, genbench.hookimpl(hook))
    return module


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """The registry imports targets by the name of this module."""
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or ModuleType(__name__))
    for name, value in globals().items():
        monkeypatch.setattr(sys.modules[__name__], name, value, raising=False)


MODEL = {"settings": f"{__name__}:NoSettings", "capabilities": ("generates", "discriminates")}
NEEDS = {"capabilities": ("generates",)}


def test_a_plugins_parts_work_together_and_with_the_built_in_ones():
    check_plugin(
        plugin(
            "whole",
            model=("GAN", MODEL),
            sampler=("Plain", NEEDS),
            metric=("UnderItsOwnName", NEEDS),
        )
    )


def test_a_model_on_which_a_built_in_sampler_fails_is_caught():
    with pytest.raises(AssertionError, match=r"sampler '.*' on model .*ValueError: no such"):
        check_plugin(plugin("picky", model=("OnlyBatchesOfEight", MODEL)))


def test_a_metric_that_fails_on_the_plugins_own_model_is_caught():
    with pytest.raises(AssertionError, match=r"metric .* on model .* raises KeyError"):
        check_plugin(plugin("odd", model=("GAN", MODEL), metric=("RaisesOnData", NEEDS)))
