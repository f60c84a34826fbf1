"""The contracts between the engine, the plugins and the evaluation.

A model declares *what* is optimised (stages, phases, losses, optimizers); the engine owns *how*
(precision, accumulation, clipping, EMA, compile, checkpoint, resume). Nothing here imports torch,
so that listings stay fast; the tensor types are names for the reader and the type checker.

Conventions: ``x`` is float in [-1, 1], shaped (B, C, H, W), or (B, D) for point data; ``y`` holds
int64 labels (B,) or is None; ``z`` is a latent sample from the prior; ``h`` is what a
discriminator sees: the image for a GAN, the latent code for a latent GAN; a logit is (B,).

One use of it, a VAE in full::

    class VAE:
        def __init__(self, settings, data):
            self.nets = nn.ModuleDict({"encoder": ..., "decoder": ...})

        def optimizers(self):
            return {"vae": Optimizer(nets=("encoder", "decoder"), kind="adam", lr=1e-3)}

        def stages(self):
            phase = Phase(name="elbo", loss=self.loss, updates=("vae",))
            return (Stage(name="train", phases=(phase,), validate=self.validate),)

        def loss(self, batch):
            ...
            return {"vae": {"bce": bce, "kl": kl}}   # summed, then differentiated
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor, nn

MONITOR = "monitor"
"""A key of a phase's loss beside the optimizers' names: values to record, never differentiated."""


# --- data -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """What is known of a data set before it is read.

    ``shape`` is (C, H, W) for images or (D,) for point data, without the batch. ``train`` and
    ``test`` are the sizes of the splits, 0 where they are not known before reading. ``latent``:
    samples are codes of a trained model, of about unit scale, which `Data.render` decodes to
    samples of ``source``, the data that were encoded.
    """

    name: str
    shape: tuple[int, ...]
    classes: int | None = None
    class_names: tuple[str, ...] = ()
    train: int = 0
    test: int = 0
    latent: bool = False
    source: DataSpec | None = None

    @property
    def shown(self) -> DataSpec:
        """What samples are once they are rendered: the source of a latent space, or this."""
        return self if self.source is None else self.source.shown

    @property
    def is_image(self) -> bool:
        """Whether a sample has the shape of an image, (C, H, W); spatial latents have it too."""
        return len(self.shape) == 3

    @property
    def bounded(self) -> bool:
        """Whether values lie in [-1, 1], as pixels do; points and latents lie anywhere."""
        return self.is_image and not self.latent


@dataclass(frozen=True, kw_only=True)
class Split:
    """One part of a data set, decoded.

    ``x`` is uint8 (N, C, H, W), possibly a memory map, or float32 (N, *shape) for points and
    latents; ``y`` is int64 (N,) or None; ``digest`` names the content (hex), for caches and
    protocols: after loading it is or contains a hash of it (`genbench.engine.data_check`).
    """

    x: np.ndarray[Any, Any]
    y: np.ndarray[Any, Any] | None
    digest: str


@dataclass(frozen=True, kw_only=True)
class Data:
    """A data set, ready for training: its splits, and how a sample becomes an image.

    ``render`` is None where a sample is an image already. A data set that is the latent space of
    a finished run sets it to that run's decoder: (B, *shape) -> (B, C, H, W) in [-1, 1], and
    ``source`` to the data whose samples were encoded: with those, what is rendered is compared.
    ``augment`` is applied to each training minibatch (B, *shape) in [-1, 1], on its device, and
    may draw from the global generators (which a resume puts back): dynamic binarisation, random
    flips. It keeps shape and type. What a `Stage.prepare` encodes once is not augmented.
    """

    spec: DataSpec
    train: Split
    test: Split
    render: Callable[[Tensor], Tensor] | None = None
    augment: Callable[[Tensor], Tensor] | None = None
    source: Data | None = None


@dataclass(frozen=True, kw_only=True)
class SourceRunHead:
    """What is known of a finished run before torch is there: enough to describe its latents.

    ``data`` describes the data set that it was trained on; ``latent_shape`` is that of its codes
    (see `genbench.ModelSettings.latent_shape`), and ``classes`` the number of classes where they
    are decoded with a label; ``experiment`` names it whatever its seed.
    """

    run: str
    model: str
    experiment: str
    data: DataSpec
    latent_shape: tuple[int, ...]
    classes: int | None = None


@dataclass(frozen=True, kw_only=True)
class SourceRun:
    """A finished run's model, frozen in eval mode on the CPU, with the data it was trained on.

    ``model`` encodes and decodes (`Encodes`, `Decodes`); ``digest`` names its weights (hex).
    """

    head: SourceRunHead
    model: Any
    data: Data
    digest: str


class FinishedRuns(Protocol):
    """The finished runs of the store in use, for data that is made of them."""

    def head(self, reference: str) -> SourceRunHead:
        """Find a run by id, prefix, name or @1. No torch is imported.

        Raises UsageError where it isn't finished, IncompatibleError where it has no latent space.
        """

    def lend(self, run: str) -> SourceRun:
        """Build the model of a run, by its id, and put its last weights in."""


@dataclass(frozen=True, kw_only=True)
class DataAccess:
    """Where data may come from: the torchvision root, the cache, and whether to download.

    ``progress(what, done, total)`` is told of downloads (bytes) and decoding (images). ``runs``
    are the finished runs that may lend their latent space (None: no store is at hand).
    """

    root: Path
    cache: Path
    offline: bool = False
    progress: Callable[[str, int, int | None], None] | None = None
    runs: FinishedRuns | None = None


class Dataset(Protocol):
    """A data set plugin: ``Dataset(settings)``; its settings describe it without reading it.

    The settings class (see `genbench.DatasetSettings`) has ``describe(access) -> DataSpec``,
    which imports neither torch nor numpy.
    """

    def load(self, access: DataAccess) -> Data:
        """Read, decode once and cache. Raises DataError with the file and the fix."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One minibatch on the run's device.

    ``step`` counts the iterations of the stage from 0 and ``steps`` is their number, for warm-ups.
    """

    x: Tensor
    y: Tensor | None = None
    step: int = 0
    steps: int = 1

    def __len__(self) -> int:
        return len(self.x)


# --- training -------------------------------------------------------------------------------

Terms = Mapping[str, Mapping[str, "Tensor"]]
"""Optimizer name -> named 0-dim loss terms; they are summed and differentiated per optimizer."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The learning rate over the steps of a stage, as a factor on the base rate.

    ``warmup`` is the share of the steps (0 to 1) in which the rate rises linearly from 0. After
    it: constant; linear or cosine from 1 to ``final``; or step: times ``gamma`` every ``every``
    share of the stage.
    """

    kind: Literal["constant", "linear", "cosine", "step"] = "constant"
    warmup: float = 0.0
    final: float = 0.0
    gamma: float = 0.5
    every: float = 0.25


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """The settings of one optimizer and the names of the ``nets`` whose parameters it owns.

    A parameter belongs to one optimizer at most. ``clip_norm`` bounds the gradient norm of all
    its parameters together (None: the run's setting).
    """

    nets: tuple[str, ...]
    kind: Literal["adam", "adamw", "sgd", "rmsprop"] = "adam"
    lr: float = 2e-4
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    momentum: float = 0.0
    weight_decay: float = 0.0
    clip_norm: float | None = None
    schedule: Schedule = field(default_factory=Schedule)


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One player's move: a loss and the optimizers that step on it.

    Law: no gradient of this loss reaches a weight that ``updates`` doesn't own.

    ``loss(batch)`` returns terms for each optimizer in ``updates``, and perhaps ``MONITOR``
    values. ``every``: only each n-th iteration (lazy regularisation). ``repeat``: so many moves
    an iteration, each on a fresh batch (n_critic). ``compile``: False for double backward.
    ``after(terms)`` runs without gradients after the step (BEGAN's k, WGAN's clipping).
    """

    name: str
    loss: Callable[[Batch], Terms]
    updates: tuple[str, ...]
    every: int = 1
    repeat: int = 1
    compile: bool = True
    after: Callable[[Terms], None] | None = None


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A part of the training with its own phases, run to its end before the next.

    ``epochs`` None means the run's own ``--epochs``. ``prepare(x, generator)`` gets all training
    samples (in order, minibatch by minibatch, in [-1, 1]) before the stage starts and returns for
    each a tensor (B, ...) that the stage sees as ``batch.x`` in their place: data encoded once.
    It must be a function of the weights and the generator alone, for a resumed stage calls it
    again. ``fit(x)``, if given, then sees the whole of it once, to set statistics in buffers.
    ``fit_buffers(chunks)``, if given, sees all training samples as they are, minibatch by
    minibatch, before anything else, to set buffers that depend on the data alone (a mean image).
    A stage without phases takes one epoch of no steps: what its ``fit`` fits to the whole of
    the data by other means than gradients (a mixture on the latents) is its result, to be kept in
    buffers; its seconds count as the stage's preparation.
    ``validate(batch)`` returns named 0-dim means over a batch of the test split, recorded each
    epoch.
    ``epoch_ended(epoch)``, if given, is called after the stage's epoch of that number (from 1),
    before validation, scores and checkpoint: without gradients, in eval mode, with generators
    seeded for that epoch alone. It may change parameters and buffers of ``nets`` and nothing else
    (unused codes are placed again, a temperature falls), so that a resumed run ends bitwise equal.
    Its seconds are training.
    """

    name: str
    phases: tuple[Phase, ...]
    epochs: int | None = None
    prepare: Callable[[Tensor, torch.Generator], Tensor] | None = None
    fit: Callable[[Tensor], None] | None = None
    fit_buffers: Callable[[Iterator[Tensor]], None] | None = None
    validate: Callable[[Batch], Mapping[str, Tensor]] | None = None
    epoch_ended: Callable[[int], None] | None = None


@runtime_checkable
class Model(Protocol):
    """A model plugin: ``Model(settings, data: DataSpec)`` builds its networks on the CPU.

    All that it remembers lives in parameters and buffers of ``nets``, so that a checkpoint is
    whole by construction. ``averaged`` names the nets that an EMA follows when a run asks for one.
    A model or a module whose loss compares the samples of a batch, as batch normalisation does,
    may say so by ``mixes_samples = True``: advice on memory then tells what chunks change.
    """

    nets: nn.ModuleDict
    averaged: tuple[str, ...]

    def optimizers(self) -> Mapping[str, Optimizer]:
        """The optimizers by name."""

    def stages(self) -> Sequence[Stage]:
        """The stages in order."""


# --- capabilities: what a model can do, asked for by samplers, metrics and pictures -----------


@runtime_checkable
class Generates(Protocol):
    """z ~ prior, h = generate(z), x = render(h), or h itself if the model has no ``render``.

    The prior is N(0, I); a model whose prior is U(-1, 1) in each dimension says so by an attribute
    ``prior_kind = "uniform"`` (see `prior_kind`). A model whose ``generate`` jumps as z moves (z
    picks a component of a mixture, or discrete codes) says so by ``piecewise = True``: the way
    between two of its samples then goes through their codes.
    """

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw (n, ...) latents on the model's device; the generator, if given, is a CPU one."""

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Map latents to ``h``, differentiably."""


@runtime_checkable
class Renders(Protocol):
    """h -> x, for a model that generates something else than samples, such as latent codes."""

    def render(self, h: Tensor) -> Tensor:
        """Map ``h`` to samples (B, *shape) in [-1, 1], differentiably."""


@runtime_checkable
class Discriminates(Protocol):
    """h -> logit of 'real': an estimate of log p_data(h) - log p_model(h).

    A critic, or minus an energy, is a score that rises with realness and no logit as it stands;
    a sampler's calibration makes one of it.
    """

    def discriminate(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        """Logits (B,), differentiable in ``h``."""


@runtime_checkable
class Embeds(Protocol):
    """x -> h of a real sample, for a model whose discriminator judges something else than x.

    Where a model lacks it, h is x itself.
    """

    def embed(self, x: Tensor) -> Tensor:
        """What the discriminator sees of real samples (B, *shape): ``h``, as in training."""


@runtime_checkable
class Encodes(Protocol):
    """x -> the parameters of the posterior over the codes of x.

    A code is the VAE's z; a model that generates from something else than its codes (a latent
    GAN, a mixture fitted to them) has both, and `Decodes` goes from codes to samples.
    """

    def encode(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, each (B, *code): (B, z_dim), or (B, C, H, W) for spatial codes.

        Log-variance -inf where the code is certain (a plain autoencoder).
        """


@runtime_checkable
class Decodes(Protocol):
    """code -> x, for the codes that ``encode`` gives."""

    def decode(self, code: Tensor, y: Tensor | None = None) -> Tensor:
        """Samples (B, *shape) in [-1, 1] of codes (B, *code), differentiable in them."""


@runtime_checkable
class Reconstructs(Protocol):
    """x -> the model's own rendering of it, without noise."""

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Reconstructions (B, *shape) in [-1, 1]."""


@runtime_checkable
class Conditional(Protocol):
    """The model takes labels ``y``: int64 (B,) in 0 .. classes - 1.

    ``generate`` and ``decode`` also take float (B, classes), the weights of a mixture of classes
    (rows sum to 1), so that one class can be turned into another.
    """

    classes: int


@runtime_checkable
class HasLikelihood(Protocol):
    """p(x|z) is a density or a mass.

    An attribute ``likelihood`` names it for the protocols of scores; ``"bernoulli"`` is a mass on
    black and white pixels, and no score takes it for a likelihood of grey ones.
    """

    def log_likelihood(self, x: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
        """log p(x|z) in nats, (B,). Raises UsageError where the settings leave none."""


@runtime_checkable
class HasDensity(Protocol):
    """The model knows p(x) exactly: a flow, an autoregressive model, a product of known laws.

    It is a density with respect to the volume of ``x`` as the model gets it, all values of a sample
    together: pixels in [-1, 1], points in the unit of their data. Images of 256 grey levels have
    none; they are asked for as `genbench.dequantized` spreads them, and so should a model be
    trained. A conditional model gives p(x|y).
    """

    def log_density(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """log p(x) in nats, (B,), of samples (B, *shape); -inf where the density is 0."""


@runtime_checkable
class Translates(Protocol):
    """x -> x in the style of the domain ``y``."""

    def translate(self, x: Tensor, y: Tensor) -> Tensor:
        """Translations (B, *shape) in [-1, 1]."""


CAPABILITIES: Mapping[str, type] = {
    "generates": Generates,
    "discriminates": Discriminates,
    "embeds": Embeds,
    "encodes": Encodes,
    "decodes": Decodes,
    "reconstructs": Reconstructs,
    "conditional": Conditional,
    "has-likelihood": HasLikelihood,
    "has-density": HasDensity,
    "translates": Translates,
}
"""The capabilities by the names that registrations, samplers and messages use."""


def samples_data(data: Data) -> Data:
    """The data that rendered samples are compared with: the source of a latent space, or itself."""
    return data if data.source is None else samples_data(data.source)


def rendered(model: Any, h: Tensor) -> Tensor:
    """The samples (B, *shape) of ``h`` as ``generate`` gives it: render(h), or h itself."""
    return model.render(h) if isinstance(model, Renders) else h


def prior_kind(model: Any) -> Literal["normal", "uniform"]:
    """The law of a model's prior: N(0, I), or U(-1, 1) in each dimension."""
    kind: Literal["normal", "uniform"] = getattr(model, "prior_kind", "normal")
    return kind


# --- sampling and scoring -------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class SampleContext:
    """What a sampler works with.

    ``generator`` is a CPU generator, the only source of randomness. ``real(n)`` yields minibatches
    of the ``h`` of real samples held out from training (n of the test split at random, or all),
    for calibration; ``training(n)`` those of n random training samples, for further training of a
    discriminator; ``real_labels(n)`` and ``training_labels(n)`` are the int64 labels of the same
    samples, where the data has some. ``labels`` (n,) asks a conditional model for classes.
    """

    device: torch.device
    generator: torch.Generator
    batch_size: int = 500
    labels: Tensor | None = None
    real: Callable[[int], Iterator[Tensor]] | None = None
    training: Callable[[int], Iterator[Tensor]] | None = None
    real_labels: Callable[[int], Tensor] | None = None
    training_labels: Callable[[int], Tensor] | None = None


class Sampler(Protocol):
    """A sampler plugin: ``Sampler(settings)``.

    ``requires`` names the capabilities a model must have (keys of CAPABILITIES). A sampler that
    can't go on, such as one that accepts nothing, raises SamplingError from ``draw``. It may also
    have ``exactness() -> str``, a clause that says what its draws are exact for, told beside them.
    """

    requires: tuple[str, ...]

    def draw(self, model: Any, n: int, context: SampleContext) -> Iterator[Tensor]:
        """Yield minibatches of samples in [-1, 1], n in all, (b, *shape) as rendered."""

    def diagnostics(self) -> Mapping[str, float]:
        """Figures of the last draw, such as acceptance; empty for plain sampling.

        They must be there too after ``draw`` was left early or raised.
        """


@dataclass(frozen=True, kw_only=True)
class Score:
    """One measured value and how it was taken.

    ``protocol`` holds all that decides the number (extractor and weights digest, layer, n,
    reference split and digest, resize, implementation); scores are compared only where it is
    equal. ``floor`` is the same measure of real against real at the same n; a ``direction`` of
    "floor" means that neither less nor more is better but what is near it. Where it was taken
    over several ``draws``, value and std are those draws' mean and standard deviation (n - 1),
    and ``n`` is the number of samples in one.
    """

    metric: str
    value: float
    std: float | None = None
    n: int
    draws: int = 1
    direction: Literal["min", "max", "floor"] = "min"
    unit: str = ""
    floor: float | None = None
    protocol: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class MetricContext:
    """What a metric works with: the data, the model in eval mode, places and limits.

    ``n`` is the number of samples that will come; ``cache`` a folder for reference statistics.
    ``quick`` is a look between two epochs: nothing dear may be made ready for it (UsageError).
    """

    data: Data
    model: Any
    device: torch.device
    cache: Path
    n: int
    seed: int = 0
    offline: bool = False
    batch_size: int = 500
    quick: bool = False


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A grid of images, uint8 (N, C, H, W) on the CPU, row by row; the last row may be short.

    ``about`` is the beginning of its caption. ``row_names`` stand at the left and ``column_names``
    beneath; "" is no name. ``groups`` are headings over columns, from the left, each with the
    number of its columns; ``rows_together`` is the number of rows that belong together. There is a
    gap between groups of columns or rows.
    """

    images: Tensor
    columns: int = 8
    about: str = ""
    row_names: Sequence[str] = ()
    column_names: Sequence[str] = ()
    groups: Sequence[tuple[str, int]] = ()
    rows_together: int = 0

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return -(-len(self.images) // self.columns)


class Metric(Protocol):
    """A metric plugin: ``Metric(settings)``; one draw of samples feeds all metrics of a run.

    ``uses`` says what it measures: "samples" (it gets every minibatch by ``update``) or "model"
    (it works on ``context.model`` alone and gets none). ``requires`` names capabilities.
    Memory must not grow with the number of samples, but for features. A metric may also have
    ``pictures() -> Mapping[str, Picture]``, asked for after ``result``: kept with the run by name.
    """

    uses: Literal["samples", "model"]
    requires: tuple[str, ...]

    def begin(self, context: MetricContext) -> None:
        """Start afresh with the reference ready. Raises UsageError or DataError without one."""

    def update(self, images: Tensor) -> None:
        """Take a minibatch of samples: uint8 (b, C, H, W), or float (b, D) for point data."""

    def result(self) -> Sequence[Score]:
        """The scores."""
