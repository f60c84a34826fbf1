"""The VQ-VAE (van den Oord, Vinyals & Kavukcuoglu 2017, arXiv:1711.00937).

Stage 1: the encoder gives a grid of vectors, each of which is replaced by the nearest code e of a
codebook (eq. 1 and 2), and the decoder draws the image from those. The loss per image is eq. 3,

    -log p(x | z_q(x)) + |sg[z_e(x)] - e|^2 + beta |z_e(x) - sg[e]|^2,

sg no gradient, the last two as means over the places of the grid (section 3.2). The gradient at z_q
goes to z_e as it is (straight through). In the place of the second term, by default, codes follow
their vectors by moving averages (appendix A.1; see `genbench_nets.codebook`, also for what keeps
codes from dying).

Stage 2 freezes all that, encodes the training set once and fits a law to the grids of codes, each
code given those before it (section 3.3; `genbench_nets.code_prior`). z is uniform noise, one value
a place, and picks each code by the inverse of its conditional distribution function, so that an
image is a function of z.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from genbench import MONITOR, Batch, DataSpec, Optimizer, Phase, Schedule, Stage, Terms
from genbench_nets.code_prior import CodePrior
from genbench_nets.codebook import Codebook, perplexity
from genbench_nets.coders import coders
from genbench_nets.elbo_terms import reconstruction_loss
from genbench_nets.prior_noise import draw_prior
from genbench_vae.vq_vae_settings import VQVAESettings


class VQVAE:
    """x -> grid of vectors -> grid of codes -> x (stage 1); noise -> grid of codes (stage 2)."""

    averaged = ("prior",)
    prior_kind = "uniform"
    piecewise = True

    def __init__(self, settings: VQVAESettings, data: DataSpec) -> None:
        settings.check(data)
        self.settings = s = settings
        self._code_epochs = s.stage_one_epochs(data)
        self._dim, *grid = s.latent_shape(data)
        self._grid = (grid[0], grid[1])
        encoder, decoder = build_networks(s, data)
        self._codebook = Codebook(
            s.codes,
            s.code_dim,
            decay=s.decay,
            revive=s.revive_below,
            learned=s.codebook == "gradient",
        )
        self._prior = CodePrior(
            s.codes,
            self._grid,
            embedding=s.prior_embedding,
            width=s.prior_width,
            layers=s.prior_layers,
        )
        self.nets = nn.ModuleDict(
            {
                "encoder": encoder,
                "codebook": self._codebook,
                "decoder": decoder,
                "prior": self._prior,
            }
        )

    def optimizers(self) -> Mapping[str, Optimizer]:
        """One Adam for encoder, codebook and decoder, another for the prior of the codes."""
        falling = Schedule(kind="cosine", warmup=0.02)
        return {
            "vae": Optimizer(nets=("encoder", "codebook", "decoder"), lr=self.settings.lr),
            "prior": Optimizer(nets=("prior",), lr=self.settings.prior_lr, schedule=falling),
        }

    def stages(self) -> tuple[Stage, ...]:
        """The codes, then their prior on codes that are written down once."""
        codes = Phase(name="codes", loss=self.loss, updates=("vae",), after=self._move_codes)
        prior = Phase(name="prior", loss=self.prior_loss, updates=("prior",))
        return (
            Stage(name="codes", phases=(codes,), epochs=self._code_epochs, validate=self.validate),
            Stage(
                name="prior",
                phases=(prior,),
                prepare=self.encode_data,
                validate=self.validate_prior,
            ),
        )

    # --- stage 1

    def loss(self, batch: Batch) -> Terms:
        """Reconstruction per image; squared distances to the codes, a mean over the grid."""
        vectors = self._vectors(batch.x)
        codes, indices = self.quantise(vectors)
        terms = {
            "reconstruction": self._reconstruction(straight_through(vectors, codes), batch.x),
            "commitment": self.settings.commitment * _distance(vectors, codes.detach()),
        }
        if self.settings.codebook == "gradient":
            terms["codebook"] = _distance(codes, vectors.detach())
        return {"vae": terms, MONITOR: {"perplexity": perplexity(indices, self.settings.codes)}}

    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        """The terms on the test split; ``perplexity`` is the effective number of codes in use."""
        vectors = self._vectors(batch.x)
        codes, indices = self.quantise(vectors)
        reconstruction = self._reconstruction(codes, batch.x)
        commitment = self.settings.commitment * _distance(vectors, codes)
        return {
            "loss": reconstruction + commitment,
            "reconstruction": reconstruction,
            "commitment": commitment,
            "perplexity": perplexity(indices, self.settings.codes),
        }

    def quantise(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest codes of a grid (B, D, H, W), of its shape, and their indices (B, H * W)."""
        rows = vectors.permute(0, 2, 3, 1)
        found = self._codebook(rows.reshape(-1, self._dim))
        codes = found.vectors.view(rows.shape).permute(0, 3, 1, 2)
        return codes, found.indices.view(len(vectors), -1)

    def _move_codes(self, terms: Terms) -> None:
        self._codebook.update()

    def _vectors(self, x: Tensor) -> Tensor:
        vectors: Tensor = self.nets["encoder"](x)
        return vectors.float()

    def _reconstruction(self, codes: Tensor, x: Tensor) -> Tensor:
        return reconstruction_loss(self.nets["decoder"](codes), x, self.settings.likelihood)

    # --- stage 2

    def encode_data(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """The codes of images, (B, H * W), as floats, which hold them exactly."""
        return self.quantise(self._vectors(x))[1].float()

    def prior_loss(self, batch: Batch) -> Terms:
        """-log p(codes) in nats per image."""
        return {"prior": {"loss": self._prior.nats(batch.x.long()).mean()}}

    def validate_prior(self, batch: Batch) -> Mapping[str, Tensor]:
        """The loss for the codes of test images."""
        _, indices = self.quantise(self._vectors(batch.x))
        return {"loss": self._prior.nats(indices).mean()}

    # --- what it can do

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """z ~ U(-1, 1), (n, H * W): what decides each code of a grid."""
        height, width = self._grid
        return draw_prior(self.nets, (n, height * width), generator, "uniform")

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Draw the codes that z (B, H * W) picks, one after the other; piecewise constant in z."""
        indices = self._prior.sample(z.add(1).mul(0.5))
        codes = self._codebook.lookup(indices.view(-1, *self._grid))
        return self._draw(codes.permute(0, 3, 1, 2))

    def encode(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The encoder's grid (B, D, H, W) before it is quantised, certain: log-variance -inf."""
        vectors = self._vectors(x)
        return vectors, torch.full_like(vectors, -torch.inf)

    def decode(self, code: Tensor, y: Tensor | None = None) -> Tensor:
        """Quantise a grid (B, D, H, W) and draw it, (B, *shape) in [-1, 1]; straight through."""
        return self._draw(straight_through(code, self.quantise(code)[0]))

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Draw the codes of x."""
        return self.decode(self.encode(x)[0])

    def _draw(self, codes: Tensor) -> Tensor:
        logits: Tensor = self.nets["decoder"](codes)
        return logits.float().sigmoid().mul(2).sub(1)


def straight_through(vectors: Tensor, codes: Tensor) -> Tensor:
    """The codes; their gradient goes to the vectors unchanged, and not to the codebook."""
    return vectors + (codes - vectors).detach()


def _distance(a: Tensor, b: Tensor) -> Tensor:
    """Squared distance between the vectors of two grids (B, D, H, W), a mean over the places."""
    return (a - b).square().sum(1).mean()


class ResidualBlock(nn.Module):
    """x + (ReLU, 3x3, ReLU, 1x1), all of one width (section 4.1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, 1, 1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        out: Tensor = x + self.layers(x)
        return out


def build_networks(settings: VQVAESettings, data: DataSpec) -> tuple[nn.Module, nn.Module]:
    """Encoder x -> (B, D, H, W) and decoder (B, D, H, W) -> logits of the pixels.

    The encoder's blocks stand before its last layer, the decoder's after its first.
    """
    built = coders(settings.networks(), data, outputs=1)
    width, count = settings.channels[-1], settings.residual_blocks
    *down, projection = built.encoder
    lift, *up = built.decoder
    before, after = ([ResidualBlock(width) for _ in range(count)] for _ in range(2))
    return nn.Sequential(*down, *before, projection), nn.Sequential(lift, *after, *up)
