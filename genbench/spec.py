"""RunSpec: all that decides the numbers of a run, frozen, with a JSON round trip and a hash.

Equal experiments have equal ``experiment`` hashes whatever their seed, and whatever the seeds of
the runs that their data is made of; seeds of one experiment are compared as repetitions. What
decides no number (names, tags, folders, how often losses are logged) is not in the hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

SPEC_VERSION = 1

MOST_SEED = 2**63 - 1
"""Seeds, and all whole numbers that are stored, have 64 bits."""
MOST = 10_000_000
"""Epochs, images of a batch, samples and the like, at most: more is a slip of the keyboard."""
MOST_REPEATS = 1_000
"""Draws that a score is the mean of, at most."""
MOST_LETTERS = 200
"""Of a name or a tag."""

_LATER = {"repeats": 1, "epoch_images": None}
"""Fields that came after the first version: at their default they leave the hash as it was."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A sampler or a metric with its resolved settings."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One run, fully resolved. ``epochs`` are those of the last stage (see `Stage.epochs`).

    ``batch_size`` counts images an optimizer step; with ``accumulate`` k it is worked off in k
    chunks. ``epoch_images`` are those that an epoch of any stage goes through, others each time
    (None: all of the training split). ``evaluate_every`` and
    ``sample_every`` are in epochs; 0: scores at the end only, grids at the first, the last and a
    few between. ``samples`` is the number of samples scored (None: as many as the test split has,
    10,000 at most), ``repeats`` that of the draws that a score is the mean of. ``log_every`` is the
    window, in steps, over which recorded losses are averaged. ``watch``: cheap metrics of few
    samples between epochs, which move no number of the training. ``parents`` are the ids of the
    runs that the data is made of, ``parent_experiments`` the hashes of their experiments.
    """

    model: str
    dataset: str
    model_settings: Mapping[str, Any] = field(default_factory=dict)
    dataset_settings: Mapping[str, Any] = field(default_factory=dict)
    epochs: int
    batch_size: int
    seed: int = 0
    device: str = "cpu"
    precision: str = "fp32"
    compile: bool = False
    accumulate: int = 1
    clip_norm: float | None = None
    ema: float | None = None
    evaluate_every: int = 0
    sample_every: int = 0
    epoch_images: int | None = None
    samples: int | None = None
    repeats: int = 1
    log_every: int = 10
    watch: bool = True
    samplers: tuple[Part, ...] = (Part(name="plain"),)
    metrics: tuple[Part, ...] = ()
    parents: tuple[str, ...] = ()
    parent_experiments: tuple[str, ...] = ()
    preset: str | None = None

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces."""
        return canonical_json({"version": SPEC_VERSION, **asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> RunSpec:
        """The spec back from `to_json`; a field of a newer version raises ValueError."""
        values = json.loads(text)
        version = values.pop("version", SPEC_VERSION)
        unknown = set(values) - {f.name for f in fields(cls)}
        if version > SPEC_VERSION or unknown:
            raise ValueError(f"this spec (version {version}) was written by a newer genbench")
        for name in ("samplers", "metrics"):
            values[name] = tuple(Part(**part) for part in values.get(name, ()))
        for name in ("parents", "parent_experiments"):
            values[name] = tuple(values.get(name, ()))
        return cls(**values)

    @property
    def digest(self) -> str:
        """Content hash over all that decides the numbers, the seed included."""
        return self._hash(asdict(self))

    @property
    def experiment(self) -> str:
        """Content hash without seeds: the name of the experiment.

        A parent counts by its experiment, wherever its id stands.
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
        for name in ("preset", "log_every", "watch", "parent_experiments"):
            del values[name]
        for name, default in _LATER.items():
            if values[name] == default:
                del values[name]
        return content_hash(values)


def labels(parts: Sequence[Part]) -> list[str]:
    """What to call each part: its name, and where several share it, the settings that differ.

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


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces; equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def content_hash(value: Any) -> str:
    """The first 16 hex digits of the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]
