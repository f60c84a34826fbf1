"""Signs of a sick GAN, read off what an epoch left: docs/health.md explains each.

What is judged are an epoch's means (``monitor/d_accuracy``, ``d/fake``, ``monitor/g_grad_norm``)
and the scores of a watch (``classes``, ``modes``, ``spread``). A model that has none of these is
never warned of. The judgement depends on these numbers alone: a resumed run is shown those that
are stored, and goes on as if it had never stopped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from genbench.events import Warned
from genbench.formatting import number

LOOKS = 3
"""A sign must be seen so many times in a row, and be gone as often before it is told again ..."""
STEPS = 1500
"""... and over at least so many steps, for an epoch of a small data set is a dozen of them.

The default gan makes 1 to 3 classes of the digits until step 840, and all ten from 2,000 on.
"""

ACCURACY, FAKE_LOSS = 0.98, 0.05
"""D has won from this accuracy on, where its loss on fakes is also near 0: it has no doubt left."""
HIT, SPREAD = 0.3, 0.3
"""G has collapsed at this share of the classes or modes, or of the data's spread, and below."""
EARLY = 5
"""The epochs whose median gradient norm is what later ones are held against."""
VANISHED, EXPLODED = 1e-3, 1e2
"""Of that median."""

Values = Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True)
class Look:
    """What there is to judge after an epoch. None stands for a value that was not finite.

    ``losses`` are the epoch's means by key, ``watched`` a watch's scores by name, empty where none
    was taken; ``step`` is the epoch's last one.
    """

    epoch: int
    step: int
    losses: Values
    watched: Values = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Sign:
    """A sign that is there (``words`` say how) or not (""), and what there is to try."""

    kind: str
    words: str


class Health:
    """Judges a run's epochs in order. ``classes`` is their number in the data, None without any.

    ``advice(kind)`` gives what to try, such as ("--set d_lr=5e-05",), for a kind of warning.
    """

    def __init__(
        self, *, classes: int | None, advice: Callable[[str], Sequence[str]] = lambda kind: ()
    ) -> None:
        self._classes, self._advice = classes, advice
        self._streaks: dict[str, _Streak] = {}
        self._norms: dict[str, list[float]] = {}
        self._step = 0

    def judge(self, look: Look) -> list[Warned]:
        """What is to be told after this epoch: each sign once, when it has lasted."""
        told = []
        for sign in self._signs(look):
            streak = self._streaks.setdefault(sign.kind, _Streak())
            if streak.lasts(bool(sign.words), look, begun=self._step):
                told.append(self._warning(sign, look, streak))
        self._step = look.step
        return told

    def _signs(self, look: Look) -> list[Sign]:
        signs = (
            discriminator_won(look.losses),
            generator_collapsed(look.watched, self._classes),
            *self._gradient(look.losses),
        )
        return [sign for sign in signs if sign is not None]

    def _gradient(self, losses: Values) -> list[Sign]:
        """Of the generators of models that have a discriminator: others have no opponent."""
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

    def _warning(self, sign: Sign, look: Look, streak: _Streak) -> Warned:
        epochs = f"{look.epoch - streak.epoch} epochs"
        advice = "; try " + ", ".join(self._advice(sign.kind))
        message = f"{sign.words} (for {epochs}){advice.removesuffix('; try ')}"
        return Warned(epoch=look.epoch, kind=sign.kind, message=message)


@dataclass
class _Streak:
    """How long a sign has been there: ``epoch`` and ``step`` are those before it began."""

    sick: int = 0
    well: int = 0
    epoch: int = 0
    step: int = 0
    told: bool = False
    _seen: int = 0

    def lasts(self, sick: bool, look: Look, *, begun: int) -> bool:
        """Take a look; True where it is the one that makes the sign worth telling."""
        previous, self._seen = self._seen, look.epoch
        if not sick:
            self.sick, self.well = 0, self.well + 1
            self.told = self.told and self.well < LOOKS
            return False
        if not self.sick:
            self.epoch, self.step = previous or look.epoch - 1, begun
        self.sick, self.well = self.sick + 1, 0
        if self.told or self.sick < LOOKS or look.step - self.step < STEPS:
            return False
        self.told = True
        return True


# --- the signs: None where there is nothing to judge by


def discriminator_won(losses: Values) -> Sign | None:
    """D is nearly always right, and its loss on fakes, where it is one, is next to nothing.

    The second half lets critics be: a Wasserstein critic should be as good as it can, and its
    loss is no error. It is also blind to label smoothing, which concerns the real half alone.
    """
    accuracy = find(losses, "d_accuracy")
    if accuracy is None:
        return None
    fake = find(losses, "fake")
    if fake is None:
        fake = find(losses, "d_fake")
    won = accuracy >= ACCURACY and fake is not None and 0 <= fake <= FAKE_LOSS
    words = (
        f"the discriminator has won: it tells real from fake {100 * accuracy:.1f} % of the time, "
        f"and its loss on fakes is {number(fake, 2)}"
    )
    return Sign(kind="discriminator_won", words=words if won else "")


def generator_collapsed(watched: Values, classes: int | None) -> Sign | None:
    """Samples hit few of the classes or modes, or hardly differ from one another."""
    hit = watched.get("classes", watched.get("modes"))
    spread = watched.get("spread")
    if hit is None and spread is None:
        return None
    few = hit is not None and classes is not None and hit <= HIT * classes
    alike = spread is not None and spread <= SPREAD
    found = []
    if few:
        what = "classes" if "classes" in watched else "modes"
        found.append(f"its samples hit {number(hit)} of {classes} {what}")
    if alike:
        found.append(f"its samples' spread beside the data's is {number(spread, 2)} (1 is right)")
    words = "the generator has collapsed: " + " and ".join(found)
    return Sign(kind="generator_collapsed", words=words if found else "")


def gradient_signs(norm: float | None, early: Sequence[float]) -> list[Sign]:
    """The generator's gradient against its own norm of the first epochs."""
    if len(early) < EARLY:
        return []
    usual = median(early)
    vanished = norm is not None and norm <= VANISHED * usual
    exploded = norm is None or norm >= EXPLODED * usual
    words = f"its norm is {number(norm, 2) or 'not finite'}, at first it was {number(usual, 2)}"
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
