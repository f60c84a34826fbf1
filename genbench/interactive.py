"""genbench in Python, for notebooks: runs, scores and curves as frames, models, trainings.

Everything takes ``store``, the path or URL of a store, as the option ``--store`` does: None is
GENBENCH_STORE, or runs.db in the working directory.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from genbench.runner.trained import TrainedModel
    from genbench.store import Store
    from genbench.store.records import Run

INFINITE = {0: None, 1: float("nan"), 2: float("inf"), 3: float("-inf")}
"""The values that the store holds as NULL, by the column ``nonfinite``."""


def runs(
    *filters: str, store: str | None = None, archived: bool = False, frame: bool = True
) -> Any:
    """The runs, newest first: one row each, as the view ``v_runs`` has them.

    ``filters`` are those of the command line: ``runs("model=vae", "lr>=1e-4", "tag:paper")``. The
    answer is a pandas frame, or a list of dicts with ``frame=False``. Raises UsageError without
    pandas (``pip install 'genbench[pandas]'``), NoSuchRunError and StoreError.
    """
    return _rows("v_runs", "id", filters, store, archived, frame, "created_at DESC")


def scores(
    *filters: str, store: str | None = None, archived: bool = False, frame: bool = True
) -> Any:
    """The final scores of the runs: one row each, as the view ``v_scores`` has them."""
    return _rows("v_scores", "id", filters, store, archived, frame, "metric, value")


def curves(
    *filters: str,
    series: str | None = None,
    store: str | None = None,
    archived: bool = False,
    frame: bool = True,
) -> Any:
    """The recorded points of the runs, one row each: id, series, kind, step, value.

    ``series`` limits them to one series, such as "test/loss"; UnknownNameError if no run has it.
    """
    return _rows("v_series", "id", filters, store, archived, frame, "id, series, step", series)


def load(
    ref: str,
    *,
    store: str | None = None,
    device: str = "auto",
    data_dir: str | Path | None = None,
) -> TrainedModel:
    """The trained model of a run, which samples, encodes, decodes and interpolates.

    ``ref`` is an id, the beginning of one, a name, or "@1" for the newest run. Raises
    NoSuchRunError, UsageError for a run without weights, CheckpointError for damaged ones.
    """
    from genbench.registry import Registry
    from genbench.runner import data_access
    from genbench.runner.loading import load as load_weights
    from genbench.runner.source_runs import with_runs
    from genbench.runner.trained import TrainedModel

    registry = Registry.from_environment()
    with _open(store, "read") as opened:
        access = with_runs(data_access(data_dir, os.environ), registry, opened)
        found = load_weights(opened.resolve(ref), registry, opened, access, device)
    return TrainedModel(found, registry)


def run(
    model: str,
    dataset: str,
    *,
    settings: Mapping[str, Any] | None = None,
    name: str | None = None,
    tags: Sequence[str] = (),
    listen: Sequence[str] = (),
    store: str | None = None,
    data_dir: str | Path | None = None,
    config: str | Path | None = None,
    **fields: Any,
) -> Run:
    """Train and score a model as ``genbench run`` does, by the same plan; return the finished run.

    ``settings`` are those of ``--set``: ``{"z_dim": 8, "data.size": 16}``. ``fields`` are the other
    options by their names: ``epochs=5, seed=1, preset="kingma2014", samplers=["plain"]``. As on the
    command line, the environment and genbench.toml of the working directory are read too. Raises
    what is wrong as a GenbenchError; Ctrl-C leaves the run to be resumed.
    """
    from genbench.planning.resolve import Request, resolve
    from genbench.planning.toml_plan import value_of
    from genbench.registry import Registry
    from genbench.runner import data_access, run as train
    from genbench.runner.source_runs import with_runs

    registry = Registry.from_environment()
    url = _url(store)
    access = with_runs(data_access(data_dir, os.environ), registry, url)
    sets = [
        f"{key}={'none' if value is None else value_of(value)}"
        for key, value in (settings or {}).items()
    ]
    request = Request(
        model=model,
        dataset=dataset,
        run={**fields, "listeners": list(listen)},
        sets=sets,
        config=None if config is None else Path(config),
    )
    plan = resolve(request, registry, access, os.environ, Path.cwd())
    with _open(store, "create") as opened:
        return train(
            plan.spec,
            registry=registry,
            store=opened,
            access=access,
            name=name,
            tags=tuple(tags),
            listen=plan.listeners,
        )


def _url(store: str | None) -> str:
    return store or os.environ.get("GENBENCH_STORE") or "runs.db"


def _open(store: str | None, mode: Any) -> Store:
    from genbench.store import Store

    return Store.open(_url(store), mode=mode)


def _rows(
    view: str,
    column: str,
    filters: Sequence[str],
    store: str | None,
    archived: bool,
    frame: bool,
    order: str,
    series: str | None = None,
) -> Any:
    pandas = _pandas() if frame else None
    with _open(store, "read") as opened:
        ids = [run.id for run in _selected(opened, filters, archived)]
        wanted = ", ".join(f"'{run_id}'" for run_id in ids)  # hexadecimal digits
        where = f"{column} IN ({wanted})"
        if series is not None:
            where += " AND series = '" + series.replace("'", "''") + "'"
        columns, rows = opened.query(f"SELECT * FROM {view} WHERE {where} ORDER BY {order}")
        known = [name for (name,) in opened.rows("SELECT name FROM metric_keys")]
        if series is not None and series not in known:
            raise UnknownNameError("series", series, known)
    records = [_with_infinities(dict(zip(columns, row, strict=True))) for row in rows]
    if pandas is None:
        return records
    kept = [name for name in columns if name != "nonfinite"]
    return pandas.DataFrame.from_records(records, columns=kept)


def _with_infinities(row: dict[str, Any]) -> dict[str, Any]:
    flag = row.pop("nonfinite", 0)
    return {**row, "value": INFINITE[flag]} if flag else row


def _pandas() -> Any:
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise UsageError(
            "a frame needs the package 'pandas'; frame=False gives records",
            hint="pip install 'genbench[pandas]'",
        ) from error
    return pandas


def _selected(store: Store, filters: Sequence[str], archived: bool) -> list[Run]:
    from genbench.store.filters import parse

    return store.runs(where=parse(filters), archived=None if archived else False)
