"""The reading half of the store: rows of the database in, frozen records out."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from genbench.errors import UsageError
from genbench.events import TrainedEpoch
from genbench.store import references, runs
from genbench.store.address import Address
from genbench.store.filters import Filter, condition
from genbench.store.reader import Condition, EngineReader, Reader, Rows, SqliteReader, Streamed
from genbench.store.records import (
    TOGETHER,
    Artifact,
    Draw,
    Epoch,
    PartVersion,
    Run,
    ScoreRecord,
    StageRecord,
    Status,
    Summary,
    WarningRecord,
)
from genbench.store.values import flat_params, param_value

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from genbench.store.database import Database

Record = TypeVar("Record", bound="DataclassInstance")


class ReadableStore:
    """The reading methods of `Store`; ``ref`` is any reference to a run, ``run_id`` its id."""

    def __init__(self, address: Address) -> None:
        self._address = address

    @cached_property
    def _database(self) -> Database:
        from genbench.store.database import Database

        return Database(self._address)

    @cached_property
    def _reader(self) -> Reader:
        if self._address.path is None:
            return EngineReader(self._address, self._database.engine)
        return SqliteReader(self._address)

    def resolve(self, ref: str) -> str:
        """The id of a run by its id, the beginning of an id, its name, or @1 (newest), @2, ...

        Raises NoSuchRunError, or AmbiguousRunError with the ids.
        """
        return references.resolve(self._reader, ref)

    def run(self, ref: str) -> Run:
        """The head of a run."""
        return runs.select_runs(self._reader, [Filter.one("id", self.resolve(ref))], 1)[0]

    def runs(
        self,
        *,
        model: str | None = None,
        dataset: str | None = None,
        status: Status | str | None = None,
        tag: str | None = None,
        experiment: str | None = None,
        archived: bool | None = None,
        where: Sequence[Filter] = (),
        sort: str | None = None,
        limit: int | None = None,
        skip: int = 0,
    ) -> list[Run]:
        """The heads of the runs that meet all conditions, newest first or by a key.

        ``where`` and ``sort`` have the keys of `genbench.store.filters`; the other conditions are
        short for these. With ``archived`` None, archived runs are included. With a limit, the first
        ``skip`` runs are left out. Raises UnknownNameError for a key that the store doesn't have.
        """
        given = {
            "model": model,
            "dataset": dataset,
            "status": status and str(status),
            "tag": tag,
            "experiment": experiment,
        }
        filters = [Filter.one(key, value) for key, value in given.items() if value is not None]
        if archived is not None:
            filters.append(Filter("archived", "!=" if archived else "=", ("none",)))
        return runs.select_runs(self._reader, [*where, *filters], limit, sort, skip)

    def condition(self, where: Sequence[Filter]) -> Condition:
        """The SQL condition on ``runs r`` that filters mean, for `rows`."""
        return condition(self._reader, where)

    def running_here(self) -> list[str]:
        """The ids of the runs that this process trains."""
        return runs.running_here(self._reader)

    def children(self, run_id: str) -> list[str]:
        """The ids of the runs that build upon a run, oldest first."""
        return runs.children(self._reader, run_id)

    def stages(self, run_id: str) -> list[StageRecord]:
        """The stages in order."""
        columns = "position, stage, epochs, prepare_s, epochs_done, train_s, execution"
        rows = self._table(run_id, "stages", columns, "position")
        return _records(StageRecord, rows, execution=lambda found: json.loads(found or "{}"))

    def epochs(self, run_id: str) -> list[Epoch]:
        """The epochs in order, with the means of their losses."""
        losses: defaultdict[int, dict[str, float | None]] = defaultdict(dict)
        for epoch, name, value in self._rows_of(
            run_id,
            "SELECT l.epoch, k.name, l.value FROM epoch_losses l "
            "JOIN metric_keys k ON k.key = l.key WHERE l.run = :run ORDER BY k.key",
        ):
            losses[epoch][name] = value
        names = [field.name for field in fields(TrainedEpoch)]
        rows = self._table(run_id, "epochs", ", ".join(names), "epoch")
        found = [dict(zip(names, row, strict=True)) for row in rows]
        return [Epoch(**values, losses=losses[values["epoch"]]) for values in found]

    def scores(self, run_id: str) -> list[ScoreRecord]:
        """All scores, by epoch, then in the order in which they were computed."""
        rows = self._rows_of(
            run_id,
            "SELECT k.name, e.value, e.std, e.n, k.direction, k.unit, e.floor, e.sampler, "
            "e.sampler_settings, e.epoch, e.stage, p.body, e.protocol_hash, e.seconds, e.note, "
            "e.created_at, e.final, e.draws, e.draw, d.seed, d.origin, d.step FROM evals e "
            "JOIN metric_keys k ON k.key = e.key JOIN draws d ON d.draw = e.draw "
            "JOIN protocols p ON p.protocol_hash = e.protocol_hash "
            "WHERE e.run = :run ORDER BY e.epoch, e.eval",
        )
        return _records(
            ScoreRecord, rows, sampler_settings=json.loads, protocol=json.loads, final=bool
        )

    def draws(self, run_id: str) -> list[Draw]:
        """The draws of samples that were scored, by epoch."""
        columns = "epoch, stage, sampler, sampler_settings, seconds, diagnostics, skipped"
        columns += ", created_at, seed, origin, step"
        rows, parse = self._table(run_id, "draws", columns, "epoch, draw"), json.loads
        return _records(Draw, rows, sampler_settings=parse, diagnostics=parse, skipped=parse)

    def warnings(self, run_id: str) -> list[WarningRecord]:
        """The warnings of the run by epoch: D has won, G has collapsed, ..."""
        columns = "epoch, kind, message, created_at"
        return _records(WarningRecord, self._table(run_id, "warnings", columns, "epoch, kind"))

    def plugins(self, run_id: str) -> list[PartVersion]:
        """The parts of a run with the distributions and versions that they came from.

        A part is listed twice if the run was resumed with another version of it. The list is empty
        for a run from an old store, which has no versions.
        """
        columns = "kind, name, distribution, version"
        return _records(PartVersion, self._table(run_id, "run_plugins", columns, columns))

    def artifacts(self, run_id: str) -> list[Artifact]:
        """The files in the order in which they were made."""
        columns = "kind, path, epoch, digest, bytes"
        return _records(Artifact, self._table(run_id, "artifacts", columns, "created_at, artifact"))

    def keys(self, run_id: str) -> list[str]:
        """The names of the recorded series."""
        return [summary.key for summary in self.summaries(run_id)]

    def series(self, run_id: str, key: str) -> list[tuple[int, float | None]]:
        """The points of a series by step, with None for values that are not finite.

        The list is empty for a name that was not recorded.
        """
        rows = self._rows_of(
            run_id,
            "SELECT p.step, p.value FROM points p JOIN metric_keys k ON k.key = p.key "
            "WHERE p.run = :run AND k.name = :name AND k.kind <> 'score' ORDER BY p.step",
            name=key,
        )
        return [(step, value) for step, value in rows]

    def summaries(self, run_id: str) -> list[Summary]:
        """The summaries of the recorded series, by name."""
        rows = self._rows_of(
            run_id,
            "SELECT k.name, s.first, s.last, s.min, s.argmin, s.max, s.n, s.n_nonfinite "
            "FROM metric_summary s JOIN metric_keys k ON k.key = s.key "
            "WHERE s.run = :run ORDER BY k.name",
        )
        return _records(Summary, rows)

    def environment(self, run_id: str) -> dict[str, Any]:
        """The last environment of a run, with the commit of the code at its start.

        It is empty if none was given.
        """
        rows = self._rows_of(
            run_id,
            "SELECT e.body, r.git_commit, r.git_dirty FROM runs r "
            "JOIN environments e ON e.environment = r.environment WHERE r.run = :run",
        )
        if not rows:
            return {}
        body, commit, dirty = rows[0]
        code = {"git_commit": commit, "git_dirty": bool(dirty)} if commit else {}
        return {**json.loads(body), **code}

    def environments(self, run_id: str) -> list[tuple[int, dict[str, Any]]]:
        """All environments of a run, each with the step after which it began: (0, ...) first.

        There are several if the run was resumed on another machine or with other packages.
        """
        rows = self._rows_of(
            run_id,
            "SELECT u.step, e.body FROM run_environments u JOIN environments e "
            "ON e.environment = u.environment WHERE u.run = :run ORDER BY u.step",
        )
        return [(step, json.loads(body)) for step, body in rows]

    def trained_together(self, run_id: str) -> tuple[int, ...]:
        """The seeds that a run was trained together with, and its own; empty for a run alone."""
        found = (known[TOGETHER] for _, known in self.environments(run_id) if TOGETHER in known)
        return tuple(next(found, ()))

    def params(self, run_id: str) -> dict[str, Any]:
        """Everything that decides the numbers of a run, under flat names such as ``model.lr``.

        Values have the types in which they were given; defaults that the spec leaves out are added.
        """
        ((spec,),) = self._rows_of(run_id, "SELECT spec FROM runs WHERE run = :run")
        given = flat_params(json.loads(spec))
        rows = self._rows_of(run_id, "SELECT key, num, text FROM run_params WHERE run = :run")
        left = {key: param_value(num, text) for key, num, text in rows if key not in given}
        return dict(sorted({**given, **left}.items()))

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Rows:
        """All rows of a statement of genbench itself, with ``:name`` parameters."""
        return self._reader.rows(sql, parameters)

    def query(self, sql: str) -> tuple[list[str], Rows]:
        """The columns and rows of a user's statement, on a connection that can't write.

        Raises UsageError for a statement that is invalid or would write.
        """
        with self.stream(sql) as (columns, rows):
            return columns, list(rows)

    @contextmanager
    def stream(self, sql: str, where: Sequence[Filter] = ()) -> Iterator[Streamed]:
        """The same as `query`, but rows are yielded as they are found."""
        if not sql.strip():
            raise UsageError("the query is empty; give one SELECT statement")
        with self._reader.stream(sql, self.condition(where) if where else None) as streamed:
            yield streamed

    def _table(self, run_id: str, table: str, columns: str, order: str) -> Rows:
        """The rows of a run in one table."""
        return self._rows_of(
            run_id, f"SELECT {columns} FROM {table} WHERE run = :run ORDER BY {order}"
        )

    def _rows_of(self, run_id: str, sql: str, **parameters: Any) -> Rows:
        """The rows of a statement with the number of a run as ``:run``."""
        run = runs.number_of(self._reader, run_id)
        return self._reader.rows(sql, {"run": run, **parameters})


def _records(record: type[Record], rows: Rows, **parse: Callable[[Any], Any]) -> list[Record]:
    """One record per row, with columns in the order of its fields; ``parse`` converts some."""
    names = [field.name for field in fields(record)]
    found = []
    for row in rows:
        values = dict(zip(names, row, strict=True))
        values |= {name: convert(values[name]) for name, convert in parse.items()}
        found.append(record(**values))
    return found
