"""A sequence of layers that may take labels beside its input."""

from __future__ import annotations

from torch import Tensor, nn

from genbench_nets.labels import required, with_labels


class LabelledSequential(nn.Sequential):
    """Layers in sequence: input -> features -> output of the last layer, the head.

    With ``classes``, labels y (B,) join the input as one-hot channels: values beside a vector
    (``flat``: beside an image's pixels too), else planes of an image. Without, y is ignored.
    ``unit`` maps images in [-1, 1] to [0, 1] first.
    """

    def __init__(
        self, *layers: nn.Module, classes: int | None = None, flat: bool = False, unit: bool = False
    ) -> None:
        super().__init__(*layers)
        self.classes, self.flat, self.unit = classes, flat, unit

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The output of the head; y is int64 (B,) or weights (B, classes).

        Raises UsageError if labels are required and there are none.
        """
        output: Tensor = self.head(self.features(x, y))
        return output

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The input of the head."""
        if self.unit:
            x = x.add(1).mul(0.5)
        if self.classes is not None:
            x = with_labels(x.flatten(1) if self.flat else x, required(y), self.classes)
        for layer in list(self)[:-1]:
            x = layer(x)
        return x

    @property
    def head(self) -> nn.Module:
        """The last layer."""
        return self[-1]
