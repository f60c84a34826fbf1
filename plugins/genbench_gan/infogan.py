"""InfoGAN (Chen et al. 2016, arXiv:1606.03657).

G gets noise and codes c: a category, and continuous values ~ U(-1, 1). Q, which shares D's body
(section 5), predicts c from G's sample. With it (eq. 5)

    L_I = E[log Q(c | G(z, c))] + H(c)  <=  I(c; G(z, c)),

which G, Q and the shared body raise by lambda L_I (eq. 6). H(c) is constant. Q's distribution is
a softmax for the category and a Gaussian with its own variance for each continuous code.

All of z is N(0, I), as samplers and interpolations expect: the last ``categories`` + ``continuous``
values of z are the codes in normal coordinates. The largest of the former is the category (each
equally likely), and 2 Phi(u) - 1 of the latter is uniform. See `code_input`.
"""

from __future__ import annotations

from math import log, pi
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field

from genbench import MONITOR, Batch, DataSpec, Terms, Training
from genbench_nets.adversarial_settings import AdversarialSettings, Network
from genbench_nets.conv_first import DESCRIPTION, conv_where_it_fits

if TYPE_CHECKING:
    from torch import Tensor, nn

    from genbench_nets.adversarial_model import AdversarialModel


class InfoGANSettings(AdversarialSettings):
    """A generator of noise and codes; labels are not used."""

    training: ClassVar[Training] = Training(images=600_000, batch_size=64)

    network: Network = Field("auto", description=DESCRIPTION)
    g_lr: float = Field(1e-3, gt=0, description="learning rate of the generator")
    prior: Literal["normal"] = Field(
        "normal", description="noise and codes are functions of z ~ N(0, I)"
    )
    categories: int = Field(
        10, ge=2, le=1000, description="number of values of the categorical code"
    )
    continuous: int = Field(2, ge=0, le=64, description="number of continuous codes in [-1, 1]")
    category_weight: float = Field(
        1.0, gt=0, description="lambda: weight of the categorical code's information"
    )
    continuous_weight: float = Field(
        0.1, gt=0, description="weight of the continuous codes' information"
    )
    q_hidden: int = Field(128, ge=1, le=4096, description="width of the hidden layer of Q")

    def fitted(self, data: DataSpec) -> Self:
        """These settings with the kind of network, sizes and normalisation filled in."""
        return super(InfoGANSettings, conv_where_it_fits(self, data)).fitted(data)


def infogan(settings: InfoGANSettings, data: DataSpec) -> AdversarialModel:
    """Generator z -> x of noise and codes, discriminator x -> logit, and Q, which predicts codes.

    The optimizer of D trains Q too, as it trains the body that they share.
    """
    import torch
    import torch.nn.functional as F

    from genbench_nets.adversarial_losses import fake_loss, monitors, real_loss
    from genbench_nets.adversarial_model import adversarial_model
    from genbench_nets.adversarial_networks import decided
    from genbench_nets.adversarial_training import alternating_phases
    from genbench_nets.code_input import CodeInput

    s = settings.fitted(data)
    size = decided(s.z_dim) + s.categories + s.continuous
    model = adversarial_model(s.model_copy(update={"z_dim": size}), data)
    code_input = CodeInput(s.categories, s.continuous)
    model.generator.insert(0, code_input)
    q = recogniser(model.discriminator.head, s)
    model.train_with_d("q", q)

    def unknown(fake: Tensor, z: Tensor, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """-lambda E[log Q(c | x)] by kind of code, and L_I in nats."""
        codes = code_input.codes(z)
        predicted = q(model.discriminator.features(model.seen(fake, batch))).float()
        logits, mean, logvar = predicted.split((s.categories, s.continuous, s.continuous), dim=1)
        category = F.cross_entropy(logits, codes.category)
        information = log(s.categories) - category
        terms = {"category": s.category_weight * category}
        if s.continuous:
            logvar = logvar.clamp(-8.0, 8.0)
            nats = gaussian_nats(mean, logvar.exp(), codes.continuous)
            information = information + s.continuous * (log(2.0) - nats)
            terms["continuous"] = s.continuous_weight * s.continuous * nats
        return terms, information

    def d_loss(batch: Batch) -> Terms:
        """-E log D(x) - E log(1 - D(G(z))) - lambda E[log Q(c | G(z))]; ``information`` is L_I."""
        z = model.prior(len(batch))
        with torch.no_grad():
            made = model.generator(z)
        real, fake = model.seen(batch.x.to(made.dtype), batch), model.seen(made, batch)
        real_scores, fake_scores = model.scores(real, fake)
        terms, information = unknown(made, z, batch)
        return {
            "d": {"real": real_loss(real_scores), "fake": fake_loss(fake_scores), **terms},
            MONITOR: {
                **monitors(real_scores, fake_scores, logits=True),
                "information": information.detach(),
            },
        }

    def g_loss(batch: Batch) -> Terms:
        """-E log D(G(z)) - lambda E[log Q(c | G(z))], on fresh noise and codes."""
        z = model.prior(len(batch))
        made = model.generator(z)
        with model.d_statistics_held():
            terms, _ = unknown(made, z, batch)
            scores = model.discriminate(model.seen(made, batch))
        return {"g": {"adversarial": real_loss(scores), **terms}}

    return model.trained_by(*alternating_phases(d_loss, g_loss, n_critic=s.n_critic))


def gaussian_nats(mean: Tensor, variance: Tensor, x: Tensor) -> Tensor:
    """-log N(x; mean, variance) in nats, the mean over all values, 0-dim.

    As `torch.nn.functional.gaussian_nll_loss`, which reads the variances back to check their sign,
    so that a GPU would wait in each step.
    """
    squared = (mean - x) ** 2 / variance
    return (0.5 * (variance.log() + squared) + 0.5 * log(2 * pi)).mean()


def recogniser(head: nn.Module, s: InfoGANSettings) -> nn.Sequential:
    """D's features (B, F) -> the logits of the category, means and log-variances of the codes."""
    from torch import nn

    assert isinstance(head, nn.Linear), "D ends in a linear layer"
    return nn.Sequential(
        nn.Linear(head.in_features, s.q_hidden),
        nn.LeakyReLU(0.2),
        nn.Linear(s.q_hidden, s.categories + 2 * s.continuous),
    )
