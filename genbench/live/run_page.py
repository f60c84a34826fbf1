"""The page of one run: all that ``genbench show`` has, with its curves and pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from genbench.formatting import duration, markup as escape, measured, number, plain
from genbench.live.frame import Page, folded, part, query, run_address, state_badge, table
from genbench.live.run_curves import RunCurves
from genbench.live.run_list import cropped
from genbench.live.screen import advice
from genbench.live.state import LiveRun, read_live
from genbench.report.cards import CAPTIONS, Abilities, facts_list
from genbench.report.figures import charts
from genbench.report.rerun_command import picture_commands, rerun_command
from genbench.store import Store
from genbench.store.records import Artifact, ScoreRecord

Defaults = Callable[[str], Mapping[str, Any]]
"""The spec of a run as JSON -> the defaults of its settings, as far as they are known."""

FEW = 8
"""Earlier sample grids beside the newest one."""


def run_page(store: Store, reference: str, *, can: Abilities, defaults: Defaults) -> Page:
    """The page of a run. Raises NoSuchRunError."""
    run_id = store.resolve(reference)
    [live] = read_live(store, [run_id], points=2)
    curves = RunCurves(store, run_id)
    run = live.run
    sections = {
        "state": _state(live),
        "warnings": "".join(
            f'<p class="warning">epoch {epoch}: {escape(text)}</p>' for epoch, text in live.warnings
        ),
        "curves": charts(curves.losses(), "l", own_legend=True),
        "samples": _samples(store, run_id, run.model),
        "scores": _scores(store.scores(run_id)),
        "score-curves": charts(curves.scores(), "s", own_legend=True),
        "signs": charts(curves.signs(), "h", own_legend=True),
        "pictures": _pictures(store, run_id),
        "again": _commands(store, live, curves, can),
        "facts": _facts(store, live, defaults),
    }
    titles = {
        "curves": "Losses",
        "samples": "Samples over the training",
        "scores": "Scores",
        "score-curves": "Scores over the training",
        "signs": "Signs of health",
        "again": "Run it again",
        "facts": "What it is",
    }
    return Page(
        title=f"{run.model} on {run.dataset}",
        head=_head(live),
        parts={key: part(key, titles.get(key, ""), html) for key, html in sections.items()},
    )


def _head(live: LiveRun) -> str:
    run = live.run
    name = f"<bdi>{escape(cropped(run.name, 200))}</bdi> · " if run.name else ""
    axes = "".join(
        f'<button type="button" data-axis="{axis}" aria-pressed="{str(axis == "epochs").lower()}">'
        f"{axis}</button>"
        for axis in ("epochs", "seconds")
    )
    return (
        f"<h1>{escape(f'{run.model} on {run.dataset}')}</h1>"
        f'<p class="dek">{name}<code>{escape(run.id)}</code> · seed {run.seed}</p>'
        '<div class="switch scripted" role="group" aria-label="Curves over"><span>over</span>'
        f"{axes}</div>"
    )


def _state(live: LiveRun) -> str:
    """The state with the progress, and what to do about it."""
    run = live.run
    share = 100 * run.epochs_done / max(1, run.epochs_planned)
    words = [f"epoch {run.epochs_done} of {run.epochs_planned}"]
    if live.stage and live.stages > 1:
        done = f"{live.stage.epochs_done} of {live.stage.epochs}"
        words.append(f"stage {live.stage.name}, {done}")
    if live.left_s is not None:
        words.append(f"about {duration(live.left_s)} left")
    if live.epoch_s is not None:
        words.append(f"{duration(live.epoch_s)} per epoch")
    words.append(f"{duration(run.train_s)} of training")
    hint = f'<p class="warning">{escape(advice(live))}</p>' if advice(live) else ""
    return (
        f'<p class="now">{state_badge(live.state)} <span>{escape(" · ".join(words))}</span></p>'
        f'<progress max="100" value="{share:.1f}">{share:.0f} %</progress>{hint}'
    )


# --- pictures


def _address(run_id: str, artifact: Artifact) -> str:
    """The address of a stored file; its digest tells the browser when it changes."""
    path = quote(artifact.path, safe="/")
    return query(f"/runs/{quote(run_id, safe='')}/files/{path}", v=artifact.digest[:12])


def _image(run_id: str, artifact: Artifact, title: str) -> str:
    when = f"epoch {artifact.epoch}" if artifact.epoch is not None else ""
    return (
        f'<figure><a href="{_address(run_id, artifact)}">'
        f'<img src="{_address(run_id, artifact)}" alt="{escape(f"{title}, {when}")}" '
        f'loading="lazy"></a><figcaption><span>{escape(title)}</span>'
        f"<small>{escape(when)}</small></figcaption></figure>"
    )


def _samples(store: Store, run_id: str, title: str) -> str:
    """The newest sample grid, and a few earlier ones at equal distances."""
    found = [a for a in store.artifacts(run_id) if a.kind == "samples" and _is_picture(a)]
    grids = list({artifact.epoch: artifact for artifact in found}.values())
    if not grids:
        return ""
    newest, earlier = grids[-1], grids[:-1]
    few: Sequence[Artifact] = earlier
    if len(earlier) > FEW:
        few = [earlier[round(i * (len(earlier) - 1) / (FEW - 1))] for i in range(FEW)]
    small = "".join(_image(run_id, artifact, title) for artifact in reversed(few))
    return (
        f'<div class="newest">{_image(run_id, newest, title)}'
        f'<div class="pictures">{small}</div></div>'
    )


def _pictures(store: Store, run_id: str) -> str:
    """The newest picture of each other kind."""
    newest = {a.kind: a for a in store.artifacts(run_id) if a.kind != "samples" and _is_picture(a)}
    images = "".join(_image(run_id, a, CAPTIONS.get(kind, kind)) for kind, a in newest.items())
    return f'<h3>Pictures of the model</h3><div class="pictures">{images}</div>' if images else ""


def _is_picture(artifact: Artifact) -> bool:
    return artifact.path.lower().endswith(".png")


# --- numbers


def _scores(scores: Sequence[ScoreRecord]) -> str:
    """The scores of the last weights that were scored; those of earlier ones are curves."""
    last = max(((score.epoch, score.step or 0) for score in scores), default=None)
    shown = [score for score in scores if (score.epoch, score.step or 0) == last]
    heads = ("metric", "score", "floor", "n", "sampler", "epoch", "seconds", "role")
    rows = [
        (
            score.metric,
            "nan" if score.value is None else measured(score.value, score.std, score.draws),
            number(score.floor),
            str(score.n),
            score.sampler,
            str(score.epoch),
            number(score.seconds, 3),
            "final" if score.final else "additional",
        )
        for score in shown
    ]
    notes = "".join(
        f'<p class="under">{escape(f"{score.metric}: {score.note}")}</p>'
        for score in shown
        if score.note
    )
    return table(heads, rows, numbers=("score", "floor", "n", "epoch", "seconds")) + notes


def _commands(store: Store, live: LiveRun, curves: RunCurves, can: Abilities) -> str:
    run = live.run
    known = {artifact.kind for artifact in store.artifacts(run.id)}
    abilities = can(run.model, run.dataset) if run.checkpoint_epoch is not None else ()
    asked = "".join(
        f"<dt>{escape(what)}</dt><dd><code>{escape(command)}</code></dd>"
        for what, command in picture_commands(run.id, abilities, known).items()
    )
    return (
        f"<pre><code>{escape(rerun_command(curves.row))}</code></pre>"
        f'<p class="under">With the same store: <code>genbench rerun {escape(run.id)}</code></p>'
        + (f'<dl class="commands">{asked}</dl>' if asked else "")
    )


# --- facts


def _facts(store: Store, live: LiveRun, defaults: Defaults) -> str:
    run_id = live.run.id
    plugins = [(p.kind, p.name, p.distribution, p.version) for p in store.plugins(run_id)]
    files = [
        (a.kind, "" if a.epoch is None else str(a.epoch), f"{a.bytes:,}", a.path)
        for a in store.artifacts(run_id)
    ]
    return "".join(
        [
            _identity(store, live),
            folded("f-settings", "Settings", _settings(store, live, defaults)),
            folded("f-stages", "Stages", _stages(store, run_id)),
            folded(
                "f-plugins",
                "Plugins",
                table(("part", "name", "distribution", "version"), plugins),
            ),
            folded("f-diagnostics", "Diagnostics of samplers", _diagnostics(store, run_id)),
            folded("f-environment", "Environment", _environments(store, run_id)),
            folded(
                "f-files",
                "Files",
                table(("kind", "epoch", "bytes", "file"), files, numbers=("epoch", "bytes")),
            ),
        ]
    )


def _identity(store: Store, live: LiveRun) -> str:
    run = live.run
    facts = facts_list(
        {
            "name": run.name,
            "preset": run.preset,
            "device": f"{run.device}, {run.precision}",
            "parameters": f"{run.parameters:,}" if run.parameters else None,
            "created": run.created_at,
            "started": run.started_at,
            "finished": run.finished_at,
            "last heartbeat": run.heartbeat_at,
            "tags": ", ".join(run.tags) or None,
            "note": run.note,
            "archived": run.archived_at,
            "experiment": run.experiment,
            "folder": str(store.folder(run.id)),
            "error": run.error,
        }
    )
    return (
        facts + _relatives("parents", run.parents) + _relatives("children", store.children(run.id))
    )


def _relatives(title: str, ids: Sequence[str]) -> str:
    links = ", ".join(f'<a href="{run_address(i)}"><code>{escape(i)}</code></a>' for i in ids)
    return f"<dl><dt>{title}</dt><dd>{links}</dd></dl>" if links else ""


def _settings(store: Store, live: LiveRun, defaults: Defaults) -> str:
    usual = defaults(live.run.spec)
    rows = []
    for key, value in store.params(live.run.id).items():
        default = usual.get(key, value)
        rows.append((key, _text(value), _text(default) if default != value else ""))
    return table(("setting", "value", "default"), rows)


def _stages(store: Store, run_id: str) -> str:
    rows = [
        (s.name, f"{s.epochs_done}/{s.epochs}", number(s.prepare_s, 3), number(s.train_s, 3))
        for s in store.stages(run_id)
    ]
    heads = ("stage", "epochs", "prepare s", "train s")
    return table(heads, rows, numbers=heads[1:])


def _diagnostics(store: Store, run_id: str) -> str:
    draws = store.draws(run_id)
    rows = [
        (draw.sampler, str(draw.epoch), name, number(value))
        for draw in draws
        for name, value in draw.diagnostics.items()
    ]
    skipped = "".join(
        f'<p class="under">{escape(f"{metric} at epoch {draw.epoch} was skipped: {reason}")}</p>'
        for draw in draws
        for metric, reason in draw.skipped.items()
    )
    heads = ("sampler", "epoch", "name", "mean")
    return table(heads, rows, numbers=("epoch", "mean")) + skipped


def _environments(store: Store, run_id: str) -> str:
    places = store.environments(run_id)
    parts = [facts_list(store.environment(run_id))]
    if len(places) > 1:
        parts += [
            f"<h4>after step {step:,}</h4>{facts_list(environment)}" for step, environment in places
        ]
    return "".join(parts)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return json.dumps(value)
