"""RunSpec: everything that decides the numbers of a run, frozen, with a JSON round trip and a hash.

Runs that differ only in their seeds, or in the seeds of the runs that their data is made of, have
equal ``experiment`` hashes, and are compared as repetitions. The hash doesn't include what decides
no number: names, tags, folders, the interval at which losses are logged.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass, field, fields
from typing import Annotated, Any, ClassVar, Literal

SPEC_VERSION = 1

MOST_SEED = 2**63 - 1
"""Seeds, and all whole numbers that are stored, have 64 bits."""
MOST = 10_000_000
"""The maximum of epochs, batch sizes and numbers of samples; a larger value is a typing error."""
MOST_REPEATS = 1_000
"""The largest number of draws that a score is averaged over."""
MOST_LETTERS = 200
"""The maximum length of a name or a tag."""

LATER = {
    "repeats": 1,
    "epoch_images": None,
    "capture": True,
    "scored_on": "test",
    "compressors": (),
}
"""Fields that were added after the first version, which an old spec has at their defaults.

A default doesn't change the hash.
"""


@dataclass(frozen=True)
class Choice:
    """The help text and the bounds of a field that a person may choose, for ``Annotated``.

    The command line shows ``help``. pydantic reads the bounds by the protocol of
    `annotated_types.GroupedMetadata`, so nothing is imported here before something is validated.
    """

    help: str
    _: KW_ONLY
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None

    __is_annotated_types_grouped_metadata__: ClassVar[Literal[True]] = True

    def __iter__(self) -> Iterator[object]:
        from annotated_types import Interval

        return iter(Interval(ge=self.ge, gt=self.gt, le=self.le, lt=self.lt))


@dataclass(frozen=True, kw_only=True)
class RunFields:
    """The settings of a run other than its parts; each one is declared here and only here.

    The options of ``genbench run``, the keys of a settings file, the environment variables and the
    fields of `RunSpec` are made from this class. With None, the model, its preset or the data
    decide.
    """

    epochs: Annotated[int | None, Choice("Number of epochs of the last stage.", ge=1, le=MOST)] = (
        None
    )
    batch_size: Annotated[
        int | None, Choice("Number of images per optimizer step.", ge=1, le=MOST)
    ] = None
    seed: Annotated[int, Choice("Random seed.", ge=0, le=MOST_SEED)] = 0
    device: Annotated[
        str, Choice("Device: auto, cpu, cuda, cuda:N or mps; cuda:0,1 is one run on two GPUs.")
    ] = "auto"
    precision: Annotated[
        Literal["fp32", "bf16", "auto"],
        Choice("Precision of the training: fp32, bf16 by autocast, or auto (the faster one)."),
    ] = "fp32"
    compile: Annotated[bool, Choice("Compile the losses with torch.compile.")] = False
    capture: Annotated[
        bool, Choice("Capture training steps as CUDA graphs, where the model allows it.")
    ] = True
    threads: Annotated[
        int | None,
        Choice(
            "CPU threads of PyTorch (default: those that a short trial finds fastest).",
            ge=1,
            le=1024,
        ),
    ] = None
    accumulate: Annotated[int, Choice("Gradient-accumulation steps per batch.", ge=1, le=MOST)] = 1
    clip_norm: Annotated[float | None, Choice("Maximum norm of the gradients.", gt=0)] = None
    ema: Annotated[
        float | None,
        Choice("Decay of the moving average of the weights (0: none).", ge=0, lt=1),
    ] = None
    evaluate_every: Annotated[
        int, Choice("Epochs between scores (0: only at the end).", ge=0, le=MOST)
    ] = 0
    sample_every: Annotated[
        int, Choice("Epochs between sample grids (0: a few grids, spread out).", ge=0, le=MOST)
    ] = 0
    epoch_images: Annotated[
        int | None, Choice("Training images per epoch of any stage (default: all).", ge=1)
    ] = None
    samples: Annotated[
        int | None,
        Choice("Samples to score (default: the size of the test split).", ge=2, le=MOST),
    ] = None
    repeats: Annotated[
        int, Choice("Number of draws that a score is averaged over.", ge=1, le=MOST_REPEATS)
    ] = 1
    scored_on: Annotated[
        Literal["test", "validation", "search"],
        Choice(
            "Split of the scores: test, validation (held out of the training split), or search "
            "(the same, for runs that a search chooses among)."
        ),
    ] = "test"
    log_every: Annotated[
        int, Choice("Number of steps that a recorded loss is averaged over.", ge=1, le=MOST)
    ] = 10
    watch: Annotated[bool, Choice("Monitor the training for collapse between epochs.")] = True


@dataclass(frozen=True, kw_only=True)
class Part:
    """A sampler, a metric or a compressor with its resolved settings."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunSpec(RunFields):
    """One run, fully resolved. ``epochs`` are those of the last stage (see `Stage.epochs`).

    ``batch_size`` is the number of images per optimizer step, which is processed in ``accumulate``
    microbatches. An epoch of any stage uses ``epoch_images`` images, different ones each time
    (None: the whole training split). ``samples`` None means the size of the test split, at most
    10,000. With ``scored_on`` other than "test", the samples of the training split that
    `genbench.engine.held_out` names are left out of the training and take the place of the test
    split. With ``watch``, cheap metrics of few samples are computed between epochs; they don't
    affect the training. ``threads`` changes no number beyond the rounding of sums, as another
    machine does, and is no part of the experiment; nor is the number of devices of a run on several
    (see `device_names`). ``parents`` are the ids of the runs that it
    builds upon, and ``parent_experiments`` are the hashes of their experiments. A run with
    ``compressors`` compresses the first of its parents by the last of them; that run was compressed
    by the others, in their order. The other parents are the runs that the data is made of.
    """

    epochs: int = field()
    batch_size: int = field()
    device: str = "cpu"
    model: str
    dataset: str
    model_settings: Mapping[str, Any] = field(default_factory=dict)
    dataset_settings: Mapping[str, Any] = field(default_factory=dict)
    samplers: tuple[Part, ...] = (Part(name="plain"),)
    metrics: tuple[Part, ...] = ()
    compressors: tuple[Part, ...] = ()
    parents: tuple[str, ...] = ()
    parent_experiments: tuple[str, ...] = ()
    preset: str | None = None

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces."""
        return canonical_json({"version": SPEC_VERSION, **asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> RunSpec:
        """Read the result of `to_json`. Raises ValueError for a field of a newer version."""
        values = json.loads(text)
        version = values.pop("version", SPEC_VERSION)
        unknown = set(values) - {f.name for f in fields(cls)}
        if version > SPEC_VERSION or unknown:
            raise ValueError(f"this spec (version {version}) was written by a newer genbench")
        for name in ("samplers", "metrics", "compressors"):
            values[name] = tuple(Part(**part) for part in values.get(name, ()))
        for name in ("parents", "parent_experiments"):
            values[name] = tuple(values.get(name, ()))
        return cls(**values)

    @property
    def digest(self) -> str:
        """The content hash of everything that decides the numbers, including the seed."""
        return self._hash(asdict(self))

    @property
    def experiment(self) -> str:
        """The content hash without seeds, which identifies the experiment.

        The id of a parent is replaced by the hash of its experiment wherever it occurs.
        """
        named = dict(zip(self.parents, self.parent_experiments, strict=False))
        values = asdict(self)
        del values["seed"]
        values["parents"] = [named.get(parent, parent) for parent in self.parents]
        values["dataset_settings"] = {
            key: named.get(value, value) if isinstance(value, str) else value
            for key, value in self.dataset_settings.items()
        }
        return self._hash(values)

    def _hash(self, values: dict[str, Any]) -> str:
        for name in ("preset", "log_every", "watch", "threads", "parent_experiments"):
            del values[name]
        values["device"] = values["device"].partition(":")[0]
        for name, default in LATER.items():
            if values[name] == default:
                del values[name]
        return content_hash(values)


DEVICE = r"auto|cpu|cuda(:\d+)?|mps|(cpu|cuda):\d+(,\d+)+"
"""What the name of a device looks like, as a regular expression; several are those of one run."""


def device_names(device: str) -> tuple[str, ...]:
    """The devices of a run, on each of which there is a process of it.

    >>> device_names("cuda:0,1"), device_names("cuda:1")
    (('cuda:0', 'cuda:1'), ('cuda:1',))
    """
    kind, _, numbers = device.partition(":")
    if "," not in numbers:
        return (device,)
    return tuple(f"{kind}:{number}" for number in numbers.split(","))


def labels(parts: Sequence[Part]) -> list[str]:
    """A label for each part: its name, with the settings that differ if several share the name.

    >>> labels([Part(name="mh"), Part(name="ddls", settings={"eps": 0.1}), Part(name="ddls")])
    ['mh', 'ddls[eps=0.1]', 'ddls']
    """
    found = []
    for part in parts:
        others = [p.settings for p in parts if p.name == part.name and p is not part]
        telling = [
            f"{key}={value}"
            for key, value in part.settings.items()
            if any(other.get(key, ...) != value for other in others)
        ]
        found.append(part.name + (f"[{','.join(telling)}]" if telling else ""))
    return found


def compression_in_words(compressors: Sequence[Mapping[str, Any]]) -> str:
    """The compressors of a spec's JSON, each with its ratio if it has one.

    >>> compression_in_words([{"name": "prune", "settings": {"ratio": 0.5}}, {"name": "quantize"}])
    'prune 50 % + quantize'
    """
    words = []
    for part in compressors:
        ratio = part.get("settings", {}).get("ratio")
        words.append(part["name"] if ratio is None else f"{part['name']} {100 * ratio:g} %")
    return " + ".join(words)


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces; equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def content_hash(value: Any) -> str:
    """The first 16 hex digits of the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]
