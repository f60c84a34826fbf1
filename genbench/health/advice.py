"""Suggestions for a GAN in trouble: settings of its model, with values that it accepts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from genbench.contracts import DataSpec
from genbench.errors import UsageError
from genbench.settings import ModelSettings, Settings

MOST = 4
"""The maximum number of suggestions in a warning."""

Propose = Callable[[Any], Any]
"""The value of a setting -> the value to try, or None for no suggestion."""


def _where_off(value: Any) -> Propose:
    return lambda now: value if not now else None


def _times(factor: float) -> Propose:
    return lambda now: float(f"{factor * now:.2g}") if now else None


def _at_most(value: Any) -> Propose:
    return lambda now: value if now is not None and now > value else None


def _for_minimax(now: Any) -> Any:
    return "non_saturating" if now == "minimax" else None


_WEAKER_D: Sequence[tuple[str, Propose]] = (
    ("n_critic", _at_most(1)),
    ("loss", _for_minimax),
    ("d_lr", _times(0.25)),
    ("r1", _where_off(1)),
    ("label_smoothing", _where_off(0.1)),
    ("instance_noise", _where_off(0.1)),
    ("d_dropout", _where_off(0.3)),
)

SUGGESTIONS: Mapping[str, Sequence[tuple[str, Propose]]] = {
    "discriminator_won": _WEAKER_D,
    "generator_collapsed": (
        ("beta1", _at_most(0.5)),
        ("minibatch_std", _where_off(True)),
        ("pull_away", _where_off(0.1)),
        ("g_lr", _times(0.5)),
        *_WEAKER_D,
    ),
    "gradient_vanished": _WEAKER_D,
    "gradient_exploded": (
        ("g_lr", _times(0.25)),
        ("r1", _where_off(1)),
        ("spectral_norm", _where_off(True)),
        ("beta1", _at_most(0.5)),
    ),
}
"""Suggestions by kind of warning, the most promising first."""

ANYWAY = {"gradient_exploded": "--clip-norm 1"}
OTHERWISE = "another --seed"


def suggestions(
    kind: str, cls: type[Settings], settings: Mapping[str, Any], data: DataSpec
) -> list[str]:
    """``--set name=value`` for settings that the model has, with values that it accepts."""
    found = [ANYWAY[kind]] if kind in ANYWAY else []
    for name, propose in SUGGESTIONS.get(kind, ()):
        if name not in cls.model_fields:
            continue
        value = propose(settings.get(name))
        if value is not None and _accepted(cls, {**settings, name: value}, data):
            text = str(value).lower() if isinstance(value, bool) else value
            found.append(f"--set {name}={text}")
    return found[:MOST] or [OTHERWISE]


def _accepted(cls: type[Settings], values: Mapping[str, Any], data: DataSpec) -> bool:
    try:
        settings = cls.model_validate(dict(values))
        if isinstance(settings, ModelSettings):
            settings.check(data)
    except (ValidationError, UsageError):
        return False
    return True
