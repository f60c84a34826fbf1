"""The commands that repeat an experiment, with every setting spelled out, and that draw it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from genbench.compare import Row

_FLAGS = (
    "epochs",
    "batch_size",
    "device",
    "precision",
    "accumulate",
    "clip_norm",
    "ema",
    "evaluate_every",
    "sample_every",
    "samples",
)
_IMPLIED = {"accumulate": 1, "evaluate_every": 0, "sample_every": 0}


def rerun_command(row: Row) -> str:
    """A shell command, in a loop if there are several seeds that were trained one by one.

    Every setting is given, so that the result doesn't depend on future defaults. Seeds that were
    trained together are repeated together, since alone they draw other noise.
    """
    first = row.first
    if first.spec.get("compressors"):
        # Each seed compresses a run of its own, which the stored run names.
        ids = [repeats[0].id for repeats in row.seeds]
        return "\n".join(f"genbench rerun {identity}" for identity in ids)
    words = ["genbench", "run", first.model, first.spec["dataset"], *_words(first.spec)]
    lines = _wrapped([shlex.quote(word) for word in words])
    if first.together and all(run.together == first.together for run in row.runs):
        return f"{lines} --seeds {','.join(map(str, first.together))} --together"
    seeds = sorted({run.seed for run in row.runs})
    if len(seeds) == 1:
        return f"{lines} --seed {seeds[0]}"
    each = " ".join(map(str, seeds))
    return f"for seed in {each}; do\n  {lines} --seed $seed\ndone"


def picture_commands(
    run: str, abilities: Collection[str], known: Collection[str]
) -> dict[str, str]:
    """What -> the command that draws it, for pictures that a run doesn't have but its model could.

    ``known`` are the kinds of pictures that it has.
    """
    found = {}
    if "images" in abilities and "nearest" not in known:
        found["nearest training images"] = f"genbench evaluate {run} --metric nearest"
    if {"images", "reconstructs"} <= set(abilities) and "reconstructions" not in known:
        found["reconstructions"] = f"genbench reconstruct {run}"
    if {"images", "translates"} <= set(abilities) and "translations" not in known:
        found["translations"] = f"genbench translate {run}"
    if "encodes" in abilities and "latents" not in known:
        found["latent map"] = f"genbench latents {run}"
    if {"images", "generates"} <= set(abilities) and "traversal" not in known:
        found["traversal"] = f"genbench traverse {run}"
    return found


def _words(spec: Mapping[str, Any]) -> Iterator[str]:
    for key in _FLAGS:
        value = spec.get(key)
        if value is not None and value != _IMPLIED.get(key):
            yield f"--{key.replace('_', '-')}"
            yield str(value)
    if spec.get("compile"):
        yield "--compile"
    if not spec.get("capture", True):
        yield "--no-capture"
    yield from _sets("model", spec.get("model_settings", {}))
    yield from _sets("data", spec.get("dataset_settings", {}))
    for kind in ("sampler", "metric"):
        for part in spec.get(f"{kind}s", ()):
            yield f"--{kind}"
            yield part["name"]
            yield from _sets(f"{kind}.{part['name']}", part.get("settings", {}))


def _sets(prefix: str, settings: Mapping[str, Any]) -> Iterator[str]:
    for key, value in settings.items():
        yield "--set"
        yield f"{prefix}.{key}={value if isinstance(value, str) else json.dumps(value)}"


def _wrapped(words: list[str], width: int = 88) -> str:
    """Wrap the words of a shell command; an option stays on the line of its value."""
    lines, line = [], ""
    pairs: list[str] = []
    for word in words:
        if pairs and pairs[-1].startswith("--") and " " not in pairs[-1] and word[:2] != "--":
            pairs[-1] += f" {word}"
        else:
            pairs.append(word)
    for pair in pairs:
        if line and len(line) + len(pair) > width:
            lines.append(line)
            line = ""
        line += f" {pair}" if line else pair
    return " \\\n    ".join([*lines, line])
