"""The content of the page, read from the store: tables, curves, pictures and environments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench.compare import (
    Question,
    Row,
    Selection,
    Table,
    select,
    tabulate,
)
from genbench.report.curves import Panel, loss_panels, score_panels
from genbench.report.health_curves import health_panels, warnings_of
from genbench.store import Store
from genbench.store.records import Artifact, Epoch

EARLY = 3
"""The maximum number of earlier pictures of a model, besides its final one."""

PICTURE_BUDGET = 1_700_000
"""Maximum bytes of PNG on a page (base64 adds a third); early epochs are left out first."""


@dataclass(frozen=True, kw_only=True)
class EmbeddedPicture:
    """A PNG of a run at an epoch; ``stage_epoch`` is the epoch within its stage."""

    png: bytes
    epoch: int
    stage: str
    stage_epoch: int


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """The pictures of the first run of a row; the last one is the final one."""

    title: str
    colour: int
    samples: tuple[EmbeddedPicture, ...]
    reconstructions: EmbeddedPicture | None


@dataclass(frozen=True, kw_only=True)
class Section:
    """The content for one data set."""

    table: Table
    scores: tuple[Panel, ...]
    losses: tuple[Panel, ...]
    signs: tuple[Panel, ...]
    warnings: tuple[str, ...]
    galleries: tuple[Gallery, ...]


@dataclass(frozen=True, kw_only=True)
class Report:
    """The content of the page; ``environments`` has distinct ones with their number of runs."""

    sections: tuple[Section, ...]
    environments: tuple[tuple[Mapping[str, Any], int], ...]
    left_out: Mapping[str, int]
    hidden: Mapping[str, int]


def read_report(store: Store, selection: Selection, question: Question) -> Report:
    """Read the content of a page. Raises NoSuchRunError if no run matches."""
    selected = select(store, selection)
    tables = tabulate(selected, question)
    colours: dict[str, int] = {}
    for table in tables:
        for row in table.rows:
            colours.setdefault(row.title, len(colours))
    pictures = _Pictures(store)
    return Report(
        sections=tuple(_section(store, table, colours, pictures) for table in tables),
        environments=_environments(store, [run.id for run in selected.runs]),
        left_out=selected.left_out,
        hidden=selected.hidden,
    )


def _section(
    store: Store, table: Table, colours: Mapping[str, int], pictures: _Pictures
) -> Section:
    people = list({row.first.experiment: row for row in table.rows}.values())
    histories = {run: store.epochs(run) for c in people for run in (c.first.id,)}
    losses: list[Panel] = []
    signs: list[Panel] = []
    galleries = []
    for row in people:
        epochs = histories[row.first.id]
        losses += loss_panels(store, row, epochs)
        signs += health_panels(store, row, epochs)
        galleries.append(pictures.gallery(row, epochs, colours[row.title]))
    return Section(
        table=table,
        scores=tuple(score_panels(store, table, colours)),
        losses=tuple(losses),
        signs=tuple(signs),
        warnings=tuple(text for row in people for text in warnings_of(store, row)),
        galleries=tuple(g for g in galleries if g.samples or g.reconstructions),
    )


# --- pictures


class _Pictures:
    """Reads PNG files within the budget of the page; final pictures are always read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._spent = 0

    def gallery(self, row: Row, epochs: Sequence[Epoch], colour: int) -> Gallery:
        """The pictures of a row's first run, from its last stage if that has any."""
        run = row.first.id
        found = self._store.artifacts(run)
        stages = {epoch.epoch: epoch for epoch in epochs}
        samples = list(
            {
                artifact.epoch: artifact
                for artifact in sorted(found, key=lambda a: a.epoch or 0)
                if artifact.kind == "samples" and artifact.epoch is not None
            }.values()
        )
        last = row.stages[-1] if row.stages else ""
        own = [a for a in samples if a.epoch in stages and stages[a.epoch].stage == last]
        samples = own or samples
        pairs = [a for a in found if a.kind == "reconstructions"]
        final = self._read(run, samples[-1:] + pairs[-1:], stages, always=True)
        early = self._read(run, spaced(samples[:-1], EARLY), stages, always=False)
        return Gallery(
            title=row.title,
            colour=colour,
            samples=(*early, *final[: len(samples[-1:])]),
            reconstructions=final[-1] if pairs and len(final) > len(samples[-1:]) else None,
        )

    def _read(
        self, run: str, artifacts: Sequence[Artifact], epochs: Mapping[int, Epoch], *, always: bool
    ) -> list[EmbeddedPicture]:
        pictures = []
        for artifact in artifacts:
            path = self._store.folder(run) / artifact.path
            if not always and self._spent + artifact.bytes > PICTURE_BUDGET:
                continue
            png = _png(path)
            if png is None:
                continue
            self._spent += len(png)
            epoch = epochs.get(artifact.epoch or 0)
            pictures.append(
                EmbeddedPicture(
                    png=png,
                    epoch=artifact.epoch or 0,
                    stage=epoch.stage if epoch else "",
                    stage_epoch=epoch.stage_epoch if epoch else artifact.epoch or 0,
                )
            )
        return pictures


def _png(path: Path) -> bytes | None:
    """The bytes of a file; None if it doesn't exist or isn't a PNG."""
    try:
        png = path.read_bytes()
    except OSError:
        return None
    return png if png.startswith(b"\x89PNG\r\n\x1a\n") else None


def spaced(artifacts: Sequence[Artifact], count: int) -> list[Artifact]:
    """The first and others at about equal distances, ``count`` in total."""
    if len(artifacts) <= count:
        return list(artifacts)
    return [artifacts[round(i * (len(artifacts) - 1) / count)] for i in range(count)]


# --- environments


def _environments(store: Store, runs: Sequence[str]) -> tuple[tuple[Mapping[str, Any], int], ...]:
    """The distinct environments with their number of runs, the most frequent first."""
    found: list[tuple[Mapping[str, Any], int]] = []
    for run in runs:
        here = store.environment(run)
        for i, (known, count) in enumerate(found):
            if known == here:
                found[i] = (known, count + 1)
                break
        else:
            found.append((here, 1))
    return tuple(sorted(found, key=lambda pair: -pair[1]))
