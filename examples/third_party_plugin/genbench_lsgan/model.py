"""Eq. 9 of the paper: a = 0 for fake samples, b = 1 for real ones, c = 1 for the generator."""

from torch import Size, nn, randn

from genbench import Optimizer, Phase, Stage


class LSGAN:
    averaged = ("g",)

    def __init__(self, settings, data):
        self.settings, self.shape, size = settings, data.shape, Size(data.shape).numel()
        g = [nn.Linear(settings.z_dim, 256), nn.ReLU(), nn.Linear(256, size), nn.Tanh()]
        d = [nn.Flatten(), nn.Linear(size, 256), nn.LeakyReLU(0.2), nn.Linear(256, 1)]
        self.nets = nn.ModuleDict({"g": nn.Sequential(*g), "d": nn.Sequential(*d)})

    def optimizers(self):
        return {n: Optimizer(nets=(n,), lr=self.settings.lr, betas=(0.5, 0.999)) for n in "gd"}

    def stages(self):
        d, g = (Phase(name=n, loss=getattr(self, f"{n}_loss"), updates=(n,)) for n in "dg")
        return (Stage(name="train", phases=(d, g)),)

    def d_loss(self, batch):
        real, fake = self.nets["d"](batch.x), self.nets["d"](self.generate(self.prior(len(batch))))
        return {"d": {"real": 0.5 * (real - 1).square().mean(), "fake": 0.5 * fake.square().mean()}}

    def g_loss(self, batch):
        fake = self.nets["d"](self.generate(self.prior(len(batch))))
        return {"g": {"adversarial": 0.5 * (fake - 1).square().mean()}}

    def prior(self, n, generator=None):
        here = self.nets["g"][0].weight.device
        where = here if generator is None else "cpu"
        return randn(n, self.settings.z_dim, generator=generator, device=where).to(here)

    def generate(self, z, y=None):
        return self.nets["g"](z).view(-1, *self.shape)
