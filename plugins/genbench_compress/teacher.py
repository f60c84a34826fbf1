"""The model of the parent, frozen, while a compressed model learns from it."""

from __future__ import annotations

import torch

from genbench import Model, ParentRun


class Teacher:
    """The parent's model with its last weights; it is loaded when it is first used."""

    def __init__(self, parent: ParentRun) -> None:
        self._parent = parent
        self._model: Model | None = None
        self._device = torch.device("cpu")

    def on(self, device: torch.device) -> Model:
        """The model on a device, in eval mode, without gradients to its weights."""
        if self._model is None:
            self._model = self._parent.trained()
        if device != self._device:
            self._model.nets.to(device)
            self._device = device
        return self._model
