"""What a tuning may vary: ranges and choices of settings, by their names on the command line.

``lr=1e-5..1e-2`` is a range, logarithmic if the setting says so (``scale`` in its
``json_schema_extra``) or if its ends differ by a factor of `LOG_FROM`; ``log:`` and ``lin:`` before
it decide. A range of a setting that takes only whole numbers has whole numbers, with both ends.
``loss=hinge,non_saturating`` are choices, split as in a sweep. A single value is fixed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import NoneType
from typing import Any, get_args

from pydantic.fields import FieldInfo

from genbench.errors import SettingError, UnknownNameError, UsageError
from genbench.planning.sources import Scope, literal, setting_of
from genbench.planning.sweeps import several
from genbench.settings import drawing_settings

LOG_FROM = 100
"""The ratio of the ends of a range from which on it is logarithmic."""

LEARNING_RATES = (1e-5, 1e-2)
"""The default range of a learning rate; Lucic et al. (2018) have the same."""

AROUND = 10
"""A weight without bounds is searched from a tenth of its default to ten times as much."""

Value = float | int | str


@dataclass(frozen=True, kw_only=True)
class Range:
    """Numbers from ``low`` to ``high``; ``whole`` ones include both ends."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __str__(self) -> str:
        kind = ", whole numbers" if self.whole else ""
        return f"{self.low:g} to {self.high:g}{', logarithmic' if self.log else ''}{kind}"

    @property
    def ends(self) -> tuple[Value, Value]:
        """The first and the last value."""
        return (int(self.low), int(self.high)) if self.whole else (self.low, self.high)

    def holds(self, value: Any) -> bool:
        """Whether a value is in the range."""
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and self.low <= value <= self.high


@dataclass(frozen=True, kw_only=True)
class Categories:
    """Texts as for ``--set``."""

    values: tuple[str, ...]

    def __str__(self) -> str:
        return " or ".join(self.values)

    def holds(self, value: Any) -> bool:
        """Whether a value is one of the choices."""
        return value in self.values


@dataclass(frozen=True, kw_only=True)
class Knob:
    """One dimension of the search; all settings in ``paths`` get its value."""

    name: str
    paths: tuple[str, ...]
    domain: Range | Categories


Space = tuple[Knob, ...]


def assignments(space: Space, values: Mapping[str, Value]) -> tuple[str, ...]:
    """Values by the names of their knobs, as texts for ``--set``."""
    return tuple(f"{path}={values[knob.name]}" for knob in space for path in knob.paths)


def read_sets(sets: Sequence[str], scope: Scope) -> tuple[Space, tuple[str, ...]]:
    """The knobs in ``k=v`` texts, and the texts that fix a setting.

    Raises SettingError for an unknown setting, or a range that can't be meant.
    """
    knobs: list[Knob] = []
    fixed: list[str] = []
    for text in sets:
        path, equals, value = text.partition("=")
        path, value = path.strip(), value.strip()
        if not equals or not path:
            raise SettingError(f"--set {text}: expected name=range, such as --set lr=1e-5..1e-2")
        info = setting_of(path, scope)
        domain = _domain(path, value, info)
        if domain is None:
            fixed.append(text)
        elif path in {knob.name for knob in knobs}:
            raise SettingError(f"--set {path}: it is given twice; give all of its values at once")
        else:
            knobs.append(Knob(name=path, paths=(path,), domain=domain))
    return tuple(knobs), tuple(fixed)


_RANGE = re.compile(r"(?:(log|lin):)?\s*([^.\s]\S*?)\s*\.\.\s*(\S+)")


def _domain(path: str, value: str, info: FieldInfo | None) -> Range | Categories | None:
    found = _RANGE.fullmatch(value)
    if found is None:
        values = several(value, path, info)
        return Categories(values=tuple(values)) if len(values) > 1 else None
    scale, first, last = found.groups()
    where = f"--set {path}={value}"
    try:
        low, high = float(first), float(last)
    except ValueError:
        raise SettingError(
            f"{where}: expected a range from one number to another, such as 1e-5..1e-2"
        ) from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise SettingError(f"{where}: a range must go from a lower number to a higher one")
    whole = info is not None and _takes_whole_numbers(info)
    if whole and (low != int(low) or high != int(high)):
        raise SettingError(
            f"{where}: '{path}' takes whole numbers, so both ends of its range must be whole"
        )
    log = scale == "log" or (scale is None and _is_log(low, high, info))
    if log and low <= 0:
        raise SettingError(
            f"{where}: a logarithmic range must begin above 0; for a linear one write lin:{value}"
        )
    return Range(low=low, high=high, log=log, whole=whole)


def _is_log(low: float, high: float, info: FieldInfo | None) -> bool:
    extra = info.json_schema_extra if info is not None else None
    if low > 0 and isinstance(extra, Mapping) and extra.get("scale") == "log":
        return True
    return low > 0 and high / low >= LOG_FROM


def _takes_whole_numbers(info: FieldInfo) -> bool:
    kinds = set(get_args(info.annotation) or (info.annotation,)) - {NoneType}
    return kinds == {int}


# --- spaces without --set


def default_space(scope: Scope) -> Space:
    """The real numbers among a model's settings, in their bounds; raises UsageError without any.

    Learning rates have their usual range. A number with two bounds has these as its range, one
    without an upper bound a range around its default. What makes the model what it is stays: its
    choices, sizes and lengths, and every number that is switched off (0) by default.
    """
    settings = scope.settings("model", scope.model)
    drawn = drawing_settings(settings)
    found = []
    for name, info in settings.model_fields.items():
        domain = None if name in drawn else _default_domain(name, info)
        knob = domain and _possible(Knob(name=name, paths=(name,), domain=domain), scope)
        if knob:
            found.append(knob)
    if not found:
        raise UsageError(
            f"model '{scope.model}' has no numbers to tune by default; give a range, such as "
            "--set batch_size=32..256"
        )
    return tuple(found)


def _default_domain(name: str, info: FieldInfo) -> Range | None:
    default = info.get_default(call_default_factory=True)
    if not isinstance(default, float) or not default:
        return None
    if _is_rate(name):
        return Range(low=LEARNING_RATES[0], high=LEARNING_RATES[1], log=True)
    low, high = _bounds(info)
    if high is None:
        low, high = max(default / AROUND, low or 0), default * AROUND
    if low is None or not low < high:
        return None
    low, high = min(low, default), max(high, default)  # open bounds are kept at a distance
    return Range(low=low, high=high, log=low > 0 and high / low >= LOG_FROM)


def _is_rate(name: str) -> bool:
    return name == "lr" or name.endswith("_lr")


def _bounds(info: FieldInfo) -> tuple[float | None, float | None]:
    """The bounds of a setting, a little within those that it may not reach."""
    bounds: dict[str, float] = {}
    for mark in info.metadata:
        for kind in ("ge", "gt", "le", "lt"):
            if getattr(mark, kind, None) is not None:
                bounds[kind] = getattr(mark, kind)
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    if low is None or high is None:
        return low, high
    inside = (high - low) / 1000
    low = low if "ge" in bounds else low + inside
    return low, (high if "le" in bounds else high - inside)


def _lucic2018(scope: Scope) -> Iterator[Knob]:
    """The wide range of Lucic et al. (2018), "Are GANs Created Equal?", for what a model has."""
    known = scope.settings("model", scope.model).model_fields
    rates = tuple(name for name in known if _is_rate(name))
    if rates:
        yield Knob(name="lr", paths=rates, domain=Range(low=1e-5, high=1e-2, log=True))
    for name, domain in _LUCIC.items():
        switched_off = name in ("clip", "gradient_penalty") and not known.get(name, _OFF).default
        if name in known and not switched_off:
            yield Knob(name=name, paths=(name,), domain=domain)


_OFF = FieldInfo(default=None)

_LUCIC: Mapping[str, Range | Categories] = {
    "beta1": Range(low=0.0, high=0.999),
    "n_critic": Categories(values=("1", "5")),
    "d_norm": Categories(values=("identity", "batch")),
    "clip": Range(low=1e-3, high=1.0, log=True),
    "gradient_penalty": Range(low=0.1, high=100.0, log=True),
    "k_rate": Range(low=1e-4, high=1e-2, log=True),
    "gamma": Range(low=0.001, high=1.0),
}
"""Setting -> its range; beta1 is below 1 and gamma above 0, as our settings demand."""

_SPACES = {"lucic2018": _lucic2018}


def named_space(name: str, scope: Scope) -> Space:
    """A space by its name. Raises UnknownNameError; UsageError if no setting is the model's."""
    if name not in _SPACES:
        raise UnknownNameError("space", name, _SPACES)
    made = (_possible(knob, scope) for knob in _SPACES[name](scope))
    knobs = tuple(knob for knob in made if knob is not None)
    if not knobs:
        raise UsageError(
            f"--space {name}: model '{scope.model}' has none of its settings; give ranges with "
            "--set, such as --set lr=1e-5..1e-2"
        )
    return knobs


def _possible(knob: Knob, scope: Scope) -> Knob | None:
    """A knob without the choices that the model refuses, such as batch norm beside a penalty.

    None if fewer than two are left, or if the model refuses an end of a range.
    """
    settings = scope.settings("model", scope.model)

    def is_possible(value: Value) -> bool:
        given = literal(value) if isinstance(value, str) else value
        try:
            settings.model_validate(dict.fromkeys(knob.paths, given))
        except ValueError:
            return False
        return True

    domain = knob.domain
    if isinstance(domain, Range):
        return knob if all(map(is_possible, domain.ends)) else None
    kept = tuple(filter(is_possible, domain.values))
    return replace(knob, domain=Categories(values=kept)) if len(kept) > 1 else None
