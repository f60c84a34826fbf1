"""Labels in conditional models: beside a network's input, and required of the data.

Settings use this file too, so torch is imported inside the functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from genbench import Batch, DataSpec, IncompatibleError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

FIRST_FACTOR = 20.0
"""The factor on the KL at the first step of `label_first`."""


def check_labelled(data: DataSpec, model: str, *, instead: str) -> None:
    """Raise IncompatibleError if the data has no labels; ``instead`` is a model without them."""
    if not data.classes:
        raise IncompatibleError(
            f"{model} needs labels, and '{data.name}' has none; choose a labelled data set, or a "
            f"model without labels such as {instead}"
        )


def check_conditional(data: DataSpec, model: str) -> None:
    """Raise IncompatibleError if data for ``conditional=true`` has no labels."""
    if not data.classes:
        raise IncompatibleError(
            f"{model} with conditional=true needs labels, and '{data.name}' has none; set "
            "conditional=false"
        )


def required(y: Tensor | None) -> Tensor:
    """The labels, which a conditional network needs. Raises UsageError without them."""
    if y is None:
        raise UsageError(
            "a conditional model needs the label of each sample: pass y, or use data with labels"
        )
    return y


def one_hot(y: Tensor, classes: int) -> Tensor:
    """Labels (B,) -> bool (B, classes), without a wait for values.

    `torch.nn.functional.one_hot` waits for the labels on the CPU, to check their range, so a step
    with it could not be followed there as it is on a GPU.
    """
    import torch

    return y[:, None] == torch.arange(classes, device=y.device)


def as_weights(y: Tensor, classes: int) -> Tensor:
    """Labels int64 (B,), or weights of classes (B, classes), as float weights."""
    return y.float() if y.dim() == 2 else one_hot(y, classes).float()


def with_labels(x: Tensor, y: Tensor, classes: int) -> Tensor:
    """Join labels to the input as one-hot channels, in the input's type.

    (B, D) -> (B, D + classes), or (B, C, H, W) -> (B, C + classes, H, W). ``y`` is int64 (B,), or
    the weights (B, classes) of a mixture of classes.
    """
    import torch

    hot = as_weights(y, classes).to(x.dtype)
    if x.dim() == 4:
        hot = hot[:, :, None, None].expand(-1, -1, *x.shape[2:])
    return torch.cat((x, hot), dim=1)


def label_first(batch: Batch, share: float) -> float:
    """The factor on the KL at this step, so that a conditional model learns to use the label first.

    If the code holds the class, the decoder does not need the label, and the class of a sample then
    depends on z ~ N(0, I). While the weight of the KL is much higher than usual, only the label,
    which costs nothing, can give the class to the decoder; afterwards the code gains nothing by
    holding it.

    The factor falls geometrically from `FIRST_FACTOR` to 1 over the first ``share`` of the steps;
    it is 1 throughout if ``share`` is 0.
    """
    falling = share * batch.steps
    return float(FIRST_FACTOR ** (1.0 - batch.step / falling)) if batch.step < falling else 1.0
