"""The pictures of a page: which ones, and how they fit into its bounds.

A picture is embedded as it was stored if it is small enough; else it is stored again as WebP, and
made smaller until it fits. Of many epochs, a few at equal distances are taken.
"""

from __future__ import annotations

import io
import math
import re
from base64 import b64encode
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from genbench.compare import RunResult
from genbench.compare.read_results import quoted
from genbench.report.curves import Clock
from genbench.store import Store

BUDGET = 4_500_000
"""Bytes of all pictures of a page; base64 adds a third."""

SMALLEST, MOST_EPOCHS = 12_000, 10
"""Bytes that each picture may take at least, and the number of epochs of an experiment at most."""

OTHERS = ("nearest", "reconstructions", "translations", "traversal", "latents")
"""Pictures of the trained model on the card of an experiment, by kind."""

QUALITY, SHRINK, TRIES = 72, 0.95, 6

LEAST_WEBP = 0.15
"""The smallest share of a PNG's bytes that its WebP takes: encoding a large picture that can't fit
takes 40 ms, and a page may have hundreds."""

PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, kw_only=True)
class Shot:
    """A picture of a run after an epoch, when it had trained for so many seconds.

    ``style`` leaves a caption within the picture out, as the page has one. ``path`` is that of the
    stored file.
    """

    kind: str
    uri: str
    style: str
    path: Path
    epoch: int
    stage: str
    stage_epoch: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class _File:
    run: str
    kind: str
    path: Path
    epoch: int


class Album:
    """Reads pictures of some runs, each within an equal share of the page's bounds."""

    def __init__(self, store: Store, runs: Sequence[str], clocks: Mapping[str, Clock]) -> None:
        self._clocks = clocks
        found = _files(store, runs)
        most = BUDGET // (SMALLEST * max(1, len(runs)))
        epochs = max(2, min(MOST_EPOCHS, most - len(OTHERS)))
        self._wanted = {run: _wanted(files, epochs) for run, files in found.items()}
        self._share = BUDGET // max(1, sum(map(len, self._wanted.values())))
        self.shrunk = 0
        self.left_out = sum(len(found[run]) - len(self._wanted[run]) for run in found)

    def shots(self, run: RunResult) -> list[Shot]:
        """The pictures of a run: samples by epoch, then the others. Files that are gone are left
        out."""
        made = []
        for file in self._wanted.get(run.id, ()):
            embedded = self._embedded(file.path)
            if embedded is None:
                continue
            clock = self._clocks.get(run.id, Clock([]))
            stage, stage_epoch = clock.within(file.epoch)
            made.append(
                Shot(
                    kind=file.kind,
                    uri=embedded[0],
                    style=embedded[1],
                    path=file.path,
                    epoch=file.epoch,
                    stage=stage if len(run.stages) > 1 else "",
                    stage_epoch=stage_epoch,
                    seconds=clock.after(file.epoch),
                )
            )
        return made

    def _embedded(self, path: Path) -> tuple[str, str] | None:
        """The data URI of a picture and its style; None if it isn't there or isn't a picture."""
        try:
            data = path.read_bytes()
        except OSError:
            return None
        if not data.startswith(PNG):
            return None
        if len(data) <= self._share:
            return _uri("png", data), _cropped(data)
        smaller = _smaller(data, self._share)
        if smaller is None:
            return None
        self.shrunk += 1
        return _uri("webp", smaller), ""


def _files(store: Store, runs: Sequence[str]) -> dict[str, list[_File]]:
    """The pictures of each run by epoch; of several of one kind at an epoch, the last one."""
    kinds = quoted(("samples", *OTHERS))
    found: dict[str, dict[tuple[str, int], _File]] = defaultdict(dict)
    for run in runs:
        store.fetch(run, lambda path: path.endswith(".png"))
    for run, kind, path, epoch in store.rows(
        "SELECT r.id, a.kind, a.path, a.epoch FROM artifacts a JOIN runs r ON r.run = a.run "
        f"WHERE r.id IN ({quoted(runs)}) AND a.kind IN ({kinds}) AND a.epoch IS NOT NULL "
        "ORDER BY a.epoch, a.artifact"
    ):
        file = _File(run=run, kind=kind, path=store.folder(run) / path, epoch=epoch)
        found[run][kind, epoch] = file
    return {run: list(files.values()) for run, files in found.items()}


def _wanted(files: Sequence[_File], epochs: int) -> list[_File]:
    """Samples at some epochs at about equal distances, first and last included, and the others."""
    samples = [file for file in files if file.kind == "samples"]
    last = [[file for file in files if file.kind == kind][-1:] for kind in OTHERS]
    return [*spaced(samples, epochs), *(file for found in last for file in found)]


def spaced(files: Sequence[_File], count: int) -> list[_File]:
    """At most ``count`` of them (2 or more), the first and the last included."""
    if len(files) <= count:
        return list(files)
    return [files[round(i * (len(files) - 1) / (count - 1))] for i in range(count)]


def _smaller(png: bytes, most: int) -> bytes | None:
    """A picture without its caption as WebP of at most so many bytes; None if it is no picture."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(png)) as opened:
            image = opened.convert("RGB")
            top = int(opened.info.get("caption-height", 0))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    image = image.crop((0, top, *image.size))
    size = LEAST_WEBP * len(png)
    for _ in range(TRIES):
        if size > most:
            scale = SHRINK * math.sqrt(most / size)
            width, height = (max(1, round(side * scale)) for side in image.size)
            image = image.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0)
        stored = io.BytesIO()
        image.save(stored, "WEBP", quality=QUALITY, method=0)
        size = stored.tell()
        if size <= most:
            return stored.getvalue()
    return None


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{b64encode(data).decode('ascii')}"


def _cropped(png: bytes) -> str:
    """The style that leaves a picture's own caption out.

    Its height stands in a text chunk of the file, the picture's size in the header.
    """
    head = png[:200]
    found = re.search(rb"tEXtcaption-height\0(\d{4})", head)
    if found is None:
        return ""
    width, height = (int.from_bytes(head[start : start + 4], "big") for start in (16, 20))
    shape = f"aspect-ratio:{width}/{height - int(found[1])}"
    return f"{shape};object-fit:cover;object-position:bottom"
