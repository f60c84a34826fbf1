"""The contracts between the engine, the plugins and the evaluation.

A model declares *what* is optimised (stages, phases, losses, optimizers); the engine owns *how*
(precision, accumulation, clipping, EMA, compile, checkpoint, resume). Nothing here imports torch,
so that listings stay fast; the tensor types are for the reader and the type checker only.

Conventions: ``x`` is float in [-1, 1], shaped (B, C, H, W), or (B, D) for point data; ``y`` holds
int64 labels (B,) or is None; ``z`` is a latent sample from the prior; ``h`` is what a
discriminator sees: the image for a GAN, the latent code for a latent GAN; a logit is (B,).

For example, a VAE::

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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor, nn

MONITOR = "monitor"
"""A key of a phase's loss besides the optimizers' names: values to record, not to differentiate."""


TEST = "test"
"""The split that scores are computed on unless another one is asked for."""

HELD_OUT = 1 / 6
"""The share of the training split that is held out for validation; 10,000 of MNIST's images."""


# --- data -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """The description of a data set before it is read.

    ``shape`` is (C, H, W) for images or (D,) for point data, without the batch dimension. ``train``
    and ``test`` are the sizes of the splits, or 0 if they are not known before reading. If
    ``latent`` is true, samples are codes of a trained model, of about unit scale, which
    `Data.render` decodes to samples of ``source``, the encoded data.

    If a class is a combination of yes-or-no ``attributes``, there are 2 ** len(attributes) classes,
    and the number of a class has a binary digit for each attribute, the highest for the first.
    """

    name: str
    shape: tuple[int, ...]
    classes: int | None = None
    class_names: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    train: int = 0
    test: int = 0
    latent: bool = False
    source: DataSpec | None = None

    def scored_on(self, split: str) -> DataSpec:
        """This description with the expected sizes of the splits if some samples are held out."""
        if split == TEST or self.latent or not self.train:
            return self
        held_out = round(HELD_OUT * self.train)
        return replace(self, train=self.train - held_out, test=held_out)

    @property
    def shown(self) -> DataSpec:
        """The description of rendered samples: the source of a latent space, or this."""
        return self if self.source is None else self.source.shown

    @property
    def is_image(self) -> bool:
        """Whether a sample has the shape of an image, (C, H, W), which spatial latents have too."""
        return len(self.shape) == 3

    @property
    def bounded(self) -> bool:
        """Whether values are in [-1, 1], as for pixels; points and latents are not bounded."""
        return self.is_image and not self.latent


@dataclass(frozen=True, kw_only=True)
class Split:
    """One part of a data set, decoded.

    ``x`` is uint8 (N, C, H, W), possibly a memory map, or float32 (N, *shape) for points and
    latents; ``y`` is int64 (N,) or None; ``digest`` (hex) identifies the content for caches and
    protocols: after loading, it includes a hash of the content (`genbench.engine.data_check`).
    """

    x: np.ndarray[Any, Any]
    y: np.ndarray[Any, Any] | None
    digest: str


@dataclass(frozen=True, kw_only=True)
class Data:
    """A data set that is ready for training: its splits, and how a sample becomes an image.

    ``render`` is None if a sample is an image. For the latent space of a finished run, ``render``
    is the decoder of that run, (B, *shape) -> (B, C, H, W) in [-1, 1]; ``encode`` is its encoder,
    from such images, and labels (B,) or None, to (B, *shape); and ``source`` is the encoded data,
    with which rendered samples are compared. ``augment`` is applied to each training minibatch
    (B, *shape) in [-1, 1], on its device; it may draw from the global generators (which a resume
    restores), as for dynamic binarisation or random flips, and must keep shape and type.
    Samples that `Stage.prepare` encodes once are not augmented.

    ``scored_on`` is set by the runner: "test", or "validation" or "search" if ``test`` has samples
    that are held out of the training split (see `genbench.spec.RunSpec`).
    """

    spec: DataSpec
    train: Split
    test: Split
    render: Callable[[Tensor], Tensor] | None = None
    encode: Callable[[Tensor, Tensor | None], Tensor] | None = None
    augment: Callable[[Tensor], Tensor] | None = None
    source: Data | None = None
    scored_on: str = "test"


@dataclass(frozen=True, kw_only=True)
class SourceRunHead:
    """The description of the latents of a finished run, which is read without importing torch.

    ``data`` describes the data set that it was trained on, and ``latent_shape`` is the shape of its
    codes (see `genbench.ModelSettings.latent_shape`). ``classes`` is the number of classes if codes
    are decoded with a label; ``experiment`` identifies the run up to its seed.
    """

    run: str
    model: str
    experiment: str
    data: DataSpec
    latent_shape: tuple[int, ...]
    classes: int | None = None


@dataclass(frozen=True, kw_only=True)
class SourceRun:
    """The model of a finished run, frozen in eval mode on the CPU, with its training data.

    ``model`` encodes and decodes (`Encodes`, `Decodes`); ``digest`` (hex) identifies its weights.
    """

    head: SourceRunHead
    model: Any
    data: Data
    digest: str


class FinishedRuns(Protocol):
    """The finished runs of the store in use, for data sets that are built from runs."""

    def head(self, reference: str) -> SourceRunHead:
        """Find a run by id, prefix, name or @1, without importing torch.

        Raises UsageError if it isn't finished, IncompatibleError if it has no latent space.
        """

    def load(self, run: str) -> SourceRun:
        """Build the model of a run, by its id, with its last weights."""


@dataclass(frozen=True, kw_only=True)
class DataAccess:
    """The sources of data: the torchvision root, the cache, and whether downloads are allowed.

    ``progress(what, done, total)`` is called during downloads (bytes) and decoding (images).
    ``runs`` are the finished runs for data sets of latents (None: there is no store).
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

    ``step`` counts the iterations of the stage from 0, and ``steps`` is their number, for warm-ups.
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

    ``warmup`` is the share of the steps (0 to 1) in which the rate increases linearly from 0, and
    ``hold`` the share after it in which it stays constant. After that, "constant" keeps the rate,
    "linear" and "cosine" decrease the factor from 1 to ``final``. "step" multiplies it by ``gamma``
    after each share ``every`` of the stage.
    """

    kind: Literal["constant", "linear", "cosine", "step"] = "constant"
    warmup: float = 0.0
    hold: float = 0.0
    final: float = 0.0
    gamma: float = 0.5
    every: float = 0.25


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """The settings of one optimizer, and the names of the ``nets`` that it updates.

    A parameter belongs to at most one optimizer. ``clip_norm`` bounds the gradient norm over all
    its parameters (None: the setting of the run).
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
    """A loss, and the optimizers that take a step on it.

    Law: no gradient of this loss reaches a weight that the optimizers in ``updates`` don't own.

    ``loss(batch)`` returns terms for each optimizer in ``updates``, and optional ``MONITOR``
    values. With ``every``, the phase runs in every n-th iteration only (lazy regularisation);
    ``repeat`` is the number of updates per iteration, each on a new batch (n_critic). ``compile``
    must be False for double backward. ``after(terms)`` is called without gradients after the step
    (BEGAN's k, WGAN's clipping).
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
    """A part of the training with its own phases, which ends before the next stage begins.

    ``epochs`` None means the run's ``--epochs``. All functions are optional:

    - ``begin(batches)`` is called once, before everything else and never when a stage is resumed in
      the middle, with random training minibatches as in an epoch, without gradients, in eval mode,
      with generators seeded for this stage. It may replace modules, parameters and buffers of
      ``nets`` by others with other shapes, as pruning does; the model then has `Reshapes`. A stage
      without phases that begins has one epoch without steps.
    - ``prepare(x, generator)`` gets all training samples (in order, one minibatch at a time, in
      [-1, 1]) before the stage starts, and returns a tensor (B, ...) for each, which the stage uses
      as ``batch.x``: data that is encoded once. It must depend on the weights and the generator
      only, since a resumed stage calls it again.
    - ``fit(x)`` then gets all prepared samples at once, to set statistics in buffers. A stage
      without phases has one epoch without steps, and its result is what ``fit`` stores in buffers,
      such as a mixture on the latents; the seconds count as preparation.
    - ``fit_buffers(chunks)`` gets all original training samples, one minibatch at a time, before
      anything else, to set buffers that depend on the data only (a mean image).
    - ``validate(batch)`` returns named 0-dim means over a batch of the test split, which are
      recorded each epoch.
    - ``epoch_ended(epoch)`` is called after each epoch of the stage (counted from 1), before
      validation, scores and checkpoint, without gradients, in eval mode, with generators seeded for
      that epoch. It may only change parameters and buffers of ``nets`` (to reset unused codes, or
      to lower a temperature), so that a resumed run ends bitwise equal. Its seconds count as
      training.
    """

    name: str
    phases: tuple[Phase, ...]
    epochs: int | None = None
    begin: Callable[[Iterator[Batch]], None] | None = None
    prepare: Callable[[Tensor, torch.Generator], Tensor] | None = None
    fit: Callable[[Tensor], None] | None = None
    fit_buffers: Callable[[Iterator[Tensor]], None] | None = None
    validate: Callable[[Batch], Mapping[str, Tensor]] | None = None
    epoch_ended: Callable[[int], None] | None = None


@runtime_checkable
class Model(Protocol):
    """A model plugin: ``Model(settings, data: DataSpec)`` builds its networks on the CPU.

    Its whole state must be in parameters and buffers of ``nets``, so that checkpoints are complete.
    ``averaged`` names the nets for the EMA of a run. If a loss depends on which samples share a
    batch, other than by batch normalisation, the model or module should set ``mixes_samples =
    True``; it is then not split over several devices, and hints on memory mention the effect of
    microbatches.
    """

    nets: nn.ModuleDict
    averaged: tuple[str, ...]

    def optimizers(self) -> Mapping[str, Optimizer]:
        """The optimizers by name."""

    def stages(self) -> Sequence[Stage]:
        """The stages in order."""


@runtime_checkable
class Reshapes(Protocol):
    """A model with nets that change their shapes in training (see `Stage.begin`)."""

    def reshape(self, tensors: Mapping[str, Tensor]) -> None:
        """Give ``nets`` the names, shapes and types of the tensors of a checkpoint.

        The values are loaded afterwards, strictly.
        """


# --- capabilities of models, required by samplers, metrics and pictures ------------------------


@runtime_checkable
class Generates(Protocol):
    """z ~ prior, h = generate(z), x = render(h), or h itself if the model has no ``render``.

    The prior is N(0, I), unless the model sets ``prior_kind = "uniform"`` for U(-1, 1) in each
    dimension (see `prior_kind`). If ``generate`` is not continuous in z (z selects a component of a
    mixture, or discrete codes), the model sets ``piecewise = True``; samples are then interpolated
    through their codes. If ``generate`` evaluates its network several times, one after the other,
    the model sets ``evaluations`` to that number (see `evaluations`).
    """

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw (n, ...) latents on the model's device; ``generator`` is a CPU generator.

        Without one, as in training, they must be drawn on the device, since a copy from the CPU in
        each step makes a GPU wait.
        """

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

    A critic, or minus an energy, is higher for real samples but is not a logit; samplers calibrate
    it.
    """

    def discriminate(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        """Logits (B,), differentiable in ``h``."""


@runtime_checkable
class Embeds(Protocol):
    """x -> h of a real sample, for a model with a discriminator of something other than x.

    For models without it, h is x itself.
    """

    def embed(self, x: Tensor) -> Tensor:
        """The input ``h`` of the discriminator for real samples (B, *shape), as in training."""


@runtime_checkable
class Encodes(Protocol):
    """x -> the parameters of the posterior over the codes of x.

    For a VAE, the code is z. A model that generates from something other than its codes (a latent
    GAN, or a mixture fitted to the codes) has both; `Decodes` maps codes to samples.
    """

    def encode(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, each (B, *code): (B, z_dim), or (B, C, H, W) for spatial codes.

        The log-variance is -inf for a deterministic code (a plain autoencoder).
        """


@runtime_checkable
class Decodes(Protocol):
    """code -> x, for the codes of ``encode``."""

    def decode(self, code: Tensor, y: Tensor | None = None) -> Tensor:
        """Samples (B, *shape) in [-1, 1] for codes (B, *code), differentiable in the codes."""


@runtime_checkable
class Reconstructs(Protocol):
    """x -> its reconstruction, without noise."""

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Reconstructions (B, *shape) in [-1, 1]."""


@runtime_checkable
class Conditional(Protocol):
    """The model takes labels ``y``: int64 (B,) in 0 .. classes - 1.

    ``generate`` and ``decode`` also accept float (B, classes), the weights of a mixture of classes
    (rows sum to 1), to interpolate between classes.
    """

    classes: int


@runtime_checkable
class HasLikelihood(Protocol):
    """p(x|z) is a density or a mass.

    An attribute ``likelihood`` names it for the protocols of scores; ``"bernoulli"`` is a mass on
    black and white pixels, which scores don't accept as a likelihood of grey pixels.
    """

    def log_likelihood(self, x: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
        """log p(x|z) in nats, (B,). Raises UsageError if the settings leave none."""


@runtime_checkable
class HasDensity(Protocol):
    """The model computes p(x) exactly: a flow, or an autoregressive model.

    It is the joint density of all values of a sample ``x`` as the model gets it: pixels in [-1, 1],
    points in the unit of their data. Images with 256 grey levels have no density; they are
    evaluated after `genbench.dequantized`, and a model should be trained in the same way. A
    model of the levels themselves spreads the mass of a level evenly over its width, which is
    exact: log p(x) = log P(levels) + D log 128. A conditional model returns p(x|y).

    With an attribute ``likelihood = "bernoulli"``, as of `HasLikelihood`, it is the mass of black
    and white pixels, -1 and 1, and scores evaluate it without noise.
    """

    def log_density(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """log p(x) in nats, (B,), for samples (B, *shape); -inf if the density is 0."""


@dataclass(frozen=True, kw_only=True)
class NoisePath:
    """The path from noise to samples, of a model that is sampled by integrating over time.

    At the time t, a sample x with the noise n ~ N(0, I) is x_t = signal(t) x + noise(t) n. A draw
    goes from ``start``, where ``signal`` is 0 or negligible beside ``noise``, to ``end``, where
    x_t = x: signal(end) = 1 and noise(end) = 0. Time may rise (flow matching: 0 to 1) or fall (EDM:
    t is the noise level, 80 to 0).

    ``times(steps)`` are the model's own steps + 1 times of a draw, from ``start`` to ``end``;
    ``steps`` and ``solver`` are its defaults for the deterministic draw. ``least`` is the distance
    of the last time but one from ``end`` in the schedule of EDM. If ``bounded`` is true, samples
    are in [-1, 1], and samplers clamp them.
    """

    start: float
    end: float
    signal: Callable[[float], float]
    noise: Callable[[float], float]
    times: Callable[[int], Sequence[float]]
    least: float
    steps: int
    solver: Literal["euler", "midpoint", "heun"] = "heun"
    bounded: bool = False


@runtime_checkable
class HasVelocity(Protocol):
    """The model is drawn by integrating dx/dt = velocity(x, t) along its ``path``.

    The noise at ``path.start`` is noise(start) times the draw of a normal ``prior``. If a velocity
    takes several passes through the network, as with guidance, the model sets ``passes`` to their
    number.
    """

    path: NoisePath

    def velocity(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """dx/dt, (B, *shape), at x (B, *shape) and the times t (B,), float.

        Samplers don't ask for it at ``path.end``, where some models have none.
        """


@runtime_checkable
class Denoises(Protocol):
    """The model estimates the sample in an x with the noise of its ``path``.

    Like the velocity, the estimate may take several ``passes``.
    """

    path: NoisePath

    def denoise(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """E[sample | x at the time t], (B, *shape), for x (B, *shape) and times t (B,), float."""


@runtime_checkable
class Translates(Protocol):
    """x -> x as it would be in another domain: with the class ``y``, int64 (B,)."""

    def translate(self, x: Tensor, y: Tensor, own: Tensor | None = None) -> Tensor:
        """Translations (B, *shape), bounded as the data is, differentiable in ``x``.

        ``own`` are the classes of x itself, which some models need (`UsageError` without them).
        """


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
    "has-velocity": HasVelocity,
    "denoises": Denoises,
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


def evaluations(model: Any) -> int:
    """How often ``generate`` evaluates the network for a sample: once, unless the model says so."""
    return int(getattr(model, "evaluations", 1))


# --- sampling and scoring -------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class SampleContext:
    """The context of a sampler.

    ``generator`` is a CPU generator, the only source of randomness. ``real(n)`` yields minibatches
    of ``h`` for held-out real samples (n random samples of the test split, or all), for
    calibration; ``training(n)`` those for n random training samples, for further training of a
    discriminator. ``real_labels(n)`` and ``training_labels(n)`` are the int64 labels of the same
    samples, if the data has labels. ``labels`` (n,) are the classes for a conditional model.
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

    ``requires`` names the capabilities that a model must have (keys of CAPABILITIES). A sampler
    that can't continue, such as one that accepts no proposal, raises SamplingError from ``draw``.
    An optional method ``exactness() -> str`` describes whether its draws are exact.
    """

    requires: tuple[str, ...]

    def draw(self, model: Any, n: int, context: SampleContext) -> Iterator[Tensor]:
        """Yield minibatches of samples in [-1, 1], n in all, (b, *shape) as rendered."""

    def diagnostics(self) -> Mapping[str, float]:
        """Diagnostics of the last draw, such as acceptance.

        They must be available even if ``draw`` was not exhausted or raised an error. ``nfe`` is the
        number of function evaluations of a sample: passes through the network, one after the other.
        """


COST_UNITS = ("B", "ms", "s", "1/s", "MAC", "weights")
"""Units of what samples cost: bytes, times, rates, operations, numbers of weights.

Scores with these units rank runs only where a person asks for it.
"""


@dataclass(frozen=True, kw_only=True)
class Score:
    """One value of a metric, and how it was computed.

    ``protocol`` has everything that the value depends on (extractor and digest of its weights,
    layer, n, reference split and digest, resize, implementation); only scores with equal protocols
    are compared. ``floor`` is the score of real data against real data with the same n; a
    ``direction`` of "floor" means that values close to it are best. With several repeats
    (``draws``), value and std are their mean and standard deviation (n - 1), and ``n`` is the
    number of samples in each. A ``unit`` of COST_UNITS says that it is a cost, not a quality.
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
    """The context of a metric: the data, the model in eval mode, and settings.

    ``n`` is the number of samples that will follow; ``cache`` is a folder for reference statistics.
    ``quick`` is true for a probe between two epochs: a metric must raise UsageError if it needs an
    expensive preparation.
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
    """A metric plugin: ``Metric(settings)``; all metrics of a run use the same draw of samples.

    ``uses`` is "samples" if it measures samples (``update`` gets every minibatch), or "model" if it
    only uses ``context.model``. ``requires`` names capabilities. Memory must not grow with the
    number of samples, except for features. An optional method ``pictures() -> Mapping[str,
    Picture]`` is called after ``result``; its pictures are stored with the run by name.
    """

    uses: Literal["samples", "model"]
    requires: tuple[str, ...]

    def begin(self, context: MetricContext) -> None:
        """Reset, and prepare the reference. Raises UsageError or DataError if it can't."""

    def update(self, images: Tensor) -> None:
        """Add a minibatch of samples: uint8 (b, C, H, W), or float (b, D) for point data."""

    def result(self) -> Sequence[Score]:
        """The scores."""


# --- compression ----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class ParentRun:
    """The run that a compressor starts from, which is loaded when it is needed.

    ``trained()`` makes its model with its last weights, frozen, in eval mode, on the CPU, with
    everything that the run itself has compressed; ``initial()`` makes that model with its weights
    before any training, by the seed of the run. Both raise DataError if the run was removed.
    """

    run: str
    data: DataSpec
    trained: Callable[[], Model]
    initial: Callable[[], Model]


@dataclass(frozen=True, kw_only=True)
class Compression:
    """The training of a compressed model: what replaces the stages and optimizers of the original.

    ``optimizers`` and ``averaged`` None keep those of the model. ``reshape`` is that of `Reshapes`;
    None gives parameters and buffers the shapes in the checkpoint (`genbench.take_shapes`).
    """

    stages: tuple[Stage, ...]
    optimizers: Mapping[str, Optimizer] | None = None
    averaged: tuple[str, ...] | None = None
    reshape: Callable[[Mapping[str, Tensor]], None] | None = None


class Compressor(Protocol):
    """A compressor plugin: ``Compressor(settings)``, a `genbench.CompressorSettings`.

    ``requires`` names the capabilities that the model of the parent must have. An optional method
    ``check(model, parent)`` is called before a new run is stored, and raises IncompatibleError or
    UsageError.
    """

    requires: tuple[str, ...]

    def compress(self, model: Model, parent: ParentRun) -> Compression:
        """How ``model``, which has the last weights of the parent, is compressed and trained.

        It is also called to resume and to load a compressed run, when the weights of ``model`` are
        others and the parent may be gone. So whatever uses weights is left to `Stage.begin` and to
        losses. It may add nets to ``model.nets``. Modules are replaced within the nets, since a
        model may keep other references to the nets themselves.
        """
