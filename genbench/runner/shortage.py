"""Memory that runs short outside the training steps: what was going on, and what helps."""

from __future__ import annotations

import traceback
from pathlib import Path

from genbench.engine.memory import asked_bytes
from genbench.errors import OutOfMemoryError

_ACTIVITIES = {
    "evaluate.py": ("while scoring", "ask for fewer --samples"),
    "watching.py": ("while looking at samples between epochs", "leave that out by --no-watch"),
    "pictures.py": ("while drawing pictures", "make the model smaller"),
    "checkpoint.py": ("while writing a checkpoint", "make the model smaller"),
    "stage.py": ("while preparing the data of a stage", "take fewer images, or a smaller model"),
    "feed.py": ("while loading the training data", "take fewer images, or smaller ones"),
    "optim.py": ("while setting up the optimizers", "make the model smaller"),
}
"""By the file of the package that the error came through: what it was doing, and what helps."""


def out_of_memory(error: BaseException, *, device: str, file: Path) -> OutOfMemoryError:
    """The error in words; a smaller batch is no suggestion here. ``file`` has the traceback."""
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
        if path.is_relative_to(package) and path.name in _ACTIVITIES:
            return _ACTIVITIES[path.name]
    return "outside the training steps", "make the model, the images or their number smaller"
