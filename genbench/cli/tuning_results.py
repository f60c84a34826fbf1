"""What ``genbench tune`` prints and writes: the plan, the best trials, pictures and exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.cli.output import Format, print_json, print_table
from genbench.cli.session import say
from genbench.formatting import counted, duration, number

if TYPE_CHECKING:
    from genbench.compare.certainty import Difference
    from genbench.store.tunings import TuningRecord
    from genbench.tuning.history import History
    from genbench.tuning.question import SearchQuestion
    from genbench.tuning.result import Winner
    from genbench.tuning.work import Effort


def in_words(question: SearchQuestion) -> str:
    """'tpe over 3 settings, fd_clf, trials of 60 seconds'."""
    length = "of the model's own length"
    if question.limit is not None:
        length = f"of {question.limit[1]:g} {question.limit[0]}"
    what = " and ".join(question.objectives)
    over = counted(len(question.space), "setting")
    return f"{question.sampler} over {over}, {what}, trials {length}"


def print_plan(question: SearchQuestion, effort: Effort, *, as_json: bool) -> None:
    """Print the space of a tuning, its first trials and its cost."""
    from genbench.tuning.plan import first_settings

    if as_json:
        first = [dict(one) for one in first_settings(question, 1)]
        print_json({"question": question.to_json(), "effort": vars(effort), "first": first})
        return
    print(f"{question.model} on {question.dataset}: {in_words(question)}")
    for knob in question.space:
        paths = "" if knob.paths == (knob.name,) else f" ({', '.join(knob.paths)})"
        print(f"  {knob.name}{paths}: {knob.domain}")
    for text in question.fixed:
        print(f"  {text}, fixed")
    print(f"  scored on the validation split: {', '.join(question.objectives)}")
    runs = f"{counted(effort.trials, 'trial')}"
    if effort.confirm:
        beside = " and the defaults" if effort.defaults else ""
        runs += f", then {effort.repeats} runs that confirm the best {effort.top}{beside}"
    within = f", within {duration(effort.budget_s)}" if effort.budget_s else ""
    seconds = question.limit[1] if question.limit and question.limit[0] == "seconds" else None
    cost = f", {duration(seconds * effort.trials)} of training in all trials" if seconds else ""
    print(f"cost: {runs}{within}{cost}")


def print_result(
    record: TuningRecord,
    question: SearchQuestion,
    effort: Effort,
    history: History,
    format: Format,
    *,
    as_json: bool,
) -> None:
    """Print the best trials: what they reported beside what fresh seeds confirmed."""
    from genbench.tuning.commands import next_command
    from genbench.tuning.result import against_defaults, confirmed_defaults, counts, winners

    found = winners(history.trials, effort.top, history.runs, history.confirmed)
    defaults = confirmed_defaults(question, history)
    tested = against_defaults(defaults, found, history.directions[0]) if defaults else {}
    if as_json:
        print_json(
            {
                "tuning": record.name,
                "trials": counts(history.trials),
                "objectives": list(question.objectives),
                "best": [_tested(one, tested, history.directions) for one in found],
                "defaults": defaults and _tested(defaults, tested, history.directions),
                "spent_s": history.spent_s,
            }
        )
        return
    if not found:
        say(f"no trial has a score: {_counted(counts(history.trials))}")
        return
    names, confirms = question.objectives, bool(effort.confirm)
    headings = ["trial", "run", *(f"reported {name}" for name in names)]
    headings += [f"confirmed {names[0]}", "95 % interval"] if confirms else []
    headings += [knob.name for knob in question.space]
    others = () if defaults is None or defaults in found else (defaults,)
    rows = [_row(one, question, history.directions, confirms=confirms) for one in (*found, *others)]
    print_table(headings, rows, format=format, title=f"tuning {record.name}")
    _say_how_to_read(sum(trial.is_good for trial in history.trials), confirms=confirms)
    for trial, difference in tested.items():
        say(f"trial {trial} against the defaults: {_in_words(names[0], difference)}")
    say(f"trials: {_counted(counts(history.trials))}; all runs took {duration(history.spent_s)}")
    own = next(one for one in history.proposals if one.number == found[0].trial.number)
    say(f"next, on the test split: {next_command(question, own)} --seeds 0..4")


def _say_how_to_read(good: int, *, confirms: bool) -> None:
    """Say what the best of ``good`` trials means."""
    best = f"the best of {counted(good, 'trial')} on the validation split"
    say(
        f"note: reported is {best}, which is optimistic; confirmed is the mean of fresh seeds on "
        "it. The two are never ranked against each other"
        if confirms
        else f"note: these are {best}, so they look better than they are; to measure them again: "
        "--confirm 5"
    )


def _tested(
    one: Winner, differences: Mapping[int, Difference], directions: Sequence[str]
) -> dict[str, Any]:
    """A winner as JSON values, with its difference to the defaults where both are confirmed."""
    from genbench.tuning.result import as_dict

    told, found = as_dict(one, directions), differences.get(one.trial.number)
    if found is not None:
        told["against_defaults"] = {
            "difference": found.estimate,
            "interval": found.interval,
            "distinguishable": found.distinguishable,
        }
    return told


def _in_words(metric: str, found: Difference) -> str:
    """'fd_clf -45 (-60 to -30 at 96 %)'."""
    text = f"{metric} {found.estimate:+.4g}"
    if found.interval is None or found.level is None:
        return f"{text}; fewer than 3 seeds, so no order is certain"
    low, high = found.interval
    certain = "" if found.distinguishable else ", not distinguishable"
    return f"{text} ({low:.4g} to {high:.4g} at {100 * found.level:.3g} %){certain}"


def _row(
    one: Winner, question: SearchQuestion, directions: Sequence[str], *, confirms: bool
) -> list[int | str | None]:
    """A row of the table of the best trials."""
    from genbench.tuning.result import as_dict

    told = as_dict(one, directions)
    row = [one.trial.number, one.run, *map(number, told["reported"])]
    if confirms:
        ends = told["confirmed_interval"] if one.interval else None
        row += [f"{number(told['confirmed_mean'])} (n = {len(one.confirmed)})"]
        row += [" to ".join(map(number, ends)) if ends else None]
    return [*row, *(_brief(one.trial.settings[knob.name]) for knob in question.space)]


def _brief(value: Any) -> str:
    return number(value, 3) if isinstance(value, float) else str(value)


def _counted(found: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in found.items())


def write_files(
    record: TuningRecord,
    question: SearchQuestion,
    history: History,
    export: Path | None,
    pictures: Path | None,
) -> None:
    """Write the study for optuna-dashboard and the pictures of a search, where asked for."""
    if export is not None:
        from genbench.tuning.export import write_optuna

        write_optuna(export, record.name, question, history.trials)
        say(f"written: {export}")
    if pictures is not None:
        from genbench.tuning.pictures import draw

        for path in draw(pictures, question, history):
            say(f"written: {path}")
