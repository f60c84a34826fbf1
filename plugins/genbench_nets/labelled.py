"""The refusal of data without labels, for the settings of conditional models. No torch here."""

from __future__ import annotations

from genbench import DataSpec, IncompatibleError


def check_labelled(data: DataSpec, model: str, *, instead: str) -> None:
    """Raise IncompatibleError where the data has no labels; ``instead`` is a model without them."""
    if not data.classes:
        raise IncompatibleError(
            f"{model} needs labels, and '{data.name}' has none; choose a labelled data set, or a "
            f"model without labels such as {instead}"
        )
