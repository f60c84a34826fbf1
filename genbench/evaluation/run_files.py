"""Write the pictures of metrics and the tracebacks of errors to the folder of a run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from genbench.evaluation import CAUGHT, fault
from genbench.events import Evaluated
from genbench.pictures.samples import described, picture_path
from genbench.pictures.sheet import save_sheet
from genbench.spec import Part, RunSpec, content_hash


def save_beside(
    evaluated: Evaluated,
    folder: Path,
    spec: RunSpec,
    samplers: Sequence[Part] = (),
    *,
    keep: bool = False,
) -> Iterator[tuple[str, Path]]:
    """Write the pictures and tracebacks of a record; yield the kind and the path of each.

    ``samplers`` are all samplers of the evaluation: if several have the same name, a hash of the
    settings is added to the names of files. With ``keep``, existing files are not replaced.
    """
    sampler = _told_apart(evaluated, samplers)
    run = described(spec, folder.name, evaluated.epoch, evaluated.step)
    run += f", sampler {sampler}" if sampler else ""
    for name, picture in evaluated.pictures.items():
        path = picture_path(folder, name, sampler, evaluated.epoch)
        path = _free(path) if keep else path
        try:
            save_sheet(replace(picture, about=picture.about or name), path, run)
        except CAUGHT as error:
            trace = fault(error, f"the picture '{name}'").trace
            yield "traceback", write_trace(folder, f"picture-{name}", evaluated.epoch, trace)
        else:
            yield name, path
    for label, trace in evaluated.traces.items():
        name = f"{label}-{sampler or 'model'}"
        yield "traceback", write_trace(folder, name, evaluated.epoch, trace)


def write_trace(folder: Path, name: str, epoch: int, trace: str) -> Path:
    """Write a traceback under ``tracebacks/``; return its path."""
    path = folder / "tracebacks" / f"{re.sub(r'[^A-Za-z0-9_.=-]+', '-', name)}-{epoch:04d}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(trace, encoding="utf-8")
    return path


def _told_apart(evaluated: Evaluated, samplers: Sequence[Part]) -> str:
    names = [part.name for part in samplers]
    if names.count(evaluated.sampler) < 2:
        return evaluated.sampler
    return f"{evaluated.sampler}-{content_hash(dict(evaluated.sampler_settings))[:6]}"


def _free(path: Path) -> Path:
    """The path, or the first of ``name-2``, ``name-3``, ... that doesn't exist."""
    found, number = path, 2
    while found.exists():
        found, number = path.with_name(f"{path.stem}-{number}{path.suffix}"), number + 1
    return found
