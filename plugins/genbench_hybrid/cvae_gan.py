"""CVAE-GAN (Bao et al. 2017, arXiv:1703.10155).

Four networks: an encoder E (x, c) -> z, a generator G (z, c) -> x', a discriminator D and a
classifier C. With z ~ E(x, c), x' = G(z, c) and x_p = G(z_p, c), z_p ~ N(0, I):

    L_KL = KL[q(z|x, c) || N(0, I)]
    L_D  = -log D(x) - log(1 - D(x_p))
    L_C  = -log P_C(c|x)
    L_G  = 1/2 (||x - x'||^2 + ||f_D(x) - f_D(x')||^2 + ||f_C(x) - f_C(x')||^2)
    L_GD = 1/2 ||mean f_D(x) - mean f_D(x_p)||^2
    L_GC = 1/2 sum_c ||mean_c f_C(x) - mean_c f_C(x_p)||^2

f are features of an inner layer, here the input of the last layer. E minimises lambda_1 L_KL +
lambda_2 L_G, G lambda_2 L_G + lambda_3 L_GD + lambda_4 L_GC, D L_D and C L_C, all at once. So G
learns from mean features, not from D's output: the asymmetry of the title.

The losses are the paper's; its lambdas, 3, 1, 1e-3 and 1e-3, are from memory and unchecked. We
differ in small networks trained from scratch, in higher default weights of the two means (the only
losses of samples from the prior), and in a higher weight of the KL at first
(`genbench_nets.labels`); the preset guo2023 has neither.

All are per image: squares and the KL are summed, and averaged over the batch. The fake samples of a
minibatch have the labels of its real ones. E and G share an optimizer: L_KL doesn't depend on G,
nor L_GD and L_GC on E, so the gradient of the sum is the right one for each, in one backward pass
instead of two. (With ``batch_norm`` the losses do depend on one another,
since the samples of a minibatch share its statistics.)
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench import MONITOR, Batch, DataSpec, Optimizer, Phase, Stage, Terms
from genbench_hybrid.cvae_gan_settings import CVAEGANSettings
from genbench_nets.adversarial_losses import fake_loss, monitors, real_loss
from genbench_nets.coders import coders
from genbench_nets.elbo_terms import kl_to_normal, sample_posterior
from genbench_nets.feature_matching import MeansDistance, pair_distance
from genbench_nets.labelled_sequential import LabelledSequential
from genbench_nets.labels import label_first, required
from genbench_nets.mlp import activation, flat_size, mlp
from genbench_nets.prior_noise import draw_prior


class CVAEGAN:
    """Encoder (x, y) -> q(z|x, y), generator (z, y) -> x; D x -> logit, C x -> class logits."""

    averaged = ("encoder", "generator")

    def __init__(self, settings: CVAEGANSettings, data: DataSpec) -> None:
        settings.check(data)
        assert data.classes, "the settings refuse data without labels"
        self.settings = s = settings
        self.classes = data.classes
        self._bounded, self._code = data.bounded, s.latent_shape(data)
        both = coders(s, data, classes=data.classes)
        self._d, self._c = (
            discriminative_network(s, data, outputs) for outputs in (1, data.classes)
        )
        features = s.judge_hidden[-1] if s.network == "mlp" else s.judge_features
        self._d_means = MeansDistance(1, features, s.means_decay)
        self._c_means = MeansDistance(data.classes, features, s.means_decay)
        self.nets = nn.ModuleDict(
            {
                "encoder": both.encoder,
                "generator": both.decoder,
                "discriminator": self._d,
                "classifier": self._c,
                "d_means": self._d_means,
                "c_means": self._c_means,
            }
        )

    def optimizers(self) -> Mapping[str, Optimizer]:
        """An Adam for encoder and generator, one for D, one for C.

        The means have no weights; they are named so that the engine puts them in training mode.
        """
        s, betas = self.settings, (self.settings.beta1, 0.999)
        made = ("encoder", "generator", "d_means", "c_means")
        return {
            "g": Optimizer(nets=made, lr=s.lr, betas=betas),
            "d": Optimizer(nets=("discriminator",), lr=s.d_lr, betas=betas),
            "c": Optimizer(nets=("classifier",), lr=s.c_lr, betas=betas),
        }

    def stages(self) -> tuple[Stage, ...]:
        """One joint phase of all networks on one forward pass (algorithm 1)."""
        phase = Phase(name="joint", loss=self.loss, updates=("g", "d", "c"))
        return (Stage(name="train", phases=(phase,), validate=self.validate),)

    # --- training

    def loss(self, batch: Batch) -> Terms:
        """The terms of all networks; the engine gives each one the gradient of its own terms.

        KL and pixels are recorded without their weights too.
        """
        x, y = batch.x, required(batch.y)
        mean, logvar = self.encode(x, y)
        codes = torch.cat((sample_posterior(mean, logvar), self.prior(len(x)).to(mean.dtype)))
        made = self._generated(codes, torch.cat((y, y)))
        seen = torch.cat((x.to(made.dtype), made))
        d_features, c_features = self._d.features(seen), self._c.features(seen)
        again, _ = made.chunk(2)
        kl_weight = self.settings.kl_weight * label_first(batch, self.settings.label_first)
        kl, pairs = kl_to_normal(mean, logvar), self._pairs(x, again, d_features, c_features)
        d_terms = self._d_terms(d_features)
        bare = {"kl": kl, "pixels": pairs["pixels"] / self.settings.reconstruction_weight}
        return {
            "g": {"kl": kl_weight * kl, **pairs, **self._means(d_features, c_features, y)},
            "d": d_terms["d"],
            "c": {"cross_entropy": self._cross_entropy(c_features.chunk(3)[0], y)},
            MONITOR: {**d_terms[MONITOR], **bare},
        }

    def _pairs(
        self, x: Tensor, again: Tensor, d_features: Tensor, c_features: Tensor
    ) -> dict[str, Tensor]:
        """Lambda_2 L_G, by where it is taken; features of real samples, reconstructions, fakes."""
        weight = self.settings.reconstruction_weight
        d_real, d_again, _ = d_features.chunk(3)
        c_real, c_again, _ = c_features.chunk(3)
        return {
            "pixels": weight * pair_distance(x, again),
            "d_pairs": weight * pair_distance(d_real, d_again),
            "c_pairs": weight * pair_distance(c_real, c_again),
        }

    def _means(self, d_features: Tensor, c_features: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Lambda_3 L_GD and lambda_4 L_GC."""
        s = self.settings
        d_real, _, d_fake = d_features.chunk(3)
        c_real, _, c_fake = c_features.chunk(3)
        everything = torch.zeros_like(y)
        return {
            "d_mean": s.d_mean_weight * self._d_means(d_real, everything, d_fake, everything),
            "c_means": s.c_mean_weight * self._c_means(c_real, y, c_fake, y),
        }

    def _d_terms(self, d_features: Tensor) -> Terms:
        real, again, fake = d_features.chunk(3)
        if self.settings.d_reconstructions:
            fake = torch.cat((again, fake))
        real_logits, fake_logits = self._logit(real), self._logit(fake)
        return {
            "d": {"real": real_loss(real_logits), "fake": fake_loss(fake_logits)},
            MONITOR: monitors(real_logits, fake_logits, logits=True),
        }

    def _logit(self, features: Tensor) -> Tensor:
        logits: Tensor = self._d.head(features)
        return logits.squeeze(1)

    def _cross_entropy(self, features: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(self._c.head(features).float(), y)

    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        """What E minimises and its unweighted parts, and how often C is right (0 to 1)."""
        s, x, y = self.settings, batch.x, required(batch.y)
        mean, logvar = self.encode(x, y)
        again = self._generated(sample_posterior(mean, logvar), y)
        kl, pixels = kl_to_normal(mean, logvar), pair_distance(x, again)
        c_real = self._c.features(x)
        d_pairs = pair_distance(self._d.features(x), self._d.features(again))
        c_pairs = pair_distance(c_real, self._c.features(again))
        right = self._c.head(c_real).argmax(1) == y
        return {
            "loss": s.kl_weight * kl + s.reconstruction_weight * (pixels + d_pairs + c_pairs),
            "pixels": pixels,
            "kl": kl,
            "c_accuracy": right.float().mean(),
        }

    # --- what it can do

    def _generated(self, z: Tensor, y: Tensor) -> Tensor:
        made: Tensor = self.nets["generator"](z, y)
        return made.tanh() if self._bounded else made

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """z ~ N(0, I), (n, z_dim), or (n, z_dim, H, W) for a grid; whatever the class."""
        return draw_prior(self.nets, (n, *self._code), generator)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """G(z, y), (B, *shape), images in [-1, 1]; y also as weights (B, classes)."""
        return self._generated(z, required(y)).float()

    def discriminate(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        """Logits (B,) of 'real'; D doesn't see the label."""
        return self._logit(self._d.features(h))

    def encode(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x, y), each (B, z_dim), or (B, z_dim, H, W) for a grid."""
        mean, logvar = self.nets["encoder"](x, required(y)).chunk(2, dim=1)
        return mean, logvar

    def decode(self, code: Tensor, y: Tensor | None = None) -> Tensor:
        """The codes are the generator's latents: `generate`."""
        return self.generate(code, y)

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Generate from the posterior's mean."""
        return self.generate(self.encode(x, y)[0], y)

    def translate(self, x: Tensor, y: Tensor, own: Tensor | None = None) -> Tensor:
        """Encode with the images' own classes, decode with others: z holds the rest of x."""
        return self.generate(self.encode(x, own)[0], y)


def discriminative_network(
    settings: CVAEGANSettings, data: DataSpec, outputs: int
) -> LabelledSequential:
    """D or C: (B, *shape) -> features, leaky -> (B, outputs). No normalisation mixes samples."""
    s = settings
    if s.network == "mlp":
        layers: list[nn.Module] = [
            nn.Flatten(),
            *mlp((flat_size(data.shape), *s.judge_hidden), act="leaky_relu"),
        ]
        width = s.judge_hidden[-1]
    else:
        layers, inputs, side = [], data.shape[0], data.shape[1]
        for channels in s.judge_channels:
            layers += [nn.Conv2d(inputs, channels, 4, 2, 1), activation("leaky_relu")]
            inputs, side = channels, side // 2
        layers += [nn.Flatten(), nn.Linear(inputs * side * side, s.judge_features)]
        width = s.judge_features
    return LabelledSequential(*layers, activation("leaky_relu"), nn.Linear(width, outputs))
