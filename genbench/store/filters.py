"""The filters that select runs: words that a person types in become SQL conditions.

::

    word      KEY OPERATOR VALUE, or a reference to a run (an id, its beginning, a name, @1)
    KEY       a field of a run     model, status, seed, started, ... (`FIELDS`), dataset
              a tag, a parent      tag, parent
              a final score        fd_clf, or fd_clf@drs for one sampler
              a setting            model.lr, or lr for every part's setting of that name
    OPERATOR  =  !=  <  <=  >  >=  and : for a pattern, in which * is any text and ? any character
    VALUE     a number, a text, a UTC time (2026, 2026-01-31, 2026-01-31T10:00); "none" is no value;
              a,b is one of both, and \\, is a comma

A run is selected if it meets all conditions; several references select each of these runs. ``!=``
is the complement of ``=``, so it also selects runs without a value. A time stands for its whole
year, day, hour or minute.

The SQL consists of the texts in this file alone: what a person typed becomes a parameter of the
statement. It is not made of SQLAlchemy's expressions, for reading an SQLite file must not import
SQLAlchemy [130 ms of the 350 ms that ``compare`` may take].
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, cast

from genbench.errors import NoSuchRunError, UnknownNameError, UsageError
from genbench.store.process import Owner, is_lost
from genbench.store.reader import Condition, RowSource
from genbench.store.records import Status
from genbench.store.references import resolve

Operator = Literal["=", "!=", "<", "<=", ">", ">=", ":"]

_OPERATORS = "!=|<=|>=|=|<|>|:"
_FILTER = re.compile(rf"([A-Za-z_][^\s=!<>:]*)({_OPERATORS})(.*)", re.DOTALL)
_NEXT = re.compile(rf"\s+(?=[A-Za-z_][^\s=!<>:]*(?:{_OPERATORS}))")
_COMMA = re.compile(r"(?<!\\),")

RUN = "run"
"""The key of a filter that is a reference to a run."""

LONGEST_PATTERN = 1_000
"""Characters of a pattern, at most: SQLite refuses patterns beyond 50,000 bytes."""


class Filter(NamedTuple):
    """One condition. It holds for a run if it holds for any of ``values``; ``!=``: for none."""

    key: str
    operator: Operator
    values: tuple[str, ...]

    @classmethod
    def one(cls, key: str, value: str) -> Filter:
        """``KEY=VALUE`` for a value that may contain commas."""
        return cls(key, "=", (value,))


def parse(words: Iterable[str]) -> list[Filter]:
    """The filters in words; one word may contain several that are separated by spaces.

    >>> [tuple(one) for one in parse(["model=vae,gan lr>=1e-4", "@1"])]
    [('model', '=', ('vae', 'gan')), ('lr', '>=', ('1e-4',)), ('run', '=', ('@1',))]
    """
    return [_parsed(part) for word in words for part in _NEXT.split(word.strip())]


def _parsed(word: str) -> Filter:
    found = _FILTER.fullmatch(word)
    if found is None:
        return Filter.one(RUN, word)
    key, operator, value = found.groups()
    values = [part.replace("\\,", ",") for part in _COMMA.split(value)]
    # A list, such as [8,4], is one value.
    values = [value] if value.startswith("[") else values
    if values == [""]:
        raise UsageError(f"the filter '{word}' has no value; give one, or 'none'")
    return Filter(key, cast("Operator", operator), tuple(values))


def shows_archived(filters: Iterable[Filter]) -> bool:
    """Whether filters ask for archived runs: by that key, or by a reference to a run."""
    return any(one.key in ("archived", RUN) for one in filters)


def condition(reader: RowSource, filters: Iterable[Filter], prefix: str = "filter") -> Condition:
    """The SQL condition that selects the runs of all filters.

    Raises UnknownNameError for a key that the store doesn't have, UsageError for a value that
    can't be compared with it, NoSuchRunError for a reference to a run that doesn't exist.
    """
    bound, given = _Bound(prefix), list(filters)
    references = [one for one in given if (one.key, one.operator) == (RUN, "=")]
    if references:
        values = tuple(value for one in references for value in one.values)
        given = [one for one in given if one not in references] + [Filter(RUN, "=", values)]
    wanted = [_condition(reader, one, bound) for one in given]
    return Condition(" AND ".join(wanted) or "1 = 1", bound.parameters)


class _Bound:
    """Names parameters: a call keeps a value and returns its placeholder."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.parameters: dict[str, Any] = {}

    def __call__(self, value: Any) -> str:
        name = f"{self._prefix}_{len(self.parameters)}"
        self.parameters[name] = value
        return f":{name}"


def _is_run(reader: RowSource) -> Compare:
    def compare(expression: str, one: Filter, bound: _Bound) -> str:
        _check_operator(one, "a reference to a run: use = or !=")
        ids = ", ".join(bound(_resolved(reader, value)) for value in one.values)
        return f"{expression} IN ({ids})"

    return compare


def _resolved(reader: RowSource, reference: str) -> str:
    try:
        return resolve(reader, reference)
    except NoSuchRunError as error:
        for key in ("model", "dataset", "preset"):
            known = f"SELECT 1 FROM runs WHERE {key} = :value LIMIT 1"
            if reader.rows(known, {"value": reference}):
                error.hint = f"To select runs by {key}: {key}={reference}"
        raise


def _condition(reader: RowSource, one: Filter, bound: _Bound) -> str:
    key = _key(reader, one.key)
    if key is None:
        named = reader.rows("SELECT 1 FROM runs WHERE name = :name", {"name": _typed(one)})
        if named:
            return f"r.name = {bound(_typed(one))}"
        raise UnknownNameError(
            "filter", one.key, known_keys(reader), see="the section on filters in docs/compare.md"
        )
    if one.operator != "!=":
        return key.condition(one, bound)
    return f"({key.condition(one._replace(operator='='), bound)}) IS NOT TRUE"


def _typed(one: Filter) -> str:
    """The filter as a person wrote it, which may be the name of a run."""
    return f"{one.key}{one.operator}{','.join(one.values)}"


# --- keys


@dataclass(frozen=True, kw_only=True)
class _Key:
    """A stored quantity: how it is compared, and by which SQL expressions runs are sorted by it."""

    condition: Callable[[Filter, _Bound], str]
    order: Callable[[_Bound], Sequence[str]]


def _key(reader: RowSource, name: str) -> _Key | None:
    if name == "status":
        return _column(_status(reader), _is_status)
    if name == RUN:
        return _column("r.id", _is_run(reader))
    if name in FIELDS:
        return _column(*FIELDS[name])
    if name == "dataset":
        return _Key(condition=_on_dataset, order=lambda bound: ["r.dataset"])
    if name in _SETS:
        return _in_set(*_SETS[name])
    return _score(reader, name) or _setting(reader, name)


def known_keys(reader: RowSource) -> list[str]:
    """All keys that a filter of this store may have; settings by their short names."""
    settings = {key.rpartition(".")[2] for key in _settings(reader)}
    metrics = [name for name, *_ in _metrics(reader)]
    return sorted({*FIELDS, *_SETS, "dataset", "status", *metrics, *settings})


def order(reader: RowSource, name: str, prefix: str = "order") -> tuple[list[str], dict[str, Any]]:
    """SQL expressions, ascending, that sort runs by a key; a better score comes first.

    Raises UnknownNameError for a key that the store doesn't have.
    """
    key, bound = _key(reader, name), _Bound(prefix)
    if key is None:
        raise UnknownNameError("sort", name, known_keys(reader))
    return list(key.order(bound)), bound.parameters


Compare = Callable[[str, Filter, _Bound], str]
"""The condition that compares an SQL expression with the values of a filter."""


def _column(expression: str, compare: Compare) -> _Key:
    return _Key(
        condition=lambda one, bound: compare(expression, one, bound),
        order=lambda bound: [expression],
    )


def _in_set(table: str, column: str) -> _Key:
    """Texts of which a run has any number."""

    def holds(one: Filter, bound: _Bound) -> str:
        return _any(f"SELECT s.run FROM {table} s", f"s.{column}", _is_text, one, bound)

    least = f"(SELECT min(s.{column}) FROM {table} s WHERE s.run = r.run)"
    return _Key(condition=holds, order=lambda bound: [least])


def _any(select: str, expression: str, compare: Compare, one: Filter, bound: _Bound) -> str:
    """Whether a run has a row, of those that a statement selects, that fits; "none": no row."""
    values = tuple(value for value in one.values if value != "none" or one.operator != "=")
    parts, more = [], "AND" if " WHERE " in select else "WHERE"
    if values:
        fits = compare(expression, one._replace(values=values), bound)
        parts.append(f"r.run IN ({select} {more} {fits})")
    if len(values) < len(one.values):
        parts.append(f"r.run NOT IN ({select} {more} {expression} IS NOT NULL)")
    return _either(parts)


def _either(parts: Sequence[str]) -> str:
    return f"({' OR '.join(parts)})"


# --- how values are compared


def _is_text(expression: str, one: Filter, bound: _Bound) -> str:
    if one.operator == ":":
        return _either(
            [f"lower({expression}) LIKE lower({bound(_pattern(v))}) ESCAPE '!'" for v in one.values]
        )
    _check_operator(one, "a text: use =, != or :")
    parts = [f"{expression} = {bound(value)}" for value in one.values]
    if "none" in one.values:
        parts.append(f"{expression} IS NULL")
    return _either(parts)


def _is_beginning(expression: str, one: Filter, bound: _Bound) -> str:
    if one.operator == ":":
        return _is_text(expression, one, bound)
    _check_operator(one, "a hash: use =, != or :")
    return _either(
        [f"substr({expression}, 1, {len(value)}) = {bound(value)}" for value in one.values]
    )


def _check_operator(one: Filter, instead: str) -> None:
    if one.operator != "=":
        raise UsageError(f"the filter '{_typed(one)}' compares {one.key}, which is {instead}")


def _pattern(value: str) -> str:
    """A pattern of LIKE with ! as the escape."""
    if len(value) > LONGEST_PATTERN:
        raise UsageError(f"a pattern may have at most {LONGEST_PATTERN:,} characters")
    for character in "!%_":
        value = value.replace(character, "!" + character)
    return value.replace("*", "%").replace("?", "_")


def _is_number(expression: str, one: Filter, bound: _Bound) -> str:
    if one.operator in ("=", ":"):
        parts = [f"{expression} = {bound(_number(one, v))}" for v in one.values if v != "none"]
        return _either(parts + [f"{expression} IS NULL"] * ("none" in one.values))
    return f"{expression} {one.operator} {bound(_number(one, _single(one)))}"


def _number(one: Filter, value: str) -> float | int:
    number = number_in(value)
    if number is None:
        raise UsageError(f"the filter '{_typed(one)}' needs a number, not '{value}'")
    return number


def number_in(value: str) -> float | int | None:
    """The finite number that a text is; None for any other text."""
    if re.fullmatch(r"[+-]?[0-9]{1,18}", value):
        return int(value)
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _single(one: Filter) -> str:
    if len(one.values) > 1:
        raise UsageError(f"the filter '{_typed(one)}' needs a single value after {one.operator}")
    return one.values[0]


def _is_time(expression: str, one: Filter, bound: _Bound) -> str:
    """Stored times are UTC in ISO 8601, which as texts have the order of the times."""
    if one.operator in ("=", ":"):
        parts = []
        for value in one.values:
            begin, end = ("", "") if value == "none" else _period(one, value)
            within = f"{expression} >= {bound(begin)} AND {expression} < {bound(end)}"
            parts.append(f"({within})" if end else f"{expression} IS NULL")
        return _either(parts)
    begin, end = _period(one, _single(one))
    # After a day means after its end, and up to a day means up to its end.
    sign, moment = {"<": ("<", begin), "<=": ("<", end), ">": (">=", end), ">=": (">=", begin)}[
        one.operator
    ]
    return f"{expression} {sign} {bound(moment)}"


_CLOCK = r"(?:[T ](\d\d?)(?::(\d\d)(?::(\d\d))?)?)?"
_TIME = re.compile(rf"(\d{{4}})(?:-(\d\d?)(?:-(\d\d?){_CLOCK})?)?Z?")


def _period(one: Filter, value: str) -> tuple[str, str]:
    """The first moment of a period, and the first one after it."""
    found = _TIME.fullmatch(value)
    parts = [int(part) for part in found.groups() if part] if found else []
    year, month, day, hour, minute, second = parts + [0, 1, 1, 0, 0, 0][len(parts) :]
    try:
        begin = datetime(year, month, day, hour, minute, second)  # there is no year 0
        return begin.isoformat(), _after(begin, len(parts)).isoformat()
    except (ValueError, OverflowError):
        raise UsageError(
            f"the filter '{_typed(one)}' needs a UTC time, such as 2026-01-31 or "
            f"2026-01-31T10:00, not '{value}'"
        ) from None


def _after(begin: datetime, parts: int) -> datetime:
    """The beginning of the next year, month, day, hour, minute or second."""
    if parts == 1:
        return begin.replace(year=begin.year + 1)
    if parts == 2:
        return (begin + timedelta(days=31)).replace(day=1)
    return (
        begin
        + (timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(0, 1))[parts - 3]
    )


# --- fields of a run


def _environment(column: str) -> tuple[str, Compare]:
    sql = f"(SELECT e.{column} FROM environments e WHERE e.environment = r.environment)"
    return sql, _is_text


FIELDS: dict[str, tuple[str, Compare]] = {
    **{name: (f"r.{name}", _is_text) for name in ("id", "name", "model", "preset", "device")},
    **{name: (f"r.{name}", _is_text) for name in ("precision", "error", "git_commit", "note")},
    **{name: (f"r.{name}", _is_number) for name in ("seed", "epochs_done", "epochs_planned")},
    **{name: (f"r.{name}", _is_number) for name in ("parameters", "train_s", "wall_s")},
    **{name: (f"r.{name}_at", _is_time) for name in ("created", "started", "finished", "archived")},
    **{name: _environment(name) for name in ("host", "platform", "python", "cpu", "torch")},
    "genbench": _environment("genbench"),
    "experiment": ("r.experiment", _is_beginning),
}
"""Key -> the SQL expression of a run's field, and how it is compared."""

_SETS = {"tag": ("run_tags", "tag"), "parent": ("run_parents", "parent")}


def _is_status(expression: str, one: Filter, bound: _Bound) -> str:
    known = {status.value for status in Status}
    for value in one.values:
        if one.operator == "=" and value not in known:
            raise UnknownNameError("status", value, known)
    return _is_text(expression, one, bound)


def _status(reader: RowSource) -> str:
    """The status of a run; a run is lost if it says running and its process is gone."""
    rows = reader.rows(
        "SELECT run, host, pid, process_start, heartbeat_at FROM runs WHERE status = 'running'"
    )
    lost = [
        str(int(run))
        for run, host, pid, started, heartbeat in rows
        if is_lost(Owner(host=host, pid=pid, started=started) if pid else None, heartbeat)
    ]
    if not lost:
        return "r.status"
    return f"CASE WHEN r.run IN ({', '.join(lost)}) THEN 'lost' ELSE r.status END"


def _on_dataset(one: Filter, bound: _Bound) -> str:
    """Runs on a data set, and those that build upon them, such as models of their latents."""
    own = _is_text("r.dataset", one, bound)
    first = _is_text("d.dataset", one, bound)
    return (
        f"({own} OR r.run IN (WITH RECURSIVE made(run) AS ("
        "SELECT p.run FROM run_parents p JOIN runs d ON d.id = p.parent "
        f"WHERE {first} UNION SELECT p.run FROM made JOIN runs m ON m.run = made.run "
        "JOIN run_parents p ON p.parent = m.id) SELECT run FROM made))"
    )


# --- final scores and settings


def _metrics(reader: RowSource) -> list[tuple[str, int, str | None]]:
    rows = reader.rows("SELECT name, key, direction FROM metric_keys WHERE kind = 'score'")
    return [(str(name), int(key), direction) for name, key, direction in rows]


def _score(reader: RowSource, name: str) -> _Key | None:
    metric, _, sampler = name.partition("@")
    found = {known: (key, way) for known, key, way in _metrics(reader)}
    if metric not in found:
        return None
    key, direction = found[metric]

    def select(bound: _Bound) -> str:
        of = f" AND e.sampler = {bound(sampler)}" if sampler else ""
        return f"FROM evals e WHERE e.final = 1 AND e.key = {bound(key)}{of}"

    def holds(one: Filter, bound: _Bound) -> str:
        return _any(f"SELECT e.run {select(bound)}", "e.value", _is_number, one, bound)

    def best(bound: _Bound) -> list[str]:
        merit = {"max": "-e.value", "floor": "abs(e.value - e.floor)"}.get(
            direction or "", "e.value"
        )
        return [f"(SELECT min({merit}) {select(bound)} AND e.run = r.run)"]

    return _Key(condition=holds, order=best)


def _settings(reader: RowSource) -> list[str]:
    """The names of all stored settings, each found by one look into the index."""
    rows = reader.rows(
        "WITH RECURSIVE k(key) AS (SELECT min(key) FROM run_params UNION ALL "
        "SELECT (SELECT min(p.key) FROM run_params p WHERE p.key > k.key) FROM k "
        "WHERE k.key IS NOT NULL) SELECT key FROM k WHERE key IS NOT NULL"
    )
    return [str(key) for (key,) in rows]


def _setting(reader: RowSource, name: str) -> _Key | None:
    """The settings of a name; all parts' settings of it unless the part is given."""
    full = re.sub(r"^data\.", "dataset.", name)
    known = _settings(reader)
    keys = [full] if full in known else [key for key in known if key.endswith(f".{full}")]
    if not keys:
        return None

    def select(bound: _Bound) -> str:
        return f"FROM run_params p WHERE p.key IN ({', '.join(bound(key) for key in keys)})"

    def holds(one: Filter, bound: _Bound) -> str:
        return _any(f"SELECT p.run {select(bound)}", "p.text", _is_setting, one, bound)

    def stored(bound: _Bound) -> list[str]:
        return [
            f"(SELECT min(p.{column}) {select(bound)} AND p.run = r.run)"
            for column in ("num", "text")
        ]

    return _Key(condition=holds, order=stored)


def _is_setting(text: str, one: Filter, bound: _Bound) -> str:
    """A setting is stored as a text, and as a number as well if it is one; None is neither."""
    if one.operator not in ("=", ":"):
        return _is_number("p.num", one, bound)
    parts = [_is_text(text, one._replace(values=tuple(map(_as_stored, one.values))), bound)]
    numbers = [number_in(value) for value in one.values if one.operator == "="]
    parts += [f"p.num = {bound(number)}" for number in numbers if number is not None]
    return _either(parts)


def _as_stored(value: str) -> str:
    """A list with the spaces that JSON has in the store."""
    try:
        return json.dumps(json.loads(value)) if value.startswith("[") else value
    except ValueError:
        return value
