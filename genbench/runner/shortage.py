"""Out of memory outside the training steps: during which activity, and what helps."""

from __future__ import annotations

import traceback
from pathlib import Path

from genbench.engine.memory import asked_bytes
from genbench.errors import OutOfMemoryError

_ACTIVITIES = {
    "evaluation": ("while scoring", "use fewer --samples"),
    "health": ("while monitoring samples between epochs", "turn that off with --no-watch"),
    "pictures": ("while drawing pictures", "use a smaller model"),
    "engine/checkpoint.py": ("while writing a checkpoint", "use a smaller model"),
    "engine/stage.py": (
        "while preparing the data of a stage",
        "use fewer images, or a smaller model",
    ),
    "engine/feed.py": ("while loading the training data", "use fewer images, or smaller ones"),
    "engine/optim.py": ("while setting up the optimizers", "use a smaller model"),
}
"""By the folder or file of genbench that raised the error: the activity and a suggestion."""


def out_of_memory(error: BaseException, *, device: str, file: Path) -> OutOfMemoryError:
    """The error message; a smaller batch would not help here. ``file`` has the traceback."""
    asked = asked_bytes(error)
    size = f" (it asked for {asked / 1e9:.3g} GB at once)" if asked else ""
    activity, suggestion = _activity(error)
    return OutOfMemoryError(
        f"out of memory on {device} {activity}{size}; {suggestion} (traceback: {file})"
    )


def _activity(error: BaseException) -> tuple[str, str]:
    package = Path(__file__).parents[1]
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        for place, found in _ACTIVITIES.items():
            if path.is_relative_to(package / place):
                return found
    return "outside the training steps", "use a smaller model, smaller images or fewer of them"
