"""Signs of a failing GAN in the results of an epoch; docs/health.md explains each.

The signs are found in the means of an epoch (``monitor/d_accuracy``, ``d/fake``,
``monitor/g_grad_norm``) and in the monitor's scores (``classes``, ``modes``, ``spread``). There are
no warnings for a model that has none of these. The result depends on these numbers only: a resumed
run checks the stored ones first, and continues as if it had never stopped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from genbench.events import Warned
from genbench.formatting import number

OBSERVATIONS = 3
"""Consecutive epochs with a sign before a warning, and without it before another warning."""
STEPS = 1500
"""The minimum steps with a sign before a warning: an epoch of a small data set has only a dozen.

On digits, the default gan generates 1 to 3 classes until step 840, and all ten from step 2,000.
"""

ACCURACY, FAKE_LOSS = 0.98, 0.05
"""D has won above this accuracy, if its loss on fakes is also below this value."""
HIT, SPREAD = 0.3, 0.3
"""G has collapsed below this share of the classes or modes, or of the data's spread."""
EARLY = 5
"""The number of first epochs; later gradient norms are compared with their median norm."""
VANISHED, EXPLODED = 1e-3, 1e2
"""Bounds on a gradient norm, relative to that median."""

Values = Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True)
class Observation:
    """The results of an epoch; None means a value that was not finite.

    ``losses`` are the means of the epoch by key, ``probed`` the monitor's scores by name (empty if
    there are none), and ``step`` is the last step of the epoch.
    """

    epoch: int
    step: int
    losses: Values
    probed: Values = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Sign:
    """The state of one kind of sign; ``words`` describe it, and are "" if it is absent."""

    kind: str
    words: str


class Health:
    """Checks the epochs of a run in order. ``classes`` is the number of classes, if there are any.

    ``advice(kind)`` returns suggestions, such as ("--set d_lr=5e-05",), for a kind of warning.
    """

    def __init__(
        self, *, classes: int | None, advice: Callable[[str], Sequence[str]] = lambda kind: ()
    ) -> None:
        self._classes, self._advice = classes, advice
        self._streaks: dict[str, _Streak] = {}
        self._norms: dict[str, list[float]] = {}
        self._step = 0

    def check(self, observation: Observation) -> list[Warned]:
        """The warnings after this epoch: one for each sign that has lasted long enough."""
        warnings = []
        for sign in self._signs(observation):
            streak = self._streaks.setdefault(sign.kind, _Streak())
            if streak.lasts(bool(sign.words), observation, begun=self._step):
                warnings.append(self._warning(sign, observation, streak))
        self._step = observation.step
        return warnings

    def _signs(self, observation: Observation) -> list[Sign]:
        signs = (
            discriminator_won(observation.losses),
            generator_collapsed(observation.probed, self._classes),
            *self._gradient(observation.losses),
        )
        return [sign for sign in signs if sign is not None]

    def _gradient(self, losses: Values) -> list[Sign]:
        """Signs in the gradients of generators, for models with a discriminator."""
        if find(losses, "d_accuracy") is None and find(losses, "d_fake") is None:
            return []
        signs = []
        for key in losses:
            if re.search(r"[/.](g|generator)_grad_norm$", key):
                early = self._norms.setdefault(key, [])
                signs += gradient_signs(losses[key], early)
                value = losses[key]
                if value is not None and len(early) < EARLY:
                    early.append(value)
        return signs

    def _warning(self, sign: Sign, observation: Observation, streak: _Streak) -> Warned:
        epochs = f"{observation.epoch - streak.epoch} epochs"
        advice = "; try " + ", ".join(self._advice(sign.kind))
        message = f"{sign.words} (for {epochs}){advice.removesuffix('; try ')}"
        return Warned(epoch=observation.epoch, kind=sign.kind, message=message)


@dataclass
class _Streak:
    """How long a sign has been present; ``epoch`` and ``step`` are those before it began."""

    present: int = 0
    absent: int = 0
    epoch: int = 0
    step: int = 0
    warned: bool = False
    _seen: int = 0

    def lasts(self, present: bool, observation: Observation, *, begun: int) -> bool:
        """Add an observation; True if a warning is due now."""
        previous, self._seen = self._seen, observation.epoch
        if not present:
            self.present, self.absent = 0, self.absent + 1
            self.warned = self.warned and self.absent < OBSERVATIONS
            return False
        if not self.present:
            self.epoch, self.step = previous or observation.epoch - 1, begun
        self.present, self.absent = self.present + 1, 0
        if self.warned or self.present < OBSERVATIONS or observation.step - self.step < STEPS:
            return False
        self.warned = True
        return True


# --- the signs, or None if the values that they need are missing


def discriminator_won(losses: Values) -> Sign | None:
    """D is almost always right, and its loss on fakes is almost 0.

    The second condition excludes critics: a Wasserstein critic should be as good as possible. It
    doesn't depend on label smoothing, which affects the loss on real samples only.
    """
    accuracy = find(losses, "d_accuracy")
    if accuracy is None:
        return None
    fake = find(losses, "fake")
    if fake is None:
        fake = find(losses, "d_fake")
    won = accuracy >= ACCURACY and fake is not None and 0 <= fake <= FAKE_LOSS
    words = (
        f"the discriminator has won: its accuracy is {100 * accuracy:.1f} %, and its loss on fakes "
        f"is {number(fake, 2)}"
    )
    return Sign(kind="discriminator_won", words=words if won else "")


def generator_collapsed(probed: Values, classes: int | None) -> Sign | None:
    """Samples hit few of the classes or modes, or are almost equal."""
    hit = probed.get("classes", probed.get("modes"))
    spread = probed.get("spread")
    if hit is None and spread is None:
        return None
    few = hit is not None and classes is not None and hit <= HIT * classes
    alike = spread is not None and spread <= SPREAD
    found = []
    if few:
        what = "classes" if "classes" in probed else "modes"
        found.append(f"its samples hit {number(hit)} of {classes} {what}")
    if alike:
        found.append(f"the spread of its samples relative to the data is {number(spread, 2)}")
    words = "the generator has collapsed: " + " and ".join(found)
    return Sign(kind="generator_collapsed", words=words if found else "")


def gradient_signs(norm: float | None, early: Sequence[float]) -> list[Sign]:
    """Compare the norm of the generator's gradient with that of the first epochs."""
    if len(early) < EARLY:
        return []
    usual = median(early)
    vanished = norm is not None and norm <= VANISHED * usual
    exploded = norm is None or norm >= EXPLODED * usual
    words = f"its norm is {number(norm, 2) or 'not finite'}, and was {number(usual, 2)} at first"
    return [
        Sign(
            kind="gradient_vanished",
            words=f"the generator's gradient has vanished: {words}" if vanished else "",
        ),
        Sign(
            kind="gradient_exploded",
            words=f"the generator's gradient has exploded: {words}" if exploded else "",
        ),
    ]


def find(values: Values, name: str) -> float | None:
    """The value of a key that ends with ``name``: ``d/fake``, ``d/main.fake``, ``monitor/d_fake``.

    >>> find({"d/phase.fake": 0.5, "test/fake": 1.0}, "fake")
    0.5
    """
    for key, value in values.items():
        owner, _, term = key.partition("/")
        if owner != "test" and name in (term, term.rpartition(".")[2]):
            return value
    return None
