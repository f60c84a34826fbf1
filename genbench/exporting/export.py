"""Write a run's generator as one file, run the file, and keep it only if it draws the same."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genbench.contracts import CAPABILITIES, evaluations
from genbench.engine import evaluation
from genbench.errors import GenbenchError, IncompatibleError
from genbench.evaluation.loaded_run import LoadedRun
from genbench.exporting.format import ExportFormat
from genbench.exporting.formats import FORMATS, without_exporters_warnings
from genbench.exporting.network import (
    SamplingNetwork,
    description,
    inputs,
    without_gradients,
)
from genbench.files.writing import replacing

SAMPLES = 64
"""Number of samples on which a file is checked; then it is checked on a single one."""
TRACED = 3
"""Number of samples that a network is traced with; unlike 1, it is not taken for a fixed size."""
MOST_PASSES = 100
"""Passes that a file may hold one after the other."""
TOLERANCE = 1e-4
"""The largest difference of a pixel in [-1, 1], an eightieth of a grey level; for points that are
larger than 1, the largest relative to the largest value."""
TOLERANCE_OF_INT8 = 2 / 255
"""The same for networks with int8 weights: a grey level. They round activations, and where sums are
added in another order, a value between two levels may be rounded to the other one."""

COLOURS = re.compile(r"\x1b\[[0-9;]*m|\\x1b\[[0-9;]*m")
"""Colours of a terminal, which exporters put into their messages."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A file that was written and checked.

    ``difference`` is the largest between its samples and those of the run, over ``samples`` of
    them. ``description`` is the metadata in the file.
    """

    path: Path
    format: ExportFormat
    difference: float
    samples: int
    description: Mapping[str, Any]

    @property
    def summary(self) -> str:
        """One line: what it takes and gives, and how it was checked."""
        takes, output = self.description["inputs"], self.description["output"]
        z = f"z {_shape(takes['z'])} ~ {takes['z']['prior']}"
        y = f", y (batch,) of {len(takes['y']['class_names'])} classes" if "y" in takes else ""
        range_ = " in [-1, 1]" if output["range"] else ""
        return (
            f"{z}{y} -> x {_shape(output)} {output['dtype']}{range_}; {self.samples} samples "
            f"differ from the run's by at most {self.difference:.2g}"
        )


def _shape(part: Mapping[str, Any]) -> str:
    return f"({', '.join(map(str, part['shape']))})"


def export_generator(
    loaded: LoadedRun, path: Path, format: ExportFormat, *, weights: str
) -> Exported:
    """Write what a run on the CPU draws, z[, y] -> x, into one file, and check it.

    ``weights`` is the digest of the run's weights. Raises IncompatibleError for a model that
    doesn't generate, can't be written in this format, or draws something else from its file; then
    there is no file.
    """
    check_generates(loaded)
    check_passes(loaded)
    with evaluation(loaded.model, loaded.device), torch.no_grad(), replacing(path) as part:
        network = SamplingNetwork(loaded.model, loaded.data)
        many = inputs(loaded.model, SAMPLES, seed=0)
        one = tuple(value[:1] for value in many)
        about = description(loaded, many[0], network(*many), weights)
        write, run = FORMATS[format]
        try:
            with without_exporters_warnings(), without_gradients(network):
                write(network, inputs(loaded.model, TRACED, seed=1), part, json.dumps(about))
                found = [(run(part, given), network(*given)) for given in (many, one)]
        except GenbenchError:
            raise
        except Exception as error:
            raise _cannot(loaded, format, _reason(error)) from error
        difference = max(_difference(*pair) for pair in found)
        if difference > (allowed := _tolerance(network)):
            raise _cannot(
                loaded,
                format,
                f"samples of the file differ from the run's by {difference:.2g}, and at most "
                f"{allowed:.2g} is allowed; the model may draw noise while it generates",
            )
    return Exported(
        path=path, format=format, difference=difference, samples=SAMPLES, description=about
    )


def check_generates(loaded: LoadedRun) -> None:
    """Raise IncompatibleError if the model of a run doesn't draw samples from noise."""
    if isinstance(loaded.model, CAPABILITIES["generates"]):
        return
    words = "translates samples" if isinstance(loaded.model, CAPABILITIES["translates"]) else ""
    words = words or "has no prior to draw from"
    raise IncompatibleError(
        f"model '{loaded.spec.model}' of run {loaded.id} {words} and generates none from noise, so "
        "it has no generator to export; name a run of a model that generates",
        hint="See: genbench models",
    )


def check_passes(loaded: LoadedRun) -> None:
    """Raise IncompatibleError if a sample takes more passes than a file is to hold."""
    passes = evaluations(loaded.model)
    if passes > MOST_PASSES:
        raise IncompatibleError(
            f"model '{loaded.spec.model}' of run {loaded.id} draws a sample in {passes:,} passes "
            "through its network, one after the other, and a file would hold the computation of "
            f"each; models of at most {MOST_PASSES} passes are exported"
        )


def _tolerance(network: SamplingNetwork) -> float:
    rounds = any(weight.dtype == torch.int8 for weight in network.nets.parameters())
    return TOLERANCE_OF_INT8 if rounds else TOLERANCE


def _difference(found: Tensor, wanted: Tensor) -> float:
    """The largest difference; infinite where the shapes differ or a value is not finite."""
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        return math.inf
    scale = wanted.abs().max().clamp_min(1.0)
    difference = float((found - wanted).abs().max() / scale)
    return difference if difference == difference else float("inf")


def _reason(error: Exception) -> str:
    """The reason that an exporter or a file gives: its first line, or the last of a traceback."""
    text = COLOURS.sub("", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["no message"]
    nested = any(line.startswith("Traceback of TorchScript") for line in lines)
    return f"{type(error).__name__}: {lines[-1 if nested else 0]}"[:300]


def _cannot(loaded: LoadedRun, format: ExportFormat, reason: str) -> IncompatibleError:
    others = " or ".join(f"--format {other}" for other in ExportFormat if other is not format)
    return IncompatibleError(
        f"model '{loaded.spec.model}' of run {loaded.id} can't be exported as {format}: {reason}",
        hint=f"Try {others}.",
    )
