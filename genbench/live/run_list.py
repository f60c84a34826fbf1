"""The page with the list of runs: filtered, sorted, a hundred at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from genbench.formatting import ARROWS, counted, markup as escape, number, visible
from genbench.live.frame import Page, filter_form, query, run_address, state_badge
from genbench.store import Filter, Store
from genbench.store.filters import parse, shows_archived
from genbench.store.final_scores import Scores, final_scores, shown_metrics
from genbench.store.records import Run

EACH = 100
"""Runs on a page."""

COLUMNS = {
    "run": "id",
    "status": "status",
    "model": "model",
    "data set": "dataset",
    "seed": "seed",
    "epochs": "epochs_done",
    "seconds": "train_s",
    "started (UTC)": "created",
}
"""Headings, and the keys that they sort by."""

NUMBERS = ("seed", "epochs", "seconds")


def filters_of(text: str) -> list[Filter]:
    """The filters in the box. Raises UsageError."""
    found = parse(text.split()) if text.strip() else []
    if not shows_archived(found):
        found.append(Filter("archived", "=", ("none",)))
    return found


def run_list(store: Store, text: str, sort: str, number_of_page: int) -> Page:
    """The page of runs that meet the filter. Raises GenbenchError for one that can't be read."""
    where = filters_of(text)
    condition = store.condition(where)
    ((count,),) = store.rows(
        f"SELECT count(*) FROM runs r WHERE {condition.sql}", condition.parameters
    )
    last = max(1, -(-int(count) // EACH))
    at = min(max(1, number_of_page), last)
    runs = store.runs(where=where, sort=sort or None, limit=EACH, skip=(at - 1) * EACH)
    scores = final_scores(store, runs) if runs else {}
    metrics = shown_metrics(runs, scores)
    return Page(
        title="Runs",
        head=f"<h1>Runs</h1>{filter_form('/', text, sort=sort)}",
        before=_before(int(count), text, sort, metrics),
        parts={f"run-{run.id}": _row(run, scores, metrics) for run in runs},
        after=f"</tbody></table></div>{_pages(at, last, text, sort)}",
    )


def _before(count: int, text: str, sort: str, metrics: Mapping[str, str]) -> str:
    keys = {**COLUMNS, **{metric: metric for metric in metrics}}
    heads = "".join(_head(name, key, text, sort, metrics) for name, key in keys.items())
    compare = f'<a href="{query("/compare", filter=text)}">compare them</a>'
    return (
        f'<p class="under">{escape(counted(count, "run"))}, {compare}</p>'
        '<div class="scroll" tabindex="0" role="region" aria-label="Runs"><table id="list">'
        f"<thead><tr>{heads}</tr></thead><tbody>"
    )


def _head(name: str, key: str, text: str, sort: str, metrics: Mapping[str, str]) -> str:
    """A heading that sorts by its column, and turns the order round the second time."""
    way = {key: "ascending", f"-{key}": "descending"}.get(sort)
    other = f"-{key}" if sort == key else key
    arrow = f" {ARROWS[metrics[name]]}" if metrics.get(name) in ARROWS else ""
    kind = ' class="num"' if name in NUMBERS or name in metrics else ""
    sorted_ = f' aria-sort="{way}"' if way else ""
    link = f'<a class="sort" href="{query("/", filter=text, sort=other)}">'
    return f'<th scope="col"{kind}{sorted_}>{link}{escape(name + arrow)}</a></th>'


def _row(run: Run, scores: Scores, metrics: Mapping[str, str]) -> str:
    name = f" <bdi>{escape(cropped(run.name))}</bdi>" if run.name else ""
    dataset = ":".join((run.dataset, *run.parents))
    texts = [
        (False, state_badge(run.status.value)),
        (False, escape(run.model + (f" ({run.preset})" if run.preset else ""))),
        (False, escape(dataset)),
        (True, escape(str(run.seed))),
        (True, f"{run.epochs_done}/{run.epochs_planned}"),
        (True, escape(number(run.train_s, 3))),
        (False, escape(run.created_at[:16].replace("T", " "))),
        *((True, escape(_score(run, scores, metric))) for metric in metrics),
    ]
    cells = "".join(f"<td{' class=num' if right else ''}>{text}</td>" for right, text in texts)
    head = f'<th scope="row"><a href="{run_address(run.id)}"><code>{escape(run.id)}</code></a>'
    return f'<tr id="run-{escape(run.id)}">{head}{name}</th>{cells}</tr>\n'


def _score(run: Run, scores: Scores, metric: str) -> str:
    found = scores.get(run.id, {}).get(metric)
    if found is None:
        return ""
    return "nan" if found.value is None else number(found.value)


def cropped(text: str, letters: int = 80) -> str:
    """A text in one line, cut if it is long; its run's page has all of it."""
    line = visible(text)
    return line if len(line) <= letters else f"{line[: letters - 1]}…"


def _pages(at: int, last: int, text: str, sort: str) -> str:
    if last == 1:
        return ""
    near: Sequence[int] = sorted({1, last, *range(max(1, at - 2), min(last, at + 2) + 1)})
    links = "".join(
        f"<b>{i}</b>"
        if i == at
        else f'<a href="{query("/", filter=text, sort=sort, page=i)}">{i}</a>'
        for i in near
    )
    return f'<nav class="pages" aria-label="Pages of runs">{links}</nav>'
