"""One self-contained HTML page for light and dark screens, print and phones, without any request.

What stands where, from the question that a reader has first to the one that he has last:

1. Which model is better, how sure is that, what did it cost? The *answer* in sentences opens each
   data set, beneath a headline; then *score against seconds* with the front, spread and the floor,
   and *score against function evaluations* for models that are drawn in several steps.
2. What are the numbers? The *table*, with all columns: sorted and filtered by a script, scrolled
   beneath its first column on a phone, as one record for each row in print if it is too wide.
3. When did it get there? *Curves* of scores, with a band over the seeds.
4. What does it look like? *Sample grids* side by side; one slider steps all of them.
5. What was it, exactly? A folded *card* for each experiment: settings, seeds, losses, pictures of
   the trained model, warnings, the command that runs it again, the environment.
6. How were settings found? For each search its best trials, scores over the trials, settings side
   by side, their importance, and the Pareto front.
7. How was it measured? The *protocols*, folded; footnotes of the columns lead to them.

The legend stays in view while one reads 1 to 5: a button hides a row in all charts and grids, and
one choice (seconds or epochs) holds for curves and samples. Without scripts the page shows the same
drawings over seconds, the final pictures, and no control that does nothing.

A policy in the head forbids every request and every script but the page's own. All that a person
typed in (names, tags, settings, paths) goes through `escape`.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from importlib.resources import files

from genbench import __version__
from genbench.compare import Table, method
from genbench.formatting import counted, markup as escape
from genbench.report.cards import Abilities, cards, facts_list
from genbench.report.content import Report, Section
from genbench.report.figures import evaluations, figures, grids, legend, pareto, probes
from genbench.report.findings import findings
from genbench.report.searches import as_html
from genbench.report.table_part import protocol_number, table_part


def no_abilities(model: str, dataset: str) -> frozenset[str]:
    """The capabilities of a model if they aren't known: none."""
    return frozenset()


def render(report: Report, *, can: Abilities = no_abilities, now: datetime | None = None) -> str:
    """The page as HTML. ``now`` (UTC) is printed as the time at which it was made.

    ``can`` says what a model can do, so that a card has the commands for pictures of it.
    """
    moment = (now or datetime.now(UTC)).strftime("%-d %B %Y, %H:%M UTC")
    title = headline(report)
    style, script = own_file("style.css"), own_file("script.js")
    digest = b64encode(sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    body = "\n".join(
        [
            _masthead(report, title),
            "\n".join(("<main>", *sections(report, can=can).values(), "</main>")),
            _footer(report, moment),
        ]
    )
    return (
        '<!doctype html>\n<html lang="en" data-axis="seconds">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)} · genbench</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n{body}\n<script>{script}</script>\n</body>\n</html>\n"
    )


def sections(report: Report, *, can: Abilities = no_abilities) -> dict[str, str]:
    """What stands in the frame, by the id of its element: data sets, searches, protocols.

    It needs the page's style and script.
    """
    drawn = {f"data-{i}": _section(s, i, can) for i, s in enumerate(report.sections)}
    searches = as_html(report.searches)
    return {
        **drawn,
        **({"searches": searches} if searches else {}),
        "protocols": _protocols(report),
    }


def own_file(name: str) -> str:
    """The text of the page's "style.css" or "script.js"."""
    return files("genbench.report").joinpath(name).read_text(encoding="utf-8")


# --- masthead


def headline(report: Report) -> str:
    """'gan, vae and vaegan on mnist'."""
    tables = [section.table for section in report.sections]
    models = sorted({row.first.model for table in tables for row in table.rows})
    return f"{listed(models)} on {listed(sorted({table.dataset for table in tables}))}"


def listed(words: Sequence[str]) -> str:
    """'a, b and c'."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def _masthead(report: Report, title: str) -> str:
    tables = [section.table for section in report.sections]
    rows = [row for table in tables for row in table.rows]
    runs = len({run.id for row in rows for run in row.runs})
    experiments = len({row.first.experiment for row in rows})
    devices = listed(sorted({device for table in tables for device in table.devices}))
    dek = (
        f"{counted(runs, 'finished run')} of {counted(experiments, 'experiment')}, trained on "
        f"{escape(devices)}. Scores are means over seeds with their standard deviation."
    )
    for dataset, count in report.hidden.items():
        dek += (
            f" {counted(count, 'more experiment')} on {escape(dataset)} "
            f"{'is' if count == 1 else 'are'} not shown (<code>--limit</code>)."
        )
    if report.unfinished:
        counts = listed([f"{n} {status}" for status, n in report.unfinished.items()])
        dek += f" Left out because they are not finished: {escape(counts)}."
    links = [(f"#data-{i}", escape(table.title)) for i, table in enumerate(tables)]
    if report.searches:
        links.append(("#searches", "Searches for settings"))
    links.append(("#protocols", "How scores were computed"))
    items = "".join(f'<li><a href="{href}">{text}</a></li>' for href, text in links)
    nav = f'<nav aria-label="Sections"><ul>{items}</ul></nav>\n' if len(tables) > 1 else ""
    return f'<header>\n<h1>{escape(title)}</h1>\n<p class="dek">{dek}</p>\n{nav}</header>'


# --- one data set


def _section(section: Section, index: int, can: Abilities) -> str:
    table = section.table
    sentences = "".join(f"<li>{escape(text)}</li>" for text in findings(table, section.fronts))
    parts = [
        f'<section id="data-{index}" class="data" aria-labelledby="data-{index}-h">',
        f'<h2 id="data-{index}-h">{escape(table.title)}</h2>',
        f'<ul class="findings">{sentences}</ul>' if sentences else "",
        legend(section, index),
        pareto(section, index),
        evaluations(section, index),
        '<h3>All numbers</h3>\n<p class="under">Mean ± standard deviation over seeds; ● marks the '
        "best of a column. A footnote leads to how a metric was computed.</p>",
        table_part(table, index, section.colours),
        _remarks(table, section),
        figures("Score over the training", _SCORES_UNDER, section.scores, f"s{index}"),
        probes(section, index),
        grids(section, index),
        cards(section, index, can),
        "</section>",
    ]
    return "\n".join(part for part in parts if part)


_SCORES_UNDER = (
    "Each point is a score at one epoch: the mean over seeds, with a band of one standard "
    "deviation. Seconds are those of training and of preparing its data, without pauses."
)


def _remarks(table: Table, section: Section) -> str:
    warned = [e.first.title for e in section.experiments if e.warnings]
    texts = list(table.warnings)
    if warned:
        texts.append(f"{listed(warned)}: warnings during the training, see the cards below")
    warnings = [f'<li class="warning">{escape(text)}</li>' for text in texts]
    how = method([table])
    notes = [f"<li>{escape(text)}</li>" for text in (*table.notes, *([how] if how else ()))]
    items = "".join([*warnings, *notes])
    return f'<ul class="remarks">{items}</ul>' if items else ""


# --- the end


def _protocols(report: Report) -> str:
    items = []
    for index, section in enumerate(report.sections):
        table = section.table
        for column in table.shown:
            number = protocol_number(table, column)
            facts = facts_list({"samples": column.n, **column.protocol})
            items.append(
                f'<li id="p-{index}-{number}"><h4><sup>{number}</sup> {escape(column.metric)} on '
                f"{escape(table.title)}</h4>{facts}</li>"
            )
    return (
        '<section id="protocols"><details class="folded"><summary>How scores were computed'
        '</summary><p class="under">Values share a column only if all of this is equal.</p>\n'
        f'<ul class="protocols">{"".join(items)}</ul></details></section>'
    )


def _footer(report: Report, moment: str) -> str:
    text = f"Made by genbench {escape(__version__)} on {moment}."
    if report.left_out:
        text += f" {counted(report.left_out, 'picture')} of other epochs left out."
    if report.shrunk:
        text += (
            f" {counted(report.shrunk, 'picture')} stored again as WebP, to keep the page small."
        )
    return f"<footer><p>{text}</p></footer>"
