"""The meaning of a decoder's output, and its error against a sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from genbench_nets.elbo_terms import reconstruction_loss

Error = Literal["bce", "bernoulli", "mse"]


@dataclass(frozen=True, kw_only=True)
class DecoderOutput:
    """Pixels are ``sigmoid(logits)`` on the scale [0, 1]; unbounded values are the output itself.

    ``error`` is the binary cross-entropy in nats (bce, bernoulli), or the squared error (mse).
    """

    error: Error
    bounded: bool

    def sample(self, output: Tensor) -> Tensor:
        """A decoder's output as a sample: images in [-1, 1], or values anywhere; float32."""
        return output.float().sigmoid().mul(2).sub(1) if self.bounded else output.float()

    def loss(self, output: Tensor, x: Tensor) -> Tensor:
        """The error of a decoder's output, summed over a sample, a mean over the batch; float32.

        Pixels are compared on the scale [0, 1], unbounded values in their own unit.
        """
        if not self.bounded:
            return (output.float() - x.float()).square().sum() / len(x)
        return reconstruction_loss(output, x, "mse" if self.error == "mse" else "bernoulli")
